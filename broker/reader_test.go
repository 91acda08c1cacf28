package broker

import (
	"context"
	"testing"
	"time"
)

// tally is a receiver that counts.
type tally struct{ n int }

func (t *tally) Receive(string) { t.n++ }
func (t *tally) Resubscribed()  {}

func oneTopic(ctx context.Context) (*conn, *tally) {
	g, r := newGroup(&Broker{}, "id"), new(tally)
	g.attach("topic", r)
	g.attach("topic", new(tally))
	made, _ := g.assign(ctx, time.Now())
	c := made[0]
	c.take(&c.toSubscribe, subscribe)
	c.answer("subscribe", "topic")
	return c, r
}

// DESIGN 5: no allocation per delivery.
func TestDeliverDoesNotAllocate(t *testing.T) {
	c, r := oneTopic(t.Context())
	if n := testing.AllocsPerRun(1000, func() { c.deliver("topic", "payload") }); n != 0 {
		t.Fatalf("%v allocations for one message", n)
	}
	if r.n != 1001 {
		t.Fatalf("received %d of 1001", r.n)
	}
}

func BenchmarkDeliver(b *testing.B) {
	c, _ := oneTopic(b.Context())
	b.ReportAllocs()
	for b.Loop() {
		c.deliver("topic", "payload")
	}
}
