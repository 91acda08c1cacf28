package hub

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"rollcall/history"
	"rollcall/outbox"
	"rollcall/presence"
)

// sink is a socket that counts.
type sink struct{ frames *atomic.Int64 }

func (s sink) Send(outbox.Frame) error { s.frames.Add(1); return nil }

func (s sink) Close(int, string) {}

func (s sink) CloseFor(outbox.Why, int, string) {}

func (s sink) Fits([]outbox.Frame) bool { return true }

// crowd is a room with n members, without Redis behind it.
func crowd(n int, script bool) (*room, *atomic.Int64) {
	h := &Hub{cfg: Config{Observer: noObserver{}}, sessions: map[string]*Session{}}
	r := &room{h: h, name: "room:lobby"}
	var got atomic.Int64
	for i := range n {
		m := Member{ID: fmt.Sprintf("0191e3b2-7c1a-8d4f-9a2b-%012d", i), Conn: sink{&got}}
		if script {
			m.Events = func(*Event) bool { got.Add(1); return true }
		}
		mem := &membership{s: h.Enter(m), room: r, index: -1}
		mem.change(func() { mem.order = 1 })
	}
	return r, &got
}

// resuming is a room with history and n connections of routes with resume = true.
func resuming(n int) (*room, *atomic.Int64) {
	h := &Hub{cfg: Config{Observer: noObserver{}}, sessions: map[string]*Session{}, rings: newRings(1 << 20),
		ctx: context.Background()}
	h.SetHistory(history.NewRules([]history.Rule{{Pattern: "*", Policy: history.Policy{Size: 100, TTL: time.Minute}}}))
	r := &room{h: h, name: "room:lobby", feed: h.newFeed("room:lobby")}
	var got atomic.Int64
	r.Receive("b 1-1-0 first")
	for i := range n {
		mem := &membership{room: r, index: -1, s: h.Enter(
			Member{ID: fmt.Sprintf("0191e3b2-7c1a-8d4f-9a2b-%012d", i), Conn: sink{&got}, Resume: true})}
		mem.change(func() { mem.order = 1 })
		mem.enterFeed(h.ctx, nil, time.Time{})
	}
	got.Store(0)
	return r, &got
}

// A broadcast of 150 bytes in a channel with history to 1000 connections of routes with resume = true.
func BenchmarkFanOutOfAFeed(b *testing.B) {
	r, got := resuming(1000)
	text := string(make([]byte, 150))
	b.ReportAllocs()
	seq := 1
	for b.Loop() {
		seq++
		r.Receive(fmt.Sprintf("b0191e3b2-7c1a-8d4f-9a2b-000000000000 1-%d-1 %s", seq, text))
	}
	if got.Load() != int64(seq-1)*1000 {
		b.Fatalf("%d of %d came", got.Load(), (seq-1)*1000)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(got.Load()), "ns/delivery")
}

// One broadcast of 150 bytes from the topic to 1000 members.
func BenchmarkFanOut(b *testing.B) {
	for _, kind := range []string{"sockets", "scripts"} {
		b.Run(kind, func(b *testing.B) {
			r, got := crowd(1000, kind == "scripts")
			payload := string(encode(Value{Text: string(make([]byte, 150))}, "0191e3b2-7c1a-8d4f-9a2b-000000000000"))
			b.ReportAllocs()
			for b.Loop() {
				r.Receive(payload)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(got.Load()), "ns/delivery")
		})
	}
}

// One presence_diff to 1000 members.
func BenchmarkPresenceDiff(b *testing.B) {
	r, got := crowd(1000, false)
	d := &presence.Diff{Plain: make([]byte, 300), Devices: make([]byte, 300)}
	b.ReportAllocs()
	for b.Loop() {
		r.PresenceDiff(d)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(got.Load()), "ns/delivery")
}

// One presence event to 1000 scripts.
func BenchmarkPresenceEvents(b *testing.B) {
	r, _ := crowd(1000, true)
	es := []presence.Event{{Type: "join", UserID: "ann",
		Meta: &presence.Meta{ConnID: "x", Source: presence.FromEvent, NoState: true, Info: `{"name":"Ann"}`}}}
	b.ReportAllocs()
	for b.Loop() {
		r.PresenceEvents(es)
	}
}

// What one connection pays for join, track and exit, with a miniredis behind it.
func BenchmarkTrackAndExit(b *testing.B) {
	w := newWorld(b, worldConfig{})
	n := w.node("n1")
	var got atomic.Int64
	b.ReportAllocs()
	for b.Loop() {
		s := n.Enter(Member{ID: n.NewID(), Conn: sink{&got}})
		must(b, s.Join(b.Context(), "room"))
		must(b, s.Track(b.Context(), "room", "ann", nil))
		s.Exit(Closed, presence.CauseClosed)
	}
}

// SPEC/DESIGN 5: "Encode once, share bytes": whatever the number of receivers.
func TestNothingIsAllocatedPerDelivery(t *testing.T) {
	for _, script := range []bool{false, true} {
		one, _ := crowd(1, script)
		many, _ := crowd(500, script)
		payload := string(encode(Value{Text: "hello"}, ""))
		few := testing.AllocsPerRun(50, func() { one.Receive(payload) })
		lots := testing.AllocsPerRun(50, func() { many.Receive(payload) })
		if lots > few {
			t.Errorf("script %v: %v allocations for 500 deliveries, %v for one", script, lots, few)
		}
	}
}
