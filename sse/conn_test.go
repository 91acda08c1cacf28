package sse

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"rollcall/outbox"
	"rollcall/testkit"
	"rollcall/testkit/nodetest"
)

// How a stream ends, as its client and its Handler see it.
func TestEnds(t *testing.T) {
	dropped := outbox.CloseInfo{Code: 1006, ByPeer: true, Why: outbox.WhyDropped}
	for name, tt := range map[string]struct {
		end  func(t *testing.T, s *nodetest.Stream, p *probe)
		want outbox.CloseInfo
	}{
		"the server closes": {func(t *testing.T, s *nodetest.Stream, p *probe) {
			p.send(t, "last")
			p.c.Close(4000, "enough")
			p.c.Close(1000, "too late")
			s.Expect("last")
			if end := s.End(); end != "4000 enough" {
				t.Errorf("the last comment is %q", end)
			}
		}, outbox.CloseInfo{Code: 4000, Reason: "enough", Why: outbox.WhyServer}},
		"the node drains": {func(t *testing.T, s *nodetest.Stream, p *probe) {
			p.c.CloseFor(outbox.WhyDrained, outbox.CodeRestart, "connect again")
			if end := s.End(); end != "1012 connect again" || s.Retry == "" {
				t.Errorf("the last comment is %q, retry %q", end, s.Retry)
			}
		}, outbox.CloseInfo{Code: 1012, Reason: "connect again", Why: outbox.WhyDrained}},
		"the client closes": {func(_ *testing.T, s *nodetest.Stream, _ *probe) { s.Drop() }, dropped},
		"the client closes its half": {func(t *testing.T, s *nodetest.Stream, _ *probe) {
			_ = s.Conn.(*net.TCPConn).CloseWrite()
			s.End()
		}, dropped},
		"the client resets": {func(_ *testing.T, s *nodetest.Stream, _ *probe) {
			_ = s.Conn.(*net.TCPConn).SetLinger(0)
			s.Drop()
		}, dropped},
		"the client says something": {func(t *testing.T, s *nodetest.Stream, _ *probe) {
			_, _ = io.WriteString(s.Conn, "hello")
			if end := s.End(); end != "1008 nothing can be sent on an event stream" {
				t.Errorf("the last comment is %q", end)
			}
		}, outbox.CloseInfo{Code: 1008, Reason: "nothing can be sent on an event stream", Why: outbox.WhyServer}},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t, outbox.Config{})
			s, p := h.open(t)
			tt.end(t, s, p)
			testkit.Receive(t, p.c.Done(), "Done")
			if got := testkit.Receive(t, p.closed, "Closed"); got != tt.want {
				t.Errorf("%+v, want %+v", got, tt.want)
			}
			if err := p.c.Send(outbox.NewFrame("x", 0)); !errors.Is(err, outbox.ErrClosed) {
				t.Errorf("Send after the end: %v", err)
			}
			h.sockets.Close()
			if len(h.ends) != 1 || len(p.closed) != 0 || p.Noted() != "open closed" {
				t.Errorf("ends %v, %d more Closed, calls %s", h.ends, len(p.closed), p.Noted())
			}
		})
	}
}

