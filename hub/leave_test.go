package hub

import (
	"fmt"
	"testing"
	"time"

	"rollcall/presence"
	"rollcall/testkit"
)

// SPEC 6: "when it leaves, unsubscribes or untracks after a broadcast of its own, in one return, two or by function
// calls, it still gets that broadcast". It gets nothing that comes behind it.
func TestOwnBroadcastComesAfterLeave(t *testing.T) {
	w, n1, n2 := quick(t)
	other := n2.event("other")
	for _, kind := range []string{"event", "script"} {
		c := n1.enter(kind, Member{}, kind == "script")
		for i := range 100 {
			room := fmt.Sprintf("%s %d", kind, i)
			c.join(room)
			own := fmt.Sprint("own ", i)
			c.say(room, own)
			if i%2 == 0 {
				c.say(room, own+" again")
			}
			must(t, c.Leave(room))
			other.say(room, "behind")
			if rooms := c.Rooms(); len(rooms) != 0 {
				t.Errorf("it is in %v", rooms)
			}
			want := []string{own}
			if i%2 == 0 {
				want = append(want, own+" again")
			}
			if kind == "script" {
				for j := range want {
					want[j] = room + ": " + want[j] + " from script"
				}
			}
			c.want(want...)
		}
		testkit.Eventually(t, "the rooms are closed", func() bool { return n1.Load().Channels == 0 })
		c.join("end") // what came behind would have come by now
		other.say("end", "end")
		end := "end"
		if kind == "script" {
			end = "end: end from other"
		}
		c.want(end)
		must(t, c.Leave("end"))
	}
	w.wantViews("event 0", "")
}

// TestJoinWhileLeaving: who comes back meanwhile hears all.
func TestJoinWhileLeaving(t *testing.T) {
	_, n1, n2 := quick(t)
	other, c := n2.event("other"), n1.event("c")
	for i := range 50 {
		c.join("r")
		c.say("r", fmt.Sprint("own ", i))
		must(t, c.Leave("r"))
		c.join("r")
		other.say("r", fmt.Sprint("other ", i))
		c.want(fmt.Sprint("own ", i), fmt.Sprint("other ", i))
		must(t, c.Leave("r"))
	}
	testkit.Eventually(t, "the room is closed", func() bool { return n1.Load().Channels == 0 })
}

// TestLeavingEnds: nothing is waited for that cannot come, as after the connection to Redis broke, or the client went.
func TestLeavingEnds(t *testing.T) {
	_, n1, _ := quick(t)
	c, gone := n1.event("c"), n1.event("gone")
	c.join("r")
	gone.join("r2")
	m, m2 := c.find("r"), gone.find("r2")
	m.sent.Add(1) // what Redis loses
	m2.sent.Add(1)
	must(t, c.Leave("r"))
	must(t, gone.Leave("r2"))
	if !m.isLeaving() || !m2.isLeaving() {
		t.Error("they do not wait for what is under way")
	}
	gone.Exit(Closed, presence.CauseClosed)
	began := time.Now()
	testkit.Eventually(t, "the rooms are closed", func() bool { return n1.Load().Channels == 0 })
	if took := time.Since(began); took > 2*waitForRedis {
		t.Errorf("it took %v", took)
	}
}

func (m *membership) isLeaving() bool {
	m.room.mu.RLock()
	defer m.room.mu.RUnlock()
	return m.leaving
}
