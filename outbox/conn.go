package outbox

import (
	"crypto/tls"
	"net"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"rollcall/rawsock"
)

// Handler gets what happens on one connection. All calls come one at a time, though not always from one goroutine,
// in this order. A panic in one is reported to the Observer and closes the connection with 1011.
type Handler interface {
	// Open is called first. It may block, Send and Close, and Refuse the connection.
	Open()
	// Message is called for each message, not after Close has been called. The data are valid during the call
	// only. It may block: further messages then wait in the socket. It should return soon after Done is closed.
	Message(binary bool, data []byte)
	// Closed is called last, exactly once, when the socket has been closed.
	Closed(CloseInfo)
}

// Kind is what parts one kind of connection from others: what its frames are on the wire. Calls are made under the
// connection's lock, in the order of what is sent; those of IsData also without it.
type Kind interface {
	// Encode gives a frame as it leaves.
	Encode(Frame) string
	// Size gives how long Encode's answer will be at most, in bytes.
	Size(Frame) int
	// Ping is what shows the peer that the connection lives, and the node that the peer does.
	Ping() string
	// Farewell is what leaves last; never "".
	Farewell(CloseInfo) string
	// IsData tells of what leaves what Frame.IsControl denies of a frame: that it carries something for the client's user.
	IsData(wire string) bool
}

// Options are what a connection begins with.
type Options struct {
	ID   string
	Kind Kind
	// Answers: the peer answers pings and the farewell. Without, the end of the stream follows the farewell.
	Answers bool
	// Held: what is sent waits for Begin. When the connection is closed before, only the farewell leaves.
	Held bool
}

// Conn is one connection as far as it is written to; package wsconn or sse has the rest. All methods may be called from
// any goroutine.
type Conn struct {
	// What a Send looks at comes first, together: in a burst to many no connection is in a cache. s, raw, kind and
	// answers are static after Sockets.Add.
	s    *Sockets
	raw  syscall.RawConn // nil: cannot be written without blocking (TLS)
	kind Kind

	// Invariant: shut if closing or gone; done is closed iff shut; out is empty if gone; the farewell, if any, is
	// the last of out; gone if finished.
	mu       sync.Mutex
	out      queue
	shut     bool          // no more Sends
	closing  bool          // a farewell has been queued
	sent     bool          // the farewell has been written
	gone     bool          // nothing can be written any more
	finished bool          // the socket is closed after all was read
	aborted  bool          // the socket has been closed by the pinger or the watchdog
	progress uint32        // counts writes of a client that is slow to take
	done     chan struct{} // made when asked for
	flushed  chan struct{} // made when waited for; closed when sent or gone
	end      CloseInfo
	closedAt time.Duration // when closing or gone began
	sentAt   time.Duration // when the farewell was written

	// Static after Sockets.Add.
	id      string
	nc      net.Conn
	answers bool

	// heard: something came from the peer since the pinger's last visit. busy: the Handler is at work.
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

// Close closes the connection gracefully and never blocks: what was queued leaves first, then the farewell;
// then the client has a second to answer. A client that does not take it is reset. Only the first call counts.
// A code that no close frame may carry becomes 1011; a reason is cut to 123 bytes.
func (c *Conn) Close(code int, reason string) { c.CloseFor(WhyServer, code, reason) }

// CloseFor is Close for another cause than that what serves the connection is done with it.
func (c *Conn) CloseFor(why Why, code int, reason string) { c.Refuse(0, why, code, reason) }

// Refuse is CloseFor for a Handler that, in Open, does not want the connection. status says so to clients that wait for
// an answer by HTTP.
func (c *Conn) Refuse(status int, why Why, code int, reason string) {
	if !ValidCode(code) {
		code = CodeInternal
	}
	c.BeginClose(CloseInfo{Code: code, Reason: CutReason(reason), Why: why, Status: status})
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

// IsDone tells whether Done is closed, and makes none.
func (c *Conn) IsDone() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.shut
}

// Protect calls f. A panic in it is dealt with as one in the Handler: so the connection's owner may do elsewhere what
// else it does for the connection.
func (c *Conn) Protect(f func()) {
	defer func() {
		if v := recover(); v != nil {
			c.s.obs.Panicked(c, v, debug.Stack())
			c.BeginClose(CloseInfo{Code: CodeInternal, Reason: "internal error", Why: WhyPanic})
		}
	}()
	f()
}

// CheckPeer finds out whether the peer has gone, and closes Done then. While the Handler is at work nobody reads, so
// that it would come out only with the next ping. Any goroutine may call it; it does not wait.
func (c *Conn) CheckPeer() {
	if c.busy.Load() && hungUp(c.raw) {
		c.lost()
	}
}

// What follows is for the package that has the connection's other half.

// Socket is the connection's socket.
func (c *Conn) Socket() net.Conn { return c.nc }

// Handle calls the Handler. Its time is no sign of a dead peer.
func (c *Conn) Handle(call func()) {
	c.busy.Store(true)
	defer func() {
		c.heard.Store(true)
		c.busy.Store(false)
	}()
	c.Protect(call)
}

// Heard notes that something came from the peer.
func (c *Conn) Heard() {
	if !c.heard.Load() {
		c.heard.Store(true)
	}
}

// IsClosing reports whether a farewell has been queued.
func (c *Conn) IsClosing() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closing
}

