package presence

import (
	"fmt"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"rollcall/redisconn"
)

// DESIGN 3, audit: what is lost without a sign an audit finds, within 30 s of the last change that was not.
func TestAuditFindsLostMessage(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		n1, n2 := s.actor("n1"), s.actor("n2")
		a, b := n1.open("C"), n2.open("C")
		quiet := n2.open("D")
		n2.set(func() { n2.lossy = true })
		a.track("c1", "ann")
		synctest.Wait()
		n2.set(func() { n2.lossy = false })
		loads := n2.t.stats.Loads.Load()
		stay(19*time.Second, n1, n2)
		b.want(0)
		stay(12*time.Second, n1, n2)
		b.want(0, "join ann c1", "diff +ann[c1]")
		stay(60*time.Second, n1, n2)
		if n := n2.t.stats.Loads.Load() - loads; n != 1 {
			t.Errorf("read %d times, want once", n)
		}
		quiet.want(0)
	})
}

// A channel in which nothing changes is audited ever more rarely, at last once in ten minutes (SPEC 1.2); a change, and
// a difference in any other channel, bring its audits back.
func TestAuditsGrowRarer(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		n := s.actor("n1")
		audits := func(d time.Duration) int64 {
			before := n.t.stats.Audits.Load()
			stay(d, n)
			if fault := n.t.audits.check(n.t.all()); fault != "" {
				t.Error(fault)
			}
			return n.t.stats.Audits.Load() - before
		}
		const channels = 120
		var last *seat
		for i := range channels {
			last = n.open(fmt.Sprint("C", i))
			last.track(fmt.Sprint("c", i), "ann")
		}
		if got := audits(30 * time.Second); got != channels {
			t.Errorf("in the first 30 s there are %d audits of %d channels", got, channels)
		}
		audits(15 * time.Minute)
		for range 3 {
			if got := audits(10 * time.Minute); got != channels {
				t.Errorf("in ten minutes there are %d audits of %d quiet channels", got, channels)
			}
		}
		most := int64(0)
		for range 10 * 12 {
			most = max(most, audits(5*time.Second))
		}
		if most > channels/5 {
			t.Errorf("%d of %d audits come at once", most, channels)
		}
		last.track("c", "bob")
		if got := audits(30 * time.Second); got > channels/5 || last.c.audited.every > 4*n.t.audits.first {
			t.Errorf("after a change of one there are %d audits, and its next comes after %d rounds", got, last.c.audited.every)
		}
		if err := s.client.Del(t.Context(), s.keys.Head("C7"), s.keys.Users("C7")).Err(); err != nil {
			t.Fatal(err)
		}
		audits(10 * time.Minute)
		if n.t.stats.Gaps.Load() == 0 {
			t.Fatal("the difference was not found")
		}
		if n.t.channel("C50").audited.every == n.t.audits.max {
			t.Error("a difference did not bring the others' audits back")
		}
	})
}

// Where messages may be lost without a sign, audits stay as they are.
func TestAuditsMayStayClose(t *testing.T) {
	a := newAudits(Audit)
	c := &Channel{}
	a.changed(c)
	audits := 0
	for range 20 * a.first {
		for _, c := range a.next() {
			audits++
			a.quiet(c)
		}
	}
	if audits < 20 {
		t.Errorf("%d audits in ten minutes", audits)
	}
}

// The audit compares "the size of its own entry sets": what Redis lost of them is written again, what it has too much
// goes.
func TestAuditRepairsOwnEntries(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		n1, n2 := s.actor("n1"), s.actor("n2")
		a, b := n1.open("C"), n2.open("C")
		a.track("c1", "ann")
		a.track("c2", "bob")
		b.want(stageWindow, "join ann c1", "join bob c2", "diff +ann[c1] +bob[c2]")
		lease := Lease{"n1-1", time.Now().Add(time.Minute).UnixMilli()}
		ghost := device("c9")
		if _, err := n1.store.Join(t.Context(), lease, "C", "ghost", &ghost, false, "", "e"); err != nil {
			t.Fatal(err)
		}
		b.want(stageWindow, "join ghost c9", "diff +ghost[c9]")
		stay(31*time.Second, n1, n2)
		b.want(0, "leave ghost c9", "diff -ghost[c9]")
		// as a failover could
		if _, _, err := n1.store.remove(t.Context(), "C", lease.Inc, removeAll, 0, []entryRef{{"c1", "ann"}}); err != nil {
			t.Fatal(err)
		}
		b.want(stageWindow, "leave ann c1", "diff -ann[c1]")
		stay(31*time.Second, n1, n2)
		b.want(0, "join ann c1", "diff +ann[c1]")
		b.wantView("ann[c1] bob[c2]")
		if n := n1.t.stats.Repairs.Load(); n != 2 {
			t.Errorf("%d repairs", n)
		}
	})
}

