package hub

import (
	"errors"
	"fmt"
	"rollcall/presence"
	"testing"
)

// SPEC 9: watch: "512 a connection"; what identifies and what is watched counts in no other limit.
func TestWatchLimit(t *testing.T) {
	w := newWorld(t, worldConfig{})
	c := w.node("n1").event("c")
	must(t, c.Identify(t.Context(), "ann", nil))
	for i := range MaxWatches {
		must(t, c.Watch(t.Context(), fmt.Sprint("watched", i)))
	}
	must(t, c.Watch(t.Context(), "watched0")) // the same again
	if err := c.Watch(t.Context(), "one more"); !errors.Is(err, ErrTooManyWatch) {
		t.Errorf("one more: %v", err)
	}
	must(t, c.Unwatch("watched1"))
	must(t, c.Watch(t.Context(), "one more"))
	must(t, c.Join(t.Context(), "joined"))
	must(t, c.Track(t.Context(), "tracked", "ann", nil))
	if rooms := c.Rooms(); len(rooms) != 1 || rooms[0] != "joined" {
		t.Errorf("it is in %v", rooms)
	}
	for _, name := range []string{"@ann", "watched0", "tracked"} {
		if err := c.h.room(name).check(); err != nil {
			t.Error(err)
		}
	}
	if v := c.h.room("@ann").Viewers(); v != (presence.Viewers{}) {
		t.Error("presence of a user's channel is rendered for nobody")
	}
}
