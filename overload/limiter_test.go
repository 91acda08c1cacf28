package overload

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

const ms = time.Millisecond

// So many at once, then each a turn later than the one before; after a pause as at first.
func TestReserve(t *testing.T) {
	r := Rate{Every: 100 * ms, Burst: 3}
	for _, tt := range []struct {
		name string
		take func(l *Limiter)
		now  time.Duration
		n    int
		want time.Duration
	}{
		{"the first", func(*Limiter) {}, 0, 1, 0},
		{"a burst", func(*Limiter) {}, 0, 3, 0},
		{"one more than a burst", func(*Limiter) {}, 0, 4, 100 * ms},
		{"after a burst", func(l *Limiter) { l.Reserve(0, r, 3) }, 0, 1, 100 * ms},
		{"after one that waits", func(l *Limiter) { l.Reserve(0, r, 4) }, 0, 1, 200 * ms},
		{"its turn has come", func(l *Limiter) { l.Reserve(0, r, 3) }, 100 * ms, 1, 0},
		{"nearly", func(l *Limiter) { l.Reserve(0, r, 3) }, 99 * ms, 1, 1 * ms},
		{"two when one is due", func(l *Limiter) { l.Reserve(0, r, 3) }, 100 * ms, 2, 100 * ms},
		{"a burst after a pause, no more", func(l *Limiter) { l.Reserve(0, r, 3) }, time.Hour, 4, 100 * ms},
		{"one given back", func(l *Limiter) { l.Reserve(0, r, 3); l.Cancel(r) }, 0, 1, 0},
		{"those that were refused took nothing", func(l *Limiter) {
			for range 10 {
				l.Allow(0, r)
			}
		}, 0, 1, 100 * ms},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var l Limiter
			tt.take(&l)
			if got := l.Reserve(tt.now, r, tt.n); got != tt.want {
				t.Errorf("waits %v, want %v", got, tt.want)
			}
		})
	}
}

func TestIdle(t *testing.T) {
	var l Limiter
	r := Rate{Every: 100 * ms, Burst: 3}
	if !l.Idle(0) {
		t.Error("it is not idle at first")
	}
	l.Reserve(0, r, 2)
	if l.Idle(199*ms) || !l.Idle(200*ms) {
		t.Error("two turns are over after two turns")
	}
}

// Whenever they come: in no time are there more than a burst and its share, and who waits as long as it is told is let
// in.
func TestLimiterBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := Rate{Every: time.Duration(rapid.IntRange(1, 50).Draw(t, "every")) * ms,
			Burst: rapid.IntRange(1, 20).Draw(t, "burst")}
		var l Limiter
		var now time.Duration
		var in []time.Duration
		for range rapid.IntRange(1, 100).Draw(t, "steps") {
			now += time.Duration(rapid.SampledFrom([]int{0, 0, 0, 1, 10, 1000}).Draw(t, "ms")) * ms
			ask := l
			wait := ask.Reserve(now, r, 1)
			if rapid.Bool().Draw(t, "waits") {
				now += wait
				wait = 0
			}
			if allowed := l.Allow(now, r); allowed != (wait == 0) {
				t.Fatalf("allowed %v, %v before its turn", allowed, wait)
			} else if allowed {
				in = append(in, now)
			}
		}
		for i := range in {
			for j := i; j < len(in); j++ {
				if most := r.Burst + int((in[j]-in[i])/r.Every); j-i+1 > most {
					t.Fatalf("%d in %v, at most %d", j-i+1, in[j]-in[i], most)
				}
			}
		}
	})
}
