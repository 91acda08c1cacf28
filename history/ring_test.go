package history

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// SPEC 7: "a string `<ms>-<seq>`".
func TestPosition(t *testing.T) {
	for _, text := range []string{"0-0", "1-2", "1700000000000-17", "99999999999999-99999999999999"} {
		if p, ok := ParsePosition(text); !ok || p.String() != text {
			t.Errorf("%q is read as %v, %v", text, p, ok)
		}
	}
	for _, text := range []string{"", "-", "1", "1-", "-1", "1-2-3", "01-1", "1-01", "+1-1", "1--1", " 1-1", "1-1 ",
		"1-1\n", "1e3-1", "0x1-1", "１-1", "100000000000000-1", "1-100000000000000", "a-b", "*", "1-*", "(1-1"} {
		if p, ok := ParsePosition(text); ok {
			t.Errorf("%q is read as %v", text, p)
		}
	}
}

// SPEC 7: "A name, or a prefix and `*`; the longest that fits counts."
func TestRules(t *testing.T) {
	policy := func(size int) Policy { return Policy{size, time.Minute} }
	r := NewRules([]Rule{{"room:*", policy(1)}, {"room:vip:*", policy(2)}, {"room:vip:1", policy(3)}, {"room:", policy(4)},
		{"lobby", policy(5)}})
	for channel, want := range map[string]int{"room:1": 1, "room:vip:2": 2, "room:vip:1": 3, "room:": 4, "lobby": 5,
		"lobby2": 0, "room": 0, "Room:1": 0, "room:vip:": 2, "room:vip": 1} {
		if p, ok := r.For(channel); p.Size != want || ok != (want > 0) {
			t.Errorf("%q has %v, %v; want %d", channel, p, ok, want)
		}
	}
	if p, ok := NewRules([]Rule{{"*", policy(7)}}).For("any"); !ok || p.Size != 7 {
		t.Errorf("* gives %v, %v", p, ok)
	}
	if _, ok := NewRules(nil).For("any"); ok {
		t.Error("without rules a channel has a history")
	}
	for _, bad := range []string{"", "**", "a*b", "*a", "a\x00", "a\xff*", fmt.Sprintf("%0256d", 0)} {
		if CheckPattern(bad) == nil {
			t.Errorf("%q passes as a pattern", bad)
		}
	}
	for _, bad := range []Policy{{0, time.Second}, {1001, time.Second}, {1, time.Second - 1}, {1, MaxTTL + 1}, {-1, -1}} {
		if bad.Check() == nil {
			t.Errorf("%v passes as a policy", bad)
		}
	}
	for _, good := range []Policy{{1, time.Second}, {1000, MaxTTL}} {
		if err := good.Check(); err != nil {
			t.Errorf("%v: %v", good, err)
		}
	}
}

// The ring gives what was appended after a position, whole, or says why not; it is never wrong about a position that
// was never given.
func TestRingProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := Policy{rapid.IntRange(1, 6).Draw(t, "size"), 10 * time.Second}
		now := time.Unix(1000, 0)
		all := []Position{{now.UnixMilli(), 0}} // all positions so far
		r := NewRing[string](p, all[0])
		var older []Message[string]
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			at := r.At()
			switch rapid.IntRange(0, 6).Draw(t, "step") {
			case 0:
				now = now.Add(rapid.SampledFrom([]time.Duration{0, time.Millisecond, 4 * time.Second}).Draw(t, "time"))
			case 1:
				r.Forget()
			case 2:
				r.Extend(older)
			case 3: // one that does not follow
				m := Message[string]{At: Position{at.MS + 1, at.Seq + rapid.Int64Range(-2, 3).Draw(t, "off")}, Prev: at.MS - 1}
				if r.Append(m) {
					t.Fatalf("%v follows %v", m, at)
				}
			default:
				size := rapid.SampledFrom([]int{1, 10, MaxBytes / 2, MaxBytes, MaxBytes + 1}).Draw(t, "bytes")
				m := Message[string]{At: Position{max(now.UnixMilli(), at.MS), at.Seq + 1}, Prev: at.MS,
					Until: now.Add(p.TTL), Size: size}
				if !r.Append(m) {
					t.Fatalf("%v does not follow %v", m, at)
				}
				all, older = append(all, m.At), append(older, m)
			}
			if err := r.Check(); err != nil {
				t.Fatal(err)
			}
			checkSince(t, &r, p, all, now)
		}
	})
}

// checkSince asks a ring about each position that was given and about some that were not.
func checkSince(t *rapid.T, r *Ring[string], p Policy, all []Position, now time.Time) {
	for i, from := range all {
		got, why := r.Since(from, now)
		missed := all[i+1:]
		switch {
		case why == TooMany && len(missed) <= p.Size, why != "" && why != TooMany && why != beyond:
			t.Fatalf("%d missed since %v: %s", len(missed), from, why)
		case why == "" && !slices.EqualFunc(got, missed, func(m Message[string], at Position) bool { return m.At == at }):
			t.Fatalf("since %v came %v, want %v", from, got, missed)
		case why == "" && slices.ContainsFunc(got, func(m Message[string]) bool { return !now.Before(m.Until) }):
			t.Fatalf("since %v came what is over", from)
		}
		for _, wrong := range []Position{{from.MS + 7, from.Seq}, {from.MS - 7, from.Seq}} {
			if _, why := r.Since(wrong, now); why == "" {
				t.Fatalf("%v counts as %v", wrong, from)
			}
		}
	}
	if _, why := r.Since(Position{now.UnixMilli(), r.At().Seq + 1}, now); why != Unknown {
		t.Fatalf("a position of the future: %q", why)
	}
}
