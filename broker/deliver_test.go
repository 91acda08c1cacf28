package broker

import (
	"testing"
)

// tally is a receiver that counts.
type tally struct{ n int }

func (c *tally) Receive(string) { c.n++ }
func (c *tally) Resubscribed()  {}

func oneTopic() (*link, *tally) {
	l, c := newLink(nil, "id"), new(tally)
	l.register("topic", c, false)
	l.register("topic", new(tally), false)
	l.take(&l.asked, subscribe)
	l.answer("subscribe", "topic")
	return l, c
}

// DESIGN 5: no allocation per delivery.
func TestDeliverDoesNotAllocate(t *testing.T) {
	l, c := oneTopic()
	if n := testing.AllocsPerRun(1000, func() { l.deliver("topic", "payload") }); n != 0 {
		t.Fatalf("%v allocations for one message", n)
	}
	if c.n != 1001 {
		t.Fatalf("received %d of 1001", c.n)
	}
}

func BenchmarkDeliver(b *testing.B) {
	l, _ := oneTopic()
	b.ReportAllocs()
	for b.Loop() {
		l.deliver("topic", "payload")
	}
}
