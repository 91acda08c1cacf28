package hub

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"rollcall/presence"
	"rollcall/testkit"
)

// SPEC 1.1: "Everything is cleaned up when the connection closes."
func TestExit(t *testing.T) {
	w, n1, n2 := quick(t)
	seen, script := n2.event("seen"), n2.script("script")
	seen.join("r1", "r2")
	script.join("r1")
	c := n1.event("c")
	c.join("r1", "r3")
	c.track("r1", "ann", "")
	seen.want("r1: +ann[c]")
	c.track("r2", "bob", "")
	seen.want("r2: +bob[c]")
	c.Exit(Dropped, presence.CauseLost) // no linger is configured
	c.Exit(Closed, presence.CauseClosed)
	testkit.Eventually(t, "both leaves were told",
		func() bool { return sameSet(seen.got(), []string{"r1: -ann[c]", "r2: -bob[c]"}) })
	seen.want(seen.got()...)
	script.want(`r1: join ann[c] {"user_id":"ann","state":"online"}`,
		`r1: leave ann[c] {"user_id":"ann","state":"online"}`)
	if l := n1.Load(); l.Channels != 0 || l.Connections != 0 {
		t.Errorf("load %+v", l)
	}
	frames := len(c.got())
	seen.say("r1", "x")
	seen.want("x")
	if len(c.got()) != frames {
		t.Error("a closed connection was sent something")
	}
	for what, err := range map[string]error{
		"join": c.Join(t.Context(), "r"), "track": c.Track(t.Context(), "r", "u",
			nil), "presence.join": c.PresenceJoin(t.Context(), "r", "u", json.RawMessage("{}")),
		"send_presence": c.SendPresence(t.Context(), "r"),
	} {
		if !isOneOf(err, ErrGone) {
			t.Errorf("%s after exit: %v", what, err)
		}
	}
	for what, err := range map[string]error{"leave": c.Leave("r1"), "untrack": c.Untrack(t.Context(), "r1")} {
		if err != nil {
			t.Errorf("%s after exit: %v", what, err)
		}
	}
	w.wantViews("r1", "")
	w.wantViews("r", "")
}

// SPEC 3, --presence-linger: "how long a connection that dropped without a close handshake … stays present; 1000 and
// `untrack` leave at once".
func TestLinger(t *testing.T) {
	w := newWorld(t, worldConfig{linger: 400 * time.Millisecond})
	n1, n2 := w.node("n1"), w.node("n2")
	seen := n2.event("seen")
	seen.join("room")
	drops, closes, stays := n1.event("drops"), n1.event("closes"), n1.event("stays")
	drops.track("room", "drops", "")
	closes.track("room", "closes", "")
	stays.track("room", "stays", "")
	seen.want("room: +drops[drops]", "room: +closes[closes]", "room: +stays[stays]")
	began := time.Now()
	drops.Exit(Dropped, presence.CauseLost)
	stays.Exit(Dropped, presence.CauseLost)
	closes.Exit(Closed, presence.CauseClosed)
	seen.want("room: -closes[closes]")
	if got := n2.view("room"); got != "drops[drops] stays[stays]" {
		t.Errorf("present are %s", got)
	}
	again := n2.event("again") // comes back on another node
	again.track("room", "stays", "")
	again.want("room: state drops[drops] stays[again]")
	seen.want("room: -drops[drops]")
	if took := time.Since(began); took < 400*time.Millisecond {
		t.Errorf("it lingered for %v only", took)
	}
	w.wantViews("room", "stays[again]")
	testkit.Eventually(t, "no room stays on n1", func() bool { return n1.Load().Channels == 0 })
}

// A call that comes after the node has stopped does not hang.
func TestJoinAfterClose(t *testing.T) {
	w := newWorld(t, worldConfig{})
	n := w.node("n1")
	n.stop(Closed)
	late := n.event("late")
	if err := late.Join(t.Context(), "room"); err != nil {
		t.Errorf("join of a closed hub: %v", err)
	}
	late.Exit(Closed, presence.CauseClosed)
}

// A connection that goes while its handler is in the midst of track: what was tracked goes too, or lingers.
func TestExitDuringTrack(t *testing.T) {
	for _, ending := range []Ending{Closed, Dropped} {
		t.Run(fmt.Sprint("ending ", ending), func(t *testing.T) {
			w := newWorld(t, worldConfig{linger: 300 * time.Millisecond})
			n1, n2 := w.node("n1"), w.node("n2")
			seen := n2.event("seen")
			seen.join("room")
			c := n1.event("c")
			c.join("room")
			n1.proxy.Hold()
			done := make(chan error, 1)
			go func() { done <- c.Track(t.Context(), "room", "ann", nil) }()
			testkit.Eventually(t, "the call is under way", func() bool {
				c.Session.mu.Lock()
				defer c.Session.mu.Unlock()
				_, user := c.memberships[0].state()
				return user == "ann"
			})
			c.Exit(ending, presence.CauseLost)
			n1.proxy.Resume()
			if err := <-done; err != nil {
				t.Errorf("track: %v", err)
			}
			seen.want("room: +ann[c]", "room: -ann[c]")
			testkit.Eventually(t, "the room is closed", func() bool { return n1.Load().Channels == 0 })
			for _, line := range c.got() {
				t.Errorf("a connection that is gone got %s", line)
			}
		})
	}
}
