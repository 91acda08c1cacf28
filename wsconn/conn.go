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
	// What a Send looks at comes first, together: in a burst to many no connection is in a cache. s and raw are static after
	// Accept.
	s   *Server
	raw syscall.RawConn // nil: cannot be written without blocking (TLS)

	// Invariant: shut if closing or gone; done is closed iff shut; q is empty if gone; bytes is the cost of q
	// and of the frames being written; the close frame, if any, is the last of q; gone if finished.
	mu       sync.Mutex
	q        []Frame
	bytes    int
	state    outboxState
	shut     bool          // no more Sends
	closing  bool          // a close frame has been queued
	sent     bool          // the close frame has been written
	gone     bool          // nothing can be written any more
	finished bool          // the socket is closed after all was read
	aborted  bool          // the socket has been closed by the pinger or the reaper
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

// outboxState tells who may write; see the package's diagram.
type outboxState uint8

const (
	idle    outboxState = iota // nothing waits
	queued                     // in the ready list, or about to be
	writing                    // somebody writes, or has the right to
)

// keepQueue is the capacity of a queue that a connection keeps while it is idle, in frames.
const keepQueue = 16

// ID returns Options.ID.
func (c *Conn) ID() string { return c.id }

// RemoteAddr returns the address of the socket's peer, which may be a proxy.
func (c *Conn) RemoteAddr() net.Addr { return c.nc.RemoteAddr() }

// Send queues a frame and never waits. Frames leave in the order of their Sends. It returns ErrClosed when the
// connection cannot send any more, and ErrSlow when the outbox is full; then the connection is being closed
// with 1013. A nil error means queued, not delivered.
func (c *Conn) Send(f Frame) error {
	var b batch
	err := b.send(c, f)
	b.end()
	return err
}

// send is Send as one of many in a row.
func (b *batch) send(c *Conn, f Frame) error {
	writes := b.writes(c.s)
	got := c.enqueue(f, writes)
	if got == full {
		c.s.relieve(c) // the flushers may be behind, not the client
		got = c.enqueue(f, writes)
	}
	switch got {
	case full:
		c.beginClose(CloseInfo{Code: CodeTryLater, Reason: "too slow", Why: WhySlow})
		return ErrSlow
	case refused:
		return ErrClosed
	case claimed:
		b.n++
		b.f.send(c, f)
	case waits:
		b.leave(c)
	}
	return nil
}

// outcome is what enqueue did with a frame.
type outcome uint8

const (
	refused outcome = iota // nothing can be sent any more
	full                   // no room
	queues                 // whoever has the connection sees to it
	waits                  // the caller has to give the connection to the flushers
	claimed                // not queued: the caller has to write it, and nobody else may write until then
)

// enqueue puts a frame into the outbox, if it fits. With claim, and if nothing is before it, the caller may write it at once.
func (c *Conn) enqueue(f Frame, claim bool) outcome {
	cost := c.cost(f)
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.shut:
		return refused
	case f.wire == "":
		return queues
	case c.bytes > 0 && c.bytes+cost > c.s.cfg.SendQueue:
		return full
	case claim && c.state == idle:
		c.state = writing
		c.bytes += cost
		return claimed
	case c.pushLocked(f):
		return waits
	}
	return queues
}

// cost is what f takes of the outbox, in bytes.
func (c *Conn) cost(f Frame) int { return f.cost(c.s.cfg.mostOfFrame()) }

// cursor is at the beginning of frames.
func (c *Conn) cursor(frames []Frame) cursor {
	return cursor{frames: frames, most: c.s.cfg.mostOfFrame()}
}

// pushLocked appends a frame to the outbox; ready tells that the connection has to be given to the flushers.
func (c *Conn) pushLocked(f Frame) (ready bool) {
	c.q = append(c.q, f)
	c.bytes += c.cost(f)
	if c.state != idle {
		return false
	}
	c.state = queued
	return true
}

// Close closes the connection gracefully and never blocks: what was queued leaves first, then the close frame;
// then the client has a second to answer. A client that does not take it is reset. Only the first call counts.
// A code that no close frame may carry becomes 1011; a reason is cut to 123 bytes.
func (c *Conn) Close(code int, reason string) {
	if !ValidCode(code) {
		code = CodeInternal
	}
	c.beginClose(CloseInfo{Code: code, Reason: cutReason(reason), Why: WhyServer})
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

// beginClose queues the close frame of info and gives the connection to the reaper. It does nothing when the
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
	if info.Why == WhySlow {
		c.dropLocked()
	}
	ready := c.pushLocked(f)
	c.mu.Unlock()
	if ready {
		c.s.ready.add(c)
	}
	c.s.reaper.add(c)
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
// the socket. The reaper resets the socket if it does not.
func (c *Conn) lost() {
	c.mu.Lock()
	first := !c.gone && !c.closing
	c.goneLocked()
	c.mu.Unlock()
	if first {
		c.s.reaper.add(c)
	}
}

// goneLocked drops the outbox for good. A writer that is at work finds out by its next lock.
func (c *Conn) goneLocked() {
	c.shutLocked()
	c.gone = true
	c.s.dropped(c.q)
	c.q, c.bytes = nil, 0
	c.wakeLocked()
}

// dropLocked empties the queue of a client that is too slow, so that the close frame has a chance.
func (c *Conn) dropLocked() {
	for _, f := range c.q {
		c.bytes -= c.cost(f)
	}
	c.s.dropped(c.q)
	c.q = nil
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

// awaitFlushed waits until the close frame has been written or cannot be. The reaper bounds the wait.
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

// take gives the waiting frames, appended to buf, to a writer, which then owns the socket; ok is false when
// there is nothing to do.
func (c *Conn) take(buf []Frame) (frames []Frame, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state != queued { // another was faster
		return buf, false
	}
	if c.gone {
		c.state = idle
		return buf, false
	}
	c.state = writing
	return c.emptyLocked(buf), true
}

func (c *Conn) emptyLocked(buf []Frame) []Frame {
	buf = append(buf, c.q...)
	if cap(c.q) > keepQueue {
		c.q = nil
	} else {
		clear(c.q)
		c.q = c.q[:0]
	}
	return buf
}

// wrote notes that frames of a cost have been written. With last, all that the writer had taken is written and
// it gives the socket back; more then tells that new frames wait and that the writer must see to it that they
// are written: the state is queued again.
func (c *Conn) wrote(cost int, last bool) (more bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone {
		if last {
			c.state = idle
		}
		return false
	}
	c.bytes -= cost
	c.progress++
	if !last {
		return false
	}
	if len(c.q) > 0 {
		c.state = queued
		return true
	}
	c.state = idle
	if c.closing && !c.sent {
		c.sent = true
		c.sentAt = c.s.now()
		c.wakeLocked()
	}
	return false
}
