package overload

import (
	"runtime"
	"slices"
	"testing"

	"rollcall/testkit"
)

// After each collection GOGC is set for the heap as it is then, but not for a small difference.
func TestTuneGC(t *testing.T) {
	const mib = 1 << 20
	feed := make(chan uint64)
	var last uint64
	var percents []int
	tuner := &gcTuner{
		read: func() footprint {
			if live, ok := <-feed; ok { // else the test is over
				last = live
			}
			return footprint{live: last}
		},
		set: func(percent int) int { percents = append(percents, percent); return 0 },
	}
	go tuner.collected()
	for _, live := range []uint64{0, mib, 4 * mib, 8 * mib, 8*mib + 200<<10, 16 * mib, 64 * mib, 10_000 * mib, 5 * mib,
		5 * mib} { // once more: then what was done for the first is over
		testkit.Eventually(t, "a collection is noticed", func() bool {
			runtime.GC()
			select {
			case feed <- live:
				return true
			default:
				return false
			}
		})
	}
	close(feed)
	if want := []int{400, 200, 100, 320}; !slices.Equal(percents, want) {
		t.Errorf("GOGC was set to %v, want %v", percents, want)
	}
}