// DESIGN 3, orphans: an entry of an unknown incarnation gets "one lease time, then removes it".
func TestOrphans(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		n1 := s.actor("n1")
		lost := device("c9")
		if _, err := n1.store.Join(t.Context(), Lease{"lost-1", time.Now().Add(time.Minute).UnixMilli()}, "C", "ghost", &lost,
			false, "", "e"); err != nil {
			t.Fatal(err)
		}
		a := n1.open("C")
		a.want(stageWindow, "join ghost c9", "diff +ghost[c9]")
		a.track("c1", "ann")
		stay(stageTTL, n1)
		a.want(0, "join ann c1", "diff +ann[c1]")
		stay(2*upkeep+stageWindow, n1)
		a.want(0, "leave ghost c9", "diff -ghost[c9]")
		a.wantView("ann[c1]")
		if n := n1.t.stats.Orphans.Load(); n != 1 {
			t.Errorf("%d orphans", n)
		}
	})
}

// One that cannot be removed holds up no other.
func TestOrphanWhileAChannelIsAway(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		n1 := s.actor("n1")
		lease := Lease{"lost-1", time.Now().Add(time.Minute).UnixMilli()}
		seats := map[string]*seat{}
		for _, channel := range []string{"A", "B"} {
			lost := device("c9")
			if _, err := n1.store.Join(t.Context(), lease, channel, "ghost", &lost, false, "", "e"); err != nil {
				t.Fatal(err)
			}
			seats[channel] = n1.open(channel)
			seats[channel].want(stageWindow, "join ghost c9", "diff +ghost[c9]")
		}
		n1.set(func() { n1.fail, n1.failsFor = redisconn.ErrUnavailable, "{A}" })
		stay(stageTTL+3*upkeep, n1)
		seats["A"].want(0)
		seats["B"].want(0, "leave ghost c9", "diff -ghost[c9]")
		n1.set(func() { n1.fail = nil })
		stay(stageTTL+3*upkeep, n1)
		seats["A"].want(0, "leave ghost c9", "diff -ghost[c9]")
	})
}

// So does one that the view does not show: a write that came too late has brought back who is known to have left.
func TestOrphanThatHadLeft(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		n1 := s.actor("n1")
		a := n1.open("C")
		m := device("c9")
		write := func(inc string, do func(l Lease) error) {
			if err := do(Lease{inc, time.Now().Add(time.Minute).UnixMilli()}); err != nil {
				t.Fatal(err)
			}
		}
		join := func(l Lease) error {
			_, err := n1.store.Join(t.Context(), l, "C", "ghost", &m, false, "", "")
			return err
		}
		write("lost-2", join)
		write("lost-2", func(l Lease) error {
			_, err := n1.store.Leave(t.Context(), l, "C", "ghost", "c9", "", CauseUntracked)
			return err
		})
		write("lost-1", join)
		a.want(2*stageWindow, "join ghost c9", "leave ghost c9")
		stay(Audit+stageTTL+3*upkeep, n1)
		a.want(0)
		entries, err := n1.store.Entries(t.Context(), "C", "lost-1")
		if n := n1.t.stats.Orphans.Load(); err != nil || len(entries) != 0 || n != 1 {
			t.Errorf("Redis holds %v, %v; %d orphans", entries, err, n)
		}
		loads := n1.t.stats.Loads.Load()
		stay(3*Audit, n1) // it is settled now
		if n := n1.t.stats.Loads.Load(); n != loads {
			t.Errorf("read %d times more", n-loads)
		}
	})
}

// So does one in a channel that nobody has open, once it has been listed.
func TestOrphanInAListing(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		n1 := s.actor("n1")
		lost := device("c9")
		if _, err := n1.store.Join(t.Context(), Lease{"lost-1", time.Now().Add(time.Minute).UnixMilli()}, "C", "ghost", &lost,
			false, "", "e"); err != nil {
			t.Fatal(err)
		}
		list := func() string {
			us, err := n1.t.Users(t.Context(), "C")
			if err != nil {
				t.Fatal(err)
			}
			return show(us)
		}
		if got := list(); got != "ghost[c9]" {
			t.Errorf("the list is %s", got)
		}
		stay(stageTTL+2*upkeep, n1)
		if got := list(); got != "" {
			t.Errorf("after a lease time the list is %s", got)
		}
	})
}

