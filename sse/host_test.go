package sse

import (
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"rollcall/outbox"
	"rollcall/testkit"
	"rollcall/testkit/nodetest"
)

// TestMain fails on leaked goroutines.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	timeout = 10 * time.Second      // for what must happen; it is never waited for in a test that passes
	quick   = 60 * time.Millisecond // a ping interval
	request = "GET /feed HTTP/1.1\r\nHost: localhost\r\n"
)

// host is a Server behind an HTTP server on loopback.
type host struct {
	*Server
	http     *httptest.Server
	opt      Options
	setup    func(*probe) // before Start; nil: nothing
	conns    chan *probe
	accepted chan error
	*witness
}

// newHost starts a host, which does not ping unless cfg says so.
func newHost(t testing.TB, cfg outbox.Config) *host {
	h := newHostUnstarted(t, cfg)
	h.http.Start()
	return h
}

func newHostUnstarted(t testing.TB, cfg outbox.Config) *host {
	if cfg.Ping == 0 {
		cfg.Ping = -1
	}
	h := &host{witness: &witness{}, conns: make(chan *probe, 100), accepted: make(chan error, 100)}
	h.Server = NewServer(outbox.New(cfg, h.witness))
	h.opt.Refuse = func(w http.ResponseWriter, status int, reason string) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(`{"detail":"` + reason + `"}`))
	}
	h.http = httptest.NewUnstartedServer(http.HandlerFunc(h.serve))
	t.Cleanup(func() {
		h.http.Close()
		h.sockets.Close()
		if n := h.count.Load(); n != 0 || h.sockets.Len() != 0 {
			t.Errorf("in the end %d streams are counted, and %d connections", n, h.sockets.Len())
		}
	})
	return h
}

func (h *host) serve(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-From", "the caller")
	c, err := h.Accept(w, r, h.opt)
	h.accepted <- err
	if err != nil {
		return
	}
	p := &probe{c: c, closed: make(chan outbox.CloseInfo, 2)}
	if h.setup != nil {
		h.setup(p)
	}
	h.conns <- p
	c.Start(p)
}

func (h *host) addr() string { return h.http.Listener.Addr().String() }

// open opens a stream, and gives it with the server's side.
func (h *host) open(t testing.TB) (*nodetest.Stream, *probe) {
	t.Helper()
	return nodetest.OpenStream(t, h.addr(), "/feed"), testkit.Receive(t, h.conns, "the server's side")
}

// probe is a Handler that notes its calls.
type probe struct {
	c      *Conn
	closed chan outbox.CloseInfo
	onOpen func(*probe)

	testkit.Calls
}

func (p *probe) Open() {
	p.Note("open")
	if p.onOpen != nil {
		p.onOpen(p)
	}
}

func (p *probe) Message(bool, []byte) { p.Note("message") }

func (p *probe) Closed(info outbox.CloseInfo) {
	p.Note("closed")
	p.closed <- info
}

// send queues texts as frames that say nothing of a place.
func (p *probe) send(t testing.TB, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if err := p.c.Send(outbox.NewFrame(text, 0)); err != nil {
			t.Fatal(err)
		}
	}
}

// witness is an Observer.
type witness struct {
	mu     sync.Mutex
	ends   []outbox.CloseInfo
	panics int
}

func (w *witness) Received(int)  {}
func (w *witness) Sent(int, int) {}
func (w *witness) Closed(_ *outbox.Conn, info outbox.CloseInfo) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ends = append(w.ends, info)
}
func (w *witness) Panicked(*outbox.Conn, any, []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.panics++
}
