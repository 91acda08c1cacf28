package sse

import (
	"bufio"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"rollcall/outbox"
	"rollcall/testkit"
	"rollcall/testkit/nodetest"
)

// SPEC 8: "`retry` 2 s with jitter", "headers that keep proxies from buffering"
func TestHeader(t *testing.T) {
	h := newHost(t, outbox.Config{})
	retries := map[string]bool{}
	for range 20 {
		s, p := h.open(t)
		p.send(t, "x")
		s.Expect("x")
		for name, want := range map[string]string{"Content-Type": "text/event-stream", "Connection": "",
			"Cache-Control": "no-store, no-transform", "X-Accel-Buffering": "no", "X-From": "the caller",
			"Content-Length": "", "Transfer-Encoding": ""} {
			if got := s.Header.Get(name); got != want { // the end of the connection ends the stream; net/http takes that away
				t.Errorf("%s: %q, want %q", name, got, want)
			}
		}
		if at, err := time.Parse(http.TimeFormat, s.Header.Get("Date")); err != nil || time.Since(at) > time.Minute {
			t.Errorf("Date: %v, %v", at, err)
		}
		if ms, err := strconv.Atoi(s.Retry); err != nil || ms < 1000 || ms > 3000 {
			t.Errorf("retry: %q", s.Retry)
		}
		retries[s.Retry] = true
		if p.c.RemoteAddr().String() != s.Conn.LocalAddr().String() {
			t.Errorf("the address is %s", p.c.RemoteAddr())
		}
	}
	if len(retries) < 5 {
		t.Errorf("20 streams were asked to wait for %v", retries)
	}
}

// Accept's own refusals. Nobody is counted, and nothing is left.
func TestNotAccepted(t *testing.T) {
	for name, tt := range map[string]struct {
		request string
		status  int
		err     error
	}{
		"a body":            {request + "Content-Length: 3\r\n\r\nabc", 400, errBody},
		"a body in chunks":  {request + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", 400, errBody},
		"a body to come":    {request + "Content-Length: 3\r\n\r\n", 400, errBody},
		"chunks to come":    {request + "Transfer-Encoding: chunked\r\n\r\n", 400, errBody},
		"another request":   {request + "\r\n" + request + "\r\n", 400, errBody},
		"bytes behind":      {request + "\r\nx", 400, errBody},
		"the node has gone": {request + "\r\n", 503, outbox.ErrServerClosed},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t, outbox.Config{})
			if tt.status == http.StatusServiceUnavailable {
				h.sockets.Close()
			}
			_, resp := nodetest.StreamBy(t, h.addr(), tt.request)
			if err := testkit.Receive(t, h.accepted, "Accept"); resp.StatusCode != tt.status || !errors.Is(err, tt.err) {
				t.Errorf("status %d, %v", resp.StatusCode, err)
			}
			if resp.Header.Get("X-From") != "the caller" || h.count.Load() != 0 || h.sockets.Opened() != 0 {
				t.Errorf("header %v, %d streams, %d sockets", resp.Header, h.count.Load(), h.sockets.Opened())
			}
			if tt.status == http.StatusBadRequest && !resp.Close {
				t.Error("the connection may be used again")
			}
		})
	}
}

func TestAcceptWithoutHijack(t *testing.T) {
	h := newHost(t, outbox.Config{})
	w := httptest.NewRecorder()
	if _, err := h.Accept(w, httptest.NewRequest(http.MethodGet, "/feed", nil), h.opt); err == nil ||
		w.Code != http.StatusInternalServerError {
		t.Errorf("status %d, %v", w.Code, err)
	}
}

