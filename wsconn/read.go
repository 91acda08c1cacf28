package wsconn

import (
	"bufio"
	"errors"
	"io"
	"runtime/debug"
	"sync"
	"unicode/utf8"

	"rollcall/rawsock"
)

const (
	readBuffer  = 4 << 10  // that a connection with input reads into, in bytes; longer messages are read past it
	firstBuffer = 1 << 10  // of a message, in bytes
	keepBuffer  = 64 << 10 // longer ones are not kept for the next message
	// fragmentSlack is how many bytes of frame headers a message may cost before they are weighed against what
	// it carries.
	fragmentSlack = 4 << 10
)

// input is what is known of a connection's input.
type input struct {
	r       *bufio.Reader // set while there is input
	rate    bucket
	op      byte    // of the message that has begun
	message *[]byte // what has come of it; nil: none has begun
	headers int     // of its frames, in bytes
	closed  bool    // the peer's close frame came
}

// readers holds idle *bufio.Reader.
var readers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, readBuffer) }}

// source is a connection as its bufio.Reader sees it.
type source Conn

func (s *source) Read(p []byte) (n int, err error) {
	if s.waits != nil {
		n, err = rawsock.Read(s.waits, p)
	} else {
		n, err = s.nc.Read(p)
	}
	if n > 0 && !s.heard.Load() {
		s.heard.Store(true)
	}
	return n, err
}

// readFrame reads one frame and does what it asks for. The last one of a message hands that to the Handler. An error is
// the end of the input.
func (c *Conn) readFrame() error {
	h, err := readHeader(c.in.r, c.in.message != nil)
	switch {
	case err != nil:
		return err
	case h.op >= opClose:
		return c.readControl(h)
	}
	return c.readData(h)
}

func (c *Conn) readControl(h header) error {
	body, err := c.in.r.Peek(int(h.size))
	if err != nil {
		return err
	}
	h.unmask(body)
	_, _ = c.in.r.Discard(len(body)) // which leaves body as it is
	switch {
	case h.op == opClose:
		return peerClose(body)
	case !c.isClosing() && c.withinRate() && h.op == opPing:
		_ = c.Send(encode(opPong, body)) // a connection that cannot send needs no pong
	}
	return nil
}

// readData reads a frame of a message.
func (c *Conn) readData(h header) error {
	in := &c.in
	if in.message == nil {
		in.message, in.op, in.headers = buffers.Get().(*[]byte), h.op, 0
		*in.message = (*in.message)[:0]
	}
	in.headers += h.length
	have := len(*in.message)
	switch {
	case h.size > uint64(c.limit)-uint64(have):
		return endOfInput{Code: CodeTooBig, Reason: "message too big", Why: WhyTooBig}
	case in.headers > fragmentSlack+8*have: // one byte for each fragment is still fine
		return endOfInput{Code: CodePolicy, Reason: "message of too many empty fragments", Why: WhyRate}
	}
	if err := in.take(int(h.size)); err != nil {
		return err
	}
	h.unmask((*in.message)[have:])
	if !h.final {
		return nil
	}
	defer in.forget()
	if !c.isClosing() { // else nobody wants it any more
		c.deliver(in.op == opBinary, *in.message)
	}
	return nil
}

// take adds n bytes to the message. Room is made as they come: a header alone takes no memory.
func (in *input) take(n int) error {
	b := *in.message
	for end := len(b) + n; len(b) < end; {
		if len(b) == cap(b) {
			b = append(b, 0)[:len(b)]
		}
		got, err := in.r.Read(b[len(b):min(end, cap(b))])
		if err != nil {
			return err
		}
		b = b[:len(b)+got]
		*in.message = b
	}
	return nil
}

// forget drops the message.
func (in *input) forget() {
	if in.message != nil && cap(*in.message) <= keepBuffer {
		buffers.Put(in.message)
	}
	in.message = nil
}

// buffers holds the buffers messages are read into.
var buffers = sync.Pool{New: func() any { b := make([]byte, 0, firstBuffer); return &b }}

