package presence

import (
	"context"
	"errors"
	"time"
)

const (
	// maxBacklog is how many changes wait while a snapshot is read, and maxBacklogBytes what they take; past it the snapshot
	// is read again.
	maxBacklog      = 1 << 14
	maxBacklogBytes = 16 << 20
	// settleTime is how long changes that are on their way have to come.
	settleTime = 500 * time.Millisecond
)

// reload begins to read the snapshot, or makes a reading under way begin again. c.mu is held.
func (c *Channel) reload(why resync) {
	if c.aud == nil {
		return
	}
	c.t.stats.resyncs[why].Add(1)
	c.turn++
	if c.phase == loading {
		c.discard()
		return
	}
	c.inStep = c.phase == live
	c.phase = loading
	c.backlog, c.overflow, c.snap = backlog{}, false, nil
	c.loader++
	id := c.loader
	if !c.t.spawn(func(ctx context.Context) { c.load(ctx, id) }) {
		c.phase = cold
	}
}

// load reads the snapshot until one is good, and makes the channel live.
func (c *Channel) load(ctx context.Context, id uint64) {
	for wait := 20 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		c.mu.Lock()
		if c.loader != id {
			c.mu.Unlock()
			return
		}
		turn := c.turn
		c.begun++
		c.backlog, c.overflow = backlog{}, false
		c.mu.Unlock()

		snap, err := c.t.store.Snapshot(ctx, c.name)
		if err == nil && c.adopt(ctx, id, turn, snap) {
			return
		}
		if err != nil && ctx.Err() == nil && !errors.Is(err, errMoved) && wait < time.Second {
			c.t.cfg.Log.Warn("read presence failed", "channel", c.name, "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// adopt makes a snapshot and the changes since then the channel's view. It waits for changes that happened while the
// snapshot was read: only with them it is the state at one moment. false: they do not fit together, or one is missing.
func (c *Channel) adopt(ctx context.Context, id, turn uint64, snap *Snapshot) bool {
	c.mu.Lock()
	if c.loader != id {
		c.mu.Unlock()
		return true
	}
	if c.turn != turn || c.overflow {
		c.mu.Unlock()
		return false
	}
	c.snap, c.arrived = snap, make(chan struct{})
	arrived := c.arrived
	c.complete()
	c.unlock()
	timeout := time.NewTimer(settleTime)
	defer timeout.Stop()
	select {
	case <-arrived:
	case <-timeout.C:
	case <-ctx.Done():
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.loader != id {
		return true
	}
	c.snap = nil
	return c.phase == live
}

// discard gives up a snapshot that waits for changes. c.mu is held.
func (c *Channel) discard() {
	if c.snap != nil {
		c.snap = nil
		close(c.arrived)
	}
}

// follow tells of a change at once although the channel is being read again, as long as none was missed: so a node that
// reads for caution alone tells its clients the same changes in the same order as the nodes that do not read. c.mu is held.
func (c *Channel) follow(change *Change) {
	if !c.inStep {
		return
	}
	ts, ok := c.apply(change)
	if c.inStep = ok; ok {
		c.note(ts)
		c.seen(Position{change.Epoch, change.Seq})
	}
}

// backlog is the changes that wait while a snapshot is read.
type backlog struct {
	changes []Change
	bytes   int // of their messages, of which they are parts
}

// add takes one more; false: there are too many.
func (b *backlog) add(change Change, bytes int) bool {
	if len(b.changes) >= maxBacklog || b.bytes+bytes > maxBacklogBytes {
		return false
	}
	b.changes, b.bytes = append(b.changes, change), b.bytes+bytes
	return true
}

// keep holds a change, of a message of so many bytes, back while the snapshot is read. c.mu is held.
func (c *Channel) keep(change Change, bytes int) {
	if !c.backlog.add(change, bytes) {
		c.overflow = true
		return
	}
	if c.snap != nil {
		c.complete()
	}
}

// complete adds what has come to the snapshot, and adopts it once nothing is missing. c.mu is held.
func (c *Channel) complete() {
	snap := c.snap
	for i := range c.backlog.changes {
		if !snap.Advance(&c.backlog.changes[i]) {
			c.discard()
			return
		}
	}
	c.backlog = backlog{}
	if snap.Seq < snap.End {
		return
	}
	c.discard()
	c.phase = live
	c.adopted = c.begun
	c.note(c.replica.Reset(snap, c.holdUntil(snap)))
	if !closed(c.ready) {
		close(c.ready)
	}
	c.t.stats.Loads.Add(1)
	c.armHolds()
	c.seenAll()
	c.t.suspect(c.name, snap.Users)
}

// holdUntil decides whether removals are held back (DESIGN 3): Redis may have lost data when the epoch changed, when it
// stands before what was applied already, or when a connection to it broke a short while ago.
func (c *Channel) holdUntil(snap *Snapshot) int64 {
	epoch, seq := c.replica.Position()
	if c.replica.Len() == 0 {
		return 0
	}
	if epoch != snap.Epoch || snap.Seq < seq {
		return time.Now().Add(c.t.holdFor()).UnixMilli() // others may find it out later
	}
	return c.t.suspiciousUntil()
}

// armHolds sets the timer that ends the earliest hold. c.mu is held.
func (c *Channel) armHolds() {
	until, any := c.replica.Holding()
	if !any || c.holds != nil {
		return
	}
	c.expireAfter(time.Until(time.UnixMilli(until)) + time.Millisecond)
}

// holdOn is how long holds that are over last on while the node cannot know whether what it holds was written again.
const holdOn = 100 * time.Millisecond

// expireAfter ends holds after a time. Not while the lease is in doubt or the channel is being read: this node was frozen or
// cut off, and the messages that release what it holds may just be waiting for it. c.mu is held.
func (c *Channel) expireAfter(wait time.Duration) {
	c.holds = time.AfterFunc(wait, func() {
		c.mu.Lock()
		defer c.unlock()
		c.holds = nil
		_, _, held := c.t.lease.Lease()
		switch {
		case c.phase == cold:
		case c.phase == loading || !held:
			c.expireAfter(holdOn)
		default:
			c.note(c.replica.Expire(time.Now().UnixMilli()))
			c.armHolds()
		}
	})
}
