package outbox

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func (c *Conn) waiting() (state queueState, frames int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.out.state, len(c.out.pieces)
}

func (b *batch) mustSend(t *testing.T, c *Conn, line string) {
	t.Helper()
	if err := b.send(c, text(line)); err != nil {
		t.Fatal(err)
	}
	check(t, c)
}

// TestBatchPrompt: a sender whose frames are waited for writes though flushers rest; another leaves its frames to them,
// and nothing overtakes what waits.
func TestBatchPrompt(t *testing.T) {
	h := newStage(t, Config{})
	quick, quickConn := h.dial(t, Options{})
	slow, slowConn := h.dial(t, Options{})
	h.holdFlushers(true)
	defer h.holdFlushers(false)

	plain := h.beginBatch(false)
	plain.mustSend(t, slowConn, "1")
	if state, n := slowConn.waiting(); state != queued || n != 1 {
		t.Errorf("a plain sender, while flushers rest: %d frames, state %d", n, state)
	}
	prompt := h.beginBatch(true)
	for _, p := range []*Conn{quickConn, slowConn} {
		prompt.mustSend(t, p, "2")
	}
	quick.want("2") // while the flushers still rest
	if _, n := slowConn.waiting(); n != 2 {
		t.Errorf("%d frames wait for a connection where one did", n)
	}
	prompt.end()
	plain.end()
	h.holdFlushers(false)
	slow.want("1")
	slow.want("2")
}

// TestBatchEnd: what a batch leaves to the flushers is theirs at its end.
func TestBatchEnd(t *testing.T) {
	h := newStage(t, Config{})
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
		c, p := h.dial(t, Options{})
		clients[i] = c
		b.mustSend(t, p, "x")
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
		c.want("x")
	}
}

// TestBatchStretch: a sender that has written for long enough leaves the rest to the flushers, and is charged for what
// it used.
func TestBatchStretch(t *testing.T) {
	h := newStage(t, Config{})
	c, p := h.dial(t, Options{})
	b := h.beginBatch(true)
	const n = 10 * lookEvery
	for i := range n {
		b.until = b.began + time.Hour
		if i == lookEvery-1 {
			b.until = h.Now() // its time is over
		}
		b.mustSend(t, p, fmt.Sprint(i))
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
		c.want(fmt.Sprint(i))
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
	h := newStage(t, Config{})
	c, p := h.dial(t, Options{})
	var other standIn
	gone := &Conn{s: h.Sockets, shut: true}
	SendAll(func(send func(Sender, Frame) bool) {
		for _, line := range []string{"1", "2"} {
			for _, to := range []Sender{&other, gone, p} {
				if !send(to, text(line)) || !send(to, Frame{}) {
					t.Error("it ends early")
				}
			}
		}
	}, false)
	c.want("1")
	c.want("2")
	if got := strings.Join(other, " "); got != "1 2" {
		t.Errorf("the other got %q", got)
	}
}

// TestFastSender: a sender that is faster than the flushers does not make a slow client of one that takes everything.
func TestFastSender(t *testing.T) {
	h := newStage(t, Config{SendQueue: 16 << 10})
	c, p := h.dial(t, Options{})
	h.holdFlushers(true)
	defer h.holdFlushers(false)
	const n = 30
	part := strings.Repeat("x", 4<<10)
	for range n {
		if err := p.Send(text(part)); err != nil {
			t.Fatal(err)
		}
		check(t, p)
	}
	h.holdFlushers(false)
	for range n {
		c.want(part)
	}
}
