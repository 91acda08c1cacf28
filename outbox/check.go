package outbox

import (
	"errors"
	"fmt"
)

// Check says which invariant of the connection is broken, or nil. Tests call it.
func (c *Conn) Check() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.shut != (c.closing || c.gone) {
		return fmt.Errorf("shut %v, closing %v, gone %v", c.shut, c.closing, c.gone)
	}
	if c.done != nil {
		isDone := false
		select {
		case <-c.done:
			isDone = true
		default:
		}
		if isDone != c.shut {
			return fmt.Errorf("done %v, shut %v", isDone, c.shut)
		}
	}
	if c.gone && (len(c.out.pieces) > 0 || c.out.bytes != 0) {
		return fmt.Errorf("gone with %d pieces, %d bytes", len(c.out.pieces), c.out.bytes)
	}
	if c.finished && !c.gone {
		return errors.New("finished but not gone")
	}
	if n := len(c.out.pieces); c.closing && n > 0 && c.kind.IsData(string(c.out.pieces[n-1])) {
		return errors.New("something waits behind the farewell")
	}
	return c.out.check(&c.s.cfg)
}

func (q *queue) check(cfg *Config) error {
	sum := 0
	for _, p := range q.pieces {
		sum += p.cost(cfg.mostOfFrame())
	}
	if q.state != writing && q.bytes != sum || q.bytes < sum {
		return fmt.Errorf("%d bytes for %d in the queue, state %d", q.bytes, sum, q.state)
	}
	if most := cfg.SendQueue + maxReason + 4 + frameCost; len(q.pieces) > 1 && q.bytes > most {
		return fmt.Errorf("%d bytes wait", q.bytes)
	}
	return nil
}

// Check says what is wrong with the wheel, or nil.
func (s *Sockets) Check() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for i, slot := range s.wheel {
		for j, c := range slot {
			if c.slot != i || c.index != j {
				return fmt.Errorf("connection at %d,%d says %d,%d", i, j, c.slot, c.index)
			}
			n++
		}
	}
	if n != s.count {
		return fmt.Errorf("%d on the wheel, count %d", n, s.count)
	}
	return nil
}
