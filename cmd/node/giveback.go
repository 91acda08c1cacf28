package main

import (
	"log/slog"
	"runtime/debug"
	"time"
)

const (
	// giveBackTick is how often a node looks whether it holds memory that it has no use for.
	giveBackTick = 10 * time.Second
	// giveBackEvery is the least time between two times that it gives some back; after a long one it waits giveBackShare times
	// as long as that took.
	giveBackEvery = time.Minute
	giveBackShare = 500
	// giveBackLeast is what is worth the work, in bytes.
	giveBackLeast = 4 << 20
)

// worthGivingBack tells whether a node that has become quiet holds much more than it needs: the collector keeps room for as
// much garbage as there are live objects, which a node needs while it takes a crowd, and not when that sits idle.
func worthGivingBack(before, now footprint) bool {
	quiet := now.allocated-before.allocated <= now.live/4
	spare := now.free + now.objects - min(now.live, now.objects)
	return quiet && spare >= giveBackLeast && spare >= now.live/4
}

// thrift gives memory back to the system when the node is quiet.
type thrift struct {
	read    func() footprint
	collect func() // collects garbage and gives back all that is free
	log     *slog.Logger

	seen footprint
	next time.Time // not before then
}

func newThrift(log *slog.Logger) *thrift {
	return &thrift{read: newReader().read, collect: debug.FreeOSMemory, log: log}
}

// look is to be called at each giveBackTick.
func (t *thrift) look(now time.Time) {
	seen := t.read()
	worth := worthGivingBack(t.seen, seen)
	t.seen = seen
	if !worth || now.Before(t.next) {
		return
	}
	began := time.Now()
	t.collect()
	took := time.Since(began)
	t.next = now.Add(max(giveBackEvery, giveBackShare*took))
	t.seen = t.read()
	t.log.Debug("memory was given back", "took", took, "live", t.seen.live)
}
