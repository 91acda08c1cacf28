package wsconn

import (
	"iter"
	"time"
)

const (
	// senderBurst is how long senders may write by themselves at a stretch, after a pause: some 500 frames.
	// senderShare of the time is theirs in the long run.
	senderBurst = 3 * time.Millisecond
	senderShare = 2
	// lookEvery is how many frames a sender writes before it looks at the clock again.
	lookEvery = 8
)

// allowance is a share of the time: senderShare-th, and at most senderBurst at once. It is a pure value; the zero one is full.
type allowance struct {
	used time.Duration // more than the share by then
	at   time.Duration
}

// left is what may still be used at now.
func (a allowance) left(now time.Duration) time.Duration {
	return senderBurst - max(0, a.used-(now-a.at)/senderShare)
}

// use takes what was used until now.
func (a allowance) use(now, took time.Duration) allowance {
	return allowance{senderBurst - a.left(now) + took, now}
}

// Sender is whom a frame is for: a *Conn, or what stands in for one.
type Sender interface{ Send(Frame) error }

// SendAll sends a row of frames, such as a broadcast to all who hear it. It is cheaper than a Send for each: while the flushers have
// nothing to do it writes by itself, which spares waking one and visiting each connection twice; what is too much for that, or comes
// when they are at work, is left to them. With prompt, somebody waits for the frames: they are written although flushers are at
// work or rest. A closed or slow connection takes care of itself, and the zero Frame is skipped.
func SendAll(frames iter.Seq2[Sender, Frame], prompt bool) {
	b := batch{prompt: prompt}
	for to, f := range frames {
		if f.wire == "" {
			continue
		}
		if c, ok := to.(*Conn); ok && (b.s == nil || b.s == c.s) {
			_ = b.send(c, f)
		} else {
			_ = to.Send(f)
		}
	}
	b.end()
}

// batch is what sends in a row to connections of one Server share. It ends with end.
type batch struct {
	prompt bool

	s     *Server
	f     *flusher      // set while the sender may write
	began time.Duration // to write
	until time.Duration // it may
	n     int           // frames written
	queue []*Conn       // for the flushers
}

// writes tells whether the sender writes the next frame by itself.
func (b *batch) writes(s *Server) bool {
	switch {
	case b.s == nil:
		b.s = s
		b.began = s.now()
		if left := s.ready.lend(b.began, b.prompt); left > 0 {
			b.until = b.began + left
			b.f = s.helpers.Get().(*flusher)
		}
	case b.f != nil && b.n%lookEvery == 0 && s.now() >= b.until:
		b.rest()
	}
	return b.f != nil
}

// rest ends the writing.
func (b *batch) rest() {
	if b.f == nil {
		return
	}
	b.f.settle()
	b.s.helpers.Put(b.f)
	b.f = nil
	now := b.s.now()
	b.s.ready.charge(now, now-b.began)
}

// leave gives a connection to the flushers.
func (b *batch) leave(c *Conn) {
	b.queue = append(b.queue, c)
	if len(b.queue) == chunk {
		b.handOn()
	}
}

func (b *batch) handOn() {
	if len(b.queue) > 0 {
		b.s.ready.add(b.queue...)
		clear(b.queue)
		b.queue = b.queue[:0]
	}
}

// end gives back what the batch holds, and what it has left to the flushers to them.
func (b *batch) end() {
	b.handOn()
	b.rest()
}
