package outbox

import (
	"iter"
	"time"
)

// Send queues a frame and never waits. Frames leave in the order of their Sends. It returns ErrClosed when the
// connection cannot send any more, and ErrSlow when the outbox is full; then the connection is being closed
// with 1013. A nil error means queued, not delivered.
func (c *Conn) Send(f Frame) error {
	b := c.s.beginBatch(false)
	defer b.end()
	return b.send(c, f)
}

// Fits tells whether frames could all be queued now without closing the connection as too slow.
func (c *Conn) Fits(frames []Frame) bool {
	most, cost := c.s.cfg.mostOfFrame(), 0
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range frames {
		cost += costOf(c.kind.Size(f), most)
	}
	return c.out.bytes+cost <= c.s.cfg.SendQueue
}

// Sender is whom a frame is for: a *Conn, or what stands in for one.
type Sender interface{ Send(Frame) error }

// SendAll sends frames to many, such as a broadcast to all who hear it, and is cheaper than a Send for each. With
// prompt, somebody waits for the frames: they do not rest with others. A closed or slow connection takes care of
// itself, and the zero Frame is skipped. The connections are of one Sockets.
func SendAll(frames iter.Seq2[Sender, Frame], prompt bool) {
	var b batch
	for to, f := range frames {
		c, ok := to.(*Conn)
		switch {
		case f.wire == "":
		case !ok:
			_ = to.Send(f)
		default:
			if b.writer == nil {
				b = c.s.beginBatch(prompt)
			}
			_ = b.send(c, f)
		}
	}
	if b.writer != nil {
		b.end()
	}
}

// lookEvery is how many frames a sender writes before it looks at the clock again.
const lookEvery = 8

// batch is what Sends in a row to connections of one Sockets share. As long as the pacing lets it, the sender writes by
// itself, which spares waking a flusher and visiting each connection twice. What is too much for that is left to the
// flushers.
type batch struct {
	*writer
	writes       bool          // the sender, by itself
	began, until time.Duration // when it began to, and how long it may
	n            int           // frames written
}

func (s *Sockets) beginBatch(prompt bool) batch {
	now := s.Now()
	left := s.ready.lend(now, prompt)
	return batch{writer: s.writers.Get().(*writer), writes: left > 0, began: now, until: now + left}
}

func (b *batch) send(c *Conn, f Frame) error {
	ready, err := c.put(f)
	if err == ErrSlow {
		b.flush(c) // the flushers may be behind, not the client
		if ready, err = c.put(f); err == ErrSlow {
			c.BeginClose(CloseInfo{Code: CodeTryLater, Reason: "too slow", Why: WhySlow})
		}
	}
	switch {
	case !ready:
	case b.mayWrite():
		b.flush(c)
	default:
		b.left = append(b.left, c)
	}
	return err
}

func (b *batch) mayWrite() bool {
	if b.n++; b.writes && b.n%lookEvery == 0 && b.s.Now() >= b.until {
		b.stopWriting()
	}
	return b.writes
}

func (b *batch) stopWriting() {
	if b.writes {
		b.writes = false
		b.s.ready.charge(b.began, b.s.Now())
	}
}

// end leaves to the flushers what has not been written.
func (b *batch) end() {
	b.stopWriting()
	b.settle()
	b.s.writers.Put(b.writer)
}

// put queues a frame. ready tells that the caller has to see to it that it is written; ErrSlow that there is no room.
func (c *Conn) put(f Frame) (ready bool, err error) {
	most := c.s.cfg.mostOfFrame()
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.shut:
		return false, ErrClosed
	case f.wire == "":
		return false, nil
	}
	p := piece(c.kind.Encode(f))
	if c.out.bytes > 0 && c.out.bytes+p.cost(most) > c.s.cfg.SendQueue {
		return false, ErrSlow
	}
	return c.out.push(p, most), nil
}
