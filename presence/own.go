package presence

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"rollcall/overload"
	"rollcall/redisconn"
)

// own is what one connection of this node tracks in a channel: the truth of which Redis holds the index.
//
// Invariant: at most one write of an entry is under way (busy is set), so writes of one entry reach Redis in order.
type own struct {
	// guarded by the channel's mu
	wanted
	written  int           // the version that Redis confirmed
	inc      string        // the incarnation under which it did
	at       Position      // of the last confirmed write
	busy     chan struct{} // closed when the write under way is over
	announce bool          // its connection is owed a presence_state as soon as the entry is written
	tried    bool          // a write was begun: Redis may hold an entry
	stored   Meta          // the last that Redis confirmed
	timer    *time.Timer   // ends the lingering

	// pace.go
	changes overload.Limiter
	turn    *time.Timer // set while a change waits for its turn, and until it is written then
	due     bool        // its turn has come
}

// leaves tells whether the connection is not there any more.
func (w *wanted) leaves() bool { return w.gone || !w.until.IsZero() }

// wanted is what Redis shall hold of an entry.
//
//	live ── Linger ──▶ lingering ── its time is over, or its user is back ──▶ gone
//	  └──────────────── Untrack ────────────────▶ gone
type wanted struct {
	meta    Meta      // unless gone
	until   time.Time // its connection has gone, and it lingers until then; zero: the connection is there
	gone    bool      // no entry
	version int
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

// newRef draws a phx_ref, unique in the cluster.
func newRef() string {
	var b [9]byte          // 72 bits: among a hundred million trackings two are alike once in a million times
	_, _ = rand.Read(b[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// Track makes a connection one of a user's, or replaces its metadata: phx_ref and online_at then stay. It returns when
// the change is in this node's view; with announce also the connection's presence_state is then on its way. While Redis
// cannot be reached it succeeds too: what was asked for is done when Redis is back, and pending tells so; likewise when it
// changes too often. ErrTooManyDevices, ErrMetasTooBig, redisconn.ErrFull: all is as before.
func (c *Channel) Track(ctx context.Context, connID, userID string, e Encoded, announce bool) (pending bool, err error) {
	ref := entryRef{connID, userID}
	c.mu.Lock()
	o := c.own[ref]
	if o == nil {
		o = &own{wanted: wanted{gone: true}}
		c.own[ref] = o
	}
	if o.gone {
		o.gone = false
		o.meta = Meta{ConnID: connID, Ref: newRef(), JoinedAt: time.Now().UnixMilli()}
	}
	o.meta.Source, o.meta.NoState, o.meta.Info = e.source, e.noState, e.info
	o.version++
	o.announce = o.announce || announce
	c.mu.Unlock()
	return c.write(ctx, ref, o)
}

// Update merges fields into the metadata of a tracked connection; null deletes one. ErrNotTracked without tracking.
func (c *Channel) Update(ctx context.Context, connID, userID string, f Fields) (pending bool, err error) {
	c.mu.Lock()
	o := c.own[entryRef{connID, userID}]
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

// Untrack takes a connection away from its user. While Redis cannot be reached it succeeds too.
func (c *Channel) Untrack(ctx context.Context, connID, userID string) (pending bool) {
	ref := entryRef{connID, userID}
	c.mu.Lock()
	o := c.own[ref]
	if o == nil || o.gone {
		c.mu.Unlock()
		return false
	}
	o.gone = true
	o.announce = false
	o.version++
	c.mu.Unlock()
	pending, _ = c.write(ctx, ref, o) // only joins are refused
	return pending
}

// Linger keeps the entry of a connection that has gone for a while, for its user to come back: another connection of the user in
// this channel, on any node, ends it at once. While Redis cannot be reached it succeeds too.
func (c *Channel) Linger(ctx context.Context, connID, userID string, stay time.Duration) (pending bool) {
	ref := entryRef{connID, userID}
	c.mu.Lock()
	o := c.own[ref]
	if o == nil || o.gone {
		c.mu.Unlock()
		return false
	}
	o.until = time.Now().Add(stay)
	o.announce = false
	o.version++
	o.timer = time.AfterFunc(stay, func() { c.lingered(ref, o) })
	c.mu.Unlock()
	pending, _ = c.write(ctx, ref, o) // only joins are refused
	return pending
}

// lingered ends a lingering whose time is over.
func (c *Channel) lingered(ref entryRef, o *own) {
	c.mu.Lock()
	over := c.own[ref] == o && !o.gone
	if over {
		o.gone = true
		o.version++
	}
	c.mu.Unlock()
	if over {
		c.t.unsettled(c)
		c.t.kick()
	}
}

// write settles an entry for its own connection and waits until the change is in the view.
func (c *Channel) write(ctx context.Context, ref entryRef, o *own) (pending bool, err error) {
	if c.takesTurn(ref, o) {
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
		return c.stateAfter(ctx, ref.conn, at) != nil, nil
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
	case isRefusal(err): // it waited for Redis or for its turn: nobody is there any more to be told
		c.t.stats.Refused.Add(1)
		c.t.cfg.Log.Warn("presence refused", "channel", c.name, "user", ref.user, "connection", ref.conn, "error", err)
		return
	case err != nil:
		if ctx.Err() == nil {
			c.t.unsettled(c)
		}
		return
	}
	if c.takeAnnounce(o) {
		c.owe(ref.conn, at)
	}
}

// maxAttempts bounds how often a write is tried with a renewed lease before it waits for the next heartbeat.
const maxAttempts = 3

// settle makes Redis hold what is wanted of an entry. Any error means: not now, the tracker tries again. ctx bounds only
// what this caller waits for: a write that was begun is carried through, so that a client that goes away in the midst of
// one leaves no doubt about its outcome.
func (c *Channel) settle(ctx context.Context, ref entryRef, o *own) (Position, error) {
	for attempt := 0; ; {
		c.mu.Lock()
		inc, deadline, held := c.t.lease.Lease()
		if o.settled(inc) {
			at := o.at
			if o.gone && c.own[ref] == o {
				c.drop(ref)
			}
			c.mu.Unlock()
			return at, nil
		}
		if !held {
			c.mu.Unlock()
			return Position{}, errUnavailable
		}
		if wait := o.busy; wait != nil {
			c.mu.Unlock()
			select {
			case <-wait:
				continue
			case <-ctx.Done():
				return Position{}, errUnavailable
			}
		}
		busy := make(chan struct{})
		o.busy = busy
		o.tried, o.turn, o.due = true, nil, false
		w, last, changed := o.wanted, o.at.Epoch, o.written != o.version
		c.mu.Unlock()

		at, err := c.put(c.t.ctx, Lease{inc, deadline}, ref, &w, changed, last)

		c.mu.Lock()
		switch {
		case errors.Is(err, errGone):
			o.gone, err = true, nil
		case isRefusal(err) && (w.leaves() || !changed): // of a Redis that refuses everything when it is full
			err = errUnavailable
		}
		switch {
		case err == nil:
			o.written, o.inc, o.at, o.stored = w.version, inc, at, w.meta
		case isRefusal(err) && o.version == w.version:
			o.written = w.version
			c.t.unsettled(c) // what it was before may have to be written again
			if o.stored.Ref == o.meta.Ref {
				o.meta = o.stored
			} else {
				o.gone = true
				c.drop(ref)
			}
		}
		o.busy = nil
		close(busy)
		waits := o.turn != nil
		c.mu.Unlock()
		switch {
		case err == nil && waits:
			return at, nil // what is wanted since then has its turn later
		case err == nil:
			continue
		}
		if attempt++; attempt >= maxAttempts || isRefusal(err) {
			return Position{}, err
		}
		if err := c.recover(ctx, inc, err); err != nil {
			return Position{}, err
		}
	}
}

// drop forgets an entry that has gone. c.mu is held.
func (c *Channel) drop(ref entryRef) {
	for _, timer := range []*time.Timer{c.own[ref].timer, c.own[ref].turn} {
		if timer != nil {
			timer.Stop()
		}
	}
	delete(c.own, ref)
	c.t.tidy(c)
}

// recover decides what a failed write means: nil, it is worth another try now.
func (c *Channel) recover(ctx context.Context, inc string, err error) error {
	switch {
	case errors.Is(err, errFenced), errors.Is(err, errStale):
		if err := c.t.lease.Renew(ctx); err != nil {
			return fmt.Errorf("renew lease: %w", err)
		}
		return nil
	case errors.Is(err, redisconn.ErrUnknown):
		// The write may still arrive: under this incarnation's lease it must not count.
		c.t.lease.Disown(inc, "a presence write had no answer")
	case !errors.Is(err, redisconn.ErrUnavailable) && c.t.ctx.Err() == nil:
		c.t.cfg.Log.Error("presence write failed", "channel", c.name, "error", err)
	}
	return err
}

// put writes one entry once: changed tells that it is not just written again, and last is the epoch in which it was written
// before. errGone: it was to linger and has gone.
func (c *Channel) put(ctx context.Context, l Lease, ref entryRef, w *wanted, changed bool, last string) (at Position, err error) {
	if w.gone {
		at, err := c.t.store.Leave(ctx, l, c.name, ref.user, ref.conn, newRef())
		if err != nil {
			return at, fmt.Errorf("write leave: %w", err)
		}
		return at, nil
	}
	known, err := c.register(ctx, l.Inc)
	if err != nil {
		return Position{}, err
	}
	what := "join"
	if w.until.IsZero() {
		at, err = c.t.store.Join(ctx, l, c.name, ref.user, &w.meta, changed, known, newRef())
	} else {
		what = "linger"
		at, err = c.t.store.Linger(ctx, l, c.name, ref.user, &w.meta, known, newRef(), max(time.Until(w.until), 0), last)
	}
	c.registered(l.Inc, at.Epoch, err)
	if err != nil && !isRefusal(err) { // whose text is for the handler's author
		err = fmt.Errorf("write %s: %w", what, err)
	}
	return at, err
}

// registered notes what a write showed of the channel's registration. One that was refused registers again before it is tried
// again: after a wipe nobody would find its entry by the list.
func (c *Channel) registered(inc, epoch string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.reg.inc != inc:
	case err == nil:
		c.reg.epoch = epoch
	case errors.Is(err, errFenced):
		c.reg.inc = ""
	}
}

// register puts the channel on the incarnation's list, once, and gives the epoch in which it did, if that is known.
func (c *Channel) register(ctx context.Context, inc string) (epoch string, err error) {
	for {
		c.mu.Lock()
		if wait := c.reg.busy; wait != nil {
			c.mu.Unlock()
			select {
			case <-wait:
				continue
			case <-ctx.Done():
				return "", ctx.Err()
			}
		}
		if c.reg.inc == inc {
			defer c.mu.Unlock()
			return c.reg.epoch, nil
		}
		busy := make(chan struct{})
		c.reg.busy = busy
		c.mu.Unlock()

		held, err := c.t.store.Register(ctx, inc, c.name)

		c.mu.Lock()
		if err == nil && held {
			c.reg.inc, c.reg.epoch = inc, ""
		}
		c.reg.busy = nil
		close(busy)
		c.mu.Unlock()
		switch {
		case err != nil:
			return "", err
		case !held:
			return "", errFenced
		}
		return "", nil
	}
}
