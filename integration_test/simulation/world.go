package simulation

import (
	"cmp"
	"container/heap"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing/synctest"
	"time"

	"rollcall/integration_test/simulation/redismodel"
	"rollcall/redisconn"
)

// world is one run: the nodes with their real trackers and clusters, the model of Redis, and everything on its way
// between.
//
// Its loop is the only one who lets anything happen: it waits until every goroutine is blocked, takes what they asked
// for in an order that does not depend on theirs, and then does the one thing that is next in virtual time.
type world struct {
	// static
	plan *Plan
	keys redisconn.Keys
	kick chan struct{} // something is in the inbox; capacity 1

	// owned by the loop
	begin  time.Time
	rng    *rand.Rand // of the network
	redis  *redismodel.Server
	skew   time.Duration // of the clock of Redis
	net    network
	events agenda
	number uint64 // of the last event
	nodes  []*node
	oracle *oracle
	story  *story

	archive   *archive // of a plan about history
	followers []*follower
	trouble   time.Time // until when faults last

	steps  int
	end    bool
	fault  string // what was found, "" nothing
	closed sync.WaitGroup
	serial int // of processes, connections and observers

	mu    sync.Mutex
	inbox []message
}

// message is what a goroutine of a node hands to the loop.
type message struct {
	at   time.Time
	node *node
	key  string // of what came at one moment, the order in which it is taken; equal: as it came
	do   func()
}

// event is something that happens at a time.
type event struct {
	at     time.Time
	number uint64
	do     func()
}

type agenda []event

func (a agenda) Len() int { return len(a) }
func (a agenda) Less(i, j int) bool {
	return a[i].at.Before(a[j].at) || a[i].at.Equal(a[j].at) && a[i].number < a[j].number
}
func (a agenda) Swap(i, j int) { a[i], a[j] = a[j], a[i] }
func (a *agenda) Push(x any)   { *a = append(*a, x.(event)) }
func (a *agenda) Pop() any {
	last := len(*a) - 1
	e := (*a)[last]
	(*a)[last] = event{}
	*a = (*a)[:last]
	return e
}

func (w *world) at(t time.Time, do func()) {
	w.number++
	heap.Push(&w.events, event{t, w.number, do})
}

// clock is what Redis takes for now.
func (w *world) clock() time.Time { return time.Now().Add(w.skew) }

func (w *world) after(d time.Duration, do func()) { w.at(time.Now().Add(d), do) }

// post is called by goroutines of nodes.
func (w *world) post(n *node, key string, do func()) {
	w.mu.Lock()
	w.inbox = append(w.inbox, message{time.Now(), n, key, do})
	w.mu.Unlock()
	select {
	case w.kick <- struct{}{}:
	default:
	}
}

// fail notes the first thing that is wrong; the run ends with it.
func (w *world) fail(format string, args ...any) {
	if w.fault == "" {
		w.fault = fmt.Sprintf(format, args...)
		w.story.add("WRONG: %s", w.fault)
	}
}

// Result of a run.
type Result struct {
	Steps int
	Hash  uint64   // of everything that happened
	Fault string   // what was wrong, "" nothing
	Tail  []string // the last lines of the story
}

// run lives through a plan, inside a bubble of virtual time.
func run(p *Plan, scripts []redismodel.Source) Result {
	w := &world{plan: p, keys: redisconn.NewKeys("sim", 0), kick: make(chan struct{}, 1), begin: time.Now(),
		rng: rand.New(rand.NewPCG(p.Seed, 2)), story: newStory()}
	w.net = network{w: w, scripts: map[string]string{}}
	for _, s := range scripts {
		w.net.scripts[s.Script.String()] = s.Name
	}
	w.oracle, w.archive = newOracle(w), newArchive(w)
	w.redis = redismodel.New(redismodel.Config{Now: w.clock, Publish: w.net.publish, Scripts: scripts})
	for i := range p.Nodes {
		w.start(i + 1)
	}
	w.schedule()
	w.loop()
	for _, n := range w.nodes {
		w.crash(n)
	}
	w.closed.Wait()
	return Result{w.steps, w.story.sum.Sum64(), w.fault, w.story.tail()}
}

// schedule puts what the plan says on the agenda.
func (w *world) schedule() {
	for i, f := range w.plan.Faults {
		if w.plan.runsFault(i) {
			w.after(f.At, func() { w.strike(i, f) })
		}
	}
	for i, o := range w.plan.Ops {
		if w.plan.runsOp(i) {
			act := w.act
			if w.plan.Keep.Size > 0 {
				act = w.actInHistory
			}
			w.after(o.At, func() { act(rand.New(rand.NewPCG(o.R, 3))) })
		}
	}
	for i, at := range w.plan.Checks {
		w.after(at, func() {
			w.oracle.exact()
			w.caughtUp()
			w.end = w.end || i == len(w.plan.Checks)-1
		})
	}
}

// loop is the scheduler.
func (w *world) loop() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		synctest.Wait()
		if w.collect() {
			w.steps++
			continue // what was taken may have set others free
		}
		w.oracle.look()
		if w.fault != "" || w.end || len(w.events) == 0 {
			return
		}
		next := w.events[0]
		if wait := time.Until(next.at); wait > 0 {
			timer.Reset(wait)
			select {
			case <-timer.C:
			case <-w.kick:
			}
			continue
		}
		heap.Pop(&w.events)
		w.steps++
		next.do()
	}
}

// collect takes what goroutines asked for since the last time. Of what came at the same moment, that of one node comes
// before that of the next, and each in the order of its text: no goroutine's speed decides anything.
func (w *world) collect() (any bool) {
	w.mu.Lock()
	inbox := w.inbox
	w.inbox = nil
	w.mu.Unlock()
	slices.SortStableFunc(inbox, func(a, b message) int {
		return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.node.number, b.node.number), strings.Compare(a.key, b.key))
	})
	for _, m := range inbox {
		if !m.node.dead {
			m.do()
		}
	}
	return len(inbox) > 0
}

// live lists the nodes that run.
func (w *world) live() []*node {
	var out []*node
	for _, n := range w.nodes {
		if !n.dead && !n.stopping {
			out = append(out, n)
		}
	}
	return out
}

func pick[T any](rng *rand.Rand, list []T) (T, bool) {
	if len(list) == 0 {
		var none T
		return none, false
	}
	return list[rng.IntN(len(list))], true
}
