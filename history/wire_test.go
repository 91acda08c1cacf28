package history

import "testing"

// What travels over Redis is read as it was written, with a position and without.
func TestWire(t *testing.T) {
	b := Broadcast{JSON: true, Text: `{"a": 1}`, Sender: "x"}
	if got, ok := Decode(string(b.Encode(17))); !ok || got.At != (Position{MS: 17}) || got.Kept || got.Text != b.Text ||
		!got.JSON || got.Sender != "x" {
		t.Errorf("%q reads as %+v", b.Encode(17), got)
	}
	for text, want := range map[string]Broadcast{
		"bx 12-3-11 a b":  {Text: "a b", Sender: "x", At: Position{12, 3}, Prev: 11, Kept: true},
		"j 12-1-0 ":       {JSON: true, At: Position{12, 1}, Kept: true},
		"b 17 1-2-3 text": {Text: "1-2-3 text", At: Position{MS: 17}},
		"ex 1 {}":         {JSON: true, Named: true, Text: "{}", Sender: "x", At: Position{MS: 1}},
		"Ex 1 {}":         {JSON: true, Named: true, Others: true, Text: "{}", Sender: "x", At: Position{MS: 1}},
		"Bx 1 t":          {Others: true, Text: "t", Sender: "x", At: Position{MS: 1}},
		"Jx 1 1":          {JSON: true, Others: true, Text: "1", Sender: "x", At: Position{MS: 1}},
	} {
		if got, ok := Decode(text); !ok || got != want {
			t.Errorf("%q reads as %+v, %v; want %+v", text, got, ok, want)
		} else if !got.Kept && string(got.Encode(got.At.MS)) != text {
			t.Errorf("%q is written as %q", text, got.Encode(got.At.MS))
		}
	}
	for _, text := range []string{"b", "bx", "bx ", "bx 1", "bx y text", "b  text", "jx 1x text", "b 1-2 x", "b 1-2-3",
		"b 1-2- x", "b -2-3 x", "b 1-0-3 x", "b 1-2-3-4 x", "b 1-02-3 x", "b 1-2--3 x"} {
		if b, ok := Decode(text); ok {
			t.Errorf("%q passes as %+v", text, b)
		}
	}
	for text, want := range map[string]bool{"": false, "b": true, "j": true, "p": false, "scripts": false, "B": true,
		"J": true, "e": true, "E": true, "P": false, "C": false} {
		if IsBroadcast(text) != want {
			t.Errorf("%q: want %v", text, want)
		}
	}
}
