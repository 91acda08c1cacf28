package app

import (
	"math/rand/v2"
	"testing"
	"time"
)

func TestScheduleLook(t *testing.T) {
	s := schedule{period: 1000}
	for _, step := range []struct {
		now  int64
		due  bool
		wait time.Duration
	}{
		{5300, false, 700 * time.Millisecond}, // one that goes on is no matter of this node
		{5999, false, time.Millisecond},
		{6000, true, time.Second},
		{6001, false, 999 * time.Millisecond},
		{7400, true, 600 * time.Millisecond}, // late
		{12_000, true, time.Second},          // slept
		{12_100, false, 900 * time.Millisecond},
		{3_000, false, time.Second}, // the clock was set back
		{4_000, true, time.Second},
	} {
		next, due, wait := s.look(step.now)
		if due != step.due || wait != step.wait {
			t.Errorf("at %d: due %v, wait %v; want %v, %v", step.now, due, wait, step.due, step.wait)
		}
		s = next
	}
	long := schedule{period: int64(time.Hour / time.Millisecond)}
	if _, _, wait := long.look(1); wait != lookAgain {
		t.Errorf("it waits %v for an hour to begin", wait)
	}
}

// Whenever it is looked at and however the clock goes: a period is asked for once unless the clock was set back, and
// who looks when the wait is over asks for each one.
func TestScheduleAtRandom(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 500 {
		period := 1000 * (1 + r.Int64N(200))
		s := schedule{period: period}
		now := r.Int64N(1 << 40)
		last, first := int64(-1), true // the last period that was asked for
		for range 200 {
			next, due, wait := s.look(now)
			n := now / period
			switch {
			case wait <= 0 || wait > time.Duration(period)*time.Millisecond || wait > lookAgain:
				t.Fatalf("it waits %v", wait)
			case due && (first || n <= last):
				t.Fatalf("period %d is asked for after %d", n, last)
			case !due && !first && n > last:
				t.Fatalf("period %d is not asked for", n)
			}
			first, last, s = false, max(last, n), next
			switch r.IntN(10) {
			case 0: // it slept
				now += r.Int64N(5 * period)
			case 1: // woken early
				now += r.Int64N(wait.Milliseconds() + 1)
			case 2: // set back: up to a period is left out
				now -= r.Int64N(5 * period)
				first, last = true, now/period
				if next.next > now+period { // it begins anew
					break
				}
				first, last = false, next.next/period-1
			default:
				now += wait.Milliseconds()
			}
		}
	}
}
