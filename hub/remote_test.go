package hub

import (
	"strings"
	"testing"

	"rollcall/presence"
	"rollcall/testkit"
)

// SPEC 1.3, ws_send: "false when no live node can hold that connection, else true …; raises on something that is no
// UUID"; ws_close as ws_send. SPEC 6: they reach "connections of both kinds".
func TestSendAndClose(t *testing.T) {
	w := newWorld(t, worldConfig{})
	n1, n2 := w.node("n1"), w.node("n2")
	near, far, script := n1.event("near"), n2.event("far"), n2.script("script")
	gone := n1.event("gone")
	gone.Exit(Closed, presence.CauseClosed)
	send := func(id, text string) (bool, error) { return n1.Send(t.Context(), id, Value{Text: text}) }
	for _, c := range []*client{near, far, script} {
		for _, id := range []string{c.id, strings.ToUpper(c.id)} {
			if ok, err := send(id, "hello  there\nx"); !ok || err != nil {
				t.Errorf("send to %s: %v, %v", c.name, ok, err)
			}
		}
		if ok, err := n1.Send(t.Context(), c.id, Value{Text: `{"a":1}`, JSON: true}); !ok || err != nil {
			t.Errorf("send to %s: %v, %v", c.name, ok, err)
		}
		if ok, err := send(c.id, ""); !ok || err != nil {
			t.Errorf("send nothing to %s: %v, %v", c.name, ok, err)
		}
		c.want("hello  there\nx", "hello  there\nx", `{"a":1}`, "")
		if ok, err := n1.CloseConn(t.Context(), c.id, 4000, "be gone  now"); !ok || err != nil {
			t.Errorf("close %s: %v, %v", c.name, ok, err)
		}
		testkit.Eventually(t, c.name+" is closed", func() bool {
			c.mu.Lock()
			defer c.mu.Unlock()
			return c.closed == "4000 be gone  now"
		})
	}
	for name, id := range map[string]string{"gone from this node": gone.id,
		"of no node": "ffffffff-ffff-8fff-bfff-ffffffffffff"} {
		if ok, err := send(id, "x"); ok || err != nil {
			t.Errorf("send to one %s: %v, %v", name, ok, err)
		}
	}
	for _, id := range []string{"", "x", "0191e3b27c1a8d4f9a2b0123456789ab"} {
		if _, err := send(id, "x"); !isOneOf(err, ErrBadID) {
			t.Errorf("send to %q: %v", id, err)
		}
		if _, err := n1.CloseConn(t.Context(), id, 1000, ""); !isOneOf(err, ErrBadID) {
			t.Errorf("close %q: %v", id, err)
		}
	}
	n2.OneWay("send", "") // what comes over a topic is not believed
	n2.OneWay("send", far.id)
	n2.OneWay("close", far.id+" x")
	n2.OneWay("what", far.id+" x")
	if _, err := n2.Answer(t.Context(), "what", ""); err == nil {
		t.Error("an unknown question is answered")
	}
	far.want()
}
