package hub

import (
	"strings"
	"testing"

	"rollcall/history"
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
		b, ok := history.Decode(text)
		if v := (Value{Text: b.Text, JSON: b.JSON}); !ok || v != c.v || b.Sender != c.sender || b.At.MS <= 0 || b.Kept {
			t.Errorf("%q reads as %+v, %v; want %+v of %q", text, b, ok, c.v, c.sender)
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
