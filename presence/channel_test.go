package presence

import (
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
		a := n.open("C")
		a.scripts = false
		var wg sync.WaitGroup
		for i := range 300 {
			wg.Go(func() { a.trackAs(FromEvent, true, fmt.Sprintf("c%03d", i), fmt.Sprintf("u%03d", i)) })
		}
		wg.Wait()
		time.Sleep(stageWindow)
		synctest.Wait()
		told := map[string]bool{}
		for _, line := range a.told {
			to, users, ok := strings.Cut(strings.TrimPrefix(line, "state to "), ": ")
			if !ok || !strings.HasPrefix(line, "state") {
				continue
			}
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
		if len(told) != 300 || len(a.states) > 10 {
			t.Errorf("%d connections got a state by %d encodings", len(told), len(a.states))
		}
		a.told = nil
	})
}

// After Detach nothing is told, and a new audience reads anew.
func TestChannelDetach(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		n1, n2 := s.actor("n1"), s.actor("n2")
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

// A list is never that of a channel which has not been read, or has been left: Redis is asked then.
func TestListOfAChannelThatIsLeft(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		n1, n2 := s.actor("n1"), s.actor("n2")
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
