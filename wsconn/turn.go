package wsconn

import (
	"bufio"
	"sync"
)

// A connection is at any time in the hands of one goroutine:
//
//	         input or the end                no input left in the buffer
//	waiting ──────────────────▶ a turn ─────────────────────────────────▶ waiting
//	(a small goroutine)         (a worker)
//	                               │ the end
//	                               ▼
//	                            finished
//
// Waiting holds no buffer. A connection that cannot be waited for without reading (TLS) has one endless turn.

// readBuffer is the size of the buffer a turn reads into, in bytes. Longer messages are read past it.
const readBuffer = 4 << 10

// readers holds idle *bufio.Reader.
var readers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, readBuffer) }}

// lendBuffer gives the connection's reader a buffer.
func (c *Conn) lendBuffer() {
	if c.lent == nil {
		c.lent = readers.Get().(*bufio.Reader)
		c.lent.Reset(&c.wire)
		c.br = *c.lent
	}
}

// returnBuffer takes the buffer, which must be empty, away again.
func (c *Conn) returnBuffer() {
	if c.lent != nil {
		c.lent.Reset(nil)
		readers.Put(c.lent)
		c.lent, c.br = nil, bufio.Reader{}
	}
}

// turn is a worker's work on the connection: it reads and handles messages until there is no more input, and
// leaves the connection waiting or finished.
func (c *Conn) turn() {
	c.lendBuffer()
	if !c.opened {
		c.opened = true
		c.handle(c.h.Open)
		if c.waits != nil {
			c.wait()
			return
		}
	}
	for c.readPings() || c.readMessage() {
		if c.waits != nil && c.br.Buffered() == 0 {
			c.wait()
			return
		}
	}
	c.finish()
	c.returnBuffer()
	c.s.readers.Done()
}

// wait ends a turn.
func (c *Conn) wait() {
	c.returnBuffer()
	c.s.readers.Add(1)
	go c.await()
}

// await is the waiting connection's goroutine. It uses little stack.
func (c *Conn) await() {
	awaitInput(c.waits)
	c.s.workers.serve(c)
	c.s.readers.Done()
}
