package simulation

import (
	"flag"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"testing/cryptotest"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"rollcall/integration_test/simulation/redismodel"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	stepsFlag      = flag.Int("steps", 30_000, "live through one seed after another until so many steps were made")
	firstFlag      = flag.Uint64("first", 1, "the first of the seeds")
	seedFlag       = flag.Uint64("seed", 0, "live through this seed alone, and print the end of its story")
	nodesFlag      = flag.Int("nodes", 0, "with -seed: so many nodes; 0: as the seed says")
	withoutFlag    = flag.String("without", "", "with -seed: leave out these faults, as in 0,3")
	shrinkFlag     = flag.Int("shrink", 150, "after a failure: look for a smaller plan in so many runs")
	withoutOpsFlag = flag.String("without-ops", "", "with -seed: leave out these ops, as in 0-40,80-120")
)

// TestSimulation lives through storms of faults, seed after seed. What is checked on the way and after each storm is in
// oracle.go and room.go, with the sentences of SPEC 5 that it comes from.
func TestSimulation(t *testing.T) { liveThrough(t, NewPlan) }

// TestHistory does the same with clients that publish, follow channels with a history, go and come back. What is
// checked is in archive.go and follower.go, with the sentences of SPEC 7 that it comes from.
func TestHistory(t *testing.T) { liveThrough(t, NewHistoryPlan) }

func liveThrough(t *testing.T, plan func(seed uint64, nodes int) *Plan) {
	t.Helper()
	if *seedFlag != 0 {
		p := plan(*seedFlag, *nodesFlag)
		if err := p.leaveOut(*withoutFlag, *withoutOpsFlag); err != nil {
			t.Fatal(err)
		}
		tell(t, p, live(t, p))
		return
	}
	began, steps, seed := time.Now(), 0, *firstFlag
	for ; steps < *stepsFlag; seed++ {
		p := plan(seed, 0)
		r := live(t, p)
		steps += r.Steps
		if r.Fault != "" {
			t.Logf("seed %d fails: %s", seed, r.Fault)
			tell(t, p, r)
			if *shrinkFlag == 0 {
				return
			}
			p, r = shrink(p, r, *shrinkFlag, func(p *Plan) Result { return live(t, p) })
			t.Logf("the smallest that was found to fail too:")
			tell(t, p, r)
			return
		}
	}
	t.Logf("%d steps of %d seeds in %v", steps, seed-*firstFlag, time.Since(began).Round(time.Second))
}

// live lives through a plan in a bubble of virtual time. One processor, no collection of garbage meanwhile, and drawn
// ids by the seed: so the goroutines of a node, too, run in one order. flaws are mistakes in the scripts of Redis.
func live(t *testing.T, p *Plan, flaws ...redismodel.Edit) (r Result) {
	t.Helper()
	scripts, err := redismodel.Load("../..", flaws...)
	if err != nil {
		t.Fatal(err)
	}
	runtime.GC()
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	cryptotest.SetGlobalRandom(t, p.Seed)
	synctest.Test(t, func(*testing.T) { r = run(p, scripts) })
	return r
}

// tell reports a run, and fails the test when it failed.
func tell(t *testing.T, p *Plan, r Result) {
	t.Helper()
	var faults []string
	for i, f := range p.Faults {
		if p.runsFault(i) {
			faults = append(faults, fmt.Sprintf("%d: %s", i, f))
		}
	}
	t.Logf("%s\n%d nodes, %d channels, %d users, latency up to %v, window %v\nfaults:\n%s\nthe end of the story (hash %x, %d steps):\n%s",
		p.Command(), p.Nodes, p.Channels, p.Users, p.Latency, p.Window, strings.Join(faults, "\n"), r.Hash, r.Steps,
		strings.Join(r.Tail, "\n"))
	if r.Fault != "" {
		t.Errorf("seed %d: %s", p.Seed, r.Fault)
	}
}
