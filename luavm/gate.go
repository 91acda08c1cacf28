package luavm

import (
	"sync/atomic"
	"time"
)

// giveWayAfter is how long a VM may run on while others wait at the gate.
const giveWayAfter = 10 * time.Millisecond

// Gate lets a number of VMs run at once and the others wait their turn, in the
// order they came. With as many places as there are cores, the time that a
// script takes is the time it really uses. A nil Gate lets all run.
type Gate struct {
	places  chan struct{}
	waiting atomic.Int64
	waited  atomic.Int64 // ns, all together
}

// NewGate makes a gate for n VMs at once; n is usually runtime.GOMAXPROCS(0).
func NewGate(n int) *Gate { return &Gate{places: make(chan struct{}, max(n, 1))} }

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
	select {
	case g.places <- struct{}{}:
		return
	default:
	}
	began := time.Now()
	g.waiting.Add(1)
	g.places <- struct{}{}
	g.waiting.Add(-1)
	g.waited.Add(int64(time.Since(began)))
}

func (g *Gate) leave() {
	if g != nil {
		<-g.places
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
