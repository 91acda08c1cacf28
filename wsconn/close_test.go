package wsconn

import (
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"rollcall/outbox"
	"rollcall/testkit"
)

// TestEnds: SPEC 3, linger of presence: "a connection that dropped without a close handshake, or closed with
// 1001 …; 1000 … leave at once". outbox.CloseInfo tells them apart.
func TestEnds(t *testing.T) {
	tests := map[string]struct {
		end  func(c *client, p *probe)
		want outbox.CloseInfo
	}{
		"client 1000": {
			func(c *client, _ *probe) { c.write(frame(0x88, closeBody(1000, ""))); c.wantClose(1000); c.wantEOF() },
			outbox.CloseInfo{Code: 1000, Clean: true, ByPeer: true, Why: outbox.WhyPeer}},
		"client 1000, does not wait": {
			func(c *client, _ *probe) { c.write(frame(0x88, closeBody(1000, ""))); c.Close() },
			outbox.CloseInfo{Code: 1000, Clean: true, ByPeer: true, Why: outbox.WhyPeer}},
		"client 1001": {
			func(c *client, _ *probe) { c.write(frame(0x88, closeBody(1001, "reload"))); c.wantClose(1001) },
			outbox.CloseInfo{Code: 1001, Reason: "reload", Clean: true, ByPeer: true, Why: outbox.WhyPeer}},
		"client without a code": {
			func(c *client, _ *probe) { c.write(frame(0x88, "")); c.wantClose(outbox.CodeNoStatus); c.wantEOF() },
			outbox.CloseInfo{Code: 1005, Clean: true, ByPeer: true, Why: outbox.WhyPeer}},
		"end of stream": {
			func(c *client, _ *probe) { c.Close() },
			outbox.CloseInfo{Code: 1006, ByPeer: true, Why: outbox.WhyDropped}},
		"end of stream in a frame": {
			func(c *client, _ *probe) { c.write(frame(0x81, "hello")[:5]); c.Close() },
			outbox.CloseInfo{Code: 1006, ByPeer: true, Why: outbox.WhyDropped}},
		"half close": {
			func(c *client, _ *probe) { _ = c.Conn.(*net.TCPConn).CloseWrite(); c.wantEOF() },
			outbox.CloseInfo{Code: 1006, ByPeer: true, Why: outbox.WhyDropped}},
		"reset": {
			func(c *client, _ *probe) { _ = c.Conn.(*net.TCPConn).SetLinger(0); c.Close() },
			outbox.CloseInfo{Code: 1006, ByPeer: true, Why: outbox.WhyDropped}},
		"1000, then a reset found by a write": {
			func(c *client, p *probe) {
				release := make(chan struct{})
				p.onMessage = func(*probe, string) { <-release }
				c.text("block")
				c.write(frame(0x88, closeBody(1000, "")))
				c.Close()
				for p.c.Send(TextString("to nobody")) == nil {
					time.Sleep(time.Millisecond)
				}
				close(release)
			},
			outbox.CloseInfo{Code: 1000, Clean: true, ByPeer: true, Why: outbox.WhyPeer}},
		"server": {
			func(c *client, p *probe) {
				p.c.Close(4403, "no")
				p.c.Close(1000, "too late")
				c.wantClose(4403)
				c.write(frame(0x88, closeBody(4403, "")))
				c.wantEOF()
			},
			outbox.CloseInfo{Code: 4403, Reason: "no", Clean: true, Why: outbox.WhyServer}},
		"server, client drops": {
			func(c *client, p *probe) { p.c.Close(1000, ""); c.wantClose(1000); c.Close() },
			outbox.CloseInfo{Code: 1000, Why: outbox.WhyServer}},
		"server, client does not answer": {
			func(c *client, p *probe) { p.c.Close(1000, ""); c.wantClose(1000); c.wantEOF() },
			outbox.CloseInfo{Code: 1000, Why: outbox.WhyServer}},
		"server, code that cannot be sent": {
			func(c *client, p *probe) { p.c.Close(1006, ""); c.wantClose(1011); c.Close() },
			outbox.CloseInfo{Code: 1011, Why: outbox.WhyServer}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			h := newHost(t, setup{})
			c, p := h.dial(t)
			<-p.opened
			tt.end(c, p)
			testkit.Receive(t, p.c.Done(), "Done")
			if got := testkit.Receive(t, p.closed, "Closed"); got != tt.want {
				t.Errorf("%+v, want %+v", got, tt.want)
			}
			if err := p.c.Send(TextString("x")); !errors.Is(err, outbox.ErrClosed) {
				t.Errorf("Send after the end: %v", err)
			}
			p.c.Close(1000, "")
			h.sockets.Close()
			if h.sockets.Len() != 0 || len(h.log.closed) != 1 || len(p.closed) != 0 || !strings.HasSuffix(p.Noted(), "closed") {
				t.Errorf("%d connections, %v, %d more Closed, calls %s", h.sockets.Len(), h.log.closed, len(p.closed), p.Noted())
			}
			check(t, &p.c.Conn)
			check(t, h.sockets)
		})
	}
}

