package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"rollcall/cluster"
	"rollcall/testkit"
)

// SPEC 11: bad definitions are errors at load, all of them.
func TestBadJobs(t *testing.T) {
	_, problems := Load(writeFiles(t, map[string]string{
		"config/routes.lua": `every()
every("a", nil, "jobs#run")
every("a", { seconds = 0 }, "jobs#run")
every("a", { seconds = 0.5 }, "jobs#run")
every("a", { seconds = "60" }, "jobs#run")
every("a", { seconds = 2592001 }, "jobs#run")
every("a", {}, "jobs#run")
every("a", { seconds = 60, at = "noon" }, "jobs#run")
every("a", { seconds = 60 })
every("a", { seconds = 60 }, "jobs")
every("a", { seconds = 60 }, "jobs#run", 1)
every("", { seconds = 60 }, "jobs#run")
every("a", { seconds = 60 }, "jobs#run")
every("a", { seconds = 30 }, "jobs#run")
every("b", { seconds = 60 }, "jobs#none")
every("c", { seconds = 60 }, "none#run")
for i = 1, 62 do every("n" .. i, { seconds = 60 }, "jobs#run") end`,
		"handlers/jobs.lua": "function run() end"}), LoadOptions{})
	var got []string
	for _, p := range problems {
		got = append(got, p.Error())
	}
	const period = "seconds must be a whole number from 1 to 2592000 (30 days), not "
	want := []string{
		`config/routes.lua:1: every: the first argument must be the job's name, 1 to 255 bytes of UTF-8 without control characters, not nil`,
		`config/routes.lua:2: every("a"): the second argument must be options like { seconds = 60 }, not nil`,
		`config/routes.lua:3: every("a"): ` + period + `the number 0`,
		`config/routes.lua:4: every("a"): ` + period + `the number 0.5`,
		`config/routes.lua:5: every("a"): ` + period + `the string "60"`,
		`config/routes.lua:6: every("a"): ` + period + `the number 2592001`,
		`config/routes.lua:7: every("a"): the option seconds is missing`,
		`config/routes.lua:8: every("a"): unknown option "at" (known: seconds)`,
		`config/routes.lua:9: every("a"): the third argument must be a handler like "jobs#digest", not nil`,
		`config/routes.lua:10: every("a"): the handler "jobs" must be written "file#function"`,
		`config/routes.lua:11: every("a"): takes a name, a table of options and a handler`,
		`config/routes.lua:12: every: the first argument must be the job's name, 1 to 255 bytes of UTF-8 without control characters, not the string ""`,
		`config/routes.lua:14: every("a"): there is a job of this name at config/routes.lua:13`,
		`config/routes.lua:17: every("n62"): an app has 64 jobs at most`,
		`config/routes.lua:15: every("b"): handlers/jobs.lua has no function "none"`,
		`config/routes.lua:16: every("c"): the file handlers/none.lua does not exist: did you mean "handlers/jobs.lua"?`,
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// jobApp has a client that hears of each run.
func jobApp(jobs string) map[string]string {
	return map[string]string{
		"config/routes.lua": `router_websocket("/ws", "t#on")
every("digest", { seconds = 1 }, "t#digest")`,
		"handlers/t.lua": `
function on(event)
  if event.type == "connect" then return { join = "digests", send = "on" } end
end
` + jobs}
}

// outcomes are how often something came of the periods of a job on a node.
func (n *testNode) outcomes(job string) map[JobOutcome]int64 {
	all := map[JobOutcome]int64{}
	for _, c := range n.server.jobs.counted() {
		if c.Job == job {
			all[c.Outcome] = c.Periods
		}
	}
	return all
}

// SPEC 11: "called with {type = "job", name, at} (at: ms of the Redis clock) on one node of the cluster, at most once a
// period of at least 1 s, counted from the epoch; may return broadcast and broadcast_channel".
func TestJobsRunOnce(t *testing.T) {
	files := jobApp(`
function digest(event)
  local fields = 0
  for k in pairs(event) do fields = fields + 1 end
  return { { broadcast_channel = { channel = "digests", message = { event = event, fields = fields } } }, { broadcast = "all" } }
end`)
	same := LoadOptions{Name: "app"}
	a := startNode(t, files, nodeOptions{load: same})
	b := startNode(t, files, nodeOptions{redis: a.redis, load: same})
	c := b.dial("/ws")
	c.expect("on")
	last, everybody := int64(-1), 0
	for runs := 0; runs < 3 || everybody < 2; {
		text := c.next()
		if text == "all" { // by another topic: before or after its neighbour
			everybody++
			continue
		}
		runs++
		var got struct {
			Event struct {
				Type, Name string
				At         int64
			}
			Fields int
		}
		if err := json.Unmarshal([]byte(text), &got); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		now := time.Now().UnixMilli()
		switch {
		case got.Event.Type != "job" || got.Event.Name != "digest" || got.Fields != 3:
			t.Errorf("the event is %s", text)
		case got.Event.At/1000 <= last:
			t.Errorf("period %d was run after %d", got.Event.At/1000, last)
		case got.Event.At > now || got.Event.At < now-10_000:
			t.Errorf("at is %d, now it is %d", got.Event.At, now)
		}
		last = got.Event.At / 1000
	}
	testkit.Eventually(t, "both nodes asked", func() bool {
		x, y := a.outcomes("digest"), b.outcomes("digest")
		return x[JobRan]+y[JobRan] >= 3 && x[JobElsewhere]+y[JobElsewhere] >= 2
	})
}

// A job that raises, loops or returns what it may not is logged and counted, and its next period comes all the same.
func TestJobsThatFail(t *testing.T) {
	n := startNode(t, jobApp(`
function digest(event)
  local run = store.incr("runs")
  if run == 1 then error("on purpose") end
  if run == 2 then while true do end end
  if run == 3 then return { broadcast = "must not be sent", join = "digests" } end
  if run == 4 then return { broadcast = { f = digest } } end
  if run == 5 then ws_join("digests") end
  return { broadcast = "run " .. run }
end`))
	c := n.dial("/ws")
	c.expect("on")
	testkit.Within(t, "five failures", 30*time.Second, func() bool { return len(n.seen.all()) >= 5 })
	c.expect("run 6")
	var got []string
	for _, f := range n.seen.all() {
		got = append(got, fmt.Sprint(f.Kind, " ", f.Route, " ", f.Reason))
	}
	if want := "job digest raised,job digest budget,job digest actions,job digest actions,job digest raised"; want !=
		strings.Join(got, ",") {
		t.Errorf("failures: %q", got)
	}
	n.logged("join: a job has no connection; it may return broadcast and broadcast_channel")
	n.logged("ws_join: there is no current connection in an HTTP handler or a job")
	n.logged(`kind=job route=digest reason=raised file=handlers/t.lua`)
}

// A handler that takes longer than its period is never called twice at a time on a node.
func TestJobsThatAreSlow(t *testing.T) {
	n := startNode(t, jobApp(`
function digest(event)
  if store.incr("running") > 1 then log.error("two at a time") end
  local till = os.clock() + 1.1
  while os.clock() < till do end
  store.incr("running", -1)
end`), nodeOptions{config: func(c *Config) { c.Limits.Budget = time.Minute }})
	testkit.Within(t, "two runs, and a period that was left out", 30*time.Second, func() bool {
		got := n.outcomes("digest")
		return got[JobRan] >= 2 && got[JobBusy] >= 1
	})
	if strings.Contains(n.log.String(), "two at a time") {
		t.Error("two runs at a time")
	}
}

// fakePeriods answer what a test wants.
type fakePeriods struct {
	mu    sync.Mutex
	asked int
	heard []int64
	claim func(n int) (cluster.Claim, error) // the nth
}

func (p *fakePeriods) RedisNow() (int64, bool) { return time.Now().UnixMilli(), true }

func (p *fakePeriods) ClaimPeriod(_ context.Context, job cluster.Job, heard int64) (cluster.Claim, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked++
	p.heard = append(p.heard, heard)
	return p.claim(p.asked)
}

func (p *fakePeriods) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked
}

// What is not won, not known, or over before the handler could be called is not run; the node tells what it has heard.
func TestJobsNotRun(t *testing.T) {
	later := time.Now().Add(time.Hour)
	p := &fakePeriods{claim: func(n int) (cluster.Claim, error) {
		switch n {
		case 1:
			return cluster.Claim{Outcome: cluster.Taken, At: 1, Last: 17, Ends: later}, nil
		case 2:
			return cluster.Claim{}, errors.New("the answer was lost")
		case 3:
			return cluster.Claim{Outcome: cluster.Young, At: 1, Ends: later}, nil
		case 4:
			return cluster.Claim{Outcome: cluster.Won, At: 4, Last: 4, Ends: time.Now()}, nil // frozen meanwhile
		}
		return cluster.Claim{Outcome: cluster.Won, At: 5, Last: 50, Ends: later}, nil
	}}
	n := startNode(t, jobApp(`function digest(event) return { broadcast = "at " .. event.at } end`),
		nodeOptions{config: func(c *Config) { c.Periods = p }})
	c := n.dial("/ws")
	c.expect("on")
	testkit.Within(t, "five claims", 30*time.Second, func() bool { return p.count() >= 5 })
	c.expect("at 5")
	testkit.Eventually(t, "outcome", func() bool { return n.outcomes("digest")[JobRan] > 0 }) // after its broadcast
	n.server.StopJobs()
	asked := p.count()
	got := n.outcomes("digest")
	if got[JobElsewhere] != 1 || got[JobFailed] != 1 || got[JobUnsure] != 1 || got[JobLate] != 1 {
		t.Errorf("outcomes %v", got)
	}
	p.mu.Lock()
	if h := fmt.Sprint(p.heard[:5]); h != "[0 17 17 17 17]" {
		t.Errorf("the node said it has heard of %s", h)
	}
	p.mu.Unlock()
	n.logged("the period was over before the handler could be called")
	n.logged("the answer was lost")

	// SPEC 3, drain: a node that is about to go asks for nothing.
	n.server.alarms.mu.Lock()
	set := len(n.server.alarms.heap)
	n.server.alarms.mu.Unlock()
	if set != 0 || p.count() != asked {
		t.Errorf("%d alarms are set, %d claims after %d", set, p.count(), asked)
	}
}

// With --dev a changed app has other jobs at once.
func TestJobsOfAChangedApp(t *testing.T) {
	files := jobApp(`
function digest(event) return { broadcast = "old " .. event.name } end
function other(event) return { broadcast = "new " .. event.name } end`)
	n := startNode(t, files, nodeOptions{config: func(c *Config) { c.Dev = true }})
	c := n.dial("/ws")
	c.expect("on", "old digest")
	check(t, os.WriteFile(filepath.Join(n.dir, "config/routes.lua"), []byte(`router_websocket("/ws", "t#on")
every("other", { seconds = 1 }, "t#other")`), 0o600))
	n.logged("app loaded again")
	for got := c.next(); got != "new other"; got = c.next() {
		if got != "old digest" { // which may have been on its way
			t.Fatal(got)
		}
	}
	c.expect("new other")
}
