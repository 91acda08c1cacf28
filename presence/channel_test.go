package presence

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// SPEC 1.2: "changes to a channel that come close together leave as one diff (a window, 50 ms by default …) … scripts
// get every join and leave".
func TestChannelTellsInWindows(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		n1, n2 := s.actor("n1"), s.actor("n2")
		defer n1.close()
		defer n2.close()
		a, b := n1.open("C"), n2.open("C")
		a.track("c1", "ann")
		b.want(49*time.Millisecond, "join ann c1")
		b.want(time.Millisecond, "diff +ann[c1]")
		b.track("c2", "bob")
		a.c.Untrack(t.Context(), "c1", "ann")
		a.track("c3", "ann")
		b.want(stageWindow, "join bob c2", "leave ann c1", "join ann c3", "diff +ann[c3] +bob[c2]")
		b.wantView("ann[c3] bob[c2]")
		a.wantView("ann[c3] bob[c2]")
	})
}

// SPEC 3, --presence-window: "0 turns it off".
func TestChannelWithoutWindow(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		n := s.actor("n1")
		defer n.close()
		n.t.cfg.Window = 0
		a := n.open("C")
		a.track("c1", "ann")
		a.c.Untrack(t.Context(), "c1", "ann")
		a.want(0, "join ann c1", "diff +ann[c1]", "leave ann c1", "diff -ann[c1]")
	})
}

// SPEC 1.2: "Only rooms whose clients could care pay".
func TestChannelTellsOnlyWhoListens(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		n := s.actor("n1")
		defer n.close()
		a := n.open("C")
		a.plain = false
		a.track("c1", "ann")
		a.want(stageWindow, "join ann c1")
		a.plain, a.scripts = true, false
		a.track("c2", "bob")
		a.want(stageWindow, "diff +bob[c2]")
		a.plain = false
		a.track("c3", "cat")
		a.want(stageWindow)
		a.wantView("ann[c1] bob[c2] cat[c3]")
	})
}

// SPEC 1.2: "after `track`, to the tracking connection: … `presence_state` … complete, with itself in it", and "what a
// presence_state holds is never told again by a later diff".
func TestChannelState(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		n := s.actor("n1")
		defer n.close()
		a := n.open("C")
		a.trackAs(FromEvent, true, "c1", "ann")
		a.want(0, "join ann c1", "state to c1: ann[c1]")
		a.track("c2", "bob")
		a.want(stageWindow, "join bob c2", "diff +ann[c1] +bob[c2] c1 +bob[c2]")
		if err := a.c.State(t.Context(), "c9"); err != nil {
			t.Error(err)
		}
		a.want(stageWindow, "state to c9: ann[c1] bob[c2]")
		a.trackAs(FromEvent, true, "c2", "bob", `{"x":1}`)
		a.want(stageWindow, "update bob c2", "state to c2: ann[c1] bob[c2]", "diff +bob[c2] c2 nothing")
	})
}

// A thousand who come together share few encodings.
func TestChannelStatesAreShared(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		n := s.actor("n1")
		defer n.close()
		a := n.open("C")
		a.scripts = false
		var wg sync.WaitGroup
		for i := range 300 {
			wg.Go(func() { a.trackAs(FromEvent, true, fmt.Sprintf("c%03d", i), fmt.Sprintf("u%03d", i)) })
		}
		wg.Wait()
		time.Sleep(stageWindow)
		synctest.Wait()
		states, told := 0, map[string]bool{}
		for _, line := range a.told {
			to, users, ok := strings.Cut(strings.TrimPrefix(line, "state to "), ": ")
			if !ok || !strings.HasPrefix(line, "state") {
				continue
			}
			states++
			for _, conn := range strings.Fields(to) {
				if told[conn] {
					t.Errorf("%s got two states", conn)
				}
				told[conn] = true
				if !strings.Contains(users, "["+conn+"]") {
					t.Errorf("the state to %s is without itself", conn)
				}
			}
		}
		if len(told) != 300 || states > 10 {
			t.Errorf("%d connections got a state by %d encodings", len(told), states)
		}
		a.told = nil
	})
}

