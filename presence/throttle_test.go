package presence

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// testBounds is SPEC 6: "64 devices and 16 KiB of metas of one user in a channel".
func testBounds(b *bench) {
	try := func(uid string, m Meta, bounded bool) error {
		_, err := b.s.Join(b.t.Context(), b.lease("n-1"), room, uid, &m, bounded, "", "epoch-"+newRef())
		return err
	}
	want := func(what string, got, want error) {
		b.t.Helper()
		if !errors.Is(got, want) {
			b.t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	for i := range MaxDevices {
		want("a device", try("many", device(fmt.Sprint("c", i)), true), nil)
		b.next()
	}
	want("one more", try("many", device("more"), true), ErrTooManyDevices)
	b.silent()
	want("a change of one", try("many", device("c0", `{"x":1}`), true), nil)
	b.next()
	want("one that was there before a wipe", try("many", device("back"), false), nil)
	b.next()
	b.leave("n-1", "many", "back")
	b.next()
	big := func(conn string, n int) Meta { return device(conn, `{"x":"`+strings.Repeat("x", n-8)+`"}`) }
	for i := range 4 {
		want("four big ones", try("big", big(fmt.Sprint("c", i), MaxMeta), true), nil)
		b.next()
	}
	want("a fifth", try("big", big("c4", 8), true), ErrMetasTooBig)
	want("a smaller first", try("big", big("c0", MaxMeta-8), true), nil)
	b.next()
	want("a fifth that fits", try("big", big("c4", 8), true), nil)
	b.next()
	want("a larger first", try("big", big("c0", MaxMeta), true), ErrMetasTooBig)
	b.silent()
}

// SPEC 6: "More than 10 presence changes a second of one connection in one channel are merged; the last is written
// within 100 ms."
func TestChangesAreMerged(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		n1, n2 := s.actor("n1"), s.actor("n2")
		a, b := n1.open("C"), n2.open("C")
		a.track("c1", "ann")
		b.want(stageWindow, "join ann c1", "diff +ann[c1]")
		var writes atomic.Int64
		n1.failed = func(what string) {
			if what == "run" {
				writes.Add(1)
			}
		}
		for i := range 1000 { // in two seconds
			pending, err := a.c.Update(t.Context(), "c1", "ann", fields(t, fmt.Sprintf(`{"x":%d}`, i)))
			if err != nil || pending != (i >= changeRate.Burst) && i < 20 {
				t.Fatalf("update %d: pending %v, %v", i, pending, err)
			}
			if us := a.list("c1"); !strings.Contains(us[0].Metas[0].Info, fmt.Sprintf(`"x":%d}`, i)) {
				t.Fatalf("after update %d it reads %s", i, us[0].Metas[0].Info)
			}
			time.Sleep(2 * time.Millisecond)
		}
		if most := int64(changeRate.Burst + 2*10 + 1); writes.Load() > most || writes.Load() < most-2 {
			t.Errorf("%d writes, want %d", writes.Load(), most)
		}
		time.Sleep(changeRate.Every)
		synctest.Wait()
		if us := b.list(""); us[0].Metas[0].Info != `{"x":999}` {
			t.Errorf("the other node sees %s", us[0].Metas[0].Info)
		}
		a.c.Untrack(t.Context(), "c1", "ann") // at once
		time.Sleep(stageWindow)
		synctest.Wait()
		b.wantView("")
	})
}

// Connections of one user that come and go as fast as they can are not all written, and what is left in the end is
// right.
func TestJoinsOfOneUserArePaced(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		n1, n2 := s.actor("n1"), s.actor("n2")
		a, b := n1.open("C"), n2.open("C")
		var writes atomic.Int64
		n1.failed = func(what string) {
			if what == "run" {
				writes.Add(1)
			}
		}
		for i := range 2000 { // in two seconds
			conn := fmt.Sprint("c", i)
			a.track(conn, "ann")
			time.Sleep(time.Millisecond)
			if i < 1999 {
				a.c.Untrack(t.Context(), conn, "ann")
			}
		}
		a.track("other", "bob") // others do not wait for it
		if most := int64(2*(joinRate.Burst+2*20) + 20); writes.Load() > most {
			t.Errorf("%d writes, want %d at most", writes.Load(), most)
		}
		time.Sleep(joinRate.Every + stageWindow)
		synctest.Wait()
		b.wantView("ann[c1999] bob[other]")
		if own := a.c.own.len(); own != 2 {
			t.Errorf("it holds %d entries", own)
		}
	})
}

// What is refused leaves all as it was; what waited for Redis and is then refused is dropped.
func TestRefusedTracking(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		n := s.actor("n1")
		a := n.open("C")
		big, err := Encode(FromEvent, fields(t, `{"x":"`+strings.Repeat("x", MaxMeta-8)+`"}`))
		if err != nil {
			t.Fatal(err)
		}
		small, err := Encode(FromEvent, Fields{})
		if err != nil {
			t.Fatal(err)
		}
		track := func(conn string, e Encoded) error {
			_, err := a.c.Track(t.Context(), conn, "ann", e, false)
			return err
		}
		for _, conn := range []string{"c1", "c2", "c3"} {
			if err := track(conn, big); err != nil {
				t.Fatal(err)
			}
		}
		for _, conn := range []string{"c0", "c4"} {
			if err := track(conn, small); err != nil {
				t.Fatal(err)
			}
		}
		if err := track("c5", big); !errors.Is(err, ErrMetasTooBig) {
			t.Errorf("a fourth big one: %v", err)
		}
		if err := track("c4", big); !errors.Is(err, ErrMetasTooBig) {
			t.Errorf("a change to a big one: %v", err)
		}
		if _, err := a.c.Update(t.Context(), "c4", "ann", fields(t, `{"y":1}`)); err != nil {
			t.Error(err)
		}
		if us := a.list("c4"); len(us[0].Metas) != 5 || us[0].meta("c4").Info != `{"y":1}` {
			t.Errorf("it sees %s", show(us))
		}
		n.set(func() { n.fail = unavailable{} })
		if err := track("c6", big); err != nil {
			t.Errorf("while Redis is away: %v", err)
		}
		n.set(func() { n.fail = nil })
		time.Sleep(2 * upkeep)
		synctest.Wait()
		if refused := n.t.stats.Refused.Load(); refused != 1 || a.c.own.len() != 5 {
			t.Errorf("%d refused, %d entries", refused, a.c.own.len())
		}
	})
}
