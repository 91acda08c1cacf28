package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"rollcall/integration_test/chaos/history"
)

// blow is one fault that has begun.
type blow struct {
	hosts []*host // struck; none: all
	note  string
	lasts time.Duration
	// end ends it and returns when it is over; nil for one that was over at once.
	end func()
	// echo is what comes of it after lasts, when it has long been over; nil mostly.
	echo func()
}

// kind is a kind of fault: its name is the name of its promise.
type kind struct {
	name  string
	redis []string // the kinds of Redis that can have it
	begin func(n *nemesis) *blow
}

var everywhere = []string{"standalone", "sentinel", "cluster"}

// kinds lists all faults.
func kinds() []kind { return slices.Concat(nodeFaults(), redisFaults(), netFaults()) }

// nemesis strikes. What it does comes from the seed alone: each kind in turn, in a new order each time.
type nemesis struct {
	run   *run
	rng   *rand.Rand
	all   []kind
	deck  []kind
	spare map[*host]bool // hosts that a blow of this round has already
	taken bool           // so has Redis
	after []func(context.Context)
}

func newNemesis(r *run) *nemesis {
	n := &nemesis{run: r, rng: rand.New(rand.NewPCG(r.plan.Seed, 1<<63)), spare: map[*host]bool{}}
	for _, k := range kinds() {
		if slices.Contains(k.redis, r.plan.Redis) && (len(r.plan.Kinds) == 0 || slices.Contains(r.plan.Kinds, k.name)) {
			n.all = append(n.all, k)
		}
	}
	if len(n.all) == 0 {
		r.t.Fatalf("no such faults on Redis %s: %v", r.plan.Redis, r.plan.Kinds)
	}
	return n
}

// draw takes the next kind.
func (n *nemesis) draw() kind {
	if len(n.deck) == 0 {
		n.deck = slices.Clone(n.all)
		n.rng.Shuffle(len(n.deck), func(i, j int) { n.deck[i], n.deck[j] = n.deck[j], n.deck[i] })
	}
	k := n.deck[0]
	n.deck = n.deck[1:]
	return k
}

// host picks a node that no other blow of this round has, and takes it; nil when one must be left in peace.
func (n *nemesis) host() *host {
	all := n.run.site.all()
	free := slices.DeleteFunc(slices.Clone(all), func(h *host) bool { return n.spare[h] })
	if len(free) < 2 && len(all) > 1 {
		return nil
	}
	h := free[n.rng.IntN(len(free))]
	n.spare[h] = true
	return h
}

// redis takes Redis for one blow of this round; false when another has it.
func (n *nemesis) redis() bool {
	if n.taken {
		return false
	}
	n.taken = true
	return true
}

// between draws a time.
func (n *nemesis) between(from, to time.Duration) time.Duration {
	return from + time.Duration(n.rng.Int64N(int64(max(to-from, 1))))
}

// struck is a blow with its place in the record.
type struck struct {
	*blow
	index int
}

// strike does one fault, or two together, while the crowd goes on; then the crowd rests and the faults end. It returns
// how many there were.
func (n *nemesis) strike(ctx context.Context) int {
	count := 1
	if n.rng.IntN(100) < n.run.plan.Mixed {
		count = 2
	}
	clear(n.spare)
	n.taken = false
	var blows []struck
	for range count {
		k := n.draw()
		if len(blows) > 0 {
			time.Sleep(n.between(0, n.run.plan.Times.Lease/2))
		}
		began := n.run.clock.now()
		if strings.HasPrefix(k.name, "redis-") && !n.redis() {
			continue
		}
		b := k.begin(n)
		if b == nil {
			continue
		}
		if b.echo != nil {
			began = n.run.clock.now()
		}
		f := history.Fault{Name: k.name, Began: began, Ended: n.run.clock.now(), Note: b.note}
		for _, h := range b.hosts {
			f.Nodes = append(f.Nodes, h.name)
		}
		n.run.rec.Faults = append(n.run.rec.Faults, f)
		n.bury(b)
		blows = append(blows, struck{b, len(n.run.rec.Faults) - 1})
	}
	slices.SortStableFunc(blows, func(a, b struck) int { return int(a.lasts - b.lasts) })
	began := n.run.clock.now()
	unrest := n.between(300*time.Millisecond, 1200*time.Millisecond)
	for i, b := range blows {
		wait := b.lasts
		if i == len(blows)-1 {
			wait = max(wait, unrest)
		}
		time.Sleep(wait - (n.run.clock.now() - began))
		if i == len(blows)-1 {
			n.run.crowd.rest()
		}
		if b.end != nil {
			b.end()
			n.run.rec.Faults[b.index].Ended = n.run.clock.now()
			n.bury(b.blow)
		}
		if b.echo != nil {
			b.echo()
		}
	}
	n.run.crowd.rest()
	return len(blows)
}

// bury ends the lists of nodes that a blow has ended.
func (n *nemesis) bury(b *blow) {
	for _, h := range b.hosts {
		if list := n.run.lists[h.name]; h.node.Exited() && list.Events[len(list.Events)-1].Kind != history.Ended {
			list.Events = append(list.Events, history.Event{At: n.run.clock.now(), Kind: history.Ended, Text: "left"})
		}
	}
}

// repair makes the site whole again: as many nodes as before, each with those who watch.
func (n *nemesis) repair(ctx context.Context) {
	n.run.t.Helper()
	for _, fn := range n.after {
		fn(ctx)
	}
	n.after = nil
	for _, h := range n.run.site.all() {
		if h.node.Exited() {
			n.run.site.shut(h)
			n.run.join(ctx)
			continue
		}
		if !n.run.site.ready(h, 10*time.Second) {
			n.run.t.Errorf("%s is not ready 10 s after all views were exact", h.name)
		}
		n.run.watchFrom(ctx, h)
	}
}

// onRepair has something done once all views are exact.
func (n *nemesis) onRepair(fn func(context.Context)) { n.after = append(n.after, fn) }

func note(format string, args ...any) string { return fmt.Sprintf(format, args...) }
