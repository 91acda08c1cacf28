package wsconn

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"rollcall/outbox"
	"rollcall/testkit"
)

// TestHandshakes: RFC 6455, section 4.
func TestHandshakes(t *testing.T) {
	key := "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	tests := map[string]struct {
		old, new string // what is changed in a good request
		early    string // sent with it
		status   int    // of the answer
		says     string // in its body
	}{
		"good, for a control": {status: 101},
		"plain GET":           {old: "Connection: Upgrade\r\nUpgrade: websocket\r\n", status: 400},
		"other upgrade":       {old: "Upgrade: websocket", new: "Upgrade: h2c", status: 400},
		"POST":                {old: "GET /x", new: "POST /x", status: 405},
		"other version":       {old: "Version: 13", new: "Version: 8", status: 426},
		"no version":          {old: "Sec-WebSocket-Version: 13\r\n", status: 400},
		"no key":              {old: key, status: 400},
		"short key":           {old: "dGhlIHNhbXBsZSBub25jZQ==", new: "c2hvcnQ=", status: 400},
		"key is no base64":    {old: "dGhlIHNhbXBsZSBub25jZQ==", new: "!!!!", status: 400},

		"empty elements of Connection": {old: "Connection: Upgrade", new: "Connection: , ,Upgrade", status: 101},
		"empty elements behind": {old: "Connection: Upgrade", new: "Connection: keep-alive, , Upgrade,",
			status: 101},
		"empty elements of Upgrade": {old: "Upgrade: websocket", new: "Upgrade: ,websocket", status: 101},
		"Connection twice": {old: "Connection: Upgrade", new: "Connection:\r\nConnection: upgrade",
			status: 101},
		"nothing but empty elements":    {old: "Connection: Upgrade", new: "Connection: , ,", status: 400},
		"a word that has upgrade in it": {old: "Connection: Upgrade", new: "Connection: no-upgrade", status: 400},
		"HTTP/1.0, as of an old nginx":  {old: "HTTP/1.1", new: "HTTP/1.0", status: 101},
		"two keys": {old: key, new: key + key,
			status: 400, says: "more than one Sec-WebSocket-Key"},
		"two keys that differ": {old: key, new: key + "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n",
			status: 400, says: "more than one"},
		"a frame with the handshake": {early: string(frame(0x81, "early")), status: 400, says: "before the handshake"},
		"a byte with the handshake":  {early: "\x81", status: 400, says: "before the handshake"},
	}
	h := newHost(t, setup{})
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			resp := h.request(t, strings.Replace(upgradeRequest, tt.old, tt.new, 1)+tt.early)
			if resp.StatusCode != tt.status {
				t.Fatalf("status %d, want %d", resp.StatusCode, tt.status)
			}
			if tt.status == 101 {
				testkit.Receive(t, h.conns, "the server's side")
				if resp.Header.Get("X-From") != "the caller" {
					t.Error("the caller's header field was lost")
				}
				return
			}
			if tt.status == 426 && resp.Header.Get("Sec-Websocket-Version") != "13" {
				t.Error("the answer names no version")
			}
			if body, err := io.ReadAll(resp.Body); err != nil || !strings.Contains(string(body), tt.says) {
				t.Errorf("it says %q, %v; want %q", body, err, tt.says)
			}
		})
	}
}

func TestSubprotocol(t *testing.T) {
	tests := map[string]struct{ offered, option, want string }{
		"echoed":      {"rollcall, token", "rollcall", "rollcall"},
		"not offered": {"other", "rollcall", ""},
		"none wanted": {"rollcall", "", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			h := newHost(t, setup{})
			h.opt.Subprotocol = tt.option
			resp := h.request(t, strings.Replace(upgradeRequest, "\r\n\r\n",
				"\r\nSec-WebSocket-Protocol: "+tt.offered+"\r\n\r\n", 1))
			if got := resp.Header.Get("Sec-Websocket-Protocol"); resp.StatusCode != 101 || got != tt.want {
				t.Errorf("status %d, protocol %q, want %q", resp.StatusCode, got, tt.want)
			}
		})
	}
}

// TestHeaderFields: what the caller has set on the answer leaves with the upgrade.
func TestHeaderFields(t *testing.T) {
	s := newServer(t, Config{})
	h := &host{Server: s, http: httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Node", "n1")
		_, _ = s.Accept(w, r, Options{})
	}))}
	defer h.http.Close()
	if resp := h.request(t, upgradeRequest); resp.StatusCode != 101 || resp.Header.Get("X-Node") != "n1" {
		t.Errorf("status %d, header %v", resp.StatusCode, resp.Header)
	}
}

