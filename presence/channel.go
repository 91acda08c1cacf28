package presence

import (
	"slices"
	"sync"
	"time"

	"rollcall/overload"
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

// Channel is one channel's presence on this node while someone here is in it.
//
//	(Open) ──▶ cold ── Load ──▶ loading ── snapshot read ──▶ live ──┐
//	             ▲                  ▲                                │
//	             │                  └── gap, re-subscription, audit ─┘
//	             └── Detach ── (kept while entries of this node wait to be written)
//
// Its files: channel.go takes messages, load.go reads snapshots, notify.go tells the audience, wait.go lets writers see
// their own changes, own.go writes what this node's connections track.
//
// Invariant: while phase is loading exactly one goroutine of the tracker, the one numbered loader, reads the snapshot,
// and changes go to backlog.
type Channel struct {
	// static
	t    *Tracker
	name string

	mu      sync.Mutex
	aud     Audience // nil when detached
	phase   phase
	ready   chan struct{} // closed when live for the first time since Open
	replica *Replica

	// reading a snapshot
	turn     uint64 // counts reasons to read
	loader   uint64 // numbers the goroutines that read
	begun    uint64 // counts snapshots begun
	adopted  uint64 // the number of the last one adopted
	inStep   bool   // no change has been missed as far as is known, and those that come are told at once
	backlog  backlog
	overflow bool
	snap     *Snapshot     // read, but the changes up to its End have not all come
	arrived  chan struct{} // closed when they have, or when it is clear that one is missing

	// telling
	window     Window
	flush      *time.Timer // set while the window is open
	holds      *time.Timer // set while removals are held back
	states     []stateWaiter
	stateTimer *time.Timer // set while states wait for their time
	state      []byte      // the last presence_state, while it is still right
	stateAt    time.Time   // when the last one was encoded
	stateTook  time.Duration
	out        []func() // what is to be told, in order
	draining   bool

	// this node's own
	own     map[entryRef]*own
	joins   map[string]*overload.Limiter // by user
	reg     registration
	waiters map[Position][]waiter // writers that wait to see their change
}

type phase byte

const (
	cold phase = iota
	loading
	live
)

// Load reads the channel from Redis for an audience. The hub calls it when the topic's subscription is confirmed.
func (c *Channel) Load(aud Audience) {
	c.mu.Lock()
	defer c.unlock()
	if c.aud == aud {
		c.reload(resyncFirst)
	}
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
		c.reload(resyncBad)
		return
	case c.phase == loading:
		c.follow(&change)
		c.keep(change, len(payload))
		return
	}
	ts, ok := c.apply(&change)
	if !ok {
		c.t.stats.Gaps.Add(1)
		epoch, seq := c.replica.Position()
		c.t.cfg.Log.Info("gap in presence", "channel", c.name, "have", Position{epoch, seq}, "got", Position{change.Epoch, change.Seq})
		c.reload(resyncGap)
		return
	}
	c.note(ts)
	c.seen(Position{change.Epoch, change.Seq})
}

// apply is Replica.Apply. While Redis is suspected to have lost data, the beginning of a history is a gap: it may be the
// late message of one that is over. c.mu is held.
func (c *Channel) apply(change *Change) (ts []Transition, ok bool) {
	if epoch, _ := c.replica.Position(); change.Epoch != epoch && c.t.suspicious() {
		return nil, false
	}
	return c.replica.Apply(change)
}

// Resubscribed says that messages may have been missed.
func (c *Channel) Resubscribed() { c.resync(resyncSubscription) }

// resync reads a channel again that has been read, or is just being read.
func (c *Channel) resync(why resync) {
	c.mu.Lock()
	defer c.unlock()
	if c.phase != cold {
		c.reload(why)
	}
}

// List gives the users of now, the one who has been here longest first. What connID wrote is in it, also while Redis
// cannot be reached; "" is nobody's list. It is not ok while the channel has not been read, and when nobody on this node is in it
// any more.
func (c *Channel) List(connID string) (us []*User, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.aud == nil || !closed(c.ready) {
		return nil, false
	}
	us = c.replica.List()
	if connID == "" || len(c.own) == 0 {
		return us, true
	}
	for ref, o := range c.own {
		if ref.conn == connID && (o.version != o.written || o.busy != nil) {
			us = withOwn(us, ref, o)
		}
	}
	return us, true
}

func closed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

// withOwn is a list as it will be when an entry has been written. us is changed, its users are not.
func withOwn(us []*User, ref entryRef, o *own) []*User {
	u := &User{ID: ref.user}
	i := slices.IndexFunc(us, func(u *User) bool { return u.ID == ref.user })
	if i >= 0 {
		u.Metas = slices.Clone(us[i].Metas)
		us = slices.Delete(us, i, i+1)
	}
	u.Metas = slices.DeleteFunc(u.Metas, func(m Meta) bool { return m.ConnID == ref.conn })
	if !o.gone {
		u.Metas = append(u.Metas, o.meta)
		sortMetas(u.Metas)
	}
	if len(u.Metas) > 0 {
		us = append(us, u)
		sortUsers(us)
	}
	return us
}

// Detach ends the audience: nobody on this node is in the channel any more. What still has to be written to Redis is kept
// until it is.
func (c *Channel) Detach() {
	c.mu.Lock()
	defer c.unlock()
	c.aud = nil
	c.phase = cold
	c.loader++ // the one that reads gives up
	c.replica = NewReplica()
	c.backlog, c.snap, c.state, c.window = backlog{}, nil, nil, Window{version: c.window.version}
	for _, t := range []**time.Timer{&c.flush, &c.holds, &c.stateTimer} {
		if *t != nil {
			(*t).Stop()
			*t = nil
		}
	}
	c.dismiss()
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
