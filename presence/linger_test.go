package presence

import (
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"
)

// linger lets an entry linger; last is the epoch in which it was written.
func (b *bench) linger(inc, uid string, m Meta, stay time.Duration, last string) error {
	b.t.Helper()
	_, err := b.s.Linger(b.t.Context(), b.lease(inc), room, uid, &m, "", "epoch-"+newRef(), stay, last, CauseLost)
	return err
}

func (b *bench) wantGone(err error) {
	b.t.Helper()
	if !errors.Is(err, errGone) {
		b.t.Errorf("got %v, want %v", err, errGone)
	}
}

// SPEC 3: lingering "keeps a user, not a device: as soon as the user has a live connection in the channel, on any node,
// lingering ones go". One change does it, so the user is never away.
func testLingerEndsWithAJoin(b *bench) {
	at := b.join("n-1", "a", device("c1"))
	b.next()
	if err := b.linger("n-1", "a", device("c1"), time.Minute, at.Epoch); err != nil {
		b.t.Fatal(err)
	}
	b.silent()
	b.wantView("a[c1]")
	at = b.join("m-1", "a", device("c2"))
	b.wantChange(at, OpJoin, "a[c2]", "c1")
	if n := b.entries("n-1"); n != 0 {
		b.t.Errorf("%d entries of the node that has gone", n)
	}
	b.leave("n-1", "a", "c1") // its time is over on its node
	b.silent()
	b.wantGone(b.linger("n-2", "a", device("c1"), time.Minute, at.Epoch)) // and if its node writes all again
	b.silent()
	at = b.leave("m-1", "a", "c2")
	b.wantChange(at, OpLeave, "a[]", "c2=kicked")
	b.wantGone(b.linger("n-3", "a", device("c1"), time.Minute, at.Epoch))
	b.silent()
	b.wantView("")
}

// With another connection of the user there, it goes at once.
func testLingerBesideAConnection(b *bench) {
	at := b.join("n-1", "a", device("c1"))
	b.next()
	b.join("m-1", "a", device("c2"))
	b.next()
	b.wantGone(b.linger("n-1", "a", device("c1"), time.Minute, at.Epoch))
	if c := b.next(); c.Op != OpLeave || len(c.Gone) != 1 || c.Gone[0] != "c1" {
		b.t.Errorf("message %+v", c)
	}
	b.wantView("a[c2]")
	if err := b.linger("m-1", "a", device("c2"), time.Minute, at.Epoch); err != nil {
		b.t.Fatal(err)
	}
	b.silent()
	b.wantView("a[c2]")
}

// A reaper leaves what lingers until its deadline.
func testReapLingering(b *bench) {
	at := b.join("n-1", "a", device("c1"))
	b.next()
	b.join("n-1", "b", device("c2"))
	b.next()
	b.join("n-1", "c", device("c3"))
	b.next()
	before := b.now()
	for conn, stay := range map[string]time.Duration{"c1": time.Minute, "c2": time.Hour} {
		uid := map[string]string{"c1": "a", "c2": "b"}[conn]
		if err := b.linger("n-1", uid, device(conn), stay, at.Epoch); err != nil {
			b.t.Fatal(err)
		}
	}
	later, err := b.s.RemoveIncarnation(b.t.Context(), room, "n-1", 0)
	if err != nil || later < before+60_000 || later > b.now()+60_000 {
		b.t.Errorf("the rest is due at %d, %v; now it is %d", later, err, b.now())
	}
	at.Seq += 3
	b.wantChange(at, OpReap, "c[]", "c3=node_lost")
	b.wantView("a[c1] b[c2]")
	if n := b.entries("n-1"); n != 2 {
		b.t.Errorf("%d entries are left", n)
	}
	if err := b.linger("n-2", "a", device("c1"), 0, at.Epoch); err != nil { // its node lives, and its time is over
		b.t.Fatal(err)
	}
	if later, err := b.s.RemoveIncarnation(b.t.Context(), room, "n-2", 0); err != nil || later != math.MaxInt64 &&
		later > b.now() {
		b.t.Errorf("the rest is due at %d, %v", later, err)
	}
	for b.entries("n-2") != 0 { // within the millisecond
		if _, err := b.s.RemoveIncarnation(b.t.Context(), room, "n-2", 0); err != nil {
			b.t.Fatal(err)
		}
	}
	b.wantView("b[c2]")
	if n, _, err := b.s.remove(b.t.Context(), room, "n-1", removeAll, 0, []entryRef{{"c2", "b"}}); n != 1 || err != nil {
		b.t.Errorf("removed %d, %v", n, err)
	}
	b.wantView("")
}

