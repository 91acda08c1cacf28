package wsconn

import (
	"fmt"
	"testing"
	"time"
)

func (c *Conn) waiting() (state outboxState, frames int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state, len(c.q)
}

func (b *batch) mustSend(t *testing.T, c *Conn, text string) {
	t.Helper()
	if err := b.send(c, TextString(text)); err != nil {
		t.Fatal(err)
	}
	checkInvariants(t, c)
}

// TestBatchPrompt: a sender whose frames are waited for writes though flushers rest; another leaves its frames to them, and
// nothing overtakes what waits.
func TestBatchPrompt(t *testing.T) {
	h := newHost(t, Config{})
	quick, quickConn := h.dial(t)
	slow, slowConn := h.dial(t)
	h.holdFlushers(true)
	defer h.holdFlushers(false)

	var plain batch
	plain.mustSend(t, slowConn.c, "1")
	if state, n := slowConn.c.waiting(); state != queued || n != 1 {
		t.Errorf("a plain sender, while flushers rest: %d frames, state %d", n, state)
	}
	prompt := batch{prompt: true}
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

// TestBatchEnd: what a batch leaves to the flushers is theirs at its end, or when it is many.
func TestBatchEnd(t *testing.T) {
	h := newHost(t, Config{})
	h.holdFlushers(true)
	defer h.holdFlushers(false)
	clients := make([]*client, chunk+1)
	var b batch
	handed := func() int {
		h.ready.mu.Lock()
		defer h.ready.mu.Unlock()
		return len(h.ready.next)
	}
	for i := range clients {
		c, p := h.dial(t)
		clients[i] = c
		b.mustSend(t, p.c, "x")
		if got, want := handed(), (i+1)/chunk*chunk; got != want {
			t.Fatalf("%d handed to the flushers after %d, want %d", got, i+1, want)
		}
	}
	b.end()
	if got := handed(); got != len(clients) {
		t.Errorf("%d handed to the flushers at the end, want %d", got, len(clients))
	}
	h.holdFlushers(false)
	for _, c := range clients {
		c.wantText("x")
	}
}

// TestBatchAllowance: a sender that has used its share of the time leaves the rest to the flushers, and is charged for what
// it used.
func TestBatchAllowance(t *testing.T) {
	h := newHost(t, Config{})
	c, p := h.dial(t)
	h.ready.charge(h.now(), time.Hour)
	b := batch{prompt: true}
	b.mustSend(t, p.c, "left to the flushers")
	if b.f != nil {
		t.Error("writes though nothing is left")
	}
	b.end()
	c.wantText("left to the flushers")
	b = batch{prompt: true}

	h.ready.mu.Lock()
	h.ready.senders = allowance{}
	h.ready.mu.Unlock()
	const n = 10 * lookEvery
	for i := range n {
		if i == lookEvery {
			b.until = h.now() // its time is over
		}
		b.mustSend(t, p.c, fmt.Sprint(i))
		if wrote := b.f != nil; wrote != (i < lookEvery) {
			t.Fatalf("frame %d: writes: %v", i, wrote)
		}
	}
	h.ready.mu.Lock()
	used := h.ready.senders.used
	h.ready.mu.Unlock()
	if used <= 0 {
		t.Error("not charged")
	}
	b.end()
	for i := range n {
		c.wantText(fmt.Sprint(i))
	}
}
