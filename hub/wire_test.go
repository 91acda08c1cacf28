package hub

import (
	"strings"
	"testing"
)

// SPEC: a channel is "1 to 255 bytes of UTF-8 without control characters".
func TestCheckChannel(t *testing.T) {
	for name, ok := range map[string]bool{
		"a": true, "room:1": true, "ü ☃ 😀": true, "{x}%": true, " ": true, strings.Repeat("x", 255): true, strings.Repeat("ü",
			127): true,
		"": false, strings.Repeat("x", 256): false, strings.Repeat("ü",
			128): false, "\x00": false, "a\tb": false, "a\n": false, "\x7f": false, "\u0080": false, "\u009f": false,
		"\u00a0": true, "\xff": false, "a\xc3": false,
	} {
		if err := CheckChannel(name); (err == nil) != ok {
			t.Errorf("%q: %v, want ok %v", name, err, ok)
		}
	}
}

func TestBroadcastOnTheWire(t *testing.T) {
	for _, c := range []struct {
		v      Value
		sender string
	}{
		{Value{Text: "hello  world"}, "0191e3b2-7c1a-8d4f-9a2b-0123456789ab"},
		{Value{Text: `{"a":1}`, JSON: true}, ""},
		{Value{Text: ""}, ""},
		{Value{Text: " leading\nand trailing "}, "x"},
	} {
		text := string(encode(c.v, c.sender))
		v, sender, ms, ok := decode(text)
		if !ok || v != c.v || sender != c.sender || ms <= 0 {
			t.Errorf("%q reads as %+v %q %d %v, want %+v %q", text, v, sender, ms, ok, c.v, c.sender)
		}
	}
	for _, text := range []string{"b", "bx", "bx ", "bx 1", "bx y text", "b  text", "jx 1x text"} {
		if _, _, _, ok := decode(text); ok {
			t.Errorf("%q passes", text)
		}
	}
}

// A room gets whatever anybody publishes to its topic.
func TestDamagedMessagesAreDropped(t *testing.T) {
	r := &room{h: &Hub{cfg: Config{Observer: noObserver{}}}}
	for _, text := range []string{"", "b", "j", "bx", "zzz", "b x y"} {
		r.Receive(text)
	}
	e := everyone{&Hub{cfg: Config{Observer: noObserver{}}}}
	for _, text := range []string{"", "b", "s registry", "jx"} {
		e.Receive(text)
	}
	if r.h.stats.Fanouts.Load() != 0 || e.h.stats.Fanouts.Load() != 0 {
		t.Error("something was fanned out")
	}
}

func TestActionNames(t *testing.T) {
	for k := ActionLeave; k <= ActionClose; k++ {
		if k.String() == "" {
			t.Errorf("action %d has no name", k)
		}
	}
	err := ActionError{Action{Kind: ActionSetPresence}, ErrGone}
	if got := err.Error(); got != "set_presence: this connection is closed" || err.Unwrap() != ErrGone {
		t.Errorf("error %q", got)
	}
}
