package integration_test

import (
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"rollcall/testkit"
	"rollcall/testkit/nodetest"
	"rollcall/testkit/redistest"
)

// jobPeriod is that of the test app's job.
const jobPeriod = time.Second

// jobRuns are the runs of the test app's job on some nodes, as their logs have them.
type jobRuns struct {
	t     *testing.T
	nodes []*nodetest.Node
}

// runsOn are the periods that a node has run.
func (r *jobRuns) runsOn(n *nodetest.Node) (periods []int64) {
	for _, l := range n.Log.Lines() {
		if l.Is("job runs") {
			fields, _ := l["fields"].(map[string]any)
			at, err := strconv.ParseInt(fmt.Sprint(fields["at"]), 10, 64)
			if err != nil {
				r.t.Fatalf("a run without its time: %v", l)
			}
			periods = append(periods, at/jobPeriod.Milliseconds())
		}
	}
	return periods
}

// all are the periods that were run, in order; it fails when one was run twice.
func (r *jobRuns) all() (periods []int64) {
	r.t.Helper()
	for _, n := range r.nodes {
		periods = append(periods, r.runsOn(n)...)
	}
	slices.Sort(periods)
	for i := 1; i < len(periods); i++ {
		if periods[i] == periods[i-1] {
			r.t.Fatalf("period %d was run twice, of %v", periods[i], periods)
		}
	}
	return periods
}

// goOn waits for n more runs.
func (r *jobRuns) goOn(what string, n int, within time.Duration) {
	r.t.Helper()
	before := len(r.all())
	testkit.Within(r.t, fmt.Sprintf("%d runs %s", n, what), within, func() bool { return len(r.all()) >= before+n })
}

// last is the node that had the last period.
func (r *jobRuns) last() *nodetest.Node {
	all := r.all()
	for _, n := range r.nodes {
		if slices.Contains(r.runsOn(n), all[len(all)-1]) {
			return n
		}
	}
	return nil
}

func startJobs(t *testing.T, redis *redistest.Redis) *jobRuns {
	o := nodetest.Options{Redis: redis.URL(), App: app, Flags: append(slices.Clone(fast), "--drain", "3s")}
	r := &jobRuns{t: t, nodes: nodetest.StartAll(t, 3, o)}
	r.goOn("at the start", 3, nodetest.Timeout)
	return r
}

// SPEC 11: "when its node dies, the next period runs on another".
func TestJobsWhenNodesDie(t *testing.T) {
	t.Parallel()
	r := startJobs(t, redistest.Standalone(t))
	for range 2 {
		dead := r.last()
		before := r.all()
		killed := time.Now().UnixMilli() / jobPeriod.Milliseconds()
		dead.Kill()
		r.goOn("after a node was killed", 3, nodetest.Timeout)
		after := r.all()[len(before):]
		if first := after[0]; first > killed+2 { // its own period at most goes with it; and one for a busy machine
			t.Errorf("killed in period %d, the next run was in %d", killed, first)
		}
	}
}

// SPEC 11: "at most once a period"; SPEC 5.2: "frozen and thawed".
func TestJobsWhenANodeIsFrozen(t *testing.T) {
	t.Parallel()
	r := startJobs(t, redistest.Standalone(t))
	for range 3 {
		frozen := r.last()
		had := len(r.runsOn(frozen))
		frozen.Freeze()
		r.goOn("while a node is frozen", 4, nodetest.Timeout)
		frozen.Thaw()
		testkit.Within(t, "a run on the thawed node", 2*nodetest.Timeout, func() bool {
			r.all()
			return len(r.runsOn(frozen)) > had
		})
	}
	r.goOn("after all", 2, nodetest.Timeout)
}

// SPEC 11: "at most once a period"; SPEC 5.2: "Redis restarted, wiped (FLUSHALL)", "cut off". And again in the next.
func TestJobsWhenRedisFails(t *testing.T) {
	t.Parallel()
	redis := redistest.Standalone(t)
	r := startJobs(t, redis)
	for i := range 6 {
		redis.FlushAll() // soon after a run
		r.goOn(fmt.Sprint("after wipe ", i+1), 1, heartbeat+3*jobPeriod+nodetest.Timeout)
	}
	redis.Nodes()[0].RestartEmpty()
	r.goOn("after a restart without its data", 2, 2*nodetest.Timeout)
	redis.Pause()
	time.Sleep(jobPeriod + jobPeriod/2) // a stall that is longer than a period
	redis.Resume()
	r.goOn("after a stall", 2, 2*nodetest.Timeout)
}

// SPEC 11: "at most once a period"; SPEC 5.2: "failed over to a replica".
func TestJobsWhenRedisFailsOver(t *testing.T) {
	t.Parallel()
	redis := redistest.Sentinel(t)
	r := startJobs(t, redis)
	redis.Master().Kill()
	r.goOn("after a failover", 3, 3*nodetest.Timeout)
}

// On a Redis Cluster too.
func TestJobsOnACluster(t *testing.T) {
	t.Parallel()
	r := startJobs(t, redistest.Cluster(t))
	r.goOn("on a Cluster", 3, nodetest.Timeout)
}

// A node that drains begins no run.
func TestJobsWhileDraining(t *testing.T) {
	t.Parallel()
	r := startJobs(t, redistest.Standalone(t))
	ending := r.last()
	nodetest.Dial(t, ending.Addr(), "/ws/do") // so that it has something to drain
	nodetest.Dial(t, ending.Addr(), "/ws/do")
	ending.Terminate()
	ending.Log.Await(t, "that it drains", func(l nodetest.Line) bool { return l.Is("draining") })
	had := len(r.runsOn(ending))
	r.goOn("while a node drains", 2, nodetest.Timeout)
	if code := ending.ExitCode(nodetest.Timeout); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if now := len(r.runsOn(ending)); now > had+1 { // one may have been claimed just before
		t.Errorf("%d runs while it drained", now-had)
	}
}
