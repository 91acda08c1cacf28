package wsconn

import "slices"

// drainBuffer is the most that a draining goroutine writes at once, in bytes. Each such write after the first is
// a sign of life of the client.
const drainBuffer = 16 << 10

// drain starts the goroutine that writes the rest of cur, and what comes meanwhile, to a socket that cannot
// take it at once. The caller gives it the right to write to c. Only flushers call it.
func (s *Server) drain(c *Conn, cur cursor) {
	cur.frames = slices.Clone(cur.frames[cur.i:])
	cur.i = 0
	s.drains.Go(func() { c.drainAll(cur) })
}

// drainAll writes and blocks, until the outbox is empty or the socket fails; the pinger and the reaper see to
// it that the latter happens in time.
func (c *Conn) drainAll(cur cursor) {
	buf := make([]byte, 0, drainBuffer)
	for first := true; ; first = false {
		p := cur.fill(buf)
		n, err := c.nc.Write(p)
		frames, cost := cur.skip(n)
		c.s.obs.Sent(frames, n)
		if err != nil {
			c.s.dropped(cur.unfinished())
			c.lost()
			c.wrote(0, true)
			return
		}
		if !first { // the first may just have gone into the kernel's buffer
			c.heard.Store(true)
		}
		if c.isSlow() {
			c.s.dropped(cur.untouched())
			cost += cur.cut()
		}
		more := c.wrote(cost, cur.done())
		if !cur.done() {
			continue
		}
		if !more {
			return
		}
		rest, ok := c.take(nil)
		if !ok {
			return
		}
		cur = c.cursor(rest)
	}
}

// isSlow reports whether the connection is being closed because the client takes too slowly.
func (c *Conn) isSlow() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.end.Why == WhySlow
}
