package presence

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// DESIGN 3: "A gap … read again, and give the clients only the difference."
func TestChannelGap(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		n1, n2 := s.actor("n1"), s.actor("n2")
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

// SPEC 5.1: "each client is told every change once, in one order that is the same for all of that channel": also on a
// node that reads the channel again, as after a new incarnation, while changes come.
func TestOrderWhileReadingAgain(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		n1, n2 := s.actor("n1"), s.actor("n2")
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
