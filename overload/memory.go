package overload

import (
	"log/slog"
	"math"
	"runtime"
	"sync/atomic"
	"time"
)

// Shares of the memory limit (GOMEMLIMIT), in percent, that cannot be had back by collecting garbage. From shedAt on
// new connections are refused, until it is less than resumeAt. What is left above shedAt is the collector's room: with
// less it would soon do nothing but collect. The distance between the two keeps the node from flapping.
const (
	shedAt   = 85
	resumeAt = 75
)

const (
	// lookEvery is the least time between two looks at the memory.
	lookEvery = 100 * time.Millisecond
	// collectEvery is the least time between two collections that the guard asks for; after a long one it waits
	// collectShare times as long as that took, so that at most a twentieth of the time goes into them.
	collectEvery = time.Second
	collectShare = 20
)

// memory says whether the node is near its limit. It is a pure value.
//
// What the process has from the system says little: the collector lets garbage grow up to the limit on purpose. What
// counts is live and other, which no collection gives back. live may be old: when all the space is taken, or while
// connections are refused, only a new collection can tell.
type memory struct{ shedding bool }

// next looks at the footprint; collect: a collection would tell more.
func (m memory) next(u footprint) (next memory, collect bool) {
	if u.limit == 0 || u.limit >= math.MaxInt64 {
		return memory{}, false
	}
	share := func(bytes uint64) float64 { return 100 * float64(bytes) / float64(u.limit) }
	needed, taken := share(u.live+u.other), share(max(u.live, u.objects)+u.other)
	m.shedding = needed >= shedAt || m.shedding && needed >= resumeAt
	return m, m.shedding || taken >= shedAt
}

// guard refuses connections while the node is near its memory limit. It looks only when somebody wants to connect, and
// starts no goroutine.
type guard struct {
	read    func() footprint
	collect func()
	log     *slog.Logger

	shedding atomic.Bool
	busy     atomic.Bool // somebody looks

	// Owned by who has set busy.
	memory    memory
	looked    time.Time
	collected time.Time     // the end of the last collection that was asked for
	took      time.Duration // by it
}

func newGuard(log *slog.Logger) *guard {
	return &guard{read: newReader().read, collect: runtime.GC, log: log}
}

// refuses tells whether new connections are to be refused now. One caller looks, and may wait for a collection; the
// others meanwhile get the last answer.
func (g *guard) refuses(now time.Time) bool {
	if !g.busy.CompareAndSwap(false, true) {
		return g.shedding.Load()
	}
	defer g.busy.Store(false)
	if now.Sub(g.looked) >= lookEvery {
		g.looked = now
		g.look(now)
	}
	return g.shedding.Load()
}

func (g *guard) look(now time.Time) {
	u := g.read()
	next, collect := g.memory.next(u)
	if collect && now.Sub(g.collected) >= max(collectEvery, collectShare*g.took) {
		began := time.Now()
		g.collect()
		g.took = time.Since(began)
		g.collected = now.Add(g.took)
		u = g.read()
		next, _ = g.memory.next(u)
	}
	if next.shedding != g.memory.shedding {
		say := g.log.Info
		text := "memory is free again; connections are taken"
		if next.shedding {
			say, text = g.log.Warn, "memory is short; new connections are refused"
		}
		say(text, "live", u.live, "other", u.other, "limit", u.limit)
	}
	g.memory = next
	g.shedding.Store(next.shedding)
}
