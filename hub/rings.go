package hub

import (
	"container/list"
	"sync"
)

// rings bounds what the feeds of all rooms keep in memory: beyond the limit the coldest give theirs back. Who comes
// back to such a channel is served from Redis.
//
// Invariant: used is the sum of bytes of all entries; an entry is in order unless its ring was given back since it was
// last used.
type rings struct {
	limit int64

	mu      sync.Mutex // taken after no lock but its own
	used    int64
	order   list.List // of *room, the one used last in front
	entries map[*room]*ringEntry
}

type ringEntry struct {
	bytes   int64
	element *list.Element // nil: not in order
}

func newRings(limit int64) *rings { return &rings{limit: limit, entries: map[*room]*ringEntry{}} }

// note is told what a room's feed keeps, after each use. The caller holds no lock.
func (k *rings) note(r *room, bytes int) {
	cold := k.use(r, bytes)
	for cold != nil {
		cold.mu.Lock()
		cold.feed.gate.Forget()
		left := cold.feed.gate.Bytes()
		cold.mu.Unlock()
		cold = k.gaveBack(cold, left)
	}
}

// use gives the coldest room when there is too much.
func (k *rings) use(r *room, bytes int) (cold *room) {
	k.mu.Lock()
	defer k.mu.Unlock()
	p := k.entries[r]
	switch {
	case p == nil && bytes == 0, r.feed.ctx.Err() != nil: // or it has closed
		return nil
	case p == nil:
		p = &ringEntry{}
		k.entries[r] = p
	}
	if p.element == nil {
		p.element = k.order.PushFront(r)
	} else {
		k.order.MoveToFront(p.element)
	}
	k.countLocked(p, bytes)
	return k.coldestLocked()
}

// gaveBack is told that a room's ring was given back, and gives the next.
func (k *rings) gaveBack(r *room, bytes int) (cold *room) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if p := k.entries[r]; p != nil {
		k.countLocked(p, bytes)
	}
	return k.coldestLocked()
}

func (k *rings) countLocked(p *ringEntry, bytes int) {
	k.used += int64(bytes) - p.bytes
	p.bytes = int64(bytes)
}

// coldestLocked takes the coldest room out of the order while there is too much.
func (k *rings) coldestLocked() *room {
	last := k.order.Back()
	if k.used <= k.limit || last == nil {
		return nil
	}
	r, _ := k.order.Remove(last).(*room)
	k.entries[r].element = nil
	return r
}

// drop forgets a room that has closed.
func (k *rings) drop(r *room) {
	k.mu.Lock()
	defer k.mu.Unlock()
	p := k.entries[r]
	if p == nil {
		return
	}
	k.countLocked(p, 0)
	if p.element != nil {
		k.order.Remove(p.element)
	}
	delete(k.entries, r)
}

// total is what all feeds keep, in bytes.
func (k *rings) total() int64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.used
}
