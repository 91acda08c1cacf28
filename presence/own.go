package presence

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"time"

	"rollcall/overload"
	"rollcall/redisconn"
)

// own is what one connection of this node tracks in a channel: the truth of which Redis holds the index.
//
// Invariant: at most one write of an entry is under way (busy is set), so writes of one entry reach Redis in order.
// Invariant: one that has gone has an end until Redis holds that: its leave has a cause.
type own struct {
	// static
	ref entryRef

	// guarded by the channel's mu
	wanted
	written  int32         // the version that Redis confirmed
	announce bool          // its connection is owed a presence_state as soon as the entry is written
	tried    bool          // a write was begun: Redis may hold an entry
	due      bool          // delay is over
	inc      string        // the incarnation under which it did
	at       Position      // of the last confirmed write
	busy     chan struct{} // closed when the write under way is over
	stored   *Meta         // the last that Redis confirmed; nil: none

	// throttle.go
	changes overload.Limiter
	delay   *time.Timer // set while a change is throttled, and until it is written then
}

func (o *own) key() entryRef { return o.ref }

// leaves tells whether the connection is not there any more.
func (w *wanted) leaves() bool { return w.gone || w.end != nil }

// lingers tells whether the entry stays without its connection.
func (w *wanted) lingers() bool { return !w.gone && w.end != nil }

func (w *wanted) stopLingering() {
	if w.end != nil && w.end.timer != nil {
		w.end.timer.Stop()
	}
}

// wanted is what Redis shall hold of an entry.
//
//	live ── Exit, to stay ──▶ lingering ── its time is over, or its user is back ──▶ gone
//	  └──────────────── Untrack, Exit ────────────────▶ gone
type wanted struct {
	meta    *Meta // unless gone
	end     *end  // nil: the connection is there, or never was
	version int32
	gone    bool // no entry
}

// end is why a connection is not there any more, and how long its entry lingers.
type end struct {
	cause Cause
	until time.Time
	timer *time.Timer // then ends it; nil: it does not linger
}

// registration is the channel's place on the list {nodes}:<inc>:channels, by which a reaper finds its entries.
type registration struct {
	inc   string        // under which it stands there, "" not
	epoch string        // of the channel since then, "" not known: nothing was written since
	busy  chan struct{} // closed when the write under way is over
}

// settled tells whether Redis holds what is wanted, under the present incarnation.
func (o *own) settled(inc string) bool {
	return o.written == o.version && (o.gone || o.inc == inc)
}

// shareLocked uses a meta in place of own ones that are the same but for the incarnation.
func (o *own) shareLocked(m *Meta) {
	if o.stored != nil && o.stored.same(m) {
		o.stored = m
	}
	if o.meta.same(m) {
		o.meta = m
	}
}

