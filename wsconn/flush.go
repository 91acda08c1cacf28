package wsconn

import (
	"sync"
	"time"

	"rollcall/rawsock"
)

const (
	// chunk is how many connections a flusher takes from the ready list at once.
	chunk = 64
	// flushBuffer is the most that one system call writes, in bytes.
	flushBuffer = 64 << 10
)

// readyList is the row of connections with waiting frames. Flushers work off one round
// while the next one gathers. After a round that took long they rest before the next, so that under load more
// frames leave in one write.
//
// A sender who finds no flusher at work writes by itself (SendAll), as long as it is little: then it soon goes on with what it
// does, and frames do not leave one by one while more of them come.
//
// Invariant: at <= len(round).
type readyList struct {
	rest time.Duration // between two rounds, at most while it is not stretched

	mu      sync.Mutex
	wake    sync.Cond // there is something to take, or the list is closed
	next    []*Conn
	round   []*Conn // taken up to at
	at      int
	began   time.Time // the round
	ended   time.Time // the last round; zero while one is worked off
	idle    int       // flushers that wait
	resting bool      // one of them waits for the time of the next round
	pace    pace
	closed  bool
	senders allowance // of senders that write by themselves
}

// lend tells how long a sender may write by itself from now on, if no flusher is at work or prompt is set.
func (r *readyList) lend(now time.Duration, prompt bool) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !prompt && (len(r.next) > 0 || r.at < len(r.round) || r.resting) {
		return 0
	}
	return r.senders.left(now)
}

// charge notes what a sender has used until now.
func (r *readyList) charge(now, took time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.senders = r.senders.use(now, took)
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
		if r.ended.IsZero() {
			r.ended = time.Now()
		}
		switch {
		case r.closed:
			return buf, false
		case len(r.next) > 0 && !r.resting:
			r.restLocked()
			r.swapLocked()
		default:
			r.idle++
			r.wake.Wait()
			r.idle--
		}
	}
	n := min(chunk, len(r.round)-r.at)
	buf = append(buf, r.round[r.at:r.at+n]...)
	clear(r.round[r.at : r.at+n])
	r.at += n
	if r.idle > 0 && r.at < len(r.round) {
		r.wake.Signal()
	}
	return buf, true
}

// restLocked waits, without the lock, for the time of the next round.
func (r *readyList) restLocked() {
	took := r.ended.Sub(r.began)
	r.pace = r.pace.next(took, r.rest)
	d := r.pace.restFor(took, r.rest) - time.Since(r.ended)
	if d <= 0 {
		return
	}
	r.resting = true
	r.mu.Unlock()
	time.Sleep(d)
	r.mu.Lock()
	r.resting = false
}

// pace is how long flushers rest between two rounds. While rounds are short they rest as long as they have worked. When
// that is not enough, since writing takes more than a third of the time, the rests become longer: then several frames of small
// channels, too, leave in one write, and the node gets more done. It is a pure value.
//
// Invariant: stretch is 0 to maxStretch.
type pace struct{ stretch uint }

// maxStretch is how often the rest may be doubled.
const maxStretch = 3

// next is the pace after a round that took took; most is the longest rest that is not stretched.
func (p pace) next(took, most time.Duration) pace {
	switch rest := most << p.stretch; {
	case took > rest/2 && p.stretch < maxStretch:
		p.stretch++
	case took < rest/8 && p.stretch > 0:
		p.stretch--
	}
	return p
}

// restFor is how long flushers rest after a round that took took. Rounds of less than a millisecond need no rest.
func (p pace) restFor(took, most time.Duration) time.Duration {
	switch {
	case took < time.Millisecond:
		return 0
	case p.stretch == 0:
		return min(took, most)
	}
	return most << p.stretch
}

func (r *readyList) swapLocked() {
	r.round, r.next = r.next, r.round[:0]
	r.at = 0
	r.began, r.ended = time.Now(), time.Time{}
	if cap(r.next) > 1<<16 && len(r.round) < 1<<10 {
		r.next = nil
	}
}

func (r *readyList) close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.wake.Broadcast()
}

// flusher writes for all connections, in a goroutine of its own or in that of a sender. It is used by one
// goroutine at a time.
type flusher struct {
	s      *Server
	buf    []byte
	frames []Frame
	again  []*Conn // flushed, but more has come
	sys    rawsock.Writer

	sentFrames, sentBytes int
}

func newFlusher(s *Server) *flusher {
	return &flusher{s: s, buf: make([]byte, 0, flushBuffer)}
}

func (f *flusher) run() {
	var cs []*Conn
	for ok := true; ok; {
		if cs, ok = f.s.ready.take(cs[:0]); !ok {
			return
		}
		for _, c := range cs {
			f.flush(c)
		}
		clear(cs)
		f.settle()
	}
}

// settle reports what has been written and hands on what is left.
func (f *flusher) settle() {
	if f.sentBytes > 0 {
		f.s.obs.Sent(f.sentFrames, f.sentBytes)
		f.sentFrames, f.sentBytes = 0, 0
	}
	if len(f.again) > 0 {
		f.s.ready.add(f.again...)
		clear(f.again)
		f.again = f.again[:0]
	}
}

// relieve writes what waits for c, as a flusher would, in the caller's goroutine: that of a sender who is faster than
// the flushers.
func (s *Server) relieve(c *Conn) {
	f := s.helpers.Get().(*flusher)
	f.flush(c)
	f.settle()
	s.helpers.Put(f)
}

// flush writes what waits for c, as far as the socket takes it.
func (f *flusher) flush(c *Conn) {
	frames, ok := c.take(f.frames[:0])
	if !ok {
		return
	}
	f.write(c, c.cursor(frames))
	clear(frames)
	if cap(frames) > 1<<12 {
		frames = nil
	}
	f.frames = frames
}

// send writes one frame to a connection that the caller has claimed.
func (f *flusher) send(c *Conn, frame Frame) {
	f.frames = append(f.frames[:0], frame)
	f.write(c, c.cursor(f.frames))
	f.frames[0] = Frame{}
}

func (f *flusher) write(c *Conn, cur cursor) {
	cost := 0
	for !cur.done() {
		if c.raw == nil {
			f.s.drain(c, cur)
			return
		}
		p := cur.next(f.buf)
		n, err := f.sys.Write(c.raw, p)
		done, took := cur.skip(n)
		cost += took
		f.sentFrames += done
		f.sentBytes += n
		switch {
		case err != nil:
			f.s.dropped(cur.unfinished())
			c.lost()
			c.wrote(0, true)
			return
		case n < len(p):
			c.wrote(cost, false)
			f.s.drain(c, cur)
			return
		}
	}
	if c.wrote(cost, true) {
		f.again = append(f.again, c)
	}
}
