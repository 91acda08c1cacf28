package app

import (
	"container/heap"
	"sync"
	"time"
)

// alarm is a moment at which something is to be done. Its owner sets it as often as it likes, also while it rings.
type alarm struct {
	ring func() // static; called by the goroutine of alarms, and must not wait

	// Guarded by alarms.mu.
	at    time.Time
	index int // in the heap, from 1; 0: it is not set
}

// alarms ring when it is time. One goroutine serves all, so what is not set costs nothing, and what is set a place in a
// heap. All times given to one alarms are of one kind: with a monotonic reading, or without.
//
// Invariant: heap[a.index-1] is a for each alarm that is set.
type alarms struct {
	wake chan struct{} // the nearest alarm has changed
	stop chan struct{}
	done sync.WaitGroup

	mu   sync.Mutex
	heap alarmHeap
}

// lookAgain bounds the sleep of alarms: the clock of the machine may be set meanwhile.
const lookAgain = time.Minute

func newAlarms() *alarms {
	s := &alarms{wake: make(chan struct{}, 1), stop: make(chan struct{})}
	s.done.Go(s.loop)
	return s
}

// close waits for the goroutine. No alarm rings afterwards.
func (s *alarms) close() {
	close(s.stop)
	s.done.Wait()
}

// set lets a ring at a time, and not at the one before; the zero time is never.
func (s *alarms) set(a *alarm, at time.Time) {
	if at.IsZero() {
		s.drop(a)
		return
	}
	s.mu.Lock()
	a.at = at
	if a.index == 0 {
		heap.Push(&s.heap, a)
	} else {
		heap.Fix(&s.heap, a.index-1)
	}
	nearest := a.index == 1
	s.mu.Unlock()
	if nearest {
		signal(s.wake)
	}
}

// drop takes an alarm back; nil is none. It may be ringing just now.
func (s *alarms) drop(a *alarm) {
	if a == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if a.index > 0 {
		heap.Remove(&s.heap, a.index-1)
	}
}

func (s *alarms) loop() {
	timer := time.NewTimer(lookAgain)
	defer timer.Stop()
	for {
		due, wait := s.due(time.Now())
		for _, ring := range due {
			ring()
		}
		timer.Reset(wait)
		select {
		case <-s.stop:
			return
		case <-s.wake:
		case <-timer.C:
		}
	}
}

// due takes out the alarms whose time has come, the nearest first, and says how long to wait for the next.
func (s *alarms) due(now time.Time) (due []func(), wait time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.heap) > 0 && !now.Before(s.heap[0].at) {
		due = append(due, heap.Pop(&s.heap).(*alarm).ring)
	}
	if len(s.heap) == 0 {
		return due, lookAgain
	}
	return due, min(s.heap[0].at.Sub(now), lookAgain)
}

// alarmHeap has the nearest first.
type alarmHeap []*alarm

func (h alarmHeap) Len() int           { return len(h) }
func (h alarmHeap) Less(i, j int) bool { return h[i].at.Before(h[j].at) }
func (h alarmHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i+1, j+1
}

// Push is heap.Interface's.
func (h *alarmHeap) Push(x any) {
	a := x.(*alarm)
	*h = append(*h, a)
	a.index = len(*h)
}

// Pop is heap.Interface's.
func (h *alarmHeap) Pop() any {
	last := len(*h) - 1
	a := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	a.index = 0
	return a
}
