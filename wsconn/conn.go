package wsconn

import (
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Handler gets what happens on one connection. All calls come one at a time, though not always from one goroutine,
// in this order. A panic in one is reported to the Observer and closes the connection with 1011.
type Handler interface {
	// Open is called first. It may block, Send and Close.
	Open()
	// Message is called for each message, not after Close has been called. The data are valid during the call
	// only. It may block: further messages then wait in the socket. It should return soon after Done is closed.
	Message(binary bool, data []byte)
	// Closed is called last, exactly once, when the socket has been closed.
	Closed(CloseInfo)
}

// Conn is one WebSocket connection. All methods may be called from any goroutine, also from the Handler.
type Conn struct {
	// What a Send looks at comes first, together: in a burst to many no connection is in a cache. s and raw are static
	// after Accept.
	s   *Server
	raw syscall.RawConn // nil: cannot be written without blocking (TLS)

	// Invariant: shut if closing or gone; done is closed iff shut; out is empty if gone; the close frame, if any, is
	// the last of out; gone if finished.
	mu       sync.Mutex
	out      outbox
	shut     bool          // no more Sends
	closing  bool          // a close frame has been queued
	sent     bool          // the close frame has been written
	gone     bool          // nothing can be written any more
	finished bool          // the socket is closed after all was read
	aborted  bool          // the socket has been closed by the pinger or the watchdog
	progress uint32        // counts writes of a client that is slow to take
	done     chan struct{} // made when asked for
	flushed  chan struct{} // made when waited for; closed when sent or gone
	end      CloseInfo
	closedAt time.Duration // when closing or gone began
	sentAt   time.Duration // when the close frame was written

	// Static after Accept, h after Start.
	id    string
	nc    net.Conn
	limit int64 // of a message, in bytes
	h     Handler

	// waits is the socket if it can be waited for without reading, else nil (TLS). Static after Accept.
	waits syscall.RawConn

	// Owned by the goroutine that has the connection in hand; see serve.go.
	in     input
	opened bool

	// heard: something came from the peer since the pinger's last visit. busy: the goroutine is in the Handler.
	heard, busy atomic.Bool

	// Owned by the pinger.
	unanswered int

	// Guarded by s.mu: the place on the wheel; slot is -1 when not registered.
	slot, index int
}

// ID returns Options.ID.
func (c *Conn) ID() string { return c.id }

// RemoteAddr returns the address of the socket's peer, which may be a proxy.
func (c *Conn) RemoteAddr() net.Addr { return c.nc.RemoteAddr() }

// Close closes the connection gracefully and never blocks: what was queued leaves first, then the close frame;
// then the client has a second to answer. A client that does not take it is reset. Only the first call counts.
// A code that no close frame may carry becomes 1011; a reason is cut to 123 bytes.
func (c *Conn) Close(code int, reason string) { c.CloseFor(WhyServer, code, reason) }

// CloseFor is Close for another cause than that what serves the connection is done with it.
func (c *Conn) CloseFor(why Why, code int, reason string) {
	if !ValidCode(code) {
		code = CodeInternal
	}
	c.beginClose(CloseInfo{Code: code, Reason: cutReason(reason), Why: why})
}

// Done returns a channel that is closed as soon as the connection cannot send any more: when closing has begun
// or the peer has gone.
func (c *Conn) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.done == nil {
		c.done = make(chan struct{})
		if c.shut {
			close(c.done)
		}
	}
	return c.done
}

// isClosing reports whether a close frame has been queued.
func (c *Conn) isClosing() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closing
}

// beginClose queues the close frame of info and gives the connection to the watchdog. It does nothing when the
// connection is closing or gone already.
func (c *Conn) beginClose(info CloseInfo) {
	f := closeFrame(info.Code, info.Reason)
	c.mu.Lock()
	if c.shut {
		c.mu.Unlock()
		return
	}
	c.end = info
	c.closing = true
	c.shutLocked()
	if info.Why == WhySlow { // so that the close frame has a chance
		c.s.dropped(c.out.drop(c.s.cfg.mostOfFrame()))
	}
	ready := c.out.push(f, c.s.cfg.mostOfFrame())
	c.mu.Unlock()
	if ready {
		c.s.ready.add(c)
	}
	c.s.watchdog.add(c)
}

// noteEnd keeps info as the connection's end if nothing else has ended it before.
func (c *Conn) noteEnd(info CloseInfo) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.end.Why == "" {
		c.end = info
	}
}

// abort gives the connection up: nothing is written any more and the socket is closed, with a reset or without.
func (c *Conn) abort(reset bool) {
	c.mu.Lock()
	c.goneLocked()
	first := !c.aborted
	c.aborted = true
	c.mu.Unlock()
	if first {
		abortConn(c.nc, reset)
		c.s.unregister(c)
	}
}

// lost notes that nothing can be written any more. The reader finds out why: a close frame may still wait in
// the socket. The watchdog resets the socket if it does not.
func (c *Conn) lost() {
	c.mu.Lock()
	first := !c.gone && !c.closing
	c.goneLocked()
	c.mu.Unlock()
	if first {
		c.s.watchdog.add(c)
	}
}

// goneLocked drops the outbox for good. A writer that is at work finds out by its next lock.
func (c *Conn) goneLocked() {
	c.shutLocked()
	c.gone = true
	c.s.dropped(c.out.frames)
	c.out.frames, c.out.bytes = nil, 0
	c.wakeLocked()
}

func (c *Conn) shutLocked() {
	if c.shut {
		return
	}
	c.shut = true
	c.closedAt = c.s.now()
	if c.done != nil {
		close(c.done)
	}
}

// wakeLocked wakes the reader if it waits for the close frame to be written.
func (c *Conn) wakeLocked() {
	if c.flushed != nil {
		close(c.flushed)
		c.flushed = nil
	}
}

// awaitFlushed waits until the close frame has been written or cannot be. The watchdog bounds the wait.
func (c *Conn) awaitFlushed() {
	c.mu.Lock()
	if c.sent || c.gone {
		c.mu.Unlock()
		return
	}
	ch := make(chan struct{})
	c.flushed = ch
	c.mu.Unlock()
	<-ch
}