// DESIGN 3: "A gap … read again, and give the clients only the difference."
func TestChannelGap(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		n1, n2 := s.actor("n1"), s.actor("n2")
		defer n1.close()
		defer n2.close()
		a, b := n1.open("C"), n2.open("C")
		a.track("c1", "ann")
		a.track("c2", "bob")
		b.want(stageWindow, "join ann c1", "join bob c2", "diff +ann[c1] +bob[c2]")
		n2.set(func() { n2.lossy = true })
		a.c.Untrack(t.Context(), "c1", "ann")
		a.track("c3", "cat")
		synctest.Wait()
		n2.set(func() { n2.lossy = false })
		b.want(time.Second)
		b.wantView("ann[c1] bob[c2]")
		a.track("c4", "dan")
		time.Sleep(stageWindow)
		synctest.Wait()
		events := len(b.told) - 1
		if got, want := b.told[events], "diff +cat[c3] +dan[c4] -ann[c1]"; events != 3 || got != want {
			t.Errorf("told %q, want three events and %q", b.told, want)
		}
		b.told = nil
		b.wantView("bob[c2] cat[c3] dan[c4]")
		if n := n2.t.stats.Gaps.Load(); n != 1 {
			t.Errorf("%d gaps", n)
		}
	})
}

// A message that cannot be read is a gap too.
func TestChannelDamagedMessage(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		n := s.actor("n1")
		defer n.close()
		a := n.open("C")
		before := n.t.stats.Loads.Load()
		a.c.Receive("p1:e1:1")
		synctest.Wait()
		if loads := n.t.stats.Loads.Load(); loads != before+1 {
			t.Errorf("read %d times", loads-before)
		}
	})
}

// A message that was published before the snapshot and comes after it does nothing.
func TestChannelMessageFromBeforeTheSnapshot(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		n := s.actor("n1")
		defer n.close()
		other := newSeat(n)
		other.c = n.t.Open("C", other)
		m := device("c1")
		at, err := n.store.Join(t.Context(), Lease{"n1-1", n.deadline}, "C", "ann", &m, false, "", "e")
		if err != nil {
			t.Fatal(err)
		}
		other.c.Load(other)
		synctest.Wait()
		other.c.Receive(message(Change{Epoch: at.Epoch, Seq: 1, Op: OpJoin, Users: []User{{ID: "ann", Metas: []Meta{m}}}}))
		if n.t.stats.Gaps.Load() != 0 || n.t.stats.Loads.Load() != 1 {
			t.Error("it counted as a gap")
		}
		other.want(stageWindow, "join ann c1", "diff +ann[c1]")
	})
}

// A writer whose own message is lost has it in the view all the same, soon.
func TestChannelOwnMessageLost(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		n := s.actor("n1")
		defer n.close()
		a := n.open("C")
		n.set(func() { n.lossy = true })
		began := time.Now()
		if a.trackAs(FromEvent, true, "c1", "ann") {
			t.Error("pending")
		}
		if took := time.Since(began); took > 2*ownWriteWait {
			t.Errorf("it took %v", took)
		}
		a.wantView("ann[c1]")
		a.want(stageWindow, "join ann c1", "state to c1: ann[c1]", "diff +ann[c1] c1 nothing")
		a.track("c2", "bob")
		a.wantView("ann[c1] bob[c2]")
		a.want(stageWindow, "join bob c2", "diff +bob[c2]")
	})
}

// Before the channel has been read there is no state to send; it comes then.
func TestChannelStateWaitsForTheFirstReading(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		n := s.actor("n1")
		defer n.close()
		a := newSeat(n)
		a.c = n.t.Open("C", a)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := a.c.State(ctx, "c1"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("state of nothing: %v", err)
		}
		if !a.trackAs(FromEvent, true, "c2", "ann") {
			t.Error("the state is on its way although nothing was read")
		}
		a.want(0)
		a.c.Load(a)
		a.want(stageWindow, "join ann c2", "state to c1 c2: ann[c2]", "diff +ann[c2] c1 nothing c2 nothing")
	})
}

