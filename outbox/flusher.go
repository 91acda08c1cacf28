package outbox

import (
	"sync"
	"time"
)

// chunk is how many connections a flusher takes from the ready list at once.
const chunk = 64

// readyList is the row of connections whose frames wait for the flushers. They work off one round while the next one
// gathers, and rest in between as the pacing says.
//
// Invariant: at <= len(round).
type readyList struct {
	now     func() time.Duration
	longest time.Duration // of a rest

	mu      sync.Mutex
	wake    sync.Cond // there is something to take, or the list is closed
	next    []*Conn
	round   []*Conn // taken up to at; empty: none is worked off
	at      int
	began   time.Duration // the round
	idle    int           // flushers that wait
	resting bool          // one of them waits for the time of the next round
	closed  bool
	pacing  pacing
}

// lend tells how long a sender may write by itself, at now. A prompt one need not care for the flushers.
func (r *readyList) lend(now time.Duration, prompt bool) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !prompt && (len(r.next) > 0 || len(r.round) > 0 || r.pacing.rest(now) > 0) {
		return 0
	}
	return freeWriting
}

// charge notes that a sender has written.
func (r *readyList) charge(began, now time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pacing = r.pacing.wrote(began, now, r.longest)
}

// add appends connections to the next round. It wakes one flusher if the round was empty; flushers wake each
// other when there is more than one of them can take.
func (r *readyList) add(cs ...*Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.next) == 0 && r.idle > 0 {
		r.wake.Signal()
	}
	r.next = append(r.next, cs...)
}

// take waits for connections and moves some to buf; ok is false when the list is closed.
func (r *readyList) take(buf []*Conn) (cs []*Conn, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.at == len(r.round) {
		r.endRoundLocked()
		switch {
		case r.closed:
			return buf, false
		case len(r.next) > 0 && !r.resting:
			r.restLocked()
			r.round, r.next, r.began = r.next, r.round, r.now()
		default:
			r.idle++
			r.wake.Wait()
			r.idle--
		}
	}
	n := min(chunk, len(r.round)-r.at)
	buf = append(buf, r.round[r.at:r.at+n]...)
	r.at += n
	if r.idle > 0 && r.at < len(r.round) {
		r.wake.Signal()
	}
	return buf, true
}

// endRoundLocked ends the round, if one was worked off.
func (r *readyList) endRoundLocked() {
	if len(r.round) == 0 {
		return
	}
	r.pacing = r.pacing.wrote(r.began, r.now(), r.longest)
	clear(r.round)
	if r.round, r.at = r.round[:0], 0; cap(r.round) > 1<<16 && len(r.next) < 1<<10 {
		r.round = nil
	}
}

// restLocked waits, without the lock, for the time of the next round.
func (r *readyList) restLocked() {
	d := r.pacing.rest(r.now())
	if d == 0 {
		return
	}
	r.resting = true
	r.mu.Unlock()
	time.Sleep(d)
	r.mu.Lock()
	r.resting = false
}

func (r *readyList) close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.wake.Broadcast()
}

// runFlusher writes what is ready, until the list is closed.
func (s *Sockets) runFlusher() {
	w := newWriter(s)
	var cs []*Conn
	for ok := true; ok; {
		if cs, ok = s.ready.take(cs[:0]); !ok {
			return
		}
		for _, c := range cs {
			w.flush(c)
		}
		clear(cs)
		w.settle()
	}
}
