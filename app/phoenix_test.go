package app

import (
	"testing"

	"rollcall/hub"
	"rollcall/outbox"
)

// A page that goes closes without a code: for clients of Phoenix that counts as 1001, and a code of theirs as itself.
func TestPhoenixEnding(t *testing.T) {
	for _, c := range []struct {
		info outbox.CloseInfo
		want hub.Ending
	}{
		{outbox.CloseInfo{Code: 1005, ByPeer: true, Clean: true}, hub.Dropped},
		{outbox.CloseInfo{Code: 1001, ByPeer: true, Clean: true}, hub.Dropped},
		{outbox.CloseInfo{Code: 1006, ByPeer: true}, hub.Dropped},
		{outbox.CloseInfo{Code: 1000, ByPeer: true, Clean: true}, hub.Closed},
		{outbox.CloseInfo{Code: 4000, ByPeer: true, Clean: true}, hub.Closed},
		{outbox.CloseInfo{Code: 1012, Clean: true}, hub.SentAway},
		{outbox.CloseInfo{Code: 1000, Clean: true}, hub.Closed},
	} {
		if got, _ := phoenixEnding(c.info); got != c.want {
			t.Errorf("%+v: %d, want %d", c.info, got, c.want)
		}
	}
}

// "The exact one wins, then the longest prefix" (docs/phoenix.md).
func TestTopicPatterns(t *testing.T) {
	c := &channels{exact: map[string]*Route{}}
	for _, topic := range []string{"room:*", "*", "room:a", "room:long:*"} {
		if c.add(&Route{Topic: topic}) != nil || c.add(&Route{Topic: topic}) == nil {
			t.Errorf("%q is not in once", topic)
		}
	}
	for topic, want := range map[string][2]string{"room:a": {"room:a", ""}, "room:ab": {"room:*", "ab"},
		"room:": {"room:*", ""}, "room:long:x": {"room:long:*", "x"}, "room:long": {"room:*", "long"},
		"other": {"*", "other"}, "": {"*", ""}} {
		if route, rest := c.find(topic); route == nil || route.Topic != want[0] || rest != want[1] {
			t.Errorf("%q: %+v, %q", topic, route, rest)
		}
	}
	if route, _ := (&channels{}).find("x"); route != nil {
		t.Error("a socket without patterns has a handler")
	}
}
