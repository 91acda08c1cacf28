package luavm

import (
	"sync"
	"sync/atomic"
	"time"
)

// giveWayAfter is how long a VM may run on while others wait at the gate.
const giveWayAfter = 10 * time.Millisecond

// Gate lets a number of VMs run at once and the others wait their turn, in the
// order they came. With as many slots as there are cores, the time that a
// script takes is the time it really uses. A nil Gate lets all run. All methods
// may be called from any goroutine.
type Gate struct {
	waiting atomic.Int64 // len(queue)
	waited  atomic.Int64 // ns, all together

	slots int // static

	// Invariant: taken <= slots, and the queue is empty if taken < slots.
	mu    sync.Mutex
	taken int
	queue []chan struct{} // closed when its VM has got a slot
}

// NewGate makes a gate for n VMs at once; n is usually runtime.GOMAXPROCS(0).
func NewGate(n int) *Gate { return &Gate{slots: max(n, 1)} }

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
	if g.taken < g.slots {
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
	defer g.mu.Unlock()
	if len(g.queue) == 0 {
		g.taken--
		return
	}
	close(g.queue[0]) // the slot goes to the first who waits
	g.queue[0] = nil
	g.queue = g.queue[1:]
	g.waiting.Add(-1)
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
