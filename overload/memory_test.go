package overload

import (
	"log/slog"
	"math"
	"runtime"
	"testing"
	"time"

	"rollcall/testkit/nodetest"
)

// A node sheds when what no collection gives back comes near the limit, not when garbage fills the space.
func TestMemory(t *testing.T) {
	for _, tt := range []struct {
		name          string
		shedding      bool
		use           footprint
		want, collect bool
	}{
		{"no limit", false, footprint{limit: math.MaxInt64, live: math.MaxInt64 / 2, objects: math.MaxInt64 / 2,
			other: math.MaxInt64 / 2}, false, false},
		{"the limit was taken away", true, footprint{limit: math.MaxInt64, live: 1 << 30}, false, false},
		{"empty", false, footprint{limit: 1000, live: 100, objects: 200, other: 100}, false, false},
		{"under", false, footprint{limit: 1000, live: 649, objects: 649, other: 200}, false, false},
		{"at", false, footprint{limit: 1000, live: 650, objects: 650, other: 200}, true, true},
		{"over", false, footprint{limit: 1000, live: 900, objects: 950, other: 200}, true, true},
		{"stacks alone", false, footprint{limit: 1000, live: 10, objects: 10, other: 850}, true, true},
		{"full of what may be garbage", false, footprint{limit: 1000, live: 300, objects: 650, other: 200}, false, true},
		{"nearly full of it", false, footprint{limit: 1000, live: 300, objects: 649, other: 200}, false, false},
		{"before the first collection", false, footprint{limit: 1000, objects: 900, other: 50}, false, true},
		{"shedding, under the mark", true, footprint{limit: 1000, live: 649, objects: 700, other: 200}, true, true},
		{"shedding, at the lower mark", true, footprint{limit: 1000, live: 550, objects: 560, other: 200}, true, true},
		{"shedding, under the lower mark", true, footprint{limit: 1000, live: 549, objects: 560, other: 200}, false, false},
		{"not shedding, between the marks", false, footprint{limit: 1000, live: 600, objects: 610, other: 200}, false, false},
	} {
		got, collect := memory{shedding: tt.shedding}.next(tt.use)
		if got.shedding != tt.want || collect != tt.collect {
			t.Errorf("%s: shedding %v, collect %v; want %v, %v", tt.name, got.shedding, collect, tt.want, tt.collect)
		}
	}
}

// The guard looks at most every 100 ms, asks for a collection where only that can tell, and not too often.
func TestGuard(t *testing.T) {
	var log nodetest.Log
	var use, after footprint // after: what a collection would find
	looks, collections := 0, 0
	g := &guard{log: slog.New(slog.NewJSONHandler(&log, nil))}
	g.read = func() footprint { looks++; return use }
	g.collect = func() { collections++; use = after }
	now := time.Unix(1000, 0)
	step := func(name string, wait time.Duration, u, a footprint, want bool, wantLooks, wantCollections int) {
		t.Helper()
		now, use, after, looks, collections = now.Add(wait), u, a, 0, 0
		if got := g.refuses(now); got != want || looks != wantLooks || collections != wantCollections {
			t.Errorf("%s: %v after %d looks and %d collections, want %v after %d and %d", name, got, looks, collections, want,
				wantLooks, wantCollections)
		}
	}
	empty, garbage, full := footprint{limit: 100, live: 10, objects: 10}, footprint{limit: 100, live: 10,
		objects: 90}, footprint{limit: 100, live: 90, objects: 90}
	step("empty", 0, empty, empty, false, 1, 0)
	step("too soon", lookEvery-1, full, full, false, 0, 0)
	step("garbage", lookEvery, garbage, empty, false, 2, 1)
	step("garbage again, too soon to collect", lookEvery, garbage, empty, false, 1, 0)
	step("it was no garbage", collectEvery, garbage, full, true, 2, 1)
	step("too soon to look", lookEvery/2, empty, empty, true, 0, 0)
	step("still full", lookEvery, full, full, true, 1, 0)
	g.took = time.Second
	step("after a long collection it waits", collectEvery, full, empty, true, 1, 0)
	step("now it may", collectShare*time.Second, full, empty, false, 2, 1)
	g.busy.Store(true)
	step("somebody looks already", time.Hour, full, full, false, 0, 0)
	var said []string
	for _, l := range log.Lines() {
		said = append(said, l.Text("level"))
	}
	if nodetest.JSON(said) != `["WARN","INFO"]` {
		t.Errorf("it logged %s", log.Text())
	}
}

// What is read are the figures of this process: garbage is among the objects, and not live after a collection.
func TestReadMemory(t *testing.T) {
	r := newReader()
	runtime.GC()
	before := r.read()
	const size = 32 << 20
	kept := make([]byte, size)
	runtime.GC()
	with := r.read()
	if d := int64(with.live) - int64(before.live); d < size*9/10 || d > size*11/10 {
		t.Errorf("32 MiB more are %d more live", d)
	}
	if with.other > before.other+size/2 {
		t.Errorf("32 MiB of objects are counted as other: %d, before %d", with.other, before.other)
	}
	runtime.KeepAlive(kept)
	kept = nil
	if now := r.read(); now.objects < with.objects*9/10 {
		t.Errorf("before a collection %+v, after the last one %+v", now, with)
	}
	runtime.GC()
	if now := r.read(); int64(now.live)-int64(before.live) > size/10 || now.objects > with.objects-size*9/10 {
		t.Errorf("after it is garbage: %+v, before %+v", now, with)
	}
	if before.other < 1<<20 || before.other > 1<<30 || before.limit != math.MaxInt64 {
		t.Errorf("%+v", before)
	}
}

// Without a limit a node never sheds, and asking costs little.
func TestGuardWithoutLimit(t *testing.T) {
	g := newGuard(slog.New(slog.DiscardHandler))
	if allocs := testing.AllocsPerRun(100, func() {
		if g.refuses(g.looked.Add(lookEvery)) {
			t.Error("it sheds")
		}
	}); allocs > 0 {
		t.Errorf("%v allocations", allocs)
	}
}