// Begin lets leave what was held: first what first gives, then what was sent. It does nothing when the connection has
// been closed meanwhile. first is called under the connection's lock.
func (c *Conn) Begin(first func() string) {
	c.mu.Lock()
	ready := !c.shut && c.out.release(piece(first()), c.s.cfg.mostOfFrame())
	c.mu.Unlock()
	if ready {
		c.s.ready.add(c)
	}
}

// BeginClose queues the farewell of info and gives the connection to the watchdog. It does nothing when the
// connection is closing or gone already.
func (c *Conn) BeginClose(info CloseInfo) {
	most := c.s.cfg.mostOfFrame()
	c.mu.Lock()
	if c.shut {
		c.mu.Unlock()
		return
	}
	c.end = info
	c.closing = true
	c.shutLocked()
	held := c.out.state == held
	if held || info.Why == WhySlow { // so that the farewell has a chance
		c.dropped(c.out.drop(most))
	}
	last := piece(c.kind.Farewell(info))
	ready := false
	if held {
		ready = c.out.release(last, most)
	} else {
		ready = c.out.push(last, most)
	}
	c.mu.Unlock()
	if ready {
		c.s.ready.add(c)
	}
	c.s.watchdog.add(c)
}

// NoteEnd keeps info as the connection's end if nothing else has ended it before.
func (c *Conn) NoteEnd(info CloseInfo) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.end.Why == "" {
		c.end = info
	}
}

// AwaitFlushed waits until the farewell has been written or cannot be. The watchdog bounds the wait.
func (c *Conn) AwaitFlushed() {
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

// Finish closes the socket, which has been read to its end, and gives how the connection ended; clean: the peer's close
// frame came.
func (c *Conn) Finish(clean bool) CloseInfo {
	c.mu.Lock()
	c.goneLocked()
	info := c.end
	info.Clean = clean
	c.mu.Unlock()
	_ = c.nc.Close()
	c.mu.Lock()
	c.finished = true
	c.mu.Unlock()
	c.s.unregister(c)
	c.s.obs.Closed(c, info)
	return info
}

// abort gives the connection up: nothing is written any more and the socket is closed, with a reset or without.
func (c *Conn) abort(reset bool) {
	c.mu.Lock()
	c.goneLocked()
	first := !c.aborted
	c.aborted = true
	c.mu.Unlock()
	if first {
		Abort(c.nc, reset)
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

// dropped counts pieces that will not be written; pings and farewells do not count.
func (c *Conn) dropped(ps []piece) {
	n := uint64(0)
	for _, p := range ps {
		if c.kind.IsData(string(p)) {
			n++
		}
	}
	if n > 0 {
		c.s.stats.Dropped.Add(n)
	}
}

// goneLocked drops the outbox for good. A writer that is at work finds out by its next lock.
func (c *Conn) goneLocked() {
	c.shutLocked()
	c.gone = true
	c.dropped(c.out.pieces)
	c.out.pieces, c.out.bytes = nil, 0
	c.wakeLocked()
}

func (c *Conn) shutLocked() {
	if c.shut {
		return
	}
	c.shut = true
	c.closedAt = c.s.Now()
	if c.done != nil {
		close(c.done)
	}
}

// wakeLocked wakes the reader if it waits for the farewell to be written.
func (c *Conn) wakeLocked() {
	if c.flushed != nil {
		close(c.flushed)
		c.flushed = nil
	}
}

// Abort closes a socket without waiting: below TLS, without its farewell. With reset, what the peer has not
// taken yet is dropped.
func Abort(nc net.Conn, reset bool) {
	if t, ok := nc.(*tls.Conn); ok {
		nc = t.NetConn()
	}
	if l, ok := nc.(interface{ SetLinger(int) error }); ok && reset {
		_ = l.SetLinger(0)
	}
	_ = nc.Close()
}

// CloseWrite ends the stream towards the peer, so that it knows that nothing follows.
func CloseWrite(nc net.Conn) {
	if h, ok := nc.(interface{ CloseWrite() error }); ok {
		_ = h.CloseWrite()
	}
}

// init makes c the connection of a socket.
func (c *Conn) init(s *Sockets, nc net.Conn, o Options) {
	c.s, c.nc, c.raw = s, nc, rawsock.Writable(nc)
	c.id, c.kind, c.answers, c.slot = o.ID, o.Kind, o.Answers, -1
	c.heard.Store(true)
	if o.Held {
		c.out.state = held
	}
}
