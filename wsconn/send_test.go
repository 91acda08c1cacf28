package wsconn

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func (c *Conn) waiting() (state outboxState, frames int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.out.state, len(c.out.frames)
}

func (b *batch) mustSend(t *testing.T, c *Conn, text string) {
	t.Helper()
	if err := b.send(c, TextString(text)); err != nil {
		t.Fatal(err)
	}
	checkInvariants(t, c)
}

// TestBatchPrompt: a sender whose frames are waited for writes though flushers rest; another leaves its frames to them,
// and nothing overtakes what waits.
func TestBatchPrompt(t *testing.T) {
	h := newHost(t, Config{})
	quick, quickConn := h.dial(t)
	slow, slowConn := h.dial(t)
	h.holdFlushers(true)
	defer h.holdFlushers(false)

	plain := h.beginBatch(false)
	plain.mustSend(t, slowConn.c, "1")
	if state, n := slowConn.c.waiting(); state != queued || n != 1 {
		t.Errorf("a plain sender, while flushers rest: %d frames, state %d", n, state)
	}
	prompt := h.beginBatch(true)
	for _, p := range []*probe{quickConn, slowConn} {
		prompt.mustSend(t, p.c, "2")
	}
	quick.wantText("2") // while the flushers still rest
	if _, n := slowConn.c.waiting(); n != 2 {
		t.Errorf("%d frames wait for a connection where one did", n)
	}
	prompt.end()
	plain.end()
	h.holdFlushers(false)
	slow.wantText("1")
	slow.wantText("2")
}

// TestBatchEnd: what a batch leaves to the flushers is theirs at its end.
func TestBatchEnd(t *testing.T) {
	h := newHost(t, Config{})
	h.holdFlushers(true)
	defer h.holdFlushers(false)
	handed := func() int {
		h.ready.mu.Lock()
		defer h.ready.mu.Unlock()
		return len(h.ready.next)
	}
	before := handed()
	clients := make([]*client, chunk+1)
	b := h.beginBatch(false)
	for i := range clients {
		c, p := h.dial(t)
		clients[i] = c
		b.mustSend(t, p.c, "x")
	}
	if got := handed(); got != before {
		t.Errorf("%d handed to the flushers before the end, want %d", got, before)
	}
	b.end()
	if got := handed(); got != before+len(clients) {
		t.Errorf("%d handed to the flushers at the end, want %d", got, before+len(clients))
	}
	h.holdFlushers(false)
	for _, c := range clients {
		c.wantText("x")
	}
}

// TestBatchStretch: a sender that has written for long enough leaves the rest to the flushers, and is charged for what
// it used.
func TestBatchStretch(t *testing.T) {
	h := newHost(t, Config{})
	c, p := h.dial(t)
	b := h.beginBatch(true)
	const n = 10 * lookEvery
	for i := range n {
		b.until = b.began + time.Hour
		if i == lookEvery-1 {
			b.until = h.now() // its time is over
		}
		b.mustSend(t, p.c, fmt.Sprint(i))
		if wrote := b.writes; wrote != (i < lookEvery-1) {
			t.Fatalf("frame %d: writes: %v", i, wrote)
		}
	}
	h.ready.mu.Lock()
	paid := h.ready.pacing.paid
	h.ready.mu.Unlock()
	if paid <= b.began {
		t.Error("not charged")
	}
	b.end()
	for i := range n {
		c.wantText(fmt.Sprint(i))
	}
}

// standIn is a Sender that is no Conn.
type standIn []string

func (s *standIn) Send(f Frame) error {
	*s = append(*s, string(f.Payload()))
	return nil
}

// TestSendAll: all get their frames, in order, others than connections too; the zero Frame is none.
func TestSendAll(t *testing.T) {
	h := newHost(t, Config{})
	c, p := h.dial(t)
	var other standIn
	gone := &Conn{s: h.Server, shut: true}
	SendAll(func(send func(Sender, Frame) bool) {
		for _, text := range []string{"1", "2"} {
			for _, to := range []Sender{&other, gone, p.c} {
				if !send(to, TextString(text)) || !send(to, Frame{}) {
					t.Error("it ends early")
				}
			}
		}
	}, false)
	c.wantText("1")
	c.wantText("2")
	if got := strings.Join(other, " "); got != "1 2" {
		t.Errorf("the other got %q", got)
	}
}
