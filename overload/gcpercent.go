package overload

import (
	"os"
	"runtime"
	"runtime/debug"
)

const (
	// garbageRoom is how much garbage may gather before it is collected, in bytes, however small the heap is. Go lets as
	// much gather as there are live objects. So the collector is always at work while clients come to an empty node.
	garbageRoom = 16 << 20
	// maxGCPercent bounds it for a heap that grows fast.
	maxGCPercent = 400
)

// TuneGC lets the garbage of a heap below 16 MiB gather longer than Go does, unless GOGC is set.
func TuneGC() {
	if os.Getenv("GOGC") == "" {
		(&gcTuner{read: newReader().read, set: debug.SetGCPercent}).collected()
	}
}

// gcTuner sets GOGC after each collection.
type gcTuner struct {
	read    func() footprint
	set     func(percent int) int
	percent int
}

// collected is called after each collection.
func (t *gcTuner) collected() {
	percent := gcPercent(t.read().live)
	if percent < t.percent*9/10 || percent > t.percent*11/10 { // setting it stops the world
		t.percent = percent
		t.set(percent)
	}
	// An object that nobody holds is found by the next collection. With a pointer in it, it shares its memory with none.
	runtime.AddCleanup(&struct{ next *gcTuner }{}, (*gcTuner).collected, t)
}

// gcPercent is GOGC for a heap of which so many bytes are reachable.
func gcPercent(live uint64) int {
	return int(min(max(garbageRoom*100/max(live, 1), 100), maxGCPercent))
}
