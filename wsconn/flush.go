package wsconn

import (
	"slices"
	"sync"
)

const (
	// chunk is how many connections a flusher takes from the ready list at once.
	chunk = 64
	// flushBuffer is the most that one system call writes, in bytes.
	flushBuffer = 64 << 10
)

// readyList is the row of connections with waiting frames, each in it at most once, oldest first.
type readyList struct {
	mu     sync.Mutex
	wake   sync.Cond // a connection was added or the list closed
	list   []*Conn   // from head on
	head   int
	idle   int // flushers that wait
	closed bool
}

// add appends connections. It wakes a flusher only when the list was empty: flushers wake each other when
// there is more than one of them can take.
func (r *readyList) add(cs ...*Conn) {
	r.mu.Lock()
	signal := r.idle > 0 && r.head == len(r.list)
	r.list = append(r.list, cs...)
	r.mu.Unlock()
	if signal {
		r.wake.Signal()
	}
}

// take waits for connections and moves some to buf; ok is false when the list is closed.
func (r *readyList) take(buf []*Conn) (cs []*Conn, ok bool) {
	r.mu.Lock()
	for r.head == len(r.list) && !r.closed {
		r.idle++
		r.wake.Wait()
		r.idle--
	}
	if r.closed {
		r.mu.Unlock()
		return buf, false
	}
	n := min(chunk, len(r.list)-r.head)
	buf = append(buf, r.list[r.head:r.head+n]...)
	clear(r.list[r.head : r.head+n])
	r.head += n
	signal := r.idle > 0 && r.head < len(r.list)
	r.compactLocked()
	r.mu.Unlock()
	if signal {
		r.wake.Signal()
	}
	return buf, true
}

// compactLocked keeps the row at the front of its array, without moving more than was taken before.
func (r *readyList) compactLocked() {
	left := len(r.list) - r.head
	if left > r.head {
		return
	}
	copy(r.list, r.list[r.head:])
	clear(r.list[left:])
	r.list = r.list[:left]
	r.head = 0
	if cap(r.list) > 1<<16 && left < 1<<10 {
		r.list = slices.Clone(r.list)
	}
}

func (r *readyList) close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.wake.Broadcast()
}

// flusher is one goroutine that writes for all connections. Its fields are its own.
type flusher struct {
	s      *Server
	buf    []byte
	frames []Frame
	again  []*Conn // flushed, but more has come
	sys    rawWriter

	sentFrames, sentBytes int
}

func (f *flusher) run() {
	f.buf = make([]byte, 0, flushBuffer)
	var cs []*Conn
	for ok := true; ok; {
		if cs, ok = f.s.ready.take(cs[:0]); !ok {
			return
		}
		for _, c := range cs {
			f.flush(c)
		}
		clear(cs)
		f.report()
		if len(f.again) > 0 {
			f.s.ready.add(f.again...)
			clear(f.again)
			f.again = f.again[:0]
		}
	}
}

// flush writes what waits for c, as far as the socket takes it.
func (f *flusher) flush(c *Conn) {
	frames, ok := c.take(f.frames[:0])
	if !ok {
		return
	}
	f.write(c, cursor{frames: frames})
	clear(frames)
	if cap(frames) > 1<<12 {
		frames = nil
	}
	f.frames = frames
}

func (f *flusher) write(c *Conn, cur cursor) {
	cost := 0
	for !cur.done() {
		if c.raw == nil {
			f.s.drain(c, cur)
			return
		}
		p := cur.fill(f.buf)
		n, err := f.sys.write(c.raw, p)
		done, took := cur.skip(n)
		cost += took
		f.sentFrames += done
		f.sentBytes += n
		switch {
		case err != nil:
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

func (f *flusher) report() {
	if f.sentBytes > 0 {
		f.s.obs.Sent(f.sentFrames, f.sentBytes)
		f.sentFrames, f.sentBytes = 0, 0
	}
}