// While a snapshot is read again, changes are told as they come; the audience hears nothing twice and nothing wrong.
func TestChannelChangesWhileReading(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		n1, n2 := s.actor("n1"), s.actor("n2")
		defer n1.close()
		defer n2.close()
		a, b := n1.open("C"), n2.open("C")
		a.track("c1", "ann")
		a.track("c2", "bob")
		b.want(stageWindow, "join ann c1", "join bob c2", "diff +ann[c1] +bob[c2]")
		step := 0
		n2.set(func() {
			n2.failed = func(what string) {
				switch step++; step {
				case 2: // after the position was read: ann changes and goes
					a.track("c1", "ann", `{"x":1}`)
					a.c.Untrack(context.Background(), "c1", "ann")
				case 3: // after the list was read: bob changes and goes
					a.track("c2", "bob", `{"x":1}`)
					a.c.Untrack(context.Background(), "c2", "bob")
				}
			}
		})
		b.c.Resubscribed()
		b.want(stageWindow+catchUpTime, "update ann c1", "leave ann c1", "update bob c2", "leave bob c2",
			"diff -ann[c1] -bob[c2]")
		b.wantView("")
		if step < 4 {
			t.Errorf("%d steps of reading", step)
		}
	})
}

// A message that was lost while a snapshot was read does not keep it waiting for long.
func TestChannelMessageLostWhileReading(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		n1, n2 := s.actor("n1"), s.actor("n2")
		defer n1.close()
		defer n2.close()
		a, b := n1.open("C"), n2.open("C")
		a.track("c0", "bob")
		b.want(stageWindow, "join bob c0", "diff +bob[c0]")
		first := true
		n2.set(func() {
			n2.lossy = true
			n2.failed = func(string) {
				if !first {
					a.track("c1", "ann")
					n2.set(func() { n2.failed = nil })
				}
				first = false
			}
		})
		b.c.Resubscribed()
		b.want(2*catchUpTime, "join ann c1", "diff +ann[c1]")
	})
}

// After Detach nothing is told, and a new audience reads anew.
func TestChannelDetach(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		n1, n2 := s.actor("n1"), s.actor("n2")
		defer n1.close()
		defer n2.close()
		a, b := n1.open("C"), n2.open("C")
		a.track("c1", "ann")
		synctest.Wait()
		b.c.Detach()
		a.track("c2", "bob")
		b.want(2*stageWindow, "join ann c1")
		if err := b.c.State(t.Context(), "c9"); !errors.Is(err, errDetached) {
			t.Errorf("state without an audience: %v", err)
		}
		again := newSeat(n2)
		again.c = n2.t.Open("C", again)
		b.c.Load(b) // the old audience's subscription comes late
		synctest.Wait()
		select {
		case <-again.c.Ready():
			t.Error("ready by the old audience's reading")
		default:
		}
		again.c.Load(again)
		again.want(stageWindow, "join ann c1", "join bob c2", "diff +ann[c1] +bob[c2]")
		again.wantView("ann[c1] bob[c2]")
	})
}

// A waiting writer is set free when the audience goes.
func TestChannelDetachFreesWriters(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		n := s.actor("n1")
		defer n.close()
		a := n.open("C")
		n.set(func() { n.lossy = true })
		began := time.Now()
		var wg sync.WaitGroup
		wg.Go(func() { a.trackAs(FromEvent, true, "c1", "ann") })
		wg.Go(func() { a.track("c2", "bob") })
		synctest.Wait()
		a.c.Detach()
		wg.Wait()
		if took := time.Since(began); took != 0 {
			t.Errorf("it took %v", took)
		}
		a.want(time.Second)
	})
}

