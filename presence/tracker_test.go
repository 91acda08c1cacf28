package presence

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"rollcall/redisconn"
)

// unavailable are errors as the broker gives them, without and with doubt about what happened.
type unavailable struct{ unknown bool }

func (e unavailable) Error() string { return "no Redis" }
func (e unavailable) Is(target error) bool {
	return target == redisconn.ErrUnavailable || e.unknown && target == redisconn.ErrUnknown
}

// stay keeps the leases of actors while time passes.
func stay(d time.Duration, actors ...*actor) {
	for end := time.Now().Add(d); time.Now().Before(end); {
		for _, a := range actors {
			if _, _, held := a.Lease(); held {
				_ = a.Renew(context.Background())
			}
		}
		time.Sleep(min(2*time.Second, time.Until(end)))
	}
	synctest.Wait()
}

// SPEC 5.3: "While Redis can't be reached … `join`, `track` and their like succeed and are written when it is back".
func TestTrackWhileRedisIsAway(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		n1, n2 := s.actor("n1"), s.actor("n2")
		a, b := n1.open("C"), n2.open("C")
		a.track("c0", "old")
		b.want(stageWindow, "join old c0", "diff +old[c0]")
		a.want(0, "join old c0", "diff +old[c0]")
		n1.set(func() { n1.fail = unavailable{} })
		if !a.trackAs(FromEvent, true, "c1", "ann") || !a.track("c2", "bob") || !a.c.Untrack(t.Context(), "c0", "old") {
			t.Error("not pending")
		}
		for conn, uid := range map[string]string{"c1": "ann", "c2": "bob"} {
			if pending, err := a.c.Update(t.Context(), conn, uid, fields(t, `{"x":1}`)); !pending || err != nil {
				t.Errorf("update: %v, %v", pending, err)
			}
		}
		if !a.track("c3", "brief") || !a.c.Untrack(t.Context(), "c3", "brief") {
			t.Error("not pending")
		}
		// SPEC 1.1: "reads your own writes", each connection its own.
		for conn, want := range map[string]string{"": "old[c0]", "c0": "", "c1": "old[c0] ann[c1{\"x\":1}]",
			"c2": "old[c0] bob[c2{\"x\":1}]", "c3": "old[c0]"} {
			if got := show(a.list(conn)); got != want {
				t.Errorf("%q reads %s, want %s", conn, got, want)
			}
		}
		b.want(2 * time.Second)
		n1.set(func() { n1.fail = nil })
		time.Sleep(2 * upkeep)
		synctest.Wait()
		b.wantView("ann[c1{\"x\":1}] bob[c2{\"x\":1}]")
		a.wantView("ann[c1{\"x\":1}] bob[c2{\"x\":1}]")
		if !slices.Contains(a.told, "state to c1: ann[c1] bob[c2]") && !slices.Contains(a.told, "state to c1: ann[c1]") &&
			!slices.Contains(a.told, "state to c1: ann[c1] bob[c2] old[c0]") &&
			!slices.Contains(a.told, "state to c1: ann[c1] old[c0]") {
			t.Errorf("the state that was owed did not come: %q", a.told)
		}
		if len(n1.disowned) != 0 {
			t.Errorf("disowned %v although nothing is in doubt", n1.disowned)
		}
		if slices.ContainsFunc(b.told, func(l string) bool { return l == "join brief c3" }) {
			t.Error("someone who came and went while Redis was away was told")
		}
	})
}

// DESIGN 3: a write with no answer may still arrive, so its incarnation is given up; everything is written again.
func TestUnknownOutcome(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		n := s.actor("n1")
		a := n.open("C")
		a.track("c1", "ann")
		a.want(stageWindow, "join ann c1", "diff +ann[c1]")
		n.set(func() { n.fail = unavailable{unknown: true} })
		if !a.track("c2", "bob") {
			t.Error("not pending")
		}
		if got := fmt.Sprint(n.disowned); got != "[n1-1]" {
			t.Errorf("disowned %s", got)
		}
		if !a.c.Untrack(t.Context(), "c1", "ann") || !a.track("c1", "ann") { // wait without asking Redis
			t.Error("not pending")
		}
		if len(n.disowned) != 1 {
			t.Errorf("disowned %v", n.disowned)
		}
		n.set(func() { n.fail = nil })
		n.next()
		time.Sleep(upkeep + stageWindow)
		synctest.Wait()
		slices.Sort(a.told) // the two are written in any order; ann was tracked anew
		a.want(0, "diff +ann[c1] +bob[c2]", "join bob c2", "update ann c1")
		if _, old, err := n.store.Standings(t.Context(), nil, "n1-1", []string{"C"}); err != nil || old[0] != 0 {
			t.Errorf("old incarnation holds %v, %v", old, err)
		}
		if _, now, err := n.store.Standings(t.Context(), nil, "n1-2", []string{"C"}); err != nil || now[0] != 2 {
			t.Errorf("new incarnation holds %v, %v", now, err)
		}
	})
}

// DESIGN 3, fenced writes: "the writer renews and tries again".
func TestFencedWriteRenews(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		n := s.actor("n1")
		a := n.open("C")
		time.Sleep(2 * stageTTL) // frozen
		before := n.renewals
		if a.track("c1", "ann") {
			t.Error("pending")
		}
		if n.renewals != before+1 {
			t.Errorf("%d renewals", n.renewals-before)
		}
		a.wantView("ann[c1]")
		a.want(stageWindow, "join ann c1", "diff +ann[c1]")
	})
}

