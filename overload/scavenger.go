package overload

import (
	"context"
	"runtime/debug"
	"time"
)

const (
	// scavengeTick is how often a node looks whether it holds memory that it has no use for.
	scavengeTick = 10 * time.Second
	// scavengeEvery is the least time between two times that it returns some; after a long one it waits scavengeShare
	// times as long as that took.
	scavengeEvery = time.Minute
	scavengeShare = 500
	// scavengeLeast is what is worth the work, in bytes.
	scavengeLeast = 4 << 20
)

// Scavenge returns memory to the system when the node has become quiet, until ctx ends. The collector keeps room for as
// much garbage as there are live objects. A node needs that while it takes a crowd, and not when that sits idle: then
// it is a quarter of what 10,000 idle connections use.
func Scavenge(ctx context.Context) {
	s := scavenger{read: newReader().read, collect: debug.FreeOSMemory}
	tick := time.NewTicker(scavengeTick)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			s.look(now)
		}
	}
}

// scavenger is what Scavenge knows.
type scavenger struct {
	read    func() footprint
	collect func() // collects garbage and returns all that is free

	seen footprint
	next time.Time // not before then
}

// look is called at each tick.
func (s *scavenger) look(now time.Time) {
	seen := s.read()
	worth := worthReturning(s.seen, seen)
	s.seen = seen
	if !worth || now.Before(s.next) {
		return
	}
	began := time.Now()
	s.collect()
	s.next = now.Add(max(scavengeEvery, scavengeShare*time.Since(began)))
	s.seen = s.read()
}

// worthReturning tells whether a node that has become quiet holds much more than it needs.
func worthReturning(before, now footprint) bool {
	quiet := now.allocated-before.allocated <= now.live/4
	spare := now.free + now.objects - min(now.live, now.objects)
	return quiet && spare >= scavengeLeast && spare >= now.live/4
}
