package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"rollcall/cluster"
	"rollcall/testkit"
	"rollcall/testkit/nodetest"
)

// short is for tests.
var short = timeouts{header: 300 * time.Millisecond, request: 600 * time.Millisecond, answer: 7 * time.Second,
	idle: 500 * time.Millisecond}

// rawClient is a TCP connection to a node.
type rawClient struct {
	t *testing.T
	net.Conn
	r *bufio.Reader
}

func dialRaw(t *testing.T, addr string) *rawClient {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(nodetest.Timeout))
	return &rawClient{t, conn, bufio.NewReader(conn)}
}

// say writes what the node may not take to its end.
func (c *rawClient) say(text string) *rawClient {
	_, _ = io.WriteString(c, text)
	return c
}

// answer is the status of the next answer, 0 when the connection ends instead.
func (c *rawClient) answer() int {
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil {
		return 0
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	return resp.StatusCode
}

// expectEnd reads to the end, which must come between two times from now.
func (c *rawClient) expectEnd(what string, least, most time.Duration) {
	c.t.Helper()
	began := time.Now()
	_, err := io.Copy(io.Discard, c.r)
	if ne, ok := err.(net.Error); ok && ne.Timeout() {
		c.t.Fatalf("%s: the connection stays open", what)
	}
	if took := time.Since(began); took < least || took > most {
		c.t.Errorf("%s: it ended after %v, want %v to %v", what, took, least, most)
	}
}

const busy = 2 * time.Second // what a busy machine may add

// Each wait for a client that speaks HTTP is bounded, and the bounds do not touch WebSockets.
func TestPatience(t *testing.T) {
	cert := nodetest.NewCertificate(t)
	dir := write(t, map[string]string{
		"config/routes.lua": `router_websocket("/ws", "h#ws") router_post("/post", "h#post")`,
		"handlers/h.lua":    `function ws(e) if e.type == "message" then return { send = e.message } end end function post(r) return r.body end`,
		"public/big":        strings.Repeat("x", 32<<20),
		"crt":               string(cert.Cert), "key": string(cert.Key),
	})
	run := func(args ...string) string {
		cfg := configOf(t, append([]string{"--app", dir, "--drain", "0s", "--api-key", "k"}, args...)...)
		cfg.timeouts = short
		n, err := start(t.Context(), cfg, cluster.NewProcess(), slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(n.close)
		return n.ln.Addr().String()
	}
	addr := run()
	secure := run("--tls-cert", filepath.Join(dir, "crt"), "--tls-key", filepath.Join(dir, "key"))
	const post = "POST %s HTTP/1.1\r\nHost: x\r\nX-Api-Key: k\r\nContent-Length: 100\r\n\r\nhalf of it"
	t.Run("waits", func(t *testing.T) {
		t.Run("header that never ends", func(t *testing.T) {
			t.Parallel()
			dialRaw(t, addr).say("GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ").expectEnd("header", short.header/2, short.header+busy)
		})
		t.Run("header that never begins", func(t *testing.T) {
			t.Parallel()
			dialRaw(t, addr).expectEnd("connection", short.header/2, short.header+busy)
		})
		t.Run("handshake that never begins", func(t *testing.T) {
			t.Parallel()
			dialRaw(t, secure).expectEnd("TLS handshake", short.header/2, short.header+busy)
		})
		t.Run("header within TLS", func(t *testing.T) {
			t.Parallel()
			c := dialRaw(t, secure)
			inner := tls.Client(c.Conn, &tls.Config{RootCAs: cert.Pool, ServerName: "127.0.0.1"})
			c.Conn, c.r = inner, bufio.NewReader(inner)
			c.say("GET / HTTP/1.1\r\n").expectEnd("header", short.header/2, short.header+busy)
		})
		t.Run("body that never comes", func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			c := dialRaw(t, addr).say(fmt.Sprintf(post, "/post"))
			if got := c.answer(); got != http.StatusRequestTimeout || time.Since(began) < short.request/2 {
				t.Errorf("%d after %v", got, time.Since(began))
			}
			c.expectEnd("and then", 0, busy)
		})
		t.Run("body of the API", func(t *testing.T) {
			t.Parallel()
			c := dialRaw(t, addr).say(fmt.Sprintf(post, "/_api/broadcast")) // after 5 s, huma's own bound
			if got := c.answer(); got != http.StatusRequestTimeout {
				t.Errorf("it answers %d", got)
			}
			c.expectEnd("and then", 0, busy)
		})
		t.Run("body of a script that is put", func(t *testing.T) {
			t.Parallel()
			c := dialRaw(t, addr).say(fmt.Sprintf(post, "/_api/custom/db/x"))
			if got := c.answer(); got != http.StatusRequestTimeout {
				t.Errorf("it answers %d", got)
			}
			c.expectEnd("and then", 0, busy)
		})
		t.Run("body that nobody reads", func(t *testing.T) {
			t.Parallel()
			c := dialRaw(t, addr).say(fmt.Sprintf(post, "/healthz"))
			if got := c.answer(); got != http.StatusMethodNotAllowed {
				t.Errorf("it answers %d", got)
			}
			c.expectEnd("body", 0, short.request+busy)
		})
		t.Run("answer that nobody takes", func(t *testing.T) {
			t.Parallel()
			c := dialRaw(t, addr)
			c.say("GET /big HTTP/1.1\r\nHost: x\r\n\r\n")
			time.Sleep(short.answer + 200*time.Millisecond) // for as long it takes nothing
			n, err := io.Copy(io.Discard, c.r)
			if ne, ok := err.(net.Error); ok && ne.Timeout() || n >= 32<<20 {
				t.Errorf("%d bytes came: %v", n, err)
			}
		})
		t.Run("next request", func(t *testing.T) {
			t.Parallel()
			c := dialRaw(t, addr).say("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
			if got := c.answer(); got != http.StatusOK {
				t.Errorf("it answers %d", got)
			}
			c.expectEnd("idle", short.idle/2, short.idle+busy)
		})
		t.Run("WebSockets have no such bound", func(t *testing.T) {
			t.Parallel()
			var all []*websocket.Conn
			for _, url := range []string{"ws://" + addr + "/ws", "wss://" + secure + "/ws"} {
				c, _, err := (&websocket.Dialer{TLSClientConfig: &tls.Config{RootCAs: cert.Pool}}).Dial(url, nil)
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				all = append(all, c)
			}
			time.Sleep(short.answer + time.Second) // that nothing happens cannot be waited for otherwise
			for _, c := range all {
				if err := c.WriteMessage(websocket.TextMessage, []byte("still here")); err != nil {
					t.Error(err)
				}
				_ = c.SetReadDeadline(time.Now().Add(nodetest.Timeout))
				if _, got, err := c.ReadMessage(); string(got) != "still here" {
					t.Errorf("%q, %v", got, err)
				}
			}
		})
	})
}

// Clients that never finish their header (slowloris) hold nobody up, and go.
func TestSlowHeaders(t *testing.T) {
	cfg := configOf(t, "--app", testApp, "--drain", "0s")
	cfg.timeouts = timeouts{header: 2 * time.Second}
	n, err := start(t.Context(), cfg, cluster.NewProcess(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.close)
	addr := n.ln.Addr().String()
	testkit.Within(t, "readiness", nodetest.Timeout, func() bool { return n.ready() == nil })
	began := time.Now()
	var slow []*rawClient
	for range 300 {
		slow = append(slow, dialRaw(t, addr).say("GET /ws/do HTTP/1.1\r\nHost: x\r\n"))
	}
	for i := 0; time.Since(began) < cfg.timeouts.header+busy/2; i++ {
		for _, c := range slow {
			c.say(fmt.Sprintf("X-%d: %d\r\n", i, i))
		}
		asked := time.Now()
		c := nodetest.Dial(t, addr, "/ws/do")
		c.Act(`{}`)
		if took := time.Since(asked); took > busy {
			t.Errorf("another client waited %v", took)
		}
		c.Drop()
	}
	for _, c := range slow {
		c.expectEnd("slow header", 0, busy)
	}
}

// SPEC 3 has no row for it, docs/operating.md has: a header of 64 KiB is taken, a longer one answered with 431.
func TestHeaderSize(t *testing.T) {
	n := startHere(t, "--app", testApp, "--drain", "0s")
	for size, want := range map[int]int{maxHeader: http.StatusOK,
		maxHeader + 8<<10: http.StatusRequestHeaderFieldsTooLarge, 1 << 20: http.StatusRequestHeaderFieldsTooLarge} {
		var head bytes.Buffer
		head.WriteString("GET /healthz HTTP/1.1\r\nHost: x\r\nX-Large: ")
		head.Write(bytes.Repeat([]byte("x"), size-head.Len()-4))
		head.WriteString("\r\n\r\n")
		c := dialRaw(t, n.addr)
		go c.say(head.String()) // it may be cut off
		if got := c.answer(); got != want {
			t.Errorf("a header of %d bytes: %d, want %d", size, got, want)
		}
	}
}

// What is not said is as documented.
func TestTimeoutDefaults(t *testing.T) {
	s := newHTTP(nil, &door{}, timeouts{}, slog.New(slog.DiscardHandler))
	if s.ReadHeaderTimeout != 5*time.Second || s.ReadTimeout != 30*time.Second || s.WriteTimeout != 2*time.Minute ||
		s.IdleTimeout != time.Minute || s.MaxHeaderBytes != 64<<10 {
		t.Errorf("%+v", s)
	}
	text, err := os.ReadFile("../../docs/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []string{"header of a request | 64 KiB | 431", "time for a header | 5 s |",
		"time for a header and its body | 30 s, of `/_api` 5 s |", "time for a TLS handshake | 5 s |",
		"time for an answer to be taken | 2 min |", "an idle HTTP connection | 60 s |"} {
		if !strings.Contains(string(text), row) {
			t.Errorf("docs/operating.md lacks %q", row)
		}
	}
}
