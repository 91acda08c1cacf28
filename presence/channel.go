package presence

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// Audience is who listens to a channel on this node; the hub's room is one. Calls come one at a time, in order, and
// must not wait.
type Audience interface {
	// Viewers tells who would see or hear of a change.
	Viewers() Viewers
	PresenceEvents(events []Event)
	PresenceDiff(d *Diff)
	PresenceState(s State)
}

// Viewers are the kinds of those who would see or hear of a change.
type Viewers struct {
	Plain   bool // frames of SPEC 1.2
	Refs    bool // presence by refs, of clients of Phoenix
	Scripts bool // events
}

// Channel is one channel's presence on this node while someone here is in it, or entries of this node wait to be
// written. It owns the lock, the timer and the goroutines; what is to happen its view decides.
//
// Its files: channel.go brings events to the view and does what follows, own.go and settle.go write what this node's
// connections track.
//
// Invariant: the audience is called by one goroutine at a time, the one that is telling, in the order of its queue.
type Channel struct {
	// static
	t *Tracker

	mu      sync.Mutex
	aud     Audience      // nil when detached
	ready   chan struct{} // closed when the view is known for the first time since Open; nil: nobody waits for that
	view    view
	alarm   *alarm // nil: nothing is due at any time
	telling *tellings

	// this node's own
	own few[entryRef, *own]
	reg registration

	audited audited
}

// alarm has the view ticked.
type alarm struct {
	at    time.Time
	timer *time.Timer
}

// tellings is what is to be told, in order; nil: nothing, and nobody is telling.
type tellings struct {
	queue []telling
	busy  bool // somebody is telling
}

// telling is an effect that is to be told, and to whom.
type telling struct {
	to Audience
	effect
}

// name is that of the channel.
func (c *Channel) name() string { return c.view.channel }

// Load reads the channel from Redis for an audience. The hub calls it when the topic's subscription is confirmed.
func (c *Channel) Load(aud Audience) {
	c.mu.Lock()
	defer c.unlock()
	if c.aud == aud {
		c.stepLocked(reread{resyncFirst})
	}
}

// Ready is closed when the channel has been read for the first time.
func (c *Channel) Ready() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.view.known:
		return c.t.known
	case c.ready == nil:
		c.ready = make(chan struct{})
	}
	return c.ready
}

// Receive takes a presence message of the channel's topic.
func (c *Channel) Receive(payload string) {
	change, err := parseChange(payload)
	switch {
	case err == nil:
		c.mu.Lock()
		defer c.unlock()
		c.shareLocked(&change)
		c.stepLocked(&received{change, len(payload)})
		c.t.audits.changed(c)
	default:
		c.t.cfg.Log.Error("bad presence message", "channel", c.name(), "error", err)
		c.step(reread{resyncBad})
	}
}

// shareLocked has a change use the strings that this node's own entries have already. The entries then use the metas of
// the change, which the view keeps.
func (c *Channel) shareLocked(change *Change) {
	for i := range change.Users {
		u := &change.Users[i]
		for j := range u.Metas {
			m := &u.Metas[j]
			o := c.own.get(entryRef{m.ConnID, u.ID})
			if o == nil || o.meta.Ref != m.Ref {
				continue
			}
			u.ID, m.ConnID, m.Ref = o.ref.user, o.ref.conn, o.meta.Ref
			if m.Info == o.meta.Info {
				m.Info = o.meta.Info
			}
			if m.Inc == c.reg.inc {
				m.Inc = c.reg.inc
			}
			o.shareLocked(m)
		}
	}
}

// Resubscribed says that messages may have been missed.
func (c *Channel) Resubscribed() { c.step(reread{resyncSubscription}) }

// step lets an event happen to the view.
func (c *Channel) step(e event) {
	c.mu.Lock()
	defer c.unlock()
	c.stepLocked(e)
}

func (c *Channel) stepLocked(e event) {
	now := moment{Time: time.Now(), window: c.t.cfg.Window, holdFor: c.t.holdFor()}
	now.doubt = c.t.suspicion(now.Time)
	if c.aud != nil {
		now.Viewers = c.aud.Viewers()
	}
	fresh := false
	for _, fx := range c.view.step(e, now) {
		switch fx := fx.(type) {
		case resync:
			c.t.stats.reread(fx)
			continue
		case gap:
			c.t.cfg.Log.Info("gap in presence", "channel", c.name(), "have", fx.have, "got", fx.got)
			continue
		case read:
			c.t.spawn(func(ctx context.Context) { c.read(ctx, fx) })
			continue
		case adopted:
			c.t.stats.Loads.Add(1)
			if c.ready != nil {
				close(c.ready)
				c.ready = nil
			}
			c.noteOwnersLocked(true)
			c.t.audits.changed(c)
			continue
		case state:
			fresh = fresh || fx.fresh
		}
		if c.telling == nil {
			c.telling = &tellings{}
		}
		c.telling.queue = append(c.telling.queue, telling{c.aud, fx})
	}
	if fresh {
		c.view.step(encoded{time.Since(now.Time)}, now)
	}
	c.armLocked()
}

// armLocked sets the alarm to when the view has to be ticked.
func (c *Channel) armLocked() {
	at := c.view.next()
	if c.alarm != nil {
		if at.Equal(c.alarm.at) {
			return
		}
		c.alarm.timer.Stop()
		c.alarm = nil
	}
	if !at.IsZero() {
		a := &alarm{at: at}
		c.alarm = a
		a.timer = time.AfterFunc(time.Until(at), func() { c.tick(a) })
	}
}

func (c *Channel) tick(a *alarm) {
	_, _, held := c.t.lease.Lease()
	c.mu.Lock()
	defer c.unlock()
	if c.alarm == a { // else it was late to be stopped
		c.alarm = nil
		c.stepLocked(tick{held})
	}
}

