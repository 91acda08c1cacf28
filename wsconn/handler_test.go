package wsconn

import (
	"errors"
	"strings"
	"testing"
	"time"

	"rollcall/outbox"
	"rollcall/testkit"
)

// quick is a ping interval for tests.
const quick = 60 * time.Millisecond

// TestDeadPeer: SPEC 3, "--ping: two unanswered: dead".
func TestDeadPeer(t *testing.T) {
	t.Run("says nothing", func(t *testing.T) {
		h := newHost(t, setup{Config: outbox.Config{Ping: quick}})
		c, p := h.dial(t)
		want := outbox.CloseInfo{Code: 1006, ByPeer: true, Why: outbox.WhyDead}
		if got := testkit.Receive(t, p.closed, "Closed"); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
		for i := range 2 {
			if op, _, err := c.next(); err != nil || op != opPing {
				t.Fatalf("ping %d: %d %v", i+1, op, err)
			}
		}
		if op, _, err := c.next(); err == nil {
			t.Errorf("frame %d after two pings", op)
		}
		testkit.Receive(t, p.c.Done(), "Done")
	})
	for name, answer := range map[string][]byte{
		"answers":                                  frame(0x8a, ""),
		"does not answer but sends messages":       frame(0x81, "alive"),
		"does not answer but sends half a message": frame(0x01, "ali"),
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t, setup{Config: outbox.Config{Ping: quick}})
			c, p := h.dial(t)
			for range 5 {
				if op, _, err := c.next(); err != nil || op != opPing {
					t.Fatalf("%d %v", op, err)
				}
				c.write(answer)
				if answer[0] == 0x01 {
					answer = frame(0x00, "ve") // the half message goes on
				}
			}
			if len(p.closed) > 0 {
				t.Errorf("%+v", <-p.closed)
			}
		})
	}
	t.Run("no pings", func(t *testing.T) {
		h := newHost(t, setup{Config: outbox.Config{Ping: -1}})
		c, p := h.dial(t)
		c.text("x")
		testkit.Receive(t, p.messages, "the message")
		_ = p.c.Send(TextString("last"))
		c.wantText("last") // and no ping before it
	})
}

// TestHandlerAtWork: a Handler that blocks is no dead peer, and gets what waited in the socket.
func TestHandlerAtWork(t *testing.T) {
	h := newHost(t, setup{Config: outbox.Config{Ping: quick}, limits: Config{MessageRate: 10}})
	release := make(chan struct{})
	h.setup = func(p *probe) {
		p.onMessage = func(_ *probe, s string) {
			if s == "text:block" {
				<-release
			}
		}
	}
	c, p := h.dial(t)
	c.text("block")
	for range 6 {
		if op, _, err := c.next(); err != nil || op != opPing {
			t.Fatalf("%d %v", op, err)
		}
		c.text("waits")
	}
	close(release)
	for range 7 {
		testkit.Receive(t, p.messages, "message")
	}
	if len(p.closed) > 0 {
		t.Errorf("%+v", <-p.closed)
	}
}

// TestHandlerLearnsOfEnd: Done is closed while the Handler is at work, so that it can return.
func TestHandlerLearnsOfEnd(t *testing.T) {
	tests := map[string]func(c *client, p *probe){
		"Close":          func(_ *client, p *probe) { p.c.Close(1000, "") },
		"client is gone": func(c *client, _ *probe) { c.Close() },
	}
	for name, end := range tests {
		t.Run(name, func(t *testing.T) {
			h := newHost(t, setup{Config: outbox.Config{Ping: quick}})
			entered := make(chan struct{})
			h.setup = func(p *probe) {
				p.onMessage = func(*probe, string) {
					close(entered)
					<-p.c.Done()
				}
			}
			c, p := h.dial(t)
			c.text("block")
			testkit.Receive(t, entered, "Message")
			end(c, p)
			testkit.Receive(t, p.closed, "Closed")
		})
	}
}

// TestPanics: a Handler that panics is closed with 1011 and hurts nobody else.
func TestPanics(t *testing.T) {
	tests := map[string]struct {
		setup func(*probe)
		code  int
		calls string
	}{
		"Open": {func(p *probe) { p.onOpen = func(*probe) { panic("in Open") } }, 1011, "open closed"},
		"Message": {func(p *probe) { p.onMessage = func(*probe, string) { panic("in Message") } }, 1011,
			"open message closed"},
		"Protect": {func(p *probe) {
			p.onMessage = func(*probe, string) { p.c.Protect(func() { panic("in Protect") }) }
		}, 1011, "open message closed"},
		"index": {func(p *probe) { p.onMessage = func(_ *probe, s string) { _ = s[len(s)] } }, 1011, "open message closed"},
		"Closed": {func(p *probe) {
			p.onMessage = func(*probe, string) { p.c.Close(1000, "") }
			p.onClosed = func(*probe) { panic("in Closed") }
		}, 1000, "open message closed"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			h := newHost(t, setup{})
			h.setup = tt.setup
			c, p := h.dial(t)
			c.text("x")
			c.wantClose(tt.code)
			c.write(frame(0x88, closeBody(tt.code, "")))
			info := testkit.Receive(t, p.closed, "Closed")
			if info.Code != tt.code || (tt.code == 1011) != (info.Why == outbox.WhyPanic) {
				t.Errorf("%+v", info)
			}
			h.sockets.Close()
			if p.Noted() != tt.calls {
				t.Errorf("calls %q, want %q", p.Noted(), tt.calls)
			}
			if len(h.log.panics) != 1 || !strings.Contains(h.log.panics[0], "handler_test.go") {
				t.Errorf("told of %q", h.log.panics)
			}
		})
	}
}

// TestOpenSendsAndCloses: what Open sends comes first; a Close in it ends the connection.
func TestOpenSendsAndCloses(t *testing.T) {
	h := newHost(t, setup{})
	h.setup = func(p *probe) {
		p.onOpen = func(p *probe) {
			_ = p.c.Send(TextString("first"))
			p.c.Close(4403, "refused")
			if err := p.c.Send(TextString("late")); !errors.Is(err, outbox.ErrClosed) {
				t.Errorf("Send after Close: %v", err)
			}
		}
	}
	c, p := h.dial(t)
	c.text("never seen")
	c.wantText("first")
	if r := c.wantClose(4403); r != "refused" {
		t.Errorf("reason %q", r)
	}
	c.write(frame(0x88, closeBody(4403, "")))
	testkit.Receive(t, p.closed, "Closed")
	if p.Noted() != "open closed" {
		t.Errorf("calls %q", p.Noted())
	}
}
