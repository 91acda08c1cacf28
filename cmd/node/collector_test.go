package main

import (
	"runtime"
	"runtime/debug"
	"testing"
	"time"
)

// A small heap may gather garbageRoom before it is collected; a large one is collected by the runtime's own rule.
func TestPercentFor(t *testing.T) {
	const mib = 1 << 20
	for live, want := range map[uint64]int{0: 400, mib: 400, 4 * mib: 400, 8 * mib: 200, 16 * mib: 100, 64 * mib: 100, 10000 * mib: 100} {
		if got := percentFor(live); got != want {
			t.Errorf("%d bytes: %d, want %d", live, got, want)
		}
	}
}

// After each collection GOGC is set for the heap as it is then, but not for a small difference.
func TestPacer(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(leastPercent))
	percent := func() int {
		p := debug.SetGCPercent(leastPercent)
		debug.SetGCPercent(p)
		return p
	}
	var use footprint
	read := make(chan struct{}, 1)
	p := &pacer{percent: leastPercent, read: func() footprint {
		select {
		case read <- struct{}{}:
		default: // the test is over, the pacer is not
		}
		return use
	}}
	next := func(live uint64, want int) {
		t.Helper()
		use.live = live
		if p.next(); percent() != want {
			t.Errorf("%d bytes live: GOGC is %d, want %d", live, percent(), want)
		}
		<-read
	}
	next(1<<20, 400)
	next(8<<20, 200)
	next(8<<20+200<<10, 200)
	next(80<<20, 100)
	p.await()
	for range 3 { // each collection asks again
		runtime.GC()
		select {
		case <-read:
		case <-time.After(10 * time.Second):
			t.Fatal("a collection was not noticed")
		}
	}
}
