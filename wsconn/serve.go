package wsconn

import (
	"bufio"

	"rollcall/rawsock"
)

// A connection is at any time in the hands of one goroutine:
//
//	         input or the end                no input left in the buffer
//	waiting ──────────────────▶ serving ────────────────────────────────▶ waiting
//	(a small goroutine)         (on a stack of the pool)
//	                               │ the end
//	                               ▼
//	                            finished
//
// Waiting holds no buffer but that of a message that has begun. A connection that cannot be waited for without reading
// (TLS) is served all the time.

// freshAfter is how long a goroutine waits, in ticks of the Sockets, until another one goes on in its place. While many
// Handlers are at work at once, as in a crowd, Go gives new goroutines twice the stack or more, and never takes that
// back. It is less than the time between two pings.
const freshAfter = 20

// live is the connection's goroutine. It uses little stack.
func (c *Conn) live() {
	if c.waits == nil {
		c.serve()
		return
	}
	for c.s.stacks.serve(c) {
		since := c.s.ticks.Load()
		rawsock.AwaitInput(c.waits)
		if c.s.ticks.Load()-since >= freshAfter && c.s.sockets.Go(c.live) {
			return
		}
	}
}

// serve reads and handles frames until there is no more input. It tells whether the connection waits for more, or is
// finished.
func (c *Conn) serve() (waiting bool) {
	if !c.opened {
		c.opened = true
		c.handle(c.h.Open)
		if c.waits != nil {
			return true
		}
	}
	r := readers.Get().(*bufio.Reader)
	r.Reset((*source)(c))
	c.in.r = r
	defer func() {
		c.in.r = nil
		r.Reset(nil)
		readers.Put(r)
	}()
	for {
		if err := c.readFrame(); err != nil {
			c.ended(err)
			c.finish()
			return false
		}
		if c.waits != nil && r.Buffered() == 0 {
			return true
		}
	}
}
