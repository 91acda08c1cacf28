package main

import (
	"log/slog"
	"runtime"
	"testing"
	"time"
)

func TestWorthGivingBack(t *testing.T) {
	const mib = 1 << 20
	for _, tt := range []struct {
		name        string
		before, now footprint
		want        bool
	}{
		{"quiet, with much free", footprint{allocated: 500 * mib}, footprint{allocated: 501 * mib, live: 40 * mib, objects: 41 * mib, free: 20 * mib}, true},
		{"quiet, with much garbage", footprint{allocated: 500 * mib}, footprint{allocated: 501 * mib, live: 40 * mib, objects: 70 * mib}, true},
		{"a crowd comes", footprint{allocated: 480 * mib}, footprint{allocated: 501 * mib, live: 40 * mib, objects: 41 * mib, free: 20 * mib}, false},
		{"little free", footprint{allocated: 500 * mib}, footprint{allocated: 501 * mib, live: 40 * mib, objects: 41 * mib, free: 8 * mib}, false},
		{"a small heap", footprint{}, footprint{live: 2 * mib, objects: 2 * mib, free: 3 * mib}, false},
		{"collected meanwhile", footprint{}, footprint{live: 40 * mib, objects: 39 * mib}, false},
	} {
		if got := worthGivingBack(tt.before, tt.now); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}

func TestThrift(t *testing.T) {
	var use footprint
	times := 0
	th := &thrift{read: func() footprint { return use }, collect: func() { times++; use.free = 0 }, log: slog.New(slog.DiscardHandler)}
	now := time.Unix(1000, 0)
	look := func(name string, after time.Duration, allocated, free uint64, want int) {
		t.Helper()
		now, times = now.Add(after), 0
		use = footprint{allocated: use.allocated + allocated<<20, live: 100 << 20, objects: 100 << 20, free: free << 20}
		if th.look(now); times != want {
			t.Errorf("%s: given back %d times, want %d", name, times, want)
		}
	}
	look("a crowd comes", giveBackTick, 300, 80, 0)
	look("it sits", giveBackTick, 1, 80, 1)
	look("a short while later", giveBackTick, 1, 80, 0)
	look("a minute later", giveBackEvery, 1, 80, 1)
	look("nothing is free", giveBackEvery, 1, 10, 0)
}

// What is given back is free to others, and the figures are those of the runtime.
func TestGiveBack(t *testing.T) {
	th := newThrift(slog.New(slog.DiscardHandler))
	before := th.read()
	var crowd [][]byte
	for range 64 {
		crowd = append(crowd, make([]byte, 1<<20))
	}
	there := th.read()
	if there.allocated < before.allocated+64<<20 || there.objects < 64<<20 {
		t.Errorf("with 64 MiB more: %+v, before: %+v", there, before)
	}
	runtime.KeepAlive(crowd)
	th.collect()
	if after := th.read(); after.objects > there.objects-48<<20 || after.live > after.objects+1<<20 || after.free > 8<<20 {
		t.Errorf("without them: %+v, with: %+v", after, there)
	}
}