// An entry that moved to the next incarnation is no orphan, and does not look like one for ever.
func TestMovedEntryIsNoOrphan(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		n1, n2 := s.actor("n1"), s.actor("n2")
		a, b := n1.open("C"), n2.open("C")
		a.track("c1", "ann")
		b.want(stageWindow, "join ann c1", "diff +ann[c1]")
		n1.next()
		stay(time.Second, n1, n2)
		if err := s.client.ZRem(t.Context(), s.keys.Nodes(), "n1-1").Err(); err != nil { // reaped
			t.Fatal(err)
		}
		stay(2*time.Minute, n1, n2)
		b.want(0)
		b.wantView("ann[c1]")
		if owner := b.list("")[0].Metas[0].Inc; owner != "n1-2" {
			t.Errorf("the view says it is of %s", owner)
		}
		if loads := n2.t.stats.Loads.Load(); loads > 2 {
			t.Errorf("read %d times", loads)
		}
		if n := n2.t.stats.Orphans.Load(); n != 0 {
			t.Errorf("%d orphans", n)
		}
	})
}

// A node that reaps an earlier incarnation of its own leaves what it is about to write again: one part of Redis may
// have been away until now.
func TestOwnEntriesAreNotReaped(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		n1, n2 := s.actor("n1"), s.actor("n2")
		a, b := n1.open("C"), n2.open("C")
		a.track("c1", "ann")
		// The join of one more had no answer, and it went.
		left := Meta{ConnID: "c2", Ref: "r", JoinedAt: 1, Source: FromEvent, Info: "{}"}
		_, deadline, _ := n1.Lease()
		if _, err := n1.store.Join(t.Context(), Lease{"n1-1", deadline}, "C", "bob", &left, true, "", "e"); err != nil {
			t.Fatal(err)
		}
		b.want(stageWindow, "join ann c1", "join bob c2", "diff +ann[c1] +bob[c2]")

		n1.set(func() { n1.fail = redisconn.ErrUnavailable })
		n1.next()
		stay(stageTTL, n1, n2)
		n1.set(func() { n1.fail = nil })
		if later, err := n1.store.RemoveIncarnation(t.Context(), "C", "n1-1", 0); later != 0 || err != nil {
			t.Errorf("the rest may go at %d, %v", later, err)
		}
		b.want(stageWindow, "leave bob c2", "diff -bob[c2]")
		stay(2*time.Second, n1, n2)
		if later, err := n1.store.RemoveIncarnation(t.Context(), "C", "n1-1", 0); later != math.MaxInt64 || err != nil {
			t.Errorf("a rest may go at %d, %v", later, err)
		}
		b.want(stageWindow)
		b.wantView("ann[c1]")
	})
}

// DESIGN 2: a channel is on the incarnation's list before the first entry, and "removed after the last"; without
// entries and audience nothing of it is kept.
func TestTidy(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		n := s.actor("n1")
		list := func() string {
			return fmt.Sprint(s.client.SMembers(t.Context(), s.keys.NodeChannels("n1-1")).Val())
		}
		a := n.open("C")
		if got := list(); got != "[]" {
			t.Errorf("before: %s", got)
		}
		a.track("c1", "ann")
		a.track("c2", "bob")
		if got := list(); got != "[C]" {
			t.Errorf("with two: %s", got)
		}
		a.c.Untrack(t.Context(), "c1", "ann")
		stay(3*upkeep, n)
		if got := list(); got != "[C]" {
			t.Errorf("with one: %s", got)
		}
		a.c.Untrack(t.Context(), "c2", "bob")
		n.set(func() { n.away = true })
		time.Sleep(2 * upkeep)
		n.set(func() { n.away = false })
		stay(2*upkeep, n)
		if got := list(); got != "[C]" {
			t.Errorf("with none, but a short while ago: %s", got)
		}
		stay(n.t.cfg.TTL, n)
		if got := list(); got != "[]" {
			t.Errorf("with none: %s", got)
		}
		a.track("c1", "ann")
		if got := list(); got != "[C]" {
			t.Errorf("again with one: %s", got)
		}
		a.c.Untrack(t.Context(), "c1", "ann")
		a.c.Detach()
		stay(n.t.cfg.TTL-upkeep, n)
		n.t.Suspect() // Redis may have lost the leave
		stay(n.t.cfg.TTL-upkeep, n)
		if got := list(); got != "[C]" {
			t.Errorf("while Redis is suspected: %s", got)
		}
		stay(3*upkeep, n)
		if got := list(); got != "[]" {
			t.Errorf("after it: %s", got)
		}
		if len(n.t.all()) != 0 {
			t.Error("the channel is kept")
		}
	})
}
