package hub

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"rollcall/naming"
	"rollcall/presence"
)

// SPEC 6: "128 channels and 32 trackings a connection. Beyond: an error to the handler."
func TestLimits(t *testing.T) {
	w := newWorld(t, worldConfig{})
	c := w.node("n1").event("c")
	for i := range MaxChannels {
		c.join(fmt.Sprint("room", i))
	}
	if err := c.Join(t.Context(), "one more"); !isOneOf(err, ErrTooMany) {
		t.Errorf("channel 129: %v", err)
	}
	errs := c.Do(t.Context(), []Action{act(ActionJoin, "one more"), sayRoom("to those there")})
	if len(errs) != 2 || !isOneOf(errs[0], ErrTooMany) || !isOneOf(errs[1], ErrNoRoom) {
		t.Errorf("a broadcast to channel 129: %v", errs)
	}
	c.join("room7") // is in it already
	for i := range MaxTrackings {
		c.track(fmt.Sprint("tracked", i), "u", "")
	}
	if err := c.Track(t.Context(), "one more", "u", nil); !isOneOf(err, ErrTooManyTrack) {
		t.Errorf("tracking 33: %v", err)
	}
	c.track("tracked3", "other", "")
	c.set("tracked4", `{"x":1}`)
	must(t, c.SendPresence(t.Context(), "elsewhere")) // that is neither
	must(t, c.Leave("room0"))
	c.join("one more")
	must(t, c.Untrack(t.Context(), "tracked0"))
	c.track("one more", "u", "")
	if err := c.Track(t.Context(), "two more", "u", nil); !isOneOf(err, ErrTooManyTrack) {
		t.Errorf("tracking 33: %v", err)
	}
	if n := len(c.Rooms()); n != MaxChannels {
		t.Errorf("in %d channels", n)
	}
}

// SPEC 6: names and ids at and past their limits; "One meta: at most 4 KiB".
func TestBadArguments(t *testing.T) {
	w := newWorld(t, worldConfig{})
	n := w.node("n1")
	c := n.event("c")
	long := strings.Repeat("x", 255)
	c.join(long)
	c.track(long, long, "")
	for _, bad := range []string{"", long + "x", "a\nb", "\xff"} {
		for what, err := range map[string]error{
			"join": c.Join(t.Context(), bad), "leave": c.Leave(bad), "track": c.Track(t.Context(), bad, "u",
				nil), "untrack": c.Untrack(t.Context(), bad),
			"set_presence": c.SetPresence(t.Context(), bad, nil), "send_presence": c.SendPresence(t.Context(), bad),
			"presence.join": c.PresenceJoin(t.Context(), bad, "u", json.RawMessage("{}")), "broadcast": n.Broadcast(t.Context(),
				bad, Value{}, ""),
		} {
			if !isOneOf(err, ErrBadChannel) {
				t.Errorf("%s %q: %v", what, bad, err)
			}
		}
		if _, err := n.Presence(t.Context(), bad, ""); !isOneOf(err, ErrBadChannel) {
			t.Errorf("presence of %q: %v", bad, err)
		}
		if _, err := n.ClientsIn(t.Context(), bad); !isOneOf(err, ErrBadChannel) {
			t.Errorf("clients in %q: %v", bad, err)
		}
		if err := c.Track(t.Context(), "room", bad, nil); !isOneOf(err, naming.ErrUserID) {
			t.Errorf("user %q: %v", bad, err)
		}
	}
	if err := c.Track(t.Context(), "room", "u",
		presence.Fields{"x": json.RawMessage(`"` + strings.Repeat("x", 4096) + `"`)}); !isOneOf(err, presence.ErrMetaTooBig) {
		t.Errorf("4 KiB and more: %v", err)
	}
	if got := n.view("room"); got != "" {
		t.Errorf("present %s", got)
	}
	if got := n.view(long); got != long+"[c]" {
		t.Errorf("present %s", got)
	}
}
