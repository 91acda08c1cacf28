package wsconn

import (
	"strings"
	"testing"
	"time"

	"rollcall/outbox"
)

func TestFrames(t *testing.T) {
	for _, n := range []int{0, 1, 125, 126, 65535, 65536, 1 << 20} {
		s := strings.Repeat("x", n)
		if f := TextString(s); string(f.Payload()) != s || f.Len() != len(f.Wire()) || f.Wire() != Text([]byte(s)).Wire() ||
			f.Wire() == Binary([]byte(s)).Wire() {
			t.Errorf("frame of %d bytes: %d, % x", n, f.Len(), f.Wire()[:2])
		}
	}
	if f := (outbox.Frame{}); len(f.Payload()) > 0 || f.Len() != 0 {
		t.Error("the zero frame carries something")
	}
}

func TestBucket(t *testing.T) {
	const rate = 10
	type step struct {
		at   time.Duration
		held time.Duration // > 0: credit, else take
		n    int           // takes that succeed
	}
	s := time.Second
	tests := map[string][]step{
		"burst":                          {{n: 20}},
		"refill":                         {{n: 20}, {at: s, n: 10}, {at: s + s/2, n: 5}},
		"idle refills to the burst only": {{n: 20}, {at: 100 * s, n: 20}},
		"held up":                        {{n: 20}, {at: 5 * s, held: 5 * s}, {at: 5 * s, n: 50}},
		"held up, then left waiting":     {{n: 20}, {at: 5 * s, held: 5 * s}, {at: 7 * s, n: 20}},
		"held up for a day": {{n: 20}, {at: 24 * time.Hour, held: 24 * time.Hour},
			{at: 24 * time.Hour, n: 20 + 600}},
		"credit is not counted for twice": {{n: 20}, {at: s, held: s}, {at: s + s/2, n: 15}},
	}
	for name, steps := range tests {
		t.Run(name, func(t *testing.T) {
			b := bucket{tokens: 2 * rate}
			for i, st := range steps {
				if st.held > 0 {
					b = b.credit(st.at, st.held, rate)
					continue
				}
				got := 0
				for ok := true; ok; {
					if b, ok = b.take(st.at, rate); ok {
						got++
					}
				}
				if got != st.n {
					t.Errorf("step %d: %d, want %d", i, got, st.n)
				}
			}
		})
	}
}

// TestDataFrames: what is dropped counts when it would have carried something.
func TestDataFrames(t *testing.T) {
	var k kind
	for wire, want := range map[string]bool{
		Text(nil).Wire(): true, Binary([]byte{opPing}).Wire(): true,
		k.Ping(): false, encode(opPong, "x"): false, k.Farewell(outbox.CloseInfo{Code: 1000}): false,
	} {
		if k.IsData(wire) != want {
			t.Errorf("% x: %v", wire, !want)
		}
	}
}

// TestThawed: SPEC 3, "Time in which the node did not run does not count"; what clients sent meanwhile is no flood.
func TestThawed(t *testing.T) {
	const rate, now = 10, time.Hour
	if _, ok := (bucket{}).thawed(now, 0, false, rate); ok {
		t.Error("a token though the node runs")
	}
	if _, ok := (bucket{}).thawed(now, 0, true, rate); !ok {
		t.Error("no token right after the thaw")
	}
	b, ok := bucket{}.thawed(now, 10*time.Second, false, rate)
	if !ok || b.tokens < 80 || b.tokens > 100 {
		t.Errorf("%v, %v tokens after ten seconds", ok, b.tokens)
	}
	b.tokens = 0
	if _, ok := b.thawed(now, 10*time.Second, false, rate); ok {
		t.Error("credited twice")
	}
}
