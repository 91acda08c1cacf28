package hub

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall/testkit"

	"github.com/redis/go-redis/v9"
)

// Issue: "an idempotency key makes a repeated broadcast one": also when a node ended between the steps of the first
// call, and when its answer was lost.
func TestBroadcastOnce(t *testing.T) {
	w := newWorld(t, worldConfig{})
	n1, n2 := w.node("n1"), w.node("n2")
	c := n1.event("c")
	other := n2.event("other")
	for _, x := range []*client{c, other} {
		if err := x.Join(t.Context(), "room"); err != nil {
			t.Fatal(err)
		}
	}
	if err := other.Join(t.Context(), "{other}"); err != nil {
		t.Fatal(err)
	}
	text := func(channel, text string) Message { return Message{channel, Value{Text: text}} }
	once := func(n *node, id string, fresh bool, ms ...Message) {
		t.Helper()
		if got, err := n.BroadcastOnce(t.Context(), id, ms); got != (Receipt{Fresh: fresh}) || err != nil {
			t.Errorf("call %s: %+v, %v; want fresh %v", id, got, err, fresh)
		}
	}
	once(n1, "a", true, text("room", "1"), text("room", "2"))
	once(n2, "a", false, text("room", "1"), text("room", "2"))
	once(n1, "b", true, text("room", "3"))
	for _, ms := range [][]Message{{text("room", "1")}, {text("room", "2"), text("room", "1")},
		{text("", "1"), text("room", "2")}, {{"room", Value{Text: "1", JSON: true}}, text("room", "2")}, {text("room1", ""),
			text("room", "2")}} {
		if _, err := n2.BroadcastOnce(t.Context(), "a", ms); !errors.Is(err, ErrOtherCall) {
			t.Errorf("another call with the id: %v", err)
		}
	}
	// A node that ended after it had noted the call, and after it had published on one of three topics.
	call := []Message{text("room", "4"), text("{other}", "5"), text("", "6"), text("room", "7")}
	if err := n1.note(t.Context(), "c", digest(call)); err != nil {
		t.Fatal(err)
	}
	cmd := publishOnce.Command(t.Context(), []string{n1.keys.OnceMark(n1.keys.Topic("{other}"), "c")},
		keepOnce.Milliseconds(), "PUBLISH", n1.keys.Topic("{other}"), encode(Value{Text: "5"}, ""))
	if err := n1.redis.Batch(t.Context(), []redis.Cmder{cmd}); err != nil || cmd.Err() != nil {
		t.Fatal(err, cmd.Err())
	}
	once(n2, "c", true, call...)
	once(n1, "c", false, call...)
	if _, err := n1.BroadcastOnce(t.Context(), "d",
		[]Message{text("room", "must not come"), text("", "must not come"), text("a\x00", "")}); !errors.Is(
		err, ErrBadChannel) {
		t.Errorf("a bad channel: %v", err)
	}
	// After its time an id is free again.
	w.forward(keepOnce)
	once(n1, "a", true, text("room", "1"), text("room", "2"))
	fence := func(x *client) []string {
		t.Helper()
		if err := n1.Broadcast(t.Context(), "room", Value{Text: "fence"}, ""); err != nil {
			t.Fatal(err)
		}
		return heard(x, "fence")
	}
	testkit.Eventually(t, "everyone hears 6", func() bool { return slices.Contains(c.got(), "6") })
	if got := fence(c); sorted(got, "6") != "1 2 3 4 7 1 2 +6" {
		t.Errorf("c heard %v", got)
	}
	testkit.Eventually(t, "5 and 6 are heard",
		func() bool { got := other.got(); return slices.Contains(got, "5") && slices.Contains(got, "6") })
	time.Sleep(20 * time.Millisecond) // what comes twice would come now; that it does not cannot be waited for otherwise
	if got := strings.Join(other.got(), " "); strings.Count(got, "5") != 1 || strings.Count(got, "6") != 1 {
		t.Errorf("the other heard %s", got)
	}
	for _, key := range w.redis.Mini().Keys() {
		if strings.Contains(key, ":once:") && w.redis.Mini().TTL(key) <= 0 {
			t.Errorf("%s stays for ever", key)
		}
	}
}

// heard waits for a frame and takes what came before it.
func heard(c *client, last string) (before []string) {
	c.w.t.Helper()
	testkit.Eventually(c.w.t, c.name+" hears "+last, func() bool { return slices.Contains(c.got(), last) })
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.Index(c.lines, last)
	before, c.lines = c.lines[:i:i], c.lines[i+1:]
	return before
}

// sorted joins texts; the one that travels on another topic comes last.
func sorted(texts []string, apart string) string {
	var rest []string
	end := ""
	for _, text := range texts {
		if text == apart {
			end += " +" + apart
		} else {
			rest = append(rest, text)
		}
	}
	return strings.Join(rest, " ") + end
}

// Redis away: an error, and the call can be made again.
func TestBroadcastOnceWithoutRedis(t *testing.T) {
	w := newWorld(t, worldConfig{timeout: time.Second})
	n1, n2 := w.node("n1"), w.node("n2")
	c := n2.event("c")
	if err := c.Join(t.Context(), "room"); err != nil {
		t.Fatal(err)
	}
	ms := []Message{{"room", Value{Text: "once"}}}
	n1.proxy.Cut()
	n1.proxy.Refuse()
	if _, err := n1.BroadcastOnce(t.Context(), "x", ms); !errors.Is(err, ErrUnavailable) {
		t.Errorf("without Redis: %v", err)
	}
	n1.proxy.Resume()
	testkit.Eventually(t, "it is sent", func() bool {
		got, err := n1.BroadcastOnce(t.Context(), "x", ms)
		return got.Fresh && err == nil
	})
	if got, err := n2.BroadcastOnce(t.Context(), "x", ms); got.Fresh || err != nil {
		t.Errorf("again: %+v, %v", got, err)
	}
	for range 2 {
		if err := n2.Broadcast(t.Context(), "room", Value{Text: "fence"}, ""); err != nil {
			t.Fatal(err)
		}
	}
	if got := fmt.Sprint(heard(c, "fence")); got != "[once]" {
		t.Errorf("heard %s", got)
	}
}
