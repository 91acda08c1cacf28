package wsconn

import (
	"errors"
	"io"
	"runtime/debug"
	"sync"
	"unicode/utf8"

	"github.com/gorilla/websocket"
)

const (
	firstBuffer = 1 << 10  // of a message, in bytes
	keepBuffer  = 64 << 10 // longer ones are not kept for the next message
	// fragmentSlack is how many bytes of frame headers a message may cost before they are weighed against what
	// it carries.
	fragmentSlack = 4 << 10
)

// errFragments: a message of very many, nearly empty fragments, which would get past the message rate.
var errFragments = errors.New("message of too many empty fragments")

// reading is what is known of a connection's input.
type reading struct {
	rate      bucket
	raw       int64 // bytes off the socket since the message began
	carried   int64 // of them, the message's own
	message   bool  // inside a message
	fault     int   // close code that gorilla gave malformed input
	faultText string
	peerCode  int // of the peer's close frame; 0: none came
	peerText  string
	frames    framing
}

// checkFragments is asked before more is read from the socket. One byte for each fragment is still fine.
func (in *reading) checkFragments() error {
	if in.message && in.raw-in.carried > fragmentSlack+8*in.carried {
		return errFragments
	}
	return nil
}

func (c *Conn) prepareReading() {
	c.in.rate = bucket{tokens: float64(2 * c.s.cfg.MessageRate), at: c.s.now()}
	c.in.rate.frozen = c.s.frozenTime()
	c.ws.SetReadLimit(c.limit)
	c.ws.SetPingHandler(c.gotPing)
	c.ws.SetPongHandler(c.gotPong)
	c.ws.SetCloseHandler(c.gotClose)
}

// readPings handles a ping or pong if that is what comes next. After it gorilla would go on to the next message in one call:
// each connection that has once answered a ping would keep a worker and a buffer. What is malformed is left to gorilla.
func (c *Conn) readPings() bool {
	if c.isClosing() {
		return false // what comes may be the rest of a message that nobody wants any more
	}
	head, err := c.br.Peek(2)
	if err != nil {
		return false
	}
	op, size := head[0]^final, int(head[1]^masked)
	if op != opPing && op != opPong || size > maxControl {
		return false
	}
	frame, err := c.br.Peek(6 + size)
	if err != nil {
		return false
	}
	mask, data := frame[2:6], frame[6:]
	text := make([]byte, size)
	for i := range text {
		text[i] = data[i] ^ mask[i%4]
	}
	_, _ = c.br.Discard(len(frame)) // they are there
	if op == opPing {
		_ = c.gotPing(string(text))
	} else {
		_ = c.gotPong("")
	}
	return true
}

// readMessage reads one message and gives it to the Handler; false when the connection is at its end.
func (c *Conn) readMessage() bool {
	kind, r, err := c.ws.NextReader()
	if err != nil {
		c.ended(err)
		return false
	}
	if c.isClosing() {
		return true // NextReader skips what is left of the message
	}
	buf := buffers.Get().(*[]byte)
	defer putBuffer(buf)
	c.in.message, c.in.raw, c.in.carried = true, 0, 0
	err = c.readAll(r, buf)
	c.in.message = false
	if err != nil {
		c.ended(err)
		return false
	}
	c.deliver(kind == websocket.BinaryMessage, *buf)
	return true
}

func (c *Conn) readAll(r io.Reader, buf *[]byte) error {
	b := (*buf)[:0]
	for {
		if len(b) == cap(b) {
			b = append(b, 0)[:len(b)]
		}
		n, err := r.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		c.in.carried += int64(n)
		*buf = b
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

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
		if v := recover(); v != nil {
			c.s.obs.Panicked(c, v, debug.Stack())
			c.beginClose(CloseInfo{Code: CodeInternal, Reason: "internal error", Why: WhyPanic})
		}
		now := c.s.now()
		c.in.rate = c.in.rate.credit(now, now-began, c.s.cfg.MessageRate)
		c.heard.Store(true)
		c.busy.Store(false)
	}()
	call()
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

func (c *Conn) gotPing(data string) error {
	if !c.control(len(data)) {
		return nil
	}
	_ = c.Send(encode(opPong, data)) // a connection that cannot send needs no pong
	return nil
}

func (c *Conn) gotPong(data string) error {
	c.control(len(data))
	return nil
}

// control counts a control frame against the rate and takes it out of the message's bytes; false when it is to
// be ignored.
func (c *Conn) control(n int) bool {
	c.in.raw -= int64(n + 6)
	return !c.isClosing() && c.withinRate()
}

func (c *Conn) gotClose(code int, text string) error {
	c.in.peerCode, c.in.peerText = code, text
	return nil
}

// ended sees to the end of the stream: what err was and what the peer is told.
func (c *Conn) ended(err error) {
	in := &c.in
	in.judgeClose()
	switch {
	case in.peerCode != 0:
		c.peerClosed()
	case errors.Is(err, websocket.ErrReadLimit):
		c.fail(CloseInfo{Code: CodeTooBig, Reason: "message too big", Why: WhyTooBig})
	case errors.Is(err, errFragments):
		c.fail(CloseInfo{Code: CodePolicy, Reason: err.Error(), Why: WhyRate})
	case in.fault != 0:
		c.fail(CloseInfo{Code: in.fault, Reason: in.faultText, Why: WhyProtocol})
	default:
		c.noteEnd(CloseInfo{Code: codeAbnormal, ByPeer: true, Why: WhyDropped})
	}
}

// judgeClose corrects what gorilla made of a close frame (RFC 6455, 7.1.5 and 7.4; IANA's list of close codes has 1014).
func (in *reading) judgeClose() {
	body, whole := in.frames.closed()
	switch {
	case !whole:
	case in.peerCode == codeNoStatus && len(body) == 1:
		in.peerCode, in.fault, in.faultText = 0, CodeProtocol, "close frame of one byte"
	case in.faultText == badGatewayFault && utf8.Valid(body[2:]):
		in.peerCode, in.peerText, in.fault = codeBadGateway, string(body[2:]), 0
	}
}

// badGatewayFault is what gorilla says of code 1014.
const badGatewayFault = "bad close code 1014"

// peerClosed answers the peer's close frame, unless it is itself an answer, and waits until that is written.
func (c *Conn) peerClosed() {
	info := CloseInfo{Code: c.in.peerCode, Reason: c.in.peerText, ByPeer: true, Why: WhyPeer}
	c.beginClose(info)
	c.noteEnd(info) // if it could not be answered
	c.awaitFlushed()
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
	c.mu.Lock()
	c.goneLocked()
	info := c.end
	info.Clean = c.in.peerCode != 0
	c.mu.Unlock()
	_ = c.nc.Close()
	c.mu.Lock()
	c.finished = true
	c.mu.Unlock()
	c.s.unregister(c)
	c.s.obs.Closed(c, info)
	c.handle(func() { c.h.Closed(info) })
}

// buffers holds the buffers messages are read into.
var buffers = sync.Pool{New: func() any { b := make([]byte, 0, firstBuffer); return &b }}

func putBuffer(b *[]byte) {
	if cap(*b) <= keepBuffer {
		buffers.Put(b)
	}
}