// What Open does decides about the answer: nothing is written before it has returned.
func TestOpen(t *testing.T) {
	for name, tt := range map[string]struct {
		open   func(*probe)
		status int
		body   string // its end
		panics int
	}{
		"sends": {func(p *probe) {
			_ = p.c.Send(outbox.NewFrame("first", 0))
			_ = p.c.Send(outbox.NewFrame("second", 0))
			time.AfterFunc(quick, func() { p.c.Close(1000, "") })
		}, 200, "\n\ndata: first\n\ndata: second\n\n: 1000\n\n", 0},
		"refuses": {func(p *probe) {
			_ = p.c.Send(outbox.NewFrame("never seen", 0))
			p.c.Refuse(403, outbox.WhyServer, 4403, "not you")
			_ = p.c.Send(outbox.NewFrame("nor this", 0))
		}, 403, `{"detail":"not you"}`, 0},
		"fails": {func(p *probe) {
			p.c.CloseFor(outbox.WhyFailed, outbox.CodeInternal, "handler error")
		}, 500, `{"detail":"handler error"}`, 0},
		"panics": {func(*probe) { panic("in Open") }, 500, `{"detail":"internal error"}`, 1},
		"closes": {func(p *probe) {
			_ = p.c.Send(outbox.NewFrame("never seen", 0))
			p.c.Close(1012, "")
		}, 200, "\n\n: 1012\n\n", 0},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t, outbox.Config{})
			h.setup = func(p *probe) { p.onOpen = tt.open }
			_, resp := nodetest.TryStream(t, h.addr(), "/feed")
			text, err := io.ReadAll(resp.Body)
			body, _ := strings.CutPrefix(string(text), "retry: ")
			if body = strings.TrimLeft(body, "0123456789"); err != nil || resp.StatusCode != tt.status || body != tt.body {
				t.Errorf("status %d, %q, %v", resp.StatusCode, text, err)
			}
			if tt.status != 200 && (resp.Header.Get("Content-Type") != "application/problem+json" || !resp.Close ||
				resp.ContentLength != int64(len(text)) || resp.Header.Get("X-From") == "") {
				t.Errorf("header %v, length %d", resp.Header, resp.ContentLength)
			}
			p := testkit.Receive(t, h.conns, "the server's side")
			testkit.Receive(t, p.closed, "Closed")
			if p.Noted() != "open closed" || h.panics != tt.panics {
				t.Errorf("calls %q, %d panics", p.Noted(), h.panics)
			}
		})
	}
}

// SPEC 8: "a comment every `--ping`"
func TestPings(t *testing.T) {
	h := newHost(t, outbox.Config{Ping: quick})
	s, p := h.open(t)
	for range 5 { // nobody answers them, and nobody need
		s.Ping()
	}
	p.send(t, "still here")
	s.Expect("still here")
	if len(p.closed) > 0 {
		t.Errorf("%+v", <-p.closed)
	}
}

// openDeaf opens a stream for a client that takes a few KiB and no more.
func (h *host) openDeaf(t *testing.T) *probe {
	t.Helper()
	d := net.Dialer{Control: func(_, _ string, raw syscall.RawConn) error {
		return raw.Control(func(fd uintptr) {
			_ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4096)
		})
	}}
	nc, err := d.DialContext(t.Context(), "tcp", h.addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	if h.http.TLS != nil {
		config := h.http.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
		config.ServerName = "example.com" // of httptest's certificate
		nc = tls.Client(nc, config)
	}
	if _, err := io.WriteString(nc, request+"\r\n"); err != nil {
		t.Fatal(err)
	}
	return testkit.Receive(t, h.conns, "the server's side")
}

// SPEC 5.5: "Bounded queues everywhere; the slow consumer is closed (1013)", and SPEC 4: "sent if it can be written
// within 1 s, else the socket is reset"
func TestSlow(t *testing.T) {
	fill := func(t *testing.T, p *probe) time.Time {
		f := outbox.NewFrame(strings.Repeat("x", 1000), 0)
		for sent := 0; ; sent++ {
			switch err := p.c.Send(f); {
			case errors.Is(err, outbox.ErrSlow):
				return time.Now()
			case err != nil || sent > 1e5:
				t.Fatalf("after %d frames: %v", sent, err)
			}
		}
	}
	slow := outbox.CloseInfo{Code: 1013, Reason: "too slow", Why: outbox.WhySlow}
	t.Run("never reads", func(t *testing.T) {
		h := newHost(t, outbox.Config{SendQueue: 64 << 10})
		p := h.openDeaf(t)
		at := fill(t, p)
		if got := testkit.Receive(t, p.closed, "Closed"); got != slow || time.Since(at) > 1500*time.Millisecond {
			t.Errorf("%+v after %s", got, time.Since(at))
		}
	})
	t.Run("reads in time", func(t *testing.T) {
		h := newHost(t, outbox.Config{SendQueue: 64 << 10})
		s, p := h.open(t)
		other, q := h.open(t)
		fill(t, p)
		q.send(t, "to the other")
		other.Expect("to the other")
		text, err := io.ReadAll(s.Conn) // what the Stream has not read yet
		if !strings.HasSuffix(string(text), "\n\n: 1013 too slow\n\n") || err != nil {
			t.Errorf("%d bytes, the last are %q, %v", len(text), text[max(0, len(text)-40):], err)
		}
		if got := testkit.Receive(t, p.closed, "Closed"); got != slow {
			t.Errorf("%+v", got)
		}
	})
}

