package wsconn

import (
	"runtime/pprof"
	"strings"
	"testing"
	"time"

	"rollcall/outbox"
	"rollcall/testkit"
)

// TestInput sends raw frames. SPEC 4: "1002 and 1007 protocol error and text that is not UTF-8; … 1008 policy,
// 1009 too big".
func TestInput(t *testing.T) {
	const limit = 1000
	cat := func(fs ...[]byte) (b []byte) {
		for _, f := range fs {
			b = append(b, f...)
		}
		return b
	}
	big := strings.Repeat("x", limit)
	tests := map[string]struct {
		send []byte
		want string // the message that comes, if any
		code int    // the close code that comes, if any
		why  outbox.Why
	}{
		"empty text":   {send: frame(0x81, ""), want: "text:"},
		"empty binary": {send: frame(0x82, ""), want: "binary:"},
		"longest":      {send: frame(0x81, big), want: "text:" + big},
		"one byte fragments": {send: cat(frame(0x01, "a"), []byte(strings.Repeat(string(frame(0x00, "b")), limit-2)),
			frame(0x80, "c")), want: "text:a" + strings.Repeat("b", limit-2) + "c"},
		"unmasked":               {send: []byte{0x81, 1, 'a'}, code: 1002, why: outbox.WhyProtocol},
		"long ping":              {send: frame(0x89, strings.Repeat("p", 126)), code: 1002, why: outbox.WhyProtocol},
		"text not UTF-8":         {send: frame(0x81, "\xff"), code: 1007, why: outbox.WhyBadText},
		"surrogate in text":      {send: frame(0x81, "\xed\xa0\x80"), code: 1007, why: outbox.WhyBadText},
		"too long":               {send: frame(0x81, big+"x"), code: 1009, why: outbox.WhyTooBig},
		"much too long":          {send: frame(0x81, strings.Repeat("x", 5<<20)), code: 1009, why: outbox.WhyTooBig},
		"too long by its header": {send: frame(0x81, strings.Repeat("x", 1<<20))[:14], code: 1009, why: outbox.WhyTooBig},
		"too long in fragments":  {send: cat(frame(0x01, big), frame(0x80, "x")), code: 1009, why: outbox.WhyTooBig},
		"flood of empty fragments": {send: cat(frame(0x01, "a"), []byte(strings.Repeat(string(frame(0x00, "")), 5000))),
			code: 1008, why: outbox.WhyRate},
	}
	h := newHost(t, setup{limits: Config{MaxMessage: limit}})
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c, p := h.dial(t)
			written := make(chan struct{})
			go func() { // the server may close before it has taken everything
				defer close(written)
				_, _ = c.Write(tt.send)
			}()
			if tt.code == 0 {
				if got := testkit.Receive(t, p.messages, "the message"); got != tt.want {
					t.Errorf("got %.80q, want %.80q", got, tt.want)
				}
				c.Close()
				<-written
				return
			}
			c.wantClose(tt.code)
			<-written
			c.write(frame(0x88, closeBody(tt.code, "")))
			c.Close()
			info := testkit.Receive(t, p.closed, "Closed")
			if info.Code != tt.code || info.Why != tt.why || info.ByPeer {
				t.Errorf("%+v, want %d %s", info, tt.code, tt.why)
			}
			if len(p.messages) > 0 {
				t.Errorf("message %.80q", <-p.messages)
			}
		})
	}
}

// FuzzInput: whatever comes, the connection ends once and the server lives.
func FuzzInput(f *testing.F) {
	f.Add(frame(0x81, "hello"))
	f.Add(frame(0x01, "hello"))
	f.Add(frame(0x88, closeBody(1000, "bye")))
	f.Add(frame(0x89, "ping"))
	f.Add([]byte{0x81, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	h := newHost(f, setup{limits: Config{MaxMessage: 1000, MessageRate: 100}})
	h.setup = func(p *probe) {
		p.onMessage = func(p *probe, s string) { _ = p.c.Send(TextString("echo")) }
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, p := h.dial(t)
		_, _ = c.Write(data)
		c.Close()
		if info := testkit.Receive(t, p.closed, "Closed"); info.Why == "" || info.Code == 0 {
			t.Errorf("no cause: %+v", info)
		}
		check(t, &p.c.Conn)
	})
}

func TestPings(t *testing.T) {
	h := newHost(t, setup{})
	c, _ := h.dial(t)
	for _, s := range []string{"", "x", strings.Repeat("p", 125)} {
		c.write(frame(0x89, s))
		if op, got, err := c.next(); op != opPong || got != s || err != nil {
			t.Errorf("answer to ping %q: %d %q %v", s, op, got, err)
		}
	}
}

// TestIdleAfterPings: a connection that answers pings and sends its own costs a small goroutine, as one that does not:
// no worker waits for its next message.
func TestIdleAfterPings(t *testing.T) {
	h := newHost(t, setup{})
	for range 20 {
		c, _ := h.dial(t)
		c.write(frame(final|opPing, "mine"))
		if op, got, err := c.next(); op != opPong || got != "mine" || err != nil {
			t.Fatalf("%d %q %v, want a pong", op, got, err)
		}
		c.write(frame(final|opPong, "unasked"))
	}
	var stacks string
	for end := time.Now().Add(timeout); time.Now().Before(end); time.Sleep(time.Millisecond) {
		var b strings.Builder
		_ = pprof.Lookup("goroutine").WriteTo(&b, 2)
		if stacks = b.String(); !strings.Contains(stacks, ".readFrame(") {
			return
		}
	}
	t.Errorf("workers wait for input:\n%s", stacks)
}

// TestRate: SPEC 3, "--message-rate: 100/s a connection, burst twice that; 0: none; 1008".
func TestRate(t *testing.T) {
	tests := map[string]struct {
		rate int
		f    []byte
		n    int
		code int
	}{
		"burst of messages": {10, frame(0x81, "m"), 20, 0},
		"too many messages": {10, frame(0x81, "m"), 30, 1008},
		"too many pings":    {10, frame(0x89, "m"), 30, 1008},
		"too many pongs":    {10, frame(0x8a, "m"), 30, 1008},
		"no limit":          {0, frame(0x81, "m"), 3000, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			h := newHost(t, setup{limits: Config{MessageRate: tt.rate}})
			c, p := h.dial(t)
			c.write([]byte(strings.Repeat(string(tt.f), tt.n)))
			if tt.code != 0 {
				c.wantClose(tt.code)
				c.write(frame(0x88, closeBody(tt.code, "")))
				if got := testkit.Receive(t, p.closed, "Closed"); got.Why != outbox.WhyRate || !got.Clean {
					t.Errorf("%+v", got)
				}
				return
			}
			c.write(frame(0x88, closeBody(1000, "")))
			c.wantClose(1000)
			h.log.mu.Lock()
			defer h.log.mu.Unlock()
			if h.log.received != tt.n {
				t.Errorf("%d messages", h.log.received)
			}
		})
	}
}
