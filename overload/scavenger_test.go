package overload

import (
	"runtime"
	"runtime/debug"
	"testing"
	"testing/synctest"
	"time"
)

func TestWorthReturning(t *testing.T) {
	const mib = 1 << 20
	crowd := footprint{allocated: 500 * mib}
	for name, tt := range map[string]struct {
		before, now footprint
		want        bool
	}{
		"quiet, with much free": {crowd,
			footprint{allocated: 501 * mib, live: 40 * mib, objects: 41 * mib, free: 20 * mib}, true},
		"quiet, with much garbage": {crowd, footprint{allocated: 501 * mib, live: 40 * mib, objects: 70 * mib}, true},
		"a crowd comes": {footprint{allocated: 480 * mib},
			footprint{allocated: 501 * mib, live: 40 * mib, objects: 41 * mib, free: 20 * mib}, false},
		"little free": {crowd, footprint{allocated: 501 * mib, live: 40 * mib, objects: 41 * mib, free: 8 * mib},
			false},
		"a small heap":        {footprint{}, footprint{live: 2 * mib, objects: 2 * mib, free: 3 * mib}, false},
		"collected meanwhile": {footprint{}, footprint{live: 40 * mib, objects: 39 * mib}, false},
	} {
		if got := worthReturning(tt.before, tt.now); got != tt.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestScavenger(t *testing.T) {
	var use footprint
	times := 0
	s := &scavenger{read: func() footprint { return use }, collect: func() { times++; use.free = 0 }}
	now := time.Unix(1000, 0)
	look := func(name string, after time.Duration, allocated, free uint64, want int) {
		t.Helper()
		now, times = now.Add(after), 0
		use = footprint{allocated: use.allocated + allocated<<20, live: 100 << 20, objects: 100 << 20, free: free << 20}
		if s.look(now); times != want {
			t.Errorf("%s: returned %d times, want %d", name, times, want)
		}
	}
	look("a crowd comes", scavengeTick, 300, 80, 0)
	look("it sits", scavengeTick, 1, 80, 1)
	look("a short while later", scavengeTick, 1, 80, 0)
	look("a minute later", scavengeEvery, 1, 80, 1)
	look("nothing is free", scavengeEvery, 1, 10, 0)
}

// What is returned is free to others, and the figures are those of the runtime.
func TestReturning(t *testing.T) {
	read := newReader().read
	before := read()
	var crowd [][]byte
	for range 64 {
		crowd = append(crowd, make([]byte, 1<<20))
	}
	there := read()
	if there.allocated < before.allocated+64<<20 || there.objects < 64<<20 {
		t.Errorf("with 64 MiB more: %+v, before: %+v", there, before)
	}
	runtime.KeepAlive(crowd)
	debug.FreeOSMemory()
	if after := read(); after.objects > there.objects-48<<20 || after.live > after.objects+1<<20 || after.free > 8<<20 {
		t.Errorf("without them: %+v, with: %+v", after, there)
	}
}

// Scavenge ends with its context.
func TestScavengeEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		done := make(chan struct{})
		go func() {
			defer close(done)
			Scavenge(t.Context())
		}()
		time.Sleep(3 * scavengeTick)
		// the test's context ends with it, and a goroutine that stayed would be a deadlock
		t.Cleanup(func() { <-done })
	})
}