// SPEC 3, of --ping: "two unanswered: dead". A client of a stream answers nothing; that its system takes what is sent
// is the sign of life.
func TestDeadPeer(t *testing.T) {
	for name, start := range map[string]func(*httptest.Server){"plain": (*httptest.Server).Start,
		"TLS": (*httptest.Server).StartTLS} {
		t.Run(name, func(t *testing.T) {
			h := newHostUnstarted(t, outbox.Config{Ping: quick})
			start(h.http)
			p := h.openDeaf(t)
			p.send(t, strings.Repeat("x", 64<<10)) // more than it takes, less than the server's system keeps
			want := outbox.CloseInfo{Code: 1006, ByPeer: true, Why: outbox.WhyDead}
			if got := testkit.Receive(t, p.closed, "Closed"); got != want {
				t.Errorf("%+v, want %+v", got, want)
			}
		})
	}
}

// After Close no goroutine is left (TestMain), and every Handler got its Closed.
func TestServerClose(t *testing.T) {
	h := newHost(t, outbox.Config{})
	s1, p1 := h.open(t)
	_, p2 := h.open(t) // does not read
	h.setup = func(p *probe) { p.onOpen = func(p *probe) { <-p.c.Done() } }
	opening := make(chan string, 1)
	go func() { // its Handler is at work
		_, resp := nodetest.TryStream(t, h.addr(), "/feed")
		text, _ := io.ReadAll(resp.Body)
		opening <- string(text)
	}()
	p3 := testkit.Receive(t, h.conns, "the third one")
	at := time.Now()
	h.sockets.Close()
	if d := time.Since(at); d > 2*time.Second {
		t.Errorf("took %s", d)
	}
	if end := s1.End(); end != "1001" {
		t.Errorf("the last comment is %q", end)
	}
	if text := testkit.Receive(t, opening, "the third answer"); !strings.HasSuffix(text, "\n\n: 1001\n\n") {
		t.Errorf("the third got %q", text)
	}
	for i, p := range []*probe{p1, p2, p3} {
		want := outbox.CloseInfo{Code: 1001, Why: outbox.WhyShutdown}
		if got := testkit.Receive(t, p.closed, "Closed"); got != want {
			t.Errorf("stream %d: %+v, want %+v", i+1, got, want)
		}
	}
}

// The Handler gets its calls though the server has no goroutines any more.
func TestStartAfterServerClose(t *testing.T) {
	h := newHost(t, outbox.Config{})
	h.setup = func(*probe) { h.sockets.Close() }
	_, resp := nodetest.TryStream(t, h.addr(), "/feed")
	if resp.StatusCode != 200 { // so that a browser comes back
		t.Errorf("status %d", resp.StatusCode)
	}
	p := testkit.Receive(t, h.conns, "the server's side")
	if got := testkit.Receive(t, p.closed, "Closed"); got.Why != outbox.WhyShutdown || p.Noted() != "open closed" {
		t.Errorf("%+v, calls %q", got, p.Noted())
	}
}