// After a wipe its node writes it again, but not beside a connection that was written before, nor in the epoch in which
// it went.
func testLingerAfterAWipe(b *bench) {
	at := b.join("n-1", "a", device("c1"))
	if err := b.linger("n-1", "a", device("c1"), time.Minute, at.Epoch); err != nil {
		b.t.Fatal(err)
	}
	b.redis.FlushAll()
	b.next()
	if err := b.linger("n-2", "a", device("c1"), time.Minute, at.Epoch); err != nil {
		b.t.Fatal(err)
	}
	if c := b.next(); c.Op != OpJoin || c.Epoch == at.Epoch || c.Seq != 1 {
		b.t.Errorf("message %+v", c)
	}
	b.wantView("a[c1]")
	b.redis.FlushAll()
	b.join("m-1", "a", device("c2"))
	b.next()
	b.wantGone(b.linger("n-3", "a", device("c1"), time.Minute, at.Epoch))
	b.silent()
	b.wantView("a[c2]")
}

// Its node ends it when its time is over; while Redis is away it goes when Redis is back.
func TestLingerEnds(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		n1, n2 := s.actor("n1"), s.actor("n2")
		a, b := n1.open("C"), n2.open("C")
		a.track("c1", "ann")
		a.track("c2", "bob")
		b.want(stageWindow, "join ann c1", "join bob c2", "diff +ann[c1] +bob[c2]")
		a.c.Exit(t.Context(), "c1", "ann", CauseLost, 4*time.Second)
		a.c.Exit(t.Context(), "c2", "bob", CauseLost, 4*time.Second)
		time.Sleep(2 * time.Second)
		b.want(0)
		b.track("c3", "bob")
		b.want(stageWindow, "diff nothing devices +bob[c3]")
		time.Sleep(2 * time.Second)
		b.want(0, "leave ann c1", "diff -ann[c1]")
		n1.set(func() { n1.fail = unavailable{} })
		a.track("c4", "cat")
		a.c.Exit(t.Context(), "c4", "cat", CauseLost, time.Second)
		time.Sleep(2 * time.Second)
		n1.set(func() { n1.fail = nil })
		time.Sleep(2 * upkeep)
		synctest.Wait()
		b.want(stageWindow)
		for _, n := range []*actor{n1, n2} {
			if n.t.channel("C").own.len() != map[*actor]int{n1: 0, n2: 1}[n] {
				t.Errorf("%s still holds %v", n.name, n.t.channel("C").own)
			}
		}
	})
}

// A node whose lingering user came back elsewhere finds its entry gone: no repair, and it does not write it again.
func TestLingeringEntryTakenAway(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		n1, n2 := s.actor("n1"), s.actor("n2")
		a, b := n1.open("C"), n2.open("C")
		a.track("c1", "ann")
		a.c.Exit(t.Context(), "c1", "ann", CauseLost, time.Hour)
		b.track("c2", "ann")
		time.Sleep(31 * time.Second) // an audit
		synctest.Wait()
		if n := n1.t.stats.Repairs.Load(); n != 0 {
			t.Errorf("%d repairs", n)
		}
		if a.c.own.len() != 0 {
			t.Errorf("it still holds %v", a.c.own)
		}
		b.c.Untrack(t.Context(), "c2", "ann")
		n1.next()
		time.Sleep(2 * upkeep)
		synctest.Wait()
		if us, _ := b.c.List(""); len(us) != 0 {
			t.Errorf("present are %s", show(us))
		}
	})
}
