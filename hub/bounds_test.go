package hub

import (
	"fmt"
	"testing"

	"rollcall/presence"
)

// SPEC 6: "64 devices … of one user in a channel. Beyond: an error to the handler": the connection is as it was before.
func TestTooManyDevices(t *testing.T) {
	w := newWorld(t, worldConfig{})
	n1, n2 := w.node("n1"), w.node("n2")
	var last *client
	for i := range presence.MaxDevices {
		last = []*node{n1, n2}[i%2].event(fmt.Sprint("d", i))
		must(t, last.Session.Track(t.Context(), "room", "ann", nil))
	}
	more := n1.event("more")
	more.join("room")
	for range 2 {
		if err := more.Session.Track(t.Context(), "room", "ann", nil); !isOneOf(err, presence.ErrTooManyDevices) {
			t.Errorf("one more: %v", err)
		}
	}
	if err := more.SetPresence(t.Context(), "room", nil); !isOneOf(err, presence.ErrNotTracked) {
		t.Errorf("set_presence of it: %v", err)
	}
	if _, user := more.find("room").state(); user != "" {
		t.Error("it counts as tracked")
	}
	must(t, more.Session.Track(t.Context(), "room", "bob", nil))
	must(t, more.Session.Untrack(t.Context(), "room"))
	last.Exit(Closed, presence.CauseClosed)
	must(t, more.Session.Track(t.Context(), "room", "ann", nil))
}
