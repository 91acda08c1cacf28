package luavm

import (
	"sync"
	"sync/atomic"
	"time"
)

// giveWayAfter is how long a VM may run on while others wait at the gate.
const giveWayAfter = 10 * time.Millisecond

// Gate lets a number of VMs run at once and the others wait their turn, in the
// order they came. With as many places as there are cores, the time that a
// script takes is the time it really uses. A nil Gate lets all run. All methods
// may be called from any goroutine.
type Gate struct {
	waiting atomic.Int64 // len(queue)
	waited  atomic.Int64 // ns, all together

	// Invariant: the queue is empty if taken < places. taken is more than places
	// only while VMs run that had entered before places became fewer.
	mu     sync.Mutex
	places int
	taken  int
	queue  []chan struct{} // closed when its VM has got a place
}

// NewGate makes a gate for n VMs at once; n is usually runtime.GOMAXPROCS(0).
func NewGate(n int) *Gate { return &Gate{places: max(n, 1)} }

// SetPlaces has n VMs run at once from now on. Those that run already go on.
func (g *Gate) SetPlaces(n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.places = max(n, 1)
	g.admitLocked()
}

// Waiting returns how many VMs wait now, for metrics.
func (g *Gate) Waiting() int {
	if g == nil {
		return 0
	}
	return int(g.waiting.Load())
}

// Waited returns how long VMs have waited so far, all together, for metrics.
func (g *Gate) Waited() time.Duration {
	if g == nil {
		return 0
	}
	return time.Duration(g.waited.Load())
}

func (g *Gate) enter() {
	if g == nil {
		return
	}
	g.mu.Lock()
	if g.taken < g.places {
		g.taken++
		g.mu.Unlock()
		return
	}
	turn := make(chan struct{})
	g.queue = append(g.queue, turn)
	g.waiting.Add(1)
	g.mu.Unlock()
	began := time.Now()
	<-turn
	g.waited.Add(int64(time.Since(began)))
}

func (g *Gate) leave() {
	if g == nil {
		return
	}
	g.mu.Lock()
	g.taken--
	g.admitLocked()
	g.mu.Unlock()
}

// admitLocked gives free places to those who wait.
func (g *Gate) admitLocked() {
	for g.taken < g.places && len(g.queue) > 0 {
		close(g.queue[0])
		g.queue[0] = nil
		g.queue = g.queue[1:]
		g.waiting.Add(-1)
		g.taken++
	}
}

// giveWay leaves and enters again at the end of the queue, if there is one, and
// reports whether it did.
func (g *Gate) giveWay() bool {
	if g == nil || g.waiting.Load() == 0 {
		return false
	}
	g.leave()
	g.enter()
	return true
}
