package broker

import (
	"context"
	"testing"
	"time"
)

// tally is a receiver that counts.
type tally struct{ n int }

func (c *tally) Receive(string) { c.n++ }
func (c *tally) Resubscribed()  {}

func oneTopic(ctx context.Context) (*lane, *tally) {
	l, c := newLink(&Broker{}, "id"), new(tally)
	l.register("topic", c, false)
	l.register("topic", new(tally), false)
	made, _ := l.home(ctx, time.Now())
	ln := made[0]
	ln.take(&ln.asked, subscribe)
	ln.answer("subscribe", "topic")
	return ln, c
}

// DESIGN 5: no allocation per delivery.
func TestDeliverDoesNotAllocate(t *testing.T) {
	ln, c := oneTopic(t.Context())
	if n := testing.AllocsPerRun(1000, func() { ln.deliver("topic", "payload") }); n != 0 {
		t.Fatalf("%v allocations for one message", n)
	}
	if c.n != 1001 {
		t.Fatalf("received %d of 1001", c.n)
	}
}

func BenchmarkDeliver(b *testing.B) {
	ln, _ := oneTopic(b.Context())
	b.ReportAllocs()
	for b.Loop() {
		ln.deliver("topic", "payload")
	}
}
