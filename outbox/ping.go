package outbox

import "time"

// maxUnanswered is the number of unanswered pings after which a peer is dead.
const maxUnanswered = 2

// initWheel makes the wheel's slots: one turn takes Config.Ping.
func (s *Sockets) initWheel() {
	s.tick = time.Second
	slots := 1
	if s.cfg.Ping > 0 {
		s.tick = min(max(s.cfg.Ping/16, 5*time.Millisecond), time.Second)
		slots = max(1, int(s.cfg.Ping/s.tick))
	}
	s.wheel = make([][]*Conn, slots)
}

// turnWheel visits one slot of the wheel at each tick. A process that did not run has no ticks, so that time in
// which it was frozen does not count against anybody.
func (s *Sockets) turnWheel() {
	t := time.NewTicker(s.tick)
	defer t.Stop()
	var cs []*Conn
	s.beat.Store(int64(s.Now()))
	for at := 0; ; at++ {
		select {
		case <-s.stop:
			return
		case <-t.C:
		}
		s.noteFreeze()
		s.ticked()
		if s.cfg.Ping < 0 {
			continue
		}
		s.mu.Lock()
		cs = append(cs[:0], s.wheel[at%len(s.wheel)]...)
		s.mu.Unlock()
		for _, c := range cs {
			c.visit()
		}
		clear(cs)
	}
}

// noteFreeze adds the time the process seems not to have run to s.frozen.
func (s *Sockets) noteFreeze() {
	now := s.Now()
	if s.Asleep(now) {
		s.frozen.Add(int64(now) - s.beat.Load() - int64(s.tick))
	}
	s.beat.Store(int64(now))
}

// late is the time between two ticks from which on the process counts as frozen in between.
func (s *Sockets) late() time.Duration { return s.tick + 500*time.Millisecond }

// Frozen is the time for which the process has not run so far.
func (s *Sockets) Frozen() time.Duration { return time.Duration(s.frozen.Load()) }

// Asleep reports whether the wheel, at now, is so late that the process must have been frozen until just now.
func (s *Sockets) Asleep(now time.Duration) bool {
	return now-time.Duration(s.beat.Load()) > s.late()
}

// visit is the pinger's call at c: a ping, or the end.
func (c *Conn) visit() {
	n, dead := answered(c.unanswered, c.heard.Swap(false), c.busy.Load())
	c.unanswered = n
	if dead && c.answers {
		c.NoteEnd(CloseInfo{Code: CodeAbnormal, ByPeer: true, Why: WhyDead})
		c.abort(true)
		return
	}
	c.CheckPeer()
	_ = c.Send(NewControl(c.kind.Ping())) // a connection that cannot send is on its way out
	c.unanswered++
}

// answered decides about a peer: unanswered pings before, whether anything came since, and whether nobody reads
// since the Handler is at work, which proves nothing.
func answered(unanswered int, heard, busy bool) (left int, dead bool) {
	if heard || busy {
		return 0, false
	}
	return unanswered, unanswered >= maxUnanswered
}
