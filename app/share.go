package app

import (
	"math"
	"sync"
	"time"
)

// load is how much Lua time a connection has used of late: what it uses counts half after halfLife. The zero value has
// used nothing. It is a pure value; times are those of Server.now.
type load struct {
	used time.Duration
	at   time.Duration
}

const (
	halfLife = 500 * time.Millisecond
	// heavyUse is the usage from which on a connection is heavy, some twentieth of a core.
	heavyUse = 25 * time.Millisecond
	// behind is how far back in line a connection is put for its usage.
	behind = 5
)

// now is what of the usage counts at a time.
func (u load) now(at time.Duration) time.Duration {
	if u.used == 0 {
		return 0
	}
	return time.Duration(float64(u.used) * math.Exp2(-float64(at-u.at)/float64(halfLife)))
}

// add gives the usage after took more.
func (u load) add(at, took time.Duration) load { return load{u.now(at) + took, at} }

// rank is where a connection stands in line when it asks at a time. One that used 200 ms stands where somebody stands
// who comes a second later.
func (u load) rank(at time.Duration) rank {
	used := u.now(at)
	return rank{at: at + behind*used, heavy: used > heavyUse}
}

// rank orders those who wait in a pool's line: the lower one comes first.
type rank struct {
	at    time.Duration // when it came, and later the more it has used
	seq   uint64        // in the order in which they asked, for equal times
	heavy bool
}

func (p rank) before(o rank) bool {
	if p.at != o.at {
		return p.at < o.at
	}
	return p.seq < o.seq
}

// waiter is a turn that waits for a worker.
type waiter struct {
	rank
	lent chan *worker // buffered; nil: the waiter has to make one
	back bool         // it is parked in this very worker
}

// line is a heap of those who wait, the next one first.
type line []waiter

func (l line) Len() int           { return len(l) }
func (l line) Less(i, j int) bool { return l[i].before(l[j].rank) }
func (l line) Swap(i, j int)      { l[i], l[j] = l[j], l[i] }

// Push is heap.Interface's.
func (l *line) Push(x any) { *l = append(*l, x.(waiter)) }

// Pop is heap.Interface's.
func (l *line) Pop() any {
	last := len(*l) - 1
	w := (*l)[last]
	(*l)[last] = waiter{}
	*l = (*l)[:last]
	return w
}

// callers keeps the usage of those who make HTTP calls, by address: a call has no connection of its own that is known.
type callers struct {
	mu     sync.Mutex
	usages map[string]load
}

// maxCallers is how many addresses are kept. Beyond, those that have used next to nothing of late are forgotten, else
// all.
const maxCallers = 4096

func (c *callers) of(addr string) load {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.usages[addr]
}

func (c *callers) add(addr string, at, took time.Duration) {
	if took == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.usages[addr]; !ok && len(c.usages) >= maxCallers {
		for a, u := range c.usages {
			if u.now(at) < time.Millisecond {
				delete(c.usages, a)
			}
		}
		if len(c.usages) >= maxCallers {
			clear(c.usages)
		}
	}
	if c.usages == nil {
		c.usages = map[string]load{}
	}
	c.usages[addr] = c.usages[addr].add(at, took)
}
