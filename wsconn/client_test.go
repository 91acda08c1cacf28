package wsconn

import (
	"bufio"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"rollcall/outbox"
	"rollcall/testkit"
)

// timeout is how long a test waits for what must happen; it is never waited for in a test that passes.
const timeout = 10 * time.Second

// setup is how a host is set up.
type setup struct {
	outbox.Config
	limits Config
	// buffers bounds what the kernel holds of a socket, in bytes at each end, so that little data fills it. Zero: it may
	// be megabytes.
	buffers int
}

// host is a Server behind an HTTP server on loopback.
type host struct {
	*Server
	http  *httptest.Server
	conns chan *probe // as their Open is called
	opt   Options
	setup func(*probe) // before Start
	log   *witness

	buffers int
}

// probe is a Handler that notes its calls.
type probe struct {
	c         *Conn
	opened    chan struct{}
	messages  chan string // "text:…" or "binary:…"
	closed    chan outbox.CloseInfo
	onOpen    func(*probe)
	onMessage func(*probe, string)
	onClosed  func(*probe)

	testkit.Calls
}

func (p *probe) Open() {
	p.Note("open")
	close(p.opened)
	if p.onOpen != nil {
		p.onOpen(p)
	}
}

func (p *probe) Message(binary bool, data []byte) {
	p.Note("message")
	s := "text:" + string(data)
	if binary {
		s = "binary:" + string(data)
	}
	if p.onMessage != nil {
		p.onMessage(p, s)
	}
	select {
	case p.messages <- s:
	default:
	}
}

func (p *probe) Closed(info outbox.CloseInfo) {
	p.Note("closed")
	p.closed <- info
	if p.onClosed != nil {
		p.onClosed(p)
	}
}

// witness is an Observer.
type witness struct {
	mu       sync.Mutex
	received int
	frames   int
	bytes    int
	closed   []outbox.CloseInfo
	panics   []string
}

func (w *witness) Received(int) { w.mu.Lock(); w.received++; w.mu.Unlock() }
func (w *witness) Sent(frames, bytes int) {
	w.mu.Lock()
	w.frames, w.bytes = w.frames+frames, w.bytes+bytes
	w.mu.Unlock()
}
func (w *witness) Closed(_ *outbox.Conn, info outbox.CloseInfo) {
	w.mu.Lock()
	w.closed = append(w.closed, info)
	w.mu.Unlock()
}
func (w *witness) Panicked(_ *outbox.Conn, v any, stack []byte) {
	w.mu.Lock()
	w.panics = append(w.panics, fmt.Sprint(v)+"\n"+string(stack))
	w.mu.Unlock()
}

// newHost starts a host, which does not ping unless cfg says so.
func newHost(t testing.TB, cfg setup) *host {
	if cfg.Ping == 0 {
		cfg.Ping = -1
	}
	h := &host{log: &witness{}, conns: make(chan *probe, 2000), buffers: cfg.buffers}
	h.Server = NewServer(cfg.limits, outbox.New(cfg.Config, h.log))
	h.http = h.newHTTP()
	h.http.Start()
	t.Cleanup(func() {
		h.http.Close()
		h.sockets.Close()
	})
	return h
}

// newHTTP returns a server to be started, plain or with TLS.
func (h *host) newHTTP() *httptest.Server {
	ts := httptest.NewUnstartedServer(http.HandlerFunc(h.serve))
	ts.Config.ConnState = func(nc net.Conn, state http.ConnState) {
		if state == http.StateNew && h.buffers > 0 {
			_ = tcpOf(nc).SetWriteBuffer(h.buffers)
		}
	}
	return ts
}

func tcpOf(nc net.Conn) *net.TCPConn {
	if t, ok := nc.(*tls.Conn); ok {
		nc = t.NetConn()
	}
	return nc.(*net.TCPConn)
}

func (h *host) serve(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-From", "the caller")
	c, err := h.Accept(w, r, h.opt)
	if err != nil {
		return
	}
	p := &probe{c: c, opened: make(chan struct{}), messages: make(chan string, 1000),
		closed: make(chan outbox.CloseInfo, 2)}
	if h.setup != nil {
		h.setup(p)
	}
	h.conns <- p
	c.Start(p)
}

// client is one end of a connection that can send anything.
type client struct {
	t testing.TB
	net.Conn
	r *bufio.Reader
}

