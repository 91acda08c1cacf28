package wsconn

import (
	"bufio"
	"errors"
	"io"
	"sync"
	"unicode/utf8"

	"rollcall/outbox"
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
		n, err = s.Socket().Read(p)
	}
	if n > 0 {
		s.Heard()
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
	case !c.IsClosing() && c.withinRate() && h.op == opPing:
		_ = c.Send(outbox.NewControl(encode(opPong, body))) // a connection that cannot send needs no pong
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
		return endOfInput{Code: outbox.CodeTooBig, Reason: "message too big", Why: outbox.WhyTooBig}
	case in.headers > fragmentSlack+8*have: // one byte for each fragment is still fine
		return endOfInput{Code: outbox.CodePolicy, Reason: "message of too many empty fragments", Why: outbox.WhyRate}
	}
	if err := in.take(int(h.size)); err != nil {
		return err
	}
	h.unmask((*in.message)[have:])
	if !h.final {
		return nil
	}
	defer in.forget()
	if !c.IsClosing() { // else nobody wants it any more
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
	c.s.sockets.Received(len(data))
	if !c.withinRate() {
		return
	}
	if !binary && !utf8.Valid(data) {
		c.BeginClose(outbox.CloseInfo{Code: outbox.CodeBadText, Reason: "text is not UTF-8", Why: outbox.WhyBadText})
		return
	}
	c.handle(func() { c.h.Message(binary, data) })
}

// handle calls the Handler. Its time counts for the message rate: what comes meanwhile waits in the socket.
func (c *Conn) handle(call func()) {
	began := c.s.sockets.Now()
	c.Handle(call)
	now := c.s.sockets.Now()
	c.in.rate = c.in.rate.credit(now, now-began, c.s.cfg.MessageRate)
}

// withinRate takes a token for a message or control frame. Without one the connection is closed, unless the
// node was frozen meanwhile and the client could not know.
func (c *Conn) withinRate() bool {
	rate := c.s.cfg.MessageRate
	if rate <= 0 {
		return true
	}
	s := c.s.sockets
	now := s.Now()
	next, ok := c.in.rate.take(now, rate)
	if !ok {
		next, ok = next.thawed(now, s.Frozen(), s.Asleep(now), rate)
	}
	c.in.rate = next
	if !ok {
		c.BeginClose(outbox.CloseInfo{Code: outbox.CodePolicy, Reason: "too many messages", Why: outbox.WhyRate})
	}
	return ok
}

// ended sees to the end of the input: what err was and what the peer is told.
func (c *Conn) ended(err error) {
	var end endOfInput
	switch {
	case !errors.As(err, &end):
		c.NoteEnd(outbox.CloseInfo{Code: outbox.CodeAbnormal, ByPeer: true, Why: outbox.WhyDropped})
	case end.ByPeer:
		c.in.closed = true
		c.BeginClose(outbox.CloseInfo(end)) // the answer, unless the peer's is one
		c.NoteEnd(outbox.CloseInfo(end))    // if it could not be answered
		c.AwaitFlushed()
	default:
		c.fail(outbox.CloseInfo(end))
	}
}

// fail closes after input that cannot be read on: the close frame, then the end of our stream; what the client
// still sends is thrown away, since closing a socket with unread input would destroy the close frame on its way.
func (c *Conn) fail(info outbox.CloseInfo) {
	c.BeginClose(info)
	c.NoteEnd(info)
	c.AwaitFlushed()
	outbox.CloseWrite(c.Socket())
	_, _ = io.Copy(io.Discard, c.Socket())
}

// finish closes the socket and tells the Handler.
func (c *Conn) finish() {
	c.in.forget()
	info := c.Finish(c.in.closed)
	c.handle(func() { c.h.Closed(info) })
}
