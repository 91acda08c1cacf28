package outbox

import "slices"

// writeSlowly starts the goroutine that writes the rest of cur, and what comes meanwhile, to a socket that does not
// take it at once. It ends when the outbox is empty or the socket fails; the pinger and the watchdog see to it that the
// latter happens in time.
func (s *Sockets) writeSlowly(c *Conn, cur cursor) {
	cur.pieces = slices.Clone(cur.pieces[cur.i:])
	cur.i = 0
	s.slow.Go(func() {
		w := &writer{s: s, waits: true, buf: make([]byte, 0, slowPacked)}
		w.write(c, cur)
		for len(w.left) > 0 { // more has come
			w.left = w.left[:0]
			w.flush(c)
		}
		w.report() // what the write took that failed
	})
}

// tookSlowly sees to a client that took something, though slowly. It returns the cost of what need not be written any
// more.
func (w *writer) tookSlowly(c *Conn, cur *cursor) (cost int) {
	w.report()
	if w.wrote { // the first may just have gone into the kernel's buffer
		c.heard.Store(true)
	}
	w.wrote = true
	if c.isSlow() {
		c.dropped(cur.untouched())
		cost = cur.cut()
	}
	return cost
}

// isSlow reports whether the connection is being closed because the client takes too slowly.
func (c *Conn) isSlow() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.end.Why == WhySlow
}
