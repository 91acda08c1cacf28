package presence

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// Audience is who listens to a channel on this node; the hub's room is one. Calls come one at a time, in order, and must
// not wait.
type Audience interface {
	// Viewers tells whether anyone would see frames, and whether anyone would hear events.
	Viewers() (plain, scripts bool)
	PresenceEvents(events []Event)
	PresenceDiff(d *Diff)
	PresenceState(connIDs []string, frame []byte)
}

// stateSpacing is the least time between two encodings of a channel's presence_state, so that a thousand clients who join
// together share a few of them.
const stateSpacing = 10 * time.Millisecond

// maxBacklog is how many changes wait while a snapshot is read; past it the snapshot is read again.
const maxBacklog = 1 << 14

// Channel is one channel's presence on this node while someone here is in it.
//
//	(Open) ──▶ cold ── Load ──▶ loading ── snapshot read ──▶ live ──┐
//	             ▲                  ▲                                │
//	             │                  └── gap, re-subscription, audit ─┘
//	             └── Detach ── (kept while entries of this node wait to be written)
//
// Invariant: while phase is loading a goroutine of the tracker reads the snapshot, and changes go to backlog.
type Channel struct {
	// static
	t    *Tracker
	name string

	mu       sync.Mutex
	aud      Audience // nil when detached
	phase    phase
	ready    chan struct{} // closed when live for the first time since Open
	turn     uint64        // counts reasons to read the snapshot (again)
	replica  *Replica
	backlog  []Change
	overflow bool
	waiters  map[int64][]chan struct{} // own writes that wait for their seq

	window     Window
	flush      *time.Timer // set while the window is open
	holds      *time.Timer // set while removals are held back
	states     []stateWaiter
	stateTimer *time.Timer // set while states wait
	state      []byte      // the last presence_state, while it is still right
	stateAt    time.Time

	own map[entryRef]*own
	reg registration

	out      []func() // what is to be told, in order
	draining bool
}

type phase byte

const (
	cold phase = iota
	loading
	live
)

type stateWaiter struct {
	conn string
	done chan struct{}
}

// Load reads the channel from Redis. The hub calls it when the topic's subscription is confirmed.
func (c *Channel) Load() {
	c.mu.Lock()
	defer c.unlock()
	c.reload()
}

// Ready is closed when the channel has been read for the first time.
func (c *Channel) Ready() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ready
}

// Receive takes a presence message of the channel's topic.
func (c *Channel) Receive(payload string) {
	change, err := parseChange(payload)
	c.mu.Lock()
	defer c.unlock()
	switch {
	case c.phase == cold:
		return
	case err != nil:
		c.t.cfg.Log.Error("bad presence message", "channel", c.name, "error", err)
		c.t.stats.Gaps.Add(1)
		c.reload()
		return
	case c.phase == loading:
		if len(c.backlog) >= maxBacklog {
			c.overflow = true
			return
		}
		c.backlog = append(c.backlog, change)
		return
	}
	ts, ok := c.replica.Apply(&change)
	if !ok {
		c.t.stats.Gaps.Add(1)
		epoch, seq := c.replica.Position()
		c.t.cfg.Log.Info("gap in presence", "channel", c.name, "have", Position{epoch, seq}, "got", Position{change.Epoch, change.Seq})
		c.reload()
		c.backlog = append(c.backlog, change)
		return
	}
	c.note(ts)
	c.seen()
}

// Resubscribed says that messages may have been missed.
func (c *Channel) Resubscribed() {
	c.mu.Lock()
	defer c.unlock()
	if c.phase != cold {
		c.reload()
	}
}

// reload begins to read the snapshot, or makes a reading under way begin again. c.mu is held.
func (c *Channel) reload() {
	if c.aud == nil {
		return
	}
	c.turn++
	if c.phase == loading {
		return
	}
	c.phase = loading
	c.backlog, c.overflow = nil, false
	if !c.t.spawn(c.load) {
		c.phase = cold
	}
}