// SPEC 1.2, track: "Again on the same channel: replaces the metadata like `set_presence`, `phx_ref` and `online_at`
// kept".
func TestChannelKeepsRef(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		n := s.actor("n1")
		defer n.close()
		a := n.open("C")
		meta := func() Meta { return a.list("")[0].Metas[0] }
		a.track("c1", "ann", `{"a":1,"b":2}`)
		one := meta()
		time.Sleep(5 * time.Second)
		n.Renew(t.Context())
		a.track("c1", "ann", `{"c":3}`)
		if m := meta(); m.Ref != one.Ref || m.JoinedAt != one.JoinedAt || m.Info != `{"c":3}` {
			t.Errorf("tracked again: %+v, was %+v", m, one)
		}
		if _, err := a.c.Update(t.Context(), "c1", "ann", fields(t, `{"d":4,"c":null,"state":"away"}`)); err != nil {
			t.Fatal(err)
		}
		if m := meta(); m.Ref != one.Ref || m.JoinedAt != one.JoinedAt || m.Info != `{"d":4,"state":"away"}` || m.NoState {
			t.Errorf("updated: %+v, was %+v", m, one)
		}
		a.c.Untrack(t.Context(), "c1", "ann")
		if _, err := a.c.Update(t.Context(), "c1", "ann", Fields{}); !errors.Is(err, ErrNotTracked) {
			t.Errorf("update without tracking: %v", err)
		}
		a.track("c1", "ann")
		if m := meta(); m.Ref == one.Ref || m.JoinedAt == one.JoinedAt {
			t.Errorf("a new tracking has the old reference: %+v", m)
		}
	})
}

// SPEC 5.1: "each client is told every change once, in one order that is the same for all of that channel": also on a
// node that reads the channel again, as after a new incarnation, while changes come.
func TestOrderWhileReadingAgain(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		n1, n2 := s.actor("n1"), s.actor("n2")
		defer n1.close()
		defer n2.close()
		a, b := n1.open("C"), n2.open("C")
		a.plain, b.plain = false, false
		b.track("c1", "ann")
		a.want(0, "join ann c1")
		b.want(0, "join ann c1")
		slow := make(chan struct{})
		n1.set(func() { n1.failed = func(string) { <-slow } })
		a.c.Resubscribed() // reads, and the reading does not come to an end
		synctest.Wait()
		b.track("c2", "bob")
		b.c.Untrack(t.Context(), "c1", "ann")
		b.track("c3", "cid")
		order := []string{"join bob c2", "leave ann c1", "join cid c3"}
		a.want(0, order...)
		b.want(0, order...)
		n1.set(func() { n1.failed = nil })
		close(slow)
		a.want(time.Second)
		a.wantView("bob[c2] cid[c3]")

		// What comes after a change that was missed waits for the snapshot.
		slow = make(chan struct{})
		n1.set(func() { n1.failed = func(string) { <-slow } })
		a.c.Resubscribed()
		synctest.Wait()
		n1.set(func() { n1.lossy = true })
		b.c.Untrack(t.Context(), "c2", "bob")
		synctest.Wait()
		n1.set(func() { n1.lossy = false })
		b.track("c4", "dan")
		a.want(0)
		n1.set(func() { n1.failed = nil })
		close(slow)
		a.want(time.Second, "leave bob c2", "join dan c4")
		a.wantView("cid[c3] dan[c4]")
	})
}

// A list is never that of a channel which has not been read, or has been left: Redis is asked then.
func TestListOfAChannelThatIsLeft(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		n1, n2 := s.actor("n1"), s.actor("n2")
		defer n1.close()
		defer n2.close()
		n1.open("C").track("c1", "ann")
		seat := &seat{a: n2}
		seat.c = n2.t.Open("C", seat)
		if us, ok := seat.c.List(""); ok {
			t.Errorf("not read: %s", show(us))
		}
		seat.c.Load(seat)
		<-seat.c.Ready()
		if us, ok := seat.c.List(""); !ok || show(us) != "ann[c1]" {
			t.Errorf("read: %s, %v", show(us), ok)
		}
		seat.c.Detach()
		if us, ok := seat.c.List(""); ok {
			t.Errorf("left: %s", show(us))
		}
	})
}
