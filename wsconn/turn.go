package wsconn

import (
	"bufio"
	"sync"

	"rollcall/rawsock"
)

// A connection is at any time in the hands of one goroutine:
//
//	         input or the end                no input left in the buffer
//	waiting ──────────────────▶ a turn ─────────────────────────────────▶ waiting
//	(a small goroutine)         (on a worker's stack)
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

// live is the connection's goroutine. It uses little stack.
func (c *Conn) live() {
	defer c.s.readers.Done()
	if c.waits == nil {
		c.turn()
		return
	}
	for c.s.workers.turn(c) {
		rawsock.AwaitInput(c.waits)
	}
}

// turn reads and handles messages until there is no more input. It tells whether the connection waits for more, or is
// finished.
func (c *Conn) turn() (waiting bool) {
	c.lendBuffer()
	defer c.returnBuffer()
	if !c.opened {
		c.opened = true
		c.handle(c.h.Open)
		if c.waits != nil {
			return true
		}
	}
	for c.readPings() || c.readMessage() {
		if c.waits != nil && c.br.Buffered() == 0 {
			return true
		}
	}
	c.finish()
	return false
}
