package wsconn

import "time"

// maxUnanswered is the number of unanswered pings after which a peer is dead.
const maxUnanswered = 2

// initWheel makes the wheel's slots: one turn takes Config.Ping.
func (s *Server) initWheel() {
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
func (s *Server) turnWheel() {
	t := time.NewTicker(s.tick)
	defer t.Stop()
	var cs []*Conn
	s.beat.Store(int64(s.now()))
	for at := 0; ; at++ {
		select {
		case <-s.stop:
			return
		case <-t.C:
		}
		s.noteFreeze()
		s.stacks.trim()
		if s.cfg.Ping < 0 {
			continue
		}
		s.mu.Lock()
		cs = append(cs[:0], s.wheel[at%len(s.wheel)]...)
		s.mu.Unlock()
		ping := pingFrame()
		for _, c := range cs {
			c.visit(ping)
		}
		clear(cs)
	}
}

// noteFreeze adds the time the process seems not to have run to s.frozen.
func (s *Server) noteFreeze() {
	now := s.now()
	if s.asleep(now) {
		s.frozen.Add(int64(now) - s.beat.Load() - int64(s.tick))
	}
	s.beat.Store(int64(now))
}

// late is the time between two ticks from which on the process counts as frozen in between.
func (s *Server) late() time.Duration { return s.tick + 500*time.Millisecond }

// frozenTime is the time for which the process has not run so far.
func (s *Server) frozenTime() time.Duration { return time.Duration(s.frozen.Load()) }

// asleep reports whether the wheel, at now, is so late that the process must have been frozen until just now.
func (s *Server) asleep(now time.Duration) bool {
	return now-time.Duration(s.beat.Load()) > s.late()
}

// visit is the pinger's call at c: a ping, or the end.
func (c *Conn) visit(ping Frame) {
	n, dead := answered(c.unanswered, c.heard.Swap(false), c.busy.Load())
	c.unanswered = n
	if dead {
		c.noteEnd(CloseInfo{Code: codeAbnormal, ByPeer: true, Why: WhyDead})
		c.abort(true)
		return
	}
	c.CheckPeer()
	_ = c.Send(ping) // a connection that cannot send is on its way out
	c.unanswered++
}

// CheckPeer finds out whether the peer has gone, and closes Done then. While the Handler is at work nobody reads, so
// that it would come out only with the next ping. Any goroutine may call it; it does not wait.
func (c *Conn) CheckPeer() {
	if c.busy.Load() && hungUp(c.raw) {
		c.lost()
	}
}

// answered decides about a peer: unanswered pings before, whether anything came since, and whether nobody reads
// since the Handler is at work, which proves nothing.
func answered(unanswered int, heard, busy bool) (left int, dead bool) {
	if heard || busy {
		return 0, false
	}
	return unanswered, unanswered >= maxUnanswered
}
