package main

import (
	"os"
	"runtime"
	"runtime/debug"
)

const (
	// garbageRoom is how much garbage may gather before it is collected, in bytes, however small the heap is. By its own
	// rule, as much as there are live objects, the collector of a node with a small heap would be at work all the time while
	// clients come. With much more the objects that stay lie so scattered that memory cannot be given back: 48 MiB cost 1 KiB for
	// each of 5,000 connections.
	garbageRoom = 16 << 20
	// The rule is stretched to mostPercent, so that a heap that grows fast is not taken for a small one for long.
	leastPercent, mostPercent = 100, 400
)

// percentFor is the GOGC for a heap, live bytes of it reachable.
func percentFor(live uint64) int {
	return int(min(max(garbageRoom*100/max(live, 1), leastPercent), mostPercent))
}

// pacer sets GOGC after each collection. It starts no goroutine.
type pacer struct {
	read    func() footprint
	percent int
}

// paceCollector begins to set GOGC, unless the user has set it.
func paceCollector() {
	if os.Getenv("GOGC") != "" {
		return
	}
	p := &pacer{read: newReader().read, percent: leastPercent}
	p.next()
	p.await()
}

// next sets GOGC for the heap as it is now.
func (p *pacer) next() {
	percent := percentFor(p.read().live)
	if percent > p.percent*9/10 && percent < p.percent*11/10 {
		return // it stops the world
	}
	p.percent = percent
	debug.SetGCPercent(percent)
}

// await has next called after the next collection: that is when an object is found unreachable.
func (p *pacer) await() {
	type mark struct{ p *pacer }
	runtime.SetFinalizer(&mark{p}, func(m *mark) {
		m.p.next()
		m.p.await()
	})
}
