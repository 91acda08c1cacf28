package wsconn

import "time"

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

// Burst is what sends to many connections in a row share: a broadcast's to all who hear it. While the flushers have nothing to do the
// sender writes by itself, which spares waking one and visiting each connection twice; what is too much for that, or comes
// when they are at work, is left to them.
//
// The zero Burst is ready. It is used by one goroutine, for connections of one Server, and ends with End.
type Burst struct {
	// Prompt is for frames that somebody waits for: the sender writes them although flushers are at work or rest.
	Prompt bool

	s     *Server
	f     *flusher      // set while the sender may write
	began time.Duration // to write
	until time.Duration // it may
	n     int           // frames written
	queue []*Conn       // for the flushers
}

// writes tells whether the sender writes the next frame by itself.
func (b *Burst) writes(s *Server) bool {
	switch {
	case b.s == nil:
		b.s = s
		b.began = s.now()
		if left := s.ready.lend(b.began, b.Prompt); left > 0 {
			b.until = b.began + left
			b.f = s.helpers.Get().(*flusher)
		}
	case b.f != nil && b.n%lookEvery == 0 && s.now() >= b.until:
		b.rest()
	}
	return b.f != nil
}

// rest ends the writing.
func (b *Burst) rest() {
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
func (b *Burst) leave(c *Conn) {
	b.queue = append(b.queue, c)
	if len(b.queue) == chunk {
		b.handOn()
	}
}

func (b *Burst) handOn() {
	if len(b.queue) > 0 {
		b.s.ready.add(b.queue...)
		clear(b.queue)
		b.queue = b.queue[:0]
	}
}

// End gives back what the Burst holds, and what it has left to the flushers to them. The Burst may be used again.
func (b *Burst) End() {
	b.handOn()
	b.rest()
	*b = Burst{Prompt: b.Prompt, queue: b.queue}
}
