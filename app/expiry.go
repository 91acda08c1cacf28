package app

import (
	"container/heap"
	"sync"
	"time"

	"rollcall/wsconn"
)

// closer is a connection that can be closed; *wsconn.Conn is one.
type closer interface {
	Close(code int, reason string)
}

// deadline is when a connection's token is not good any more.
//
// Invariant: expiry.heap[index] is this deadline while it is in the heap.
type deadline struct {
	at    time.Time
	conn  closer
	index int
}

// expiry closes connections whose tokens expire (4401). One goroutine serves all; a connection without an expiring
// token costs nothing.
type expiry struct {
	wake chan struct{} // the nearest deadline has changed
	stop chan struct{}
	done sync.WaitGroup

	mu   sync.Mutex
	heap deadlines
}

// lookAgain bounds the sleep of expiry: the clock of the machine may be set meanwhile.
const lookAgain = time.Minute

func newExpiry() *expiry {
	e := &expiry{wake: make(chan struct{}, 1), stop: make(chan struct{})}
	e.done.Go(e.loop)
	return e
}

// close waits for the goroutine. No connection is closed afterwards.
func (e *expiry) close() {
	close(e.stop)
	e.done.Wait()
}

// set makes d the deadline of conn; the zero time is none. *d is nil when there is none yet.
func (e *expiry) set(d **deadline, conn closer, at time.Time) {
	if at.IsZero() {
		e.drop(d)
		return
	}
	e.mu.Lock()
	switch {
	case *d == nil || (*d).index < 0:
		*d = &deadline{at: at, conn: conn}
		heap.Push(&e.heap, *d)
	default:
		(*d).at = at
		heap.Fix(&e.heap, (*d).index)
	}
	nearest := (*d).index == 0
	e.mu.Unlock()
	if nearest {
		select {
		case e.wake <- struct{}{}:
		default:
		}
	}
}

// drop forgets a deadline.
func (e *expiry) drop(d **deadline) {
	if *d == nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if (*d).index >= 0 {
		heap.Remove(&e.heap, (*d).index)
	}
	*d = nil
}

func (e *expiry) loop() {
	timer := time.NewTimer(lookAgain)
	defer timer.Stop()
	for {
		due, wait := e.due(time.Now())
		for _, d := range due {
			d.conn.Close(wsconn.CodeTokenExpired, "the token has expired")
		}
		timer.Reset(wait)
		select {
		case <-e.stop:
			return
		case <-e.wake:
		case <-timer.C:
		}
	}
}

// due takes out what has expired, and says how long to wait for the next.
func (e *expiry) due(now time.Time) (due []*deadline, wait time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for len(e.heap) > 0 && !now.Before(e.heap[0].at) {
		due = append(due, heap.Pop(&e.heap).(*deadline))
	}
	if len(e.heap) == 0 {
		return due, lookAgain
	}
	return due, min(e.heap[0].at.Sub(now), lookAgain)
}

// deadlines is a heap, the nearest first.
type deadlines []*deadline

func (h deadlines) Len() int           { return len(h) }
func (h deadlines) Less(i, j int) bool { return h[i].at.Before(h[j].at) }
func (h deadlines) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

// Push is heap.Interface's.
func (h *deadlines) Push(x any) {
	d := x.(*deadline)
	d.index = len(*h)
	*h = append(*h, d)
}

// Pop is heap.Interface's.
func (h *deadlines) Pop() any {
	last := len(*h) - 1
	d := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	d.index = -1
	return d
}