// read reads a snapshot for the view, after a while, if it still wants one then.
func (c *Channel) read(ctx context.Context, r read) {
	if r.after > 0 && !c.t.pause(r.after) || !c.begin(r.number) {
		return
	}
	snap, err := c.t.store.Snapshot(ctx, c.name())
	if err != nil && ctx.Err() == nil && !errors.Is(err, ErrMoved) && r.after < lastRetry {
		c.t.cfg.Log.Warn("read presence failed", "channel", c.name(), "error", err)
	}
	c.step(readOver{r.number, snap})
}

func (c *Channel) begin(reading uint32) (wanted bool) {
	c.mu.Lock()
	defer c.unlock()
	if wanted = c.view.reading == reading; wanted {
		c.stepLocked(begins{})
	}
	return wanted
}

// errDetached says that nobody on this node is in the channel any more.
var errDetached = errors.New("presence: the channel is closed")

// State sends a connection the presence_state of now and returns when it is on its way. From then on that connection is
// told only what comes after it. While the channel has not been read yet it waits, as long as ctx allows.
func (c *Channel) State(ctx context.Context, connID string) error {
	return c.stateAfter(ctx, waiter{conn: connID})
}

// StateByRefs is State for a client of Phoenix.
func (c *Channel) StateByRefs(ctx context.Context, connID string) error {
	return c.stateAfter(ctx, waiter{conn: connID, refs: true})
}

// stateAfter is State for a view that holds the change at the waiter's position. When ctx ends the state is still owed.
func (c *Channel) stateAfter(ctx context.Context, w waiter) error {
	w, ok := c.owe(w)
	if !ok {
		return errDetached
	}
	return c.wait(ctx, w)
}

// owe queues a presence_state; false: there is no audience.
func (c *Channel) owe(w waiter) (_ waiter, ok bool) {
	c.mu.Lock()
	defer c.unlock()
	if c.aud == nil {
		return waiter{}, false
	}
	w.begun, w.done = c.view.begun, make(chan struct{})
	c.stepLocked(owes{w})
	return w, true
}

// ownWriteWait is how long a writer waits to see its change come back; then it counts as lost and the channel is read
// again.
const ownWriteWait = 1500 * time.Millisecond

// await waits until a position is in the view and what could be told of it at once has been told, or there is nobody to
// see it, or the time is over.
func (c *Channel) await(ctx context.Context, at Position) {
	c.mu.Lock()
	w := waiter{at: at, begun: c.view.begun, done: make(chan struct{})}
	c.stepLocked(awaits{w})
	c.unlock()
	if c.wait(ctx, w) != nil {
		c.step(gaveUp{w})
	}
}

// wait returns nil when w is over. A change that does not come back counts as lost: the channel is read again.
func (c *Channel) wait(ctx context.Context, w waiter) error {
	if closed(w.done) {
		return nil
	}
	timeout := time.NewTimer(ownWriteWait)
	defer timeout.Stop()
	for range 2 {
		select {
		case <-w.done:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-timeout.C:
			c.step(overdue{w})
			timeout.Reset(ownWriteWait)
		}
	}
	return context.DeadlineExceeded
}

// List gives the users of now, the one who has been here longest first. What connID wrote is in it, also while Redis
// cannot be reached; "" is nobody's list. It is not ok while the channel has not been read, and when nobody on this
// node is in it any more.
func (c *Channel) List(connID string) (us []*User, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.aud == nil || !c.view.known {
		return nil, false
	}
	us = c.view.replica.List()
	if connID == "" || c.own.len() == 0 {
		return us, true
	}
	for o := range c.own.all() {
		if o.ref.conn == connID && (o.version != o.written || o.busy != nil) {
			us = withOwn(us, o)
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
func withOwn(us []*User, o *own) []*User {
	ref := o.ref
	u := &User{ID: ref.user}
	i := slices.IndexFunc(us, func(u *User) bool { return u.ID == ref.user })
	if i >= 0 {
		u.Metas = slices.Clone(us[i].Metas)
		us = slices.Delete(us, i, i+1)
	}
	u.Metas = slices.DeleteFunc(u.Metas, func(m Meta) bool { return m.ConnID == ref.conn })
	if !o.gone {
		u.Metas = append(u.Metas, *o.meta)
		sortMetas(u.Metas)
	}
	if len(u.Metas) > 0 {
		us = append(us, u)
		sortUsers(us)
	}
	return us
}

// Detach ends the audience: nobody on this node is in the channel any more. What still has to be written to Redis is
// kept until it is.
func (c *Channel) Detach() {
	c.mu.Lock()
	defer c.unlock()
	c.stepLocked(detached{})
	c.aud = nil
	c.t.tidyLocked(c)
}

// unlock gives c.mu back and tells what is to be told: in order, by one goroutine at a time, not under the lock.
func (c *Channel) unlock() {
	if c.telling == nil || c.telling.busy {
		c.mu.Unlock()
		return
	}
	c.telling.busy = true
	for len(c.telling.queue) > 0 {
		told := c.telling.queue
		c.telling.queue = nil
		c.mu.Unlock()
		for _, t := range told {
			t.tell()
		}
		c.mu.Lock()
	}
	c.telling = nil
	c.mu.Unlock()
}

// tell tells the audience, or wakes who waits.
func (t telling) tell() {
	var over []waiter
	switch fx := t.effect.(type) {
	case []Event:
		t.to.PresenceEvents(fx)
	case *Diff:
		t.to.PresenceDiff(fx)
	case state:
		t.to.PresenceState(fx.State)
		over = fx.asked
	case woken:
		over = fx
	}
	for _, w := range over {
		close(w.done)
	}
}
