package main

import (
	"context"
	"log/slog"
	"math"
	"os"
	"runtime"
	"runtime/metrics"
	"time"

	"rollcall/luavm"
)

// A node with little to do uses few cores: one that is idle is woken for each goroutine that becomes ready while another
// one runs, looks for work, finds it done, and sleeps again. With a script for each connection this cost a fifth of a node's
// time. So the node takes its cores back when they are of no use, and gives them all out again as soon as they are.

const (
	// coresWindow is the time over which the need is judged before cores are taken back.
	coresWindow = time.Second
	// coresTick is how often a node that has taken cores back looks whether they are missing.
	coresTick = 50 * time.Millisecond
	// growAt is the share of its cores from which on a node gets all; shrinkTo is the share it is to use of those it keeps.
	growAt, shrinkTo = 0.85, 0.5
	// lateAfter is how long a goroutine may wait for a core. More than one in lateShare, of lateLeast or more: cores are missing.
	lateAfter = 4 * time.Millisecond
	lateShare = 100
	lateLeast = 5
	// Cores that were missing within regretWithin are kept for twice as long as the last time, up to holdMost.
	regretWithin        = 10 * time.Second
	holdLeast, holdMost = time.Second, time.Minute
)

// load is what the process has done so far.
type load struct {
	at   time.Duration // since it began
	used time.Duration // time on cores

	waits, late uint64 // goroutines that had to wait for a core, and those of them that waited for more than lateAfter
}

func (l load) since(before load) load {
	return load{l.at - before.at, l.used - before.used, l.waits - before.waits, l.late - before.late}
}

// cores is the number of cores that were at work, on average.
func (l load) cores() float64 { return float64(l.used) / float64(max(l.at, 1)) }

// cores says how many cores the node uses. It is a pure value.
//
// Invariant: 1 <= n <= most.
type cores struct {
	most, n int

	last, window load          // at the last look; when the present window began
	shrunk       time.Duration // when cores were last taken back; 0: never
	hold         time.Duration // how long those given out last are kept
	held         time.Duration // until then they are
}

// newCores has all cores in use.
func newCores(most int, l load) cores {
	return cores{most: most, n: most, last: l, window: l, hold: holdLeast}
}

// every is the time until the next look.
func (c cores) every() time.Duration {
	if c.n < c.most {
		return coresTick
	}
	return coresWindow
}

// next looks at the load.
func (c cores) next(l load) cores {
	tick, window := l.since(c.last), l.since(c.window)
	c.last = l
	over := window.at >= coresWindow
	if over {
		c.window = l
	}
	switch {
	case c.n < c.most && (tick.cores() > growAt*float64(c.n) || over && window.tooLate()):
		return c.grow(l)
	case over && l.at >= c.held:
		return c.shrink(window.cores(), l.at)
	}
	return c
}

// tooLate tells whether goroutines have waited for cores.
func (l load) tooLate() bool { return l.late >= lateLeast && l.late > l.waits/lateShare }

func (c cores) grow(l load) cores {
	if l.at-c.shrunk < regretWithin {
		c.hold = min(2*c.hold, holdMost)
	} else {
		c.hold = holdLeast
	}
	c.n, c.window, c.held = c.most, l, l.at+c.hold
	return c
}

func (c cores) shrink(used float64, at time.Duration) cores {
	if n := max(1, int(math.Ceil(used/shrinkTo))); n < c.n {
		c.n, c.shrunk = n, at
	}
	return c
}

// adaptCores sets GOMAXPROCS, and the gate's places with it, to what the node needs, until ctx ends. It leaves it alone when
// the user has set it, and where the system does not tell how much time the process takes.
func adaptCores(ctx context.Context, gate *luavm.Gate, log *slog.Logger) {
	if _, ok := timeUsed(); !ok || os.Getenv("GOMAXPROCS") != "" {
		return
	}
	read := loadReader()
	c := newCores(runtime.GOMAXPROCS(0), read())
	timer := time.NewTimer(c.every())
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			useCores(c.most, c.most, gate)
			return
		case <-timer.C:
		}
		if c.n == c.most { // the container may have got more or fewer
			c.most = runtime.GOMAXPROCS(0)
			c.n = c.most
		}
		was := c
		if c = c.next(read()); c.n != was.n {
			log.Debug("cores in use", "cores", c.n, "of", c.most, "load", c.last.since(was.window).cores())
			useCores(c.n, c.most, gate)
		}
		timer.Reset(c.every())
	}
}

// useCores has Go use n cores. All of them: as many as it finds, which it then watches by itself.
func useCores(n, most int, gate *luavm.Gate) {
	if n < most {
		gate.SetPlaces(n)
		runtime.GOMAXPROCS(n)
		return
	}
	runtime.SetDefaultGOMAXPROCS()
	gate.SetPlaces(runtime.GOMAXPROCS(0))
}

// loadReader gives a function that reads the process's load.
func loadReader() func() load {
	began := time.Now()
	sample := []metrics.Sample{{Name: "/sched/latencies:seconds"}}
	return func() load {
		metrics.Read(sample)
		l := load{at: time.Since(began)}
		l.used, _ = timeUsed()
		h := sample[0].Value.Float64Histogram()
		for i, n := range h.Counts {
			l.waits += n
			if h.Buckets[i] >= lateAfter.Seconds() {
				l.late += n
			}
		}
		return l
	}
}