// newRef draws a phx_ref, unique in the cluster.
func newRef() string {
	var b [9]byte          // 72 bits: among a hundred million trackings two are alike once in a million times
	_, _ = rand.Read(b[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// Track makes a connection one of a user's, or replaces its metadata: phx_ref and online_at then stay. It returns when
// the change is in this node's view; with announce also the connection's presence_state is then on its way. While Redis
// cannot be reached it succeeds too: what was asked for is done when Redis is back, and pending tells so; likewise when
// it changes too often. ErrTooManyDevices, ErrMetasTooBig, redisconn.ErrFull: all is as before.
func (c *Channel) Track(ctx context.Context, connID, userID string, e Encoded, announce bool) (
	pending bool, err error,
) {
	ref := entryRef{connID, userID}
	c.mu.Lock()
	o := c.own.get(ref)
	if o == nil {
		o = &own{ref: ref, wanted: wanted{gone: true}}
		c.own.put(o)
	}
	m := Meta{ConnID: connID, Ref: newRef(), JoinedAt: time.Now().UnixMilli()}
	if !o.gone {
		m.Ref, m.JoinedAt = o.meta.Ref, o.meta.JoinedAt
	}
	m.Source, m.NoState, m.Info = e.source, e.noState, e.info
	o.stopLingering()
	o.gone, o.end, o.meta = false, nil, &m
	o.version++
	o.announce = o.announce || announce
	c.mu.Unlock()
	return c.write(ctx, ref, o)
}

// Update merges fields into the metadata of a tracked connection; null deletes one. ErrNotTracked without tracking.
func (c *Channel) Update(ctx context.Context, connID, userID string, f Fields) (pending bool, err error) {
	c.mu.Lock()
	o := c.own.get(entryRef{connID, userID})
	if o == nil || o.gone {
		c.mu.Unlock()
		return false, ErrNotTracked
	}
	source, info := o.meta.Source, o.meta.Info
	c.mu.Unlock() // one connection's calls come one at a time, so nobody changes o.meta meanwhile
	merged, err := merge(info, f)
	if err != nil {
		return false, err
	}
	e, err := Encode(source, merged)
	if err != nil {
		return false, err
	}
	return c.Track(ctx, connID, userID, e, false)
}

// Untrack takes a connection that stays away from its user. While Redis cannot be reached it succeeds too.
func (c *Channel) Untrack(ctx context.Context, connID, userID string) (pending bool) {
	return c.Exit(ctx, connID, userID, CauseUntracked, 0)
}

// Exit takes a connection that has gone away from its user: at once, or, for its user to come back, after a while in
// which its entry lingers: another connection of the user in this channel, on any node, ends it then. While Redis
// cannot be reached it succeeds too.
func (c *Channel) Exit(ctx context.Context, connID, userID string, cause Cause, stay time.Duration) (pending bool) {
	ref := entryRef{connID, userID}
	c.mu.Lock()
	o := c.endLocked(ref, cause, stay)
	c.mu.Unlock()
	if o == nil {
		return false
	}
	pending, _ = c.write(ctx, ref, o) // only joins are refused
	return pending
}

// endLocked notes the end of a tracking; nil: there is none.
func (c *Channel) endLocked(ref entryRef, cause Cause, stay time.Duration) *own {
	o := c.own.get(ref)
	if o == nil || o.gone {
		return nil
	}
	o.stopLingering()
	o.end = &end{cause: cause}
	if o.gone = stay <= 0; !o.gone {
		o.end.until, o.end.timer = time.Now().Add(stay), time.AfterFunc(stay, func() { c.lingered(ref, o) })
	}
	o.announce = false
	o.version++
	return o
}

// lingered ends a lingering whose time is over.
func (c *Channel) lingered(ref entryRef, o *own) {
	c.mu.Lock()
	over := c.own.get(ref) == o && o.lingers() && c.endLocked(ref, o.end.cause, 0) != nil
	c.mu.Unlock()
	if over {
		c.t.unsettled(c)
		c.t.kick()
	}
}

// write settles an entry for its own connection and waits until the change is in the view.
func (c *Channel) write(ctx context.Context, ref entryRef, o *own) (pending bool, err error) {
	if c.throttled(ref, o) {
		return true, nil
	}
	at, err := c.settle(ctx, ref, o)
	switch {
	case isRefusal(err):
		return false, err
	case err != nil:
		c.t.unsettled(c)
		return true, nil
	case c.takeAnnounce(o):
		return c.stateAfter(ctx, waiter{conn: ref.conn, at: at}) != nil, nil
	}
	c.await(ctx, at)
	return false, nil
}

// isRefusal tells that what was asked for cannot be had, and is not waited for.
func isRefusal(err error) bool {
	return errors.Is(err, ErrTooManyDevices) || errors.Is(err, ErrMetasTooBig) || errors.Is(err, redisconn.ErrFull)
}

// takeAnnounce tells whether a presence_state is owed for an entry; whoever asks first sends it.
func (c *Channel) takeAnnounce(o *own) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	owed := o.announce && !o.gone
	o.announce = false
	return owed
}

// writeAgain settles an entry for the tracker, and sends the presence_state that is owed for it.
func (c *Channel) writeAgain(ctx context.Context, ref entryRef, o *own) {
	at, err := c.settle(ctx, ref, o)
	switch {
	case isRefusal(err): // it waited for Redis, or was throttled: nobody is there any more to be told
		c.t.stats.Refused.Add(1)
		c.t.cfg.Log.Warn("presence refused", "channel", c.name(), "user", ref.user, "connection", ref.conn, "error", err)
		return
	case err != nil:
		if ctx.Err() == nil {
			c.t.unsettled(c)
		}
		return
	}
	if c.takeAnnounce(o) {
		if w, ok := c.owe(waiter{conn: ref.conn, at: at}); ok {
			time.AfterFunc(ownWriteWait, func() { c.step(overdue{w}) })
		}
	}
}