const upgradeRequest = "GET /x HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

// dial connects a client and returns it with the server's side.
func (h *host) dial(t testing.TB) (*client, *probe) {
	t.Helper()
	nc, err := net.Dial("tcp", h.http.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return h.upgrade(t, nc)
}

func (h *host) upgrade(t testing.TB, nc net.Conn) (*client, *probe) {
	t.Helper()
	t.Cleanup(func() { nc.Close() })
	if h.buffers > 0 {
		if err := tcpOf(nc).SetReadBuffer(h.buffers); err != nil {
			t.Fatal(err)
		}
	}
	c := &client{t: t, Conn: nc, r: bufio.NewReader(nc)}
	if _, err := io.WriteString(nc, upgradeRequest); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("upgrade: %v %v", resp, err)
	}
	return c, testkit.Receive(t, h.conns, "the server's side")
}

// frame returns a masked client frame; b0 is its whole first byte.
func frame(b0 byte, payload string) []byte {
	b := []byte{b0}
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = append(b, 0x80|126, byte(n>>8), byte(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	key := [4]byte{1, 2, 3, 4}
	b = append(b, key[:]...)
	for i := range len(payload) {
		b = append(b, payload[i]^key[i%4])
	}
	return b
}

func closeBody(code int, reason string) string {
	return string(binary.BigEndian.AppendUint16(nil, uint16(code))) + reason
}

func (c *client) write(b []byte) {
	c.t.Helper()
	if _, err := c.Write(b); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) text(s string) { c.t.Helper(); c.write(frame(final|opText, s)) }

// next reads one server frame.
func (c *client) next() (op byte, payload string, err error) {
	_ = c.SetReadDeadline(time.Now().Add(timeout))
	var head [2]byte
	if _, err := io.ReadFull(c.r, head[:]); err != nil {
		return 0, "", err
	}
	if head[0]&0xf0 != final || head[1]&0x80 != 0 {
		return 0, "", fmt.Errorf("frame begins % x", head)
	}
	n := uint64(head[1])
	var long [8]byte
	switch n {
	case 126:
		if _, err := io.ReadFull(c.r, long[6:]); err != nil {
			return 0, "", err
		}
		n = binary.BigEndian.Uint64(long[:])
	case 127:
		if _, err := io.ReadFull(c.r, long[:]); err != nil {
			return 0, "", err
		}
		n = binary.BigEndian.Uint64(long[:])
	}
	b := make([]byte, n)
	_, err = io.ReadFull(c.r, b)
	return head[0] & 0xf, string(b), err
}

// wantText reads a text frame.
func (c *client) wantText(want string) {
	c.t.Helper()
	op, got, err := c.next()
	if err != nil || op != opText || got != want {
		c.t.Fatalf("frame %d %.80q %v, want text %.80q", op, got, err, want)
	}
}

// wantClose reads up to the close frame, and the end of the stream after it if the server is not to wait for
// an answer.
func (c *client) wantClose(code int) (reason string) {
	c.t.Helper()
	for {
		op, body, err := c.next()
		if err != nil {
			c.t.Fatalf("no close frame: %v", err)
		}
		if op != opClose {
			continue
		}
		if len(body) < 2 {
			if code != outbox.CodeNoStatus {
				c.t.Fatalf("close frame % x, want %d", body, code)
			}
			return ""
		}
		if got := int(binary.BigEndian.Uint16([]byte(body))); got != code {
			c.t.Fatalf("close code %d %q, want %d", got, body[2:], code)
		}
		return body[2:]
	}
}

// wantEOF reads the end of the stream, with nothing before it.
func (c *client) wantEOF() {
	c.t.Helper()
	if op, body, err := c.next(); !errors.Is(err, io.EOF) {
		c.t.Fatalf("after the end: %d %q %v", op, body, err)
	}
}

// newServer makes a Server that nobody pings.
func newServer(t testing.TB, cfg Config) *Server {
	t.Helper()
	sockets := outbox.New(outbox.Config{Ping: -1}, nil)
	t.Cleanup(sockets.Close)
	return NewServer(cfg, sockets)
}

// check checks the invariants of a connection or of all.
func check(t testing.TB, what interface{ Check() error }) {
	t.Helper()
	if err := what.Check(); err != nil {
		t.Error(err)
	}
}
