package outbox

import (
	"sync"
	"time"
)

const (
	// closeWait is how long a client may take for the next step of the end: the close frame and what was queued
	// before it, or the answer to it. A little less than the promised second, for the watchdog's step.
	closeWait = 900 * time.Millisecond
	// closeLongest bounds the writing of what was queued for a client that does take it.
	closeLongest = 5 * time.Second
	// reapStep is the time between two looks at the connections that are closing.
	reapStep = 50 * time.Millisecond
)

// watchdog is the goroutine that resets connections whose closing takes too long.
type watchdog struct {
	kick chan struct{} // something changed; holds one

	mu      sync.Mutex
	fresh   []*Conn // not yet seen by the goroutine
	hurried bool    // no timeout with slow writing
	closed  bool
}

func (r *watchdog) init() { r.kick = make(chan struct{}, 1) }

func (r *watchdog) add(c *Conn) {
	r.mu.Lock()
	r.fresh = append(r.fresh, c)
	r.mu.Unlock()
	r.wake()
}

// hurry takes the longer time for slow writing away.
func (r *watchdog) hurry() {
	r.mu.Lock()
	r.hurried = true
	r.mu.Unlock()
}

// close lets the goroutine end once no connection is closing.
func (r *watchdog) close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.wake()
}

func (r *watchdog) wake() {
	select {
	case r.kick <- struct{}{}:
	default:
	}
}

func (r *watchdog) run(now func() time.Duration) {
	step := time.NewTimer(reapStep)
	defer step.Stop()
	var ws []watched
	for {
		r.mu.Lock()
		for _, c := range r.fresh {
			ws = append(ws, watched{c: c})
		}
		clear(r.fresh)
		r.fresh = r.fresh[:0]
		hurried, closed := r.hurried, r.closed
		r.mu.Unlock()
		if len(ws) == 0 && closed {
			return
		}
		ws = look(ws, now(), hurried)
		if len(ws) == 0 {
			if !closed { // else it is the end, unless more have come
				<-r.kick
			}
			continue
		}
		step.Reset(reapStep)
		<-step.C
	}
}

// look resets the connections whose time is up and returns the others.
func look(ws []watched, now time.Duration, hurried bool) []watched {
	left := ws[:0]
	for _, w := range ws {
		switch w.verdict(w.c.ending(), now, hurried) {
		case keepWatching:
			left = append(left, w)
		case closeSocket:
			w.c.abort(false)
		case resetSocket:
			w.c.abort(true)
		case letGo:
		}
	}
	clear(ws[len(left):])
	return left
}

// ending is what the watchdog needs to know of a connection.
type ending struct {
	began, sentAt        time.Duration
	progress             uint32
	slow                 bool // closed since it is too slow
	sent, gone, finished bool
	busy                 bool // the Handler is at work
}

func (c *Conn) ending() ending {
	c.mu.Lock()
	defer c.mu.Unlock()
	return ending{
		began: c.closedAt, sentAt: c.sentAt, progress: c.progress, slow: c.end.Why == WhySlow,
		sent: c.sent, gone: c.gone, finished: c.finished || c.aborted, busy: c.busy.Load(),
	}
}

// watched is a closing connection as the watchdog last saw it take something.
type watched struct {
	c        *Conn
	seen     bool
	progress uint32
	at       time.Duration
}

type verdict uint8

const (
	keepWatching verdict = iota
	closeSocket          // it got all and does not answer
	resetSocket          // it does not take what is written
	letGo                // nothing to watch any more
)

// verdict decides about a connection that is closing, at now, and notes its progress.
func (w *watched) verdict(e ending, now time.Duration, hurried bool) verdict {
	// When nothing can be sent, what the client said last may still be in the socket, and a Handler at work has
	// yet to return to have it read.
	held := e.gone && e.busy && !hurried
	if !w.seen || held || w.progress != e.progress {
		w.seen, w.progress, w.at = true, e.progress, now
	}
	since := w.at // the moment the current step began
	switch {
	case e.finished:
		return letGo
	case e.slow, hurried, !e.gone && now-e.began > closeLongest:
		since = e.began
	case e.sent:
		since = e.sentAt
	}
	switch {
	case now-since < closeWait:
		return keepWatching
	case e.sent && !e.slow:
		return closeSocket
	}
	return resetSocket
}