// deliver checks a message and calls the Handler.
func (c *Conn) deliver(binary bool, data []byte) {
	c.s.obs.Received(len(data))
	if !c.withinRate() {
		return
	}
	if !binary && !utf8.Valid(data) {
		c.beginClose(CloseInfo{Code: CodeBadText, Reason: "text is not UTF-8", Why: WhyBadText})
		return
	}
	c.handle(func() { c.h.Message(binary, data) })
}

// handle calls the Handler. Its time is no sign of a dead peer and counts for the message rate: what comes
// meanwhile waits in the socket.
func (c *Conn) handle(call func()) {
	c.busy.Store(true)
	began := c.s.now()
	defer func() {
		now := c.s.now()
		c.in.rate = c.in.rate.credit(now, now-began, c.s.cfg.MessageRate)
		c.heard.Store(true)
		c.busy.Store(false)
	}()
	c.Protect(call)
}

// Protect calls f. A panic in it is dealt with as one in the Handler: so the connection's owner may do elsewhere what
// else it does for the connection.
func (c *Conn) Protect(f func()) {
	defer func() {
		if v := recover(); v != nil {
			c.s.obs.Panicked(c, v, debug.Stack())
			c.beginClose(CloseInfo{Code: CodeInternal, Reason: "internal error", Why: WhyPanic})
		}
	}()
	f()
}

// withinRate takes a token for a message or control frame. Without one the connection is closed, unless the
// node was frozen meanwhile and the client could not know.
func (c *Conn) withinRate() bool {
	rate := c.s.cfg.MessageRate
	if rate <= 0 {
		return true
	}
	now := c.s.now()
	next, ok := c.in.rate.take(now, rate)
	if !ok {
		next, ok = c.thawed(next)
	}
	c.in.rate = next
	if !ok {
		c.beginClose(CloseInfo{Code: CodePolicy, Reason: "too many messages", Why: WhyRate})
	}
	return ok
}

// thawed gives an empty bucket what it has missed while the process did not run.
func (c *Conn) thawed(b bucket) (bucket, bool) {
	s := c.s
	now := s.now()
	if frozen := s.frozenTime(); frozen > b.frozen {
		b = b.credit(now, frozen-b.frozen, s.cfg.MessageRate)
		b.frozen = frozen
		return b.take(now, s.cfg.MessageRate)
	}
	return b, s.asleep(now) // just awake: the wheel has not turned yet
}

// ended sees to the end of the input: what err was and what the peer is told.
func (c *Conn) ended(err error) {
	var end endOfInput
	switch {
	case !errors.As(err, &end):
		c.noteEnd(CloseInfo{Code: codeAbnormal, ByPeer: true, Why: WhyDropped})
	case end.ByPeer:
		c.in.closed = true
		c.beginClose(CloseInfo(end)) // the answer, unless the peer's is one
		c.noteEnd(CloseInfo(end))    // if it could not be answered
		c.awaitFlushed()
	default:
		c.fail(CloseInfo(end))
	}
}

// fail closes after input that cannot be read on: the close frame, then the end of our stream; what the client
// still sends is thrown away, since closing a socket with unread input would destroy the close frame on its way.
func (c *Conn) fail(info CloseInfo) {
	c.beginClose(info)
	c.noteEnd(info)
	c.awaitFlushed()
	closeWrite(c.nc)
	_, _ = io.Copy(io.Discard, c.nc)
}

// finish closes the socket and tells the Handler.
func (c *Conn) finish() {
	c.in.forget()
	c.mu.Lock()
	c.goneLocked()
	info := c.end
	info.Clean = c.in.closed
	c.mu.Unlock()
	_ = c.nc.Close()
	c.mu.Lock()
	c.finished = true
	c.mu.Unlock()
	c.s.unregister(c)
	c.s.obs.Closed(c, info)
	c.handle(func() { c.h.Closed(info) })
}
