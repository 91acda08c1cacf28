package outbox

import "rollcall/rawsock"

const (
	// packed is the most that frames are packed to for one write, in bytes. A frame alone is written as it is.
	packed = 64 << 10
	// slowPacked is that of writes to a client that takes slowly. Each after the first is a sign of life.
	slowPacked = 16 << 10
)

// writer writes to sockets: every frame takes its way. It is used by one goroutine at a time: a flusher's, a sender's
// (send.go), or that of a client that takes slowly (slow.go).
type writer struct {
	s     *Sockets
	waits bool // for sockets that take no more; else it leaves those to a writer that does
	wrote bool // at least once

	buf    []byte
	pieces []piece
	sys    rawsock.Writer

	left                  []*Conn // whose frames others have to write
	sentFrames, sentBytes int
}

func newWriter(s *Sockets) *writer { return &writer{s: s, buf: make([]byte, 0, packed)} }

// flush writes what waits for c, unless another writer has it.
func (w *writer) flush(c *Conn) {
	c.mu.Lock()
	pieces, ok := c.out.take(w.pieces[:0])
	c.mu.Unlock()
	if !ok {
		return
	}
	w.write(c, cursor{pieces: pieces, most: w.s.cfg.mostOfFrame()})
	clear(pieces)
	if cap(pieces) > 1<<12 {
		pieces = nil
	}
	w.pieces = pieces
}

// write writes pieces that were taken from c's outbox.
func (w *writer) write(c *Conn, cur cursor) {
	for {
		if c.raw == nil && !w.waits {
			w.s.writeSlowly(c, cur)
			return
		}
		n, asked, err := w.writeSome(c, &cur)
		done, cost := cur.skip(n)
		w.sentFrames += done
		w.sentBytes += n
		if err != nil {
			c.dropped(cur.unfinished())
			c.lost()
			c.wrote(0, true)
			return
		}
		if w.waits {
			cost += w.tookSlowly(c, &cur)
		}
		ready := c.wrote(cost, cur.done())
		switch {
		case ready:
			w.left = append(w.left, c)
			return
		case cur.done():
			return
		case n < asked && !w.waits:
			w.s.writeSlowly(c, cur)
			return
		}
	}
}

// writeSome makes one write.
func (w *writer) writeSome(c *Conn, cur *cursor) (n, asked int, err error) {
	if w.waits {
		p := cur.fill(w.buf)
		n, err = c.nc.Write(p)
		return n, len(p), err
	}
	p := cur.next(w.buf)
	n, err = w.sys.Write(c.raw, p)
	return n, len(p), err
}

// report tells the Observer what was written.
func (w *writer) report() {
	if w.sentBytes > 0 {
		w.s.obs.Sent(w.sentFrames, w.sentBytes)
		w.sentFrames, w.sentBytes = 0, 0
	}
}

// settle reports what was written and gives the flushers what is left.
func (w *writer) settle() {
	w.report()
	if len(w.left) > 0 {
		w.s.ready.add(w.left...)
		clear(w.left)
		w.left = w.left[:0]
	}
}

// wrote notes that pieces of a cost have been written. With last, all that the writer had taken is written; ready then
// tells that more has come, and that it has to see to that.
func (c *Conn) wrote(cost int, last bool) (ready bool) {
	ready, over := c.noteWritten(cost, last)
	if over && !c.answers {
		CloseWrite(c.nc) // the end of the stream is all that the peer waits for
	}
	return ready
}

// noteWritten is the part of wrote under the lock; over: the farewell has been written now.
func (c *Conn) noteWritten(cost int, last bool) (ready, over bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone {
		if last {
			c.out.state = idle
		}
		return false, false
	}
	c.progress++
	ready = c.out.wrote(cost, last)
	if c.closing && !c.sent && c.out.state == idle {
		c.sent, over = true, true
		c.sentAt = c.s.Now()
		c.wakeLocked()
	}
	return ready, over
}
