package wsconn

import "testing"

// checkInvariants checks what Conn promises of its fields.
func checkInvariants(t testing.TB, c *Conn) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.shut != (c.closing || c.gone) {
		t.Errorf("shut %v, closing %v, gone %v", c.shut, c.closing, c.gone)
	}
	if c.done != nil {
		select {
		case <-c.done:
			if !c.shut {
				t.Error("done but not shut")
			}
		default:
			if c.shut {
				t.Error("shut but not done")
			}
		}
	}
	if c.gone && (len(c.out.frames) > 0 || c.out.bytes != 0) {
		t.Errorf("gone with %d frames, %d bytes", len(c.out.frames), c.out.bytes)
	}
	sum, closeAt := 0, -1
	for i, f := range c.out.frames {
		sum += f.cost(c.s.cfg.mostOfFrame())
		if f.wire[0] == final|opClose {
			closeAt = i
		}
	}
	if c.out.state != writing && c.out.bytes != sum || c.out.bytes < sum {
		t.Errorf("%d bytes for %d in the queue, state %d", c.out.bytes, sum, c.out.state)
	}
	if closeAt >= 0 && closeAt != len(c.out.frames)-1 {
		t.Errorf("close frame at %d of %d", closeAt, len(c.out.frames))
	}
	if c.finished && !c.gone {
		t.Error("finished but not gone")
	}
	most := c.s.cfg.SendQueue + maxControl + 2 + frameCost
	if len(c.out.frames) > 1 && c.out.bytes > most {
		t.Errorf("%d bytes wait", c.out.bytes)
	}
}

// checkWheel checks what Server promises of its wheel.
func checkWheel(t testing.TB, s *Server) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for i, slot := range s.wheel {
		for j, c := range slot {
			if c.slot != i || c.index != j {
				t.Errorf("connection at %d,%d says %d,%d", i, j, c.slot, c.index)
			}
			n++
		}
	}
	if n != s.count {
		t.Errorf("%d on the wheel, count %d", n, s.count)
	}
}