func TestCompressionIsNotNegotiated(t *testing.T) {
	h := newHost(t, setup{})
	resp := h.request(t, strings.Replace(upgradeRequest, "\r\n\r\n",
		"\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n", 1))
	if got := resp.Header.Get("Sec-Websocket-Extensions"); resp.StatusCode != 101 || got != "" {
		t.Errorf("status %d, extensions %q", resp.StatusCode, got)
	}
}

func TestOptions(t *testing.T) {
	h := newHost(t, setup{limits: Config{MaxMessage: 10}})
	h.opt = Options{ID: "the id", MaxMessage: 20}
	c, p := h.dial(t)
	if p.c.ID() != "the id" || p.c.RemoteAddr().String() != c.LocalAddr().String() {
		t.Errorf("id %q, address %s", p.c.ID(), p.c.RemoteAddr())
	}
	c.text(strings.Repeat("x", 20))
	testkit.Receive(t, p.messages, "a message of the connection's own limit")
	n := 0
	h.sockets.Each(func(got *outbox.Conn) {
		if got == &p.c.Conn {
			n++
		}
	})
	if n != 1 || h.sockets.Len() != 1 {
		t.Errorf("found %d times among %d", n, h.sockets.Len())
	}
}

func TestAcceptAfterClose(t *testing.T) {
	h := newHost(t, setup{})
	h.sockets.Close()
	if resp := h.request(t, upgradeRequest); resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("status %d", resp.StatusCode)
	}
}

func TestAcceptWithoutHijack(t *testing.T) {
	s := newServer(t, Config{})
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(upgradeRequest)))
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	if _, err := s.Accept(w, r, Options{}); err == nil || w.Code != http.StatusInternalServerError {
		t.Errorf("status %d, %v", w.Code, err)
	}
}

// pipes is a listener of connections without any buffer.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}
func (p *pipes) Close() error   { close(p.closed); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

// TestHandshakeTimeout: Config.HandshakeTimeout bounds the write of the answer to a client that does not take it.
func TestHandshakeTimeout(t *testing.T) {
	s := newServer(t, Config{HandshakeTimeout: 50 * time.Millisecond})
	accepted := make(chan error, 1)
	l := &pipes{conns: make(chan net.Conn, 1), closed: make(chan struct{})}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, err := s.Accept(w, r, Options{})
		accepted <- err
	})}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	defer func() { _ = server.Close(); <-served }()
	client, conn := net.Pipe()
	defer client.Close()
	l.conns <- conn
	if _, err := io.WriteString(client, upgradeRequest); err != nil {
		t.Fatal(err)
	}
	if err := testkit.Receive(t, accepted, "Accept"); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Accept: %v", err)
	}
	if n := s.sockets.Len(); n != 0 {
		t.Errorf("%d connections", n)
	}
	_ = client.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := client.Read(make([]byte, 1)); err != io.EOF && err != io.ErrClosedPipe {
		t.Errorf("the socket is not closed: %v", err)
	}
}

// TestNeverStarted: a connection that is accepted only does not keep Close from returning.
func TestNeverStarted(t *testing.T) {
	s := newServer(t, Config{})
	accepted := make(chan error, 1)
	hs := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, err := s.Accept(w, r, Options{})
		accepted <- err
	}))
	defer hs.Close()
	nc, err := net.Dial("tcp", hs.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if _, err := io.WriteString(nc, upgradeRequest); err != nil {
		t.Fatal(err)
	}
	if err := testkit.Receive(t, accepted, "Accept"); err != nil {
		t.Fatal(err)
	}
	s.sockets.Close()
	if s.sockets.Len() != 0 {
		t.Errorf("%d connections", s.sockets.Len())
	}
	if _, err := io.Copy(io.Discard, nc); err != nil && !errors.Is(err, net.ErrClosed) &&
		!strings.Contains(err.Error(), "reset") {
		t.Error(err)
	}
}

// request sends a request as it is and returns the answer.
func (h *host) request(t *testing.T, req string) *http.Response {
	t.Helper()
	nc, err := net.Dial("tcp", h.http.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	if _, err := io.WriteString(nc, req); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(nc), nil)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}