// Nodes offer HTTP/1.1 alone: a stream of HTTP/2 has no socket of its own.
func TestHTTP2(t *testing.T) {
	h := newHostUnstarted(t, outbox.Config{})
	h.http.EnableHTTP2 = true
	h.http.StartTLS()
	resp, err := h.http.Client().Get(h.http.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.ProtoMajor != 2 || resp.StatusCode != http.StatusInternalServerError {
		t.Errorf("%s: %s", resp.Proto, resp.Status)
	}
}

// By TLS a stream reads through it, since the socket has ciphertext.
func TestTLS(t *testing.T) {
	h := newHostUnstarted(t, outbox.Config{Ping: quick})
	h.http.StartTLS()
	get := func() (*http.Response, *bufio.Reader, *probe) {
		resp, err := h.http.Client().Get(h.http.URL)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = resp.Body.Close() })
		return resp, bufio.NewReader(resp.Body), testkit.Receive(t, h.conns, "the server's side")
	}
	until := func(r *bufio.Reader, want string) {
		t.Helper()
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				t.Fatalf("%q, want %q: %v", line, want, err)
			}
			if line == want+"\n" {
				return
			}
		}
	}
	_, body, p := get()
	p.send(t, "a\nb")
	until(body, "data: a")
	until(body, "data: b")
	until(body, ":") // a ping
	p.c.Close(1000, "done")
	until(body, ": 1000 done")
	if rest, err := io.ReadAll(body); err != nil || string(rest) != "\n" {
		t.Errorf("after the end: %q %v", rest, err)
	}
	if got := testkit.Receive(t, p.closed, "Closed"); got != (outbox.CloseInfo{Code: 1000, Reason: "done",
		Why: outbox.WhyServer}) {
		t.Errorf("%+v", got)
	}

	resp, _, p := get()
	_ = resp.Body.Close() // the client goes
	if got := testkit.Receive(t, p.closed, "Closed"); got.Code != 1006 || got.Why != outbox.WhyDropped {
		t.Errorf("%+v", got)
	}
}

// A connection that is accepted only does not keep Close from returning.
func TestNeverStarted(t *testing.T) {
	h := newHost(t, outbox.Config{})
	h.http.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, err := h.Accept(w, r, h.opt)
		h.accepted <- err
	})
	answered := make(chan string, 1)
	go func() {
		_, resp := nodetest.TryStream(t, h.addr(), "/feed")
		text, _ := io.ReadAll(resp.Body)
		answered <- string(text)
	}()
	if err := testkit.Receive(t, h.accepted, "Accept"); err != nil {
		t.Fatal(err)
	}
	h.sockets.Close()
	if text := testkit.Receive(t, answered, "the end"); !strings.HasSuffix(text, ": 1001\n\n") || h.sockets.Len() != 0 {
		t.Errorf("%q, %d connections", text, h.sockets.Len())
	}
	h.count.Store(0) // what is never started is not counted off
}

func TestWanted(t *testing.T) {
	for accept, want := range map[string]bool{"text/event-stream": true, "": false, "*/*": false,
		"text/html, Text/Event-Stream;q=0.9": true, "text/event-streams": false, "text/plain, */*": false} {
		if got := Wanted(&http.Request{Header: http.Header{"Accept": {accept}}}); got != want {
			t.Errorf("%q: %v", accept, got)
		}
	}
	if !Wanted(&http.Request{Header: http.Header{"Accept": {"text/html", "text/event-stream"}}}) {
		t.Error("in a second header field")
	}
}

// A client that has come at a bad moment is asked to come again, not before the moment is over.
func TestLater(t *testing.T) {
	for _, wait := range []time.Duration{0, time.Second, 10 * time.Second} {
		w := httptest.NewRecorder()
		Later(w, wait, http.StatusServiceUnavailable, "too many\nconnections")
		line, rest, _ := strings.Cut(w.Body.String(), "\n")
		ms, err := strconv.Atoi(strings.TrimPrefix(line, "retry: "))
		least := max(wait, retry).Milliseconds()
		if err != nil || int64(ms) < least/2 || int64(ms) > least/2*3 || rest != ": 503 too many connections\n\n" {
			t.Errorf("after %s: %q", wait, w.Body)
		}
		if w.Code != http.StatusOK || w.Header().Get("Content-Type") != ContentType ||
			w.Header().Get("X-Accel-Buffering") != "no" {
			t.Errorf("status %d, %v", w.Code, w.Header())
		}
	}
}