// SPEC 5.2: "After a wipe nodes write back presence"; DESIGN 3: "users missing from the new snapshot are held back for
// one lease time … only those still missing then leave".
func TestWipe(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		n1, n2, n3 := s.actor("n1"), s.actor("n2"), s.actor("n3")
		a, b, c := n1.open("C"), n2.open("C"), n3.open("C")
		a.track("c1", "ann")
		a.track("c2", "both")
		time.Sleep(time.Millisecond)
		b.track("c3", "both")
		c.track("c4", "dan")
		time.Sleep(stageWindow)
		synctest.Wait()
		a.told, b.told = nil, nil
		n3.close() // killed: what it tracked stays until the index is lost
		if err := s.client.FlushAll(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		n2.next()
		a.want(0)
		time.Sleep(time.Second)
		n1.next()
		a.wantView("ann[c1] both[c2 c3] dan[c4]")
		b.wantView("ann[c1] both[c2 c3] dan[c4]")
		// readings happen at wipe + 1 s and + 2 s; the last hold ends at wipe + 2 s + ttl
		stay(stageTTL-1100*time.Millisecond, n1, n2)
		a.want(0)
		b.want(0)
		stay(1200*time.Millisecond, n1, n2)
		a.want(0, "leave dan c4", "diff -dan[c4]")
		b.want(0, "leave dan c4", "diff -dan[c4]")
		a.wantView("ann[c1] both[c2 c3]")
	})
}

// A short lease is no measure of how long nodes take to find out that a Redis has lost its data.
func TestHoldFor(t *testing.T) {
	for ttl, want := range map[time.Duration]time.Duration{time.Second: leastHold, leastHold: leastHold,
		6 * time.Second: 6 * time.Second} {
		if got := (&Tracker{cfg: Config{TTL: ttl}}).holdFor(); got != want {
			t.Errorf("with a lease of %v: %v, want %v", ttl, got, want)
		}
	}
}

// SPEC 5.1: "none for those who stayed", also where a node was frozen or cut off after a wipe: what it holds back it
// does not let go before it knows what was written again meanwhile.
func TestHoldsOutlastADoubt(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		n1, n2 := s.actor("n1"), s.actor("n2")
		a, b := n1.open("C"), n2.open("C")
		a.track("c1", "ann")
		b.track("c2", "bob")
		time.Sleep(stageWindow)
		synctest.Wait()
		b.told = nil
		if err := s.client.FlushAll(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		n2.next() // it reads, and holds ann back
		synctest.Wait()
		n2.set(func() { n2.away, n2.lossy = true, true })
		time.Sleep(time.Second)
		n1.next() // it writes ann again
		stay(2*stageTTL, n1)
		b.want(0)
		n2.set(func() { n2.away, n2.lossy = false, false })
		n2.next()
		stay(2*stageTTL, n1, n2)
		b.want(0)
		b.wantView("ann[c1] bob[c2]")
	})
}

// What a departed connection still had to write is written although nobody is in the channel any more.
func TestUntrackAfterDetach(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		n1, n2 := s.actor("n1"), s.actor("n2")
		a, b := n1.open("C"), n2.open("C")
		a.track("c1", "ann")
		n1.set(func() { n1.fail = unavailable{} })
		a.c.Untrack(t.Context(), "c1", "ann")
		a.c.Detach()
		b.want(5*time.Second, "join ann c1", "diff +ann[c1]")
		n1.set(func() { n1.fail = nil })
		_ = n1.Renew(t.Context())
		b.want(upkeep+stageWindow, "leave ann c1", "diff -ann[c1]")
		stay(n1.t.cfg.TTL+2*upkeep, n1, n2)
		if len(n1.t.all()) != 0 {
			t.Error("the channel is kept")
		}
	})
}

// Idle is free: nothing is asked of Redis for a channel in which nothing happens, but for the audit.
func TestIdleAsksNothing(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		n := s.actor("n1")
		a := n.open("C")
		a.track("c1", "ann")
		stay(3*time.Second, n)
		asked := 0
		n.set(func() { n.failed = func(string) { asked++ } })
		stay(29*time.Second, n)
		if asked > 4 { // one audit: positions, own entries, their incarnation
			t.Errorf("%d commands", asked)
		}
	})
}

// A tracker that is closed while Redis is away leaves nothing running.
func TestCloseWhileRedisIsAway(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		n := s.actor("n1")
		a := n.open("C")
		n.set(func() { n.fail = unavailable{} })
		a.c.Resubscribed()
		a.track("c1", "ann")
		b := newSeat(n)
		b.c = n.t.Open("D", b)
		b.c.Load(b)
		time.Sleep(3 * time.Second)
		n.close()
		b.c.Load(b) // after Close: nothing
	})
}

// SPEC 5.4: "nothing a dead or fenced node still had in flight can bring a user back": a message that was published
// before Redis was wiped, and comes after the wiped channel has been read, is no beginning of a history.
func TestMessageOlderThanAWipe(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		n1, n2 := s.actor("n1"), s.actor("n2")
		a, b := n1.open("C"), n2.open("C")
		old := s.client.Subscribe(t.Context(), s.keys.Topic("C"))
		defer old.Close()
		if _, err := old.Receive(t.Context()); err != nil {
			t.Fatal(err)
		}
		n2.set(func() { n2.lossy = true })
		a.track("c1", "ann")
		late, err := old.ReceiveMessage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		s.m.FlushAll()
		a.c.Untrack(t.Context(), "c1", "ann") // finds nothing, so nothing is published
		n1.next()
		n2.next()
		synctest.Wait()
		n2.set(func() { n2.lossy = false })
		b.c.Receive(late.Payload)
		synctest.Wait()
		time.Sleep(2 * stageWindow)
		synctest.Wait()
		b.wantView("")

		// The beginning of the new history is read, and told.
		a.track("c2", "bob")
		b.want(time.Second, "join bob c2", "diff +bob[c2]")
		b.wantView("bob[c2]")
	})
}