// TestCloseAfterQueued: the close frame leaves after everything queued, also when that takes the client longer
// than the second it has for its answer.
func TestCloseAfterQueued(t *testing.T) {
	h := newHost(t, setup{Config: outbox.Config{SendQueue: 64 << 20}, buffers: 512 << 10})
	c, p := h.dial(t)
	big := strings.Repeat("x", 256<<10)
	const n = 20 // more than the kernel's buffers take
	for range n {
		if err := p.c.Send(TextString(big)); err != nil {
			t.Fatal(err)
		}
	}
	p.c.Close(1000, "")
	for i := range n {
		if i < 5 {
			time.Sleep(300 * time.Millisecond) // slow, but it takes
		}
		c.wantText(big)
	}
	c.wantClose(1000)
	c.write(frame(0x88, closeBody(1000, "")))
	if got := testkit.Receive(t, p.closed, "Closed"); !got.Clean {
		t.Errorf("%+v", got)
	}
}

// TestNoMessageAfterClose: what comes after Close is read only for the answer.
func TestNoMessageAfterClose(t *testing.T) {
	h := newHost(t, setup{})
	h.setup = func(p *probe) {
		p.onMessage = func(p *probe, s string) { p.c.Close(1000, "") }
	}
	c, p := h.dial(t)
	c.write([]byte(strings.Repeat(string(frame(0x81, "m")), 3)))
	c.wantClose(1000)
	c.write(frame(0x88, closeBody(1000, "")))
	if got := testkit.Receive(t, p.closed, "Closed"); !got.Clean {
		t.Errorf("%+v", got)
	}
	if got := p.Noted(); got != "open message closed" {
		t.Errorf("calls %q", got)
	}
}