// load reads the snapshot until one is good, and makes the channel live.
func (c *Channel) load(ctx context.Context) {
	for wait := 20 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		c.mu.Lock()
		turn := c.turn
		if c.phase != loading {
			c.mu.Unlock()
			return
		}
		c.backlog, c.overflow = nil, false
		c.mu.Unlock()

		snap, err := c.t.store.Snapshot(ctx, c.name)
		if err == nil && c.adopt(turn, snap) {
			return
		}
		if err != nil && ctx.Err() == nil && !errors.Is(err, errMoved) {
			c.t.cfg.Log.Warn("read presence failed", "channel", c.name, "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// adopt makes a snapshot and the changes since then the channel's view. It is false when they do not fit together.
func (c *Channel) adopt(turn uint64, snap *Snapshot) bool {
	c.mu.Lock()
	defer c.unlock()
	if c.phase != loading {
		return true
	}
	if c.turn != turn || c.overflow {
		return false
	}
	c.note(c.replica.Reset(snap, c.holdUntil(snap)))
	for i := range c.backlog {
		change := &c.backlog[i]
		if change.Epoch == snap.Epoch && change.Seq <= snap.Seq {
			continue
		}
		ts, ok := c.replica.Apply(change)
		if !ok {
			return false
		}
		c.note(ts)
	}
	c.backlog = nil
	c.phase = live
	select {
	case <-c.ready:
	default:
		close(c.ready)
	}
	c.t.stats.Loads.Add(1)
	c.armHolds()
	c.seen()
	c.t.suspectOrphans(c, snap)
	return true
}

// holdUntil decides whether removals are held back (DESIGN 3): Redis may have lost data when the epoch changed, when it
// stands before what was applied already, or when a connection to it broke a short while ago.
func (c *Channel) holdUntil(snap *Snapshot) int64 {
	epoch, seq := c.replica.Position()
	if c.replica.Len() == 0 {
		return 0
	}
	if epoch != snap.Epoch || snap.Seq < seq || c.t.suspicious() {
		return time.Now().Add(c.t.cfg.TTL).UnixMilli()
	}
	return 0
}

// armHolds sets the timer that ends the earliest hold. c.mu is held.
func (c *Channel) armHolds() {
	until, any := c.replica.Holding()
	if !any || c.holds != nil {
		return
	}
	c.holds = time.AfterFunc(time.Until(time.UnixMilli(until))+time.Millisecond, func() {
		c.mu.Lock()
		defer c.unlock()
		c.holds = nil
		if c.phase != cold {
			c.note(c.replica.Expire(time.Now().UnixMilli()))
			c.armHolds()
		}
	})
}

// note passes transitions on to scripts at once and to plain clients at the next flush. c.mu is held.
func (c *Channel) note(ts []Transition) {
	if len(ts) == 0 || c.aud == nil {
		return
	}
	c.state = nil
	plain, scripts := c.aud.Viewers()
	if scripts {
		var es []Event
		for _, t := range ts {
			es = append(es, eventsOf(t)...)
		}
		if len(es) > 0 {
			aud := c.aud
			c.out = append(c.out, func() { aud.PresenceEvents(es) })
		}
	}
	if !plain || !c.window.Note(ts) {
		return
	}
	if c.t.cfg.Window <= 0 {
		c.flushNow()
		return
	}
	if c.flush == nil {
		c.flush = time.AfterFunc(c.t.cfg.Window, func() {
			c.mu.Lock()
			defer c.unlock()
			c.flush = nil
			c.flushNow()
		})
	}
}

// flushNow ends the window. c.mu is held.
func (c *Channel) flushNow() {
	if c.aud == nil {
		return
	}
	d := c.window.Flush(c.name, c.replica.User)
	if d.Plain == nil && d.Devices == nil && d.Fresh == nil {
		return
	}
	aud := c.aud
	c.out = append(c.out, func() { aud.PresenceDiff(d) })
}

// State sends a connection the presence_state of now and returns when it is on its way. From then on that connection is
// told only what comes after it.
func (c *Channel) State(ctx context.Context, connID string) error {
	done := make(chan struct{})
	c.mu.Lock()
	if c.aud == nil {
		c.mu.Unlock()
		return errors.New("presence: the channel is closed")
	}
	c.states = append(c.states, stateWaiter{connID, done})
	wait := stateSpacing - time.Since(c.stateAt)
	switch {
	case c.state != nil || wait <= 0:
		c.sendStates()
	case c.stateTimer == nil:
		c.stateTimer = time.AfterFunc(wait, func() {
			c.mu.Lock()
			defer c.unlock()
			c.stateTimer = nil
			c.sendStates()
		})
	}
	c.unlock()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// sendStates sends all who wait one shared frame. c.mu is held.
func (c *Channel) sendStates() {
	if len(c.states) == 0 {
		return
	}
	waiting := c.states
	c.states = nil
	if c.aud == nil {
		c.out = append(c.out, func() { closeAll(waiting) })
		return
	}
	if c.state == nil {
		c.state = renderState(c.name, c.replica.users)
		c.stateAt = time.Now()
	}
	conns := make([]string, len(waiting))
	for i, w := range waiting {
		conns[i] = w.conn
		c.window.Told(w.conn)
	}
	aud, frame := c.aud, c.state
	c.out = append(c.out, func() {
		aud.PresenceState(conns, frame)
		closeAll(waiting)
	})
}

func closeAll(ws []stateWaiter) {
	for _, w := range ws {
		close(w.done)
	}
}

// List gives the users of now, the one who has been here longest first. What the caller's own connection wrote is in it.
func (c *Channel) List() []*User {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.replica.List()
}

// seen wakes the writers whose changes are in the view. c.mu is held.
func (c *Channel) seen() {
	if len(c.waiters) == 0 {
		return
	}
	_, seq := c.replica.Position()
	for at, chans := range c.waiters {
		if at <= seq {
			for _, ch := range chans {
				close(ch)
			}
			delete(c.waiters, at)
		}
	}
}

// ownWriteWait is how long a writer waits to see its change come back; then it counts as lost and the channel is read again.
const ownWriteWait = 2 * time.Second

// await waits until a position is in the view, or the time is over.
func (c *Channel) await(ctx context.Context, at Position) {
	c.mu.Lock()
	epoch, seq := c.replica.Position()
	if c.phase == cold || c.phase == live && epoch == at.Epoch && seq >= at.Seq {
		c.mu.Unlock()
		return
	}
	ch := make(chan struct{})
	if c.waiters == nil {
		c.waiters = map[int64][]chan struct{}{}
	}
	c.waiters[at.Seq] = append(c.waiters[at.Seq], ch)
	c.mu.Unlock()
	timeout := time.NewTimer(ownWriteWait)
	defer timeout.Stop()
	select {
	case <-ch:
		return
	case <-ctx.Done():
	case <-timeout.C:
	}
	c.mu.Lock()
	defer c.unlock()
	c.waiters[at.Seq] = slices.DeleteFunc(c.waiters[at.Seq], func(w chan struct{}) bool { return w == ch })
	if len(c.waiters[at.Seq]) == 0 {
		delete(c.waiters, at.Seq)
	}
	if ctx.Err() == nil && c.phase == live {
		c.t.stats.Gaps.Add(1)
		c.reload()
	}
}

// Detach ends the audience: nobody on this node is in the channel any more. What still has to be written to Redis is kept
// until it is.
func (c *Channel) Detach() {
	c.mu.Lock()
	defer c.unlock()
	c.aud = nil
	c.phase = cold
	c.turn++
	c.replica = NewReplica()
	c.backlog, c.state, c.window = nil, nil, Window{version: c.window.version}
	for _, t := range []**time.Timer{&c.flush, &c.holds, &c.stateTimer} {
		if *t != nil {
			(*t).Stop()
			*t = nil
		}
	}
	for at, chans := range c.waiters {
		for _, ch := range chans {
			close(ch)
		}
		delete(c.waiters, at)
	}
	c.sendStates()
	c.t.tidy(c)
}

// unlock gives c.mu back and tells what is to be told: in order, by one goroutine at a time, not under the lock.
func (c *Channel) unlock() {
	if c.draining {
		c.mu.Unlock()
		return
	}
	c.draining = true
	for len(c.out) > 0 {
		out := c.out
		c.out = nil
		c.mu.Unlock()
		for _, tell := range out {
			tell()
		}
		c.mu.Lock()
	}
	c.draining = false
	c.mu.Unlock()
}
