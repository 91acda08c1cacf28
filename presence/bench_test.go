package presence

import (
	"fmt"
	"log/slog"
	"testing"
)

// crowd is a replica with n users of one device each.
func crowd(n int) *Replica {
	s := snapshot("e", int64(n))
	for i := range n {
		id := fmt.Sprintf("user-%04d", i)
		s.Users[id] = &User{ID: id, Seq: int64(i + 1),
			Metas: []Meta{{ConnID: fmt.Sprintf("0191e3b2-7c1a-8d4f-9a2b-%012d", i), Inc: "a1b2c3d4e5f6-1",
				Ref: fmt.Sprintf("Zm9vYmFyYmF6%04d", i), JoinedAt: 1700000000000 +
					int64(i), Source: FromEvent, NoState: true, Info: `{"name":"Somebody","color":"#aabbcc"}`}}}
	}
	r := &Replica{}
	r.Reset(s, 0)
	return r
}

// Reading and applying one message: a user's metadata changes, in a channel of 1000.
func BenchmarkApply(b *testing.B) {
	r := crowd(1000)
	u := *r.User("user-0500")
	metas := [2][]Meta{append([]Meta(nil), u.Metas...), append([]Meta(nil), u.Metas...)}
	metas[1][0].Info = `{"name":"Somebody","color":"#ffffff"}`
	b.ReportAllocs()
	for b.Loop() {
		_, seq := r.Position()
		c := Change{Epoch: "e", Seq: seq + 1, Op: OpUpdate, Users: []User{{ID: u.ID, Seq: seq + 1, Metas: metas[seq&1]}}}
		if _, ok := r.Apply(&c); !ok {
			b.Fatal("gap")
		}
	}
}

func BenchmarkParseChange(b *testing.B) {
	u := crowd(1).User("user-0000")
	text := message(Change{Epoch: "Zm9vYmFyYmF6AAAA", Seq: 123456, Op: OpJoin, Users: []User{*u}})
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := parseChange(text); err != nil {
			b.Fatal(err)
		}
	}
}

// A presence_state of 1000 users, none of them changed since the last one.
func BenchmarkRenderState(b *testing.B) {
	r := crowd(1000)
	b.SetBytes(int64(len(renderState("room:lobby", r))))
	b.ReportAllocs()
	for b.Loop() {
		renderState("room:lobby", r)
	}
}

// A window in which 100 of 1000 users changed.
func BenchmarkWindowFlush(b *testing.B) {
	r := crowd(1000)
	var changed []Transition
	for i := range 100 {
		id := fmt.Sprintf("user-%04d", i*10)
		old := r.User(id)
		now := &User{ID: id, Seq: old.Seq, Metas: append([]Meta(nil), old.Metas...)}
		now.Metas[0].Info = `{"name":"Somebody else"}`
		r.users.put(now)
		changed = append(changed, Transition{Before: old, After: now})
	}
	var w Window
	b.ReportAllocs()
	for b.Loop() {
		w.Note(changed)
		if w.Flush("room:lobby", r.User).Plain == nil {
			b.Fatal("nothing to tell")
		}
	}
}

// quiet is an audience that does nothing with what it is told.
type quiet struct{}

func (quiet) Viewers() (plain, scripts bool) { return true, true }
func (quiet) PresenceEvents([]Event)         {}
func (quiet) PresenceDiff(*Diff)             {}
func (quiet) PresenceState([]string, []byte) {}

// A message that changes one of 1000 users, from the topic to the audience.
func BenchmarkReceive(b *testing.B) {
	t := NewTracker(Config{Lease: &actor{name: "n1"}, TTL: stageTTL, Window: stageWindow,
		Log: slog.New(slog.DiscardHandler)})
	defer t.Close()
	c := t.Open("C", quiet{})
	r := crowd(1000)
	liveWith(c, r)
	u := *r.User("user-0500")
	metas := [2][]Meta{append([]Meta(nil), u.Metas...), append([]Meta(nil), u.Metas...)}
	metas[1][0].Info = `{"name":"Somebody","color":"#ffffff"}`
	seq := r.seq
	b.ReportAllocs()
	for b.Loop() {
		seq++
		c.Receive(message(Change{Epoch: "e", Seq: seq, Op: OpUpdate, Users: []User{{ID: u.ID, Metas: metas[seq&1]}}}))
	}
	if t.stats.Gaps.Load() > 0 {
		b.Fatal("gap")
	}
}

func liveWith(c *Channel, r *Replica) {
	c.view.replica, c.view.phase, c.view.known = *r, live, true
}