// TestSlow: SPEC 4, "1013 too slow … sent if it can be written within 1 s, else the socket is reset"; SPEC 5.5,
// "Bounded queues everywhere; the slow consumer is closed (1013)".
func TestSlow(t *testing.T) {
	const queue = 256 << 10
	fill := func(t *testing.T, p *probe, f outbox.Frame) time.Time {
		for {
			switch err := p.c.Send(f); {
			case errors.Is(err, outbox.ErrSlow):
				check(t, &p.c.Conn)
				return time.Now()
			case err != nil:
				t.Fatal(err)
			}
			check(t, &p.c.Conn)
		}
	}
	t.Run("never reads", func(t *testing.T) {
		h := newHost(t, setup{Config: outbox.Config{SendQueue: queue}})
		_, p := h.dial(t)
		at := fill(t, p, TextString(strings.Repeat("x", 1000)))
		testkit.Receive(t, p.c.Done(), "Done")
		if got, want := testkit.Receive(t, p.closed,
			"Closed"), (outbox.CloseInfo{Code: 1013, Reason: "too slow", Why: outbox.WhySlow}); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
		if d := time.Since(at); d > 1500*time.Millisecond {
			t.Errorf("reset after %s", d)
		}
	})
	t.Run("never reads while the Handler is at work", func(t *testing.T) {
		h := newHost(t, setup{Config: outbox.Config{SendQueue: queue}})
		h.setup = func(p *probe) {
			p.onMessage = func(p *probe, _ string) {
				fill(t, p, TextString(strings.Repeat("x", 1000)))
				<-p.c.Done()
				for h.sockets.Len() > 0 { // the socket is reset though nobody reads
					time.Sleep(time.Millisecond)
				}
			}
		}
		c, p := h.dial(t)
		c.text("go")
		if got := testkit.Receive(t, p.closed, "Closed"); got.Code != 1013 {
			t.Errorf("%+v", got)
		}
	})
	t.Run("reads again in time", func(t *testing.T) {
		h := newHost(t, setup{Config: outbox.Config{SendQueue: queue}})
		c, p := h.dial(t)
		fill(t, p, TextString(strings.Repeat("x", 1000)))
		c.wantClose(1013)
		c.write(frame(0x88, closeBody(1013, "")))
		if got := testkit.Receive(t, p.closed, "Closed"); got.Code != 1013 || !got.Clean || got.Why != outbox.WhySlow {
			t.Errorf("%+v", got)
		}
	})
	t.Run("a frame beyond the queue has others after it", func(t *testing.T) {
		h := newHost(t, setup{Config: outbox.Config{SendQueue: 2000}})
		c, p := h.dial(t)
		texts := []string{"before", strings.Repeat("x", 4<<20)}
		for i := range 10 {
			texts = append(texts, strings.Repeat("y", i))
		}
		for _, text := range texts {
			if err := p.c.Send(TextString(text)); err != nil {
				t.Fatal(err)
			}
			check(t, &p.c.Conn)
		}
		for _, text := range texts {
			c.wantText(text)
		}
	})
	t.Run("one frame beyond the queue", func(t *testing.T) {
		h := newHost(t, setup{Config: outbox.Config{SendQueue: 100}})
		c, p := h.dial(t)
		big := strings.Repeat("x", 1<<20)
		if err := p.c.Send(TextString(big)); err != nil {
			t.Fatal(err)
		}
		c.wantText(big)
	})
}

// TestServerClose: after Close no goroutine is left (TestMain) and every Handler got its Closed.
func TestServerClose(t *testing.T) {
	h := newHost(t, setup{})
	c1, p1 := h.dial(t)
	go func() {
		for {
			op, body, err := c1.next()
			if err != nil {
				return
			}
			if op == opClose {
				_, _ = c1.Write(frame(0x88, body))
			}
		}
	}()
	_, p2 := h.dial(t) // does not answer
	h.setup = func(p *probe) { p.onMessage = func(p *probe, _ string) { <-p.c.Done() } }
	c3, p3 := h.dial(t) // its Handler is at work
	c3.text("block")
	at := time.Now()
	h.sockets.Close()
	if d := time.Since(at); d > 2*time.Second {
		t.Errorf("took %s", d)
	}
	for i, p := range []*probe{p1, p2, p3} {
		want := outbox.CloseInfo{Code: 1001, Clean: i == 0, Why: outbox.WhyShutdown}
		if got := testkit.Receive(t, p.closed, "Closed"); got != want {
			t.Errorf("connection %d: %+v, want %+v", i+1, got, want)
		}
	}
	h.sockets.Close()
}

// TestStartAfterServerClose: the Handler gets its calls though the server has no goroutines any more.
func TestStartAfterServerClose(t *testing.T) {
	h := newHost(t, setup{})
	h.setup = func(p *probe) { h.sockets.Close() }
	nc, err := net.Dial("tcp", h.http.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_, p := h.upgrade(t, nc)
	if got := testkit.Receive(t, p.closed, "Closed"); got.Why != outbox.WhyShutdown {
		t.Errorf("%+v", got)
	}
	if p.Noted() != "open closed" || h.sockets.Len() != 0 {
		t.Errorf("calls %q, %d connections", p.Noted(), h.sockets.Len())
	}
}
