package hub

import (
	"slices"
	"testing"
	"time"

	"rollcall/presence"
	"rollcall/testkit"
)

// SPEC 5.3: "While Redis can't be reached, broadcasts … raise within 3 s; `join`, `track` and their like succeed and
// are written when it is back; lists answer from the replica."
func TestRedisAway(t *testing.T) {
	w := newWorld(t, worldConfig{timeout: time.Second})
	n1, n2 := w.node("n1"), w.node("n2")
	a, b, late := n1.event("a"), n2.event("b"), n1.event("late")
	a.join("room")
	b.join("room")
	a.track("room", "ann", "")
	a.want("room: state ann[a]")
	b.want("room: +ann[a]")
	testkit.Eventually(t, "the nodes know each other", func() bool { return len(n1.cluster.Nodes()) == 2 })
	n1.proxy.Refuse()
	began := time.Now()
	if err := n1.Broadcast(t.Context(), "room", Value{Text: "x"}, a.id); !isOneOf(err, ErrUnavailable) {
		t.Errorf("broadcast: %v", err)
	}
	if err := n1.BroadcastAll(t.Context(), Value{Text: "x"}); !isOneOf(err, ErrUnavailable) {
		t.Errorf("broadcast to all: %v", err)
	}
	if _, err := n1.ClientsIn(t.Context(), "room"); !isOneOf(err, ErrUnavailable) {
		t.Errorf("clients: %v", err)
	}
	if _, err := n1.Send(t.Context(), "ffffffff-ffff-8fff-bfff-ffffffffffff", Value{}); !isOneOf(err, ErrUnavailable) {
		t.Errorf("send to an unknown node: %v", err)
	}
	if _, err := n1.Presence(t.Context(), "never read", ""); !isOneOf(err, ErrUnavailable) {
		t.Errorf("a list of what was never read: %v", err)
	}
	if got := n1.view("room"); got != "ann[a]" {
		t.Errorf("the list is %s", got)
	}
	if took := time.Since(began); took > 5*3*time.Second {
		t.Errorf("five calls took %v", took)
	}
	a.set("room", `{"state":"away"}`)
	late.join("room")
	late.track("room", "late", "")
	must(t, a.Leave("room"))
	late.join("other")
	late.track("other", "late", "")
	if err := late.SendPresence(t.Context(), "third"); !isOneOf(err, ErrUnavailable) {
		t.Errorf("send_presence of what was never read: %v", err)
	}
	n1.proxy.Resume()
	w.wantViews("room", "ann[a] late[late]")
	w.wantViews("other", "late[late]")
	testkit.Eventually(t, "the states that were owed came", func() bool {
		room, other := false, false
		for _, line := range late.got() {
			room = room || line == "room: state ann[a{state=away}] late[late]" || line == "room: state ann[a] late[late]"
			other = other || line == "other: state late[late]"
		}
		return room && other
	})
	testkit.Eventually(t, "who joined while Redis was away hears", func() bool {
		b.say("room", "back") // once the subscription is back
		return slices.Contains(late.got(), "back")
	})
	for _, line := range b.got() {
		if line == "room: -ann[a]" || line == "room: -ann[a{state=away}]" {
			t.Errorf("ann was told to have left: %q", b.got())
		}
	}
}

// A client that goes while Redis is away is gone when it is back.
func TestExitWhileRedisIsAway(t *testing.T) {
	w := newWorld(t, worldConfig{timeout: time.Second})
	n1, n2 := w.node("n1"), w.node("n2")
	a, brief, b := n1.event("a"), n1.event("brief"), n2.event("b")
	b.join("room")
	a.track("room", "ann", "")
	b.want("room: +ann[a]")
	n1.proxy.Refuse()
	brief.track("room", "brief", "")
	brief.Exit(Closed, presence.CauseClosed)
	a.Exit(Closed, presence.CauseClosed)
	if n1.Load().Channels != 0 {
		t.Error("the room stays")
	}
	b.want()
	n1.proxy.Resume()
	b.want("room: -ann[a]")
	w.wantViews("room", "")
}

// SPEC 1.2: "frames of one channel reach a client in one order". A client that is owed a presence_state is sent no
// diffs, so it gets the state also when it stops being tracked before Redis is back.
func TestUntrackedWhileOwedAState(t *testing.T) {
	w := newWorld(t, worldConfig{timeout: time.Second})
	n1, n2 := w.node("n1"), w.node("n2")
	a, b := n1.event("a"), n2.event("b")
	a.join("room")
	b.track("room", "bob", "")
	a.want("room: +bob[b]")
	n1.proxy.Refuse()
	a.track("room", "ann", "")
	must(t, a.Untrack(t.Context(), "room"))
	if got := a.got(); len(got) > 1 {
		t.Errorf("while Redis was away it was sent %q", got)
	}
	n1.proxy.Resume()
	testkit.Eventually(t, "the state that was owed came",
		func() bool { return slices.Contains(a.got(), "room: state bob[b]") })
	b.set("room", `{"state":"away"}`)
	testkit.Eventually(t, "diffs come again",
		func() bool { return slices.Contains(a.got(), "room: +bob[b{state=away}]") })
}
