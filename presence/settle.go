package presence

import (
	"context"
	"errors"
	"fmt"
	"time"

	"rollcall/redisconn"
)

// maxAttempts bounds how often a write is tried with a renewed lease before it waits for the next heartbeat.
const maxAttempts = 3

// write is one attempt to make Redis hold what is wanted of an entry.
type write struct {
	wanted
	lease   Lease
	changed bool   // it is not just written again
	last    string // the epoch in which it was written before
}

// settle makes Redis hold what is wanted of an entry. Any error means: not now, the tracker tries again. ctx bounds
// only what this caller waits for: a write that was begun is carried through, so that a client that goes away in the
// midst of one leaves no doubt about its outcome.
func (c *Channel) settle(ctx context.Context, ref entryRef, o *own) (Position, error) {
	for attempt := 1; ; {
		w, at, err := c.beginWrite(ctx, ref, o)
		if w == nil {
			return at, err
		}
		at, err = c.put(c.t.ctx, ref, w)
		later, err := c.endWrite(ref, o, w, at, err)
		switch {
		case err == nil && later:
			return at, nil
		case err == nil:
			continue // something else may be wanted by now
		case isRefusal(err) || attempt == maxAttempts:
			return Position{}, err
		}
		if err := c.recover(ctx, w.lease.Inc, err); err != nil {
			return Position{}, err
		}
		attempt++
	}
}

// beginWrite waits until no write of an entry is under way, and begins one. nil: Redis holds what is wanted since the
// position, or it cannot be written now.
func (c *Channel) beginWrite(ctx context.Context, ref entryRef, o *own) (w *write, at Position, err error) {
	for {
		w, wait, at, err := c.tryWrite(ref, o)
		if wait == nil {
			return w, at, err
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return nil, Position{}, errUnavailable
		}
	}
}

// tryWrite is beginWrite, or gives the end of the write under way to wait for.
func (c *Channel) tryWrite(ref entryRef, o *own) (w *write, wait <-chan struct{}, at Position, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	inc, deadline, held := c.t.lease.Lease()
	switch {
	case o.settled(inc):
		if o.gone && c.own.get(ref) == o {
			c.dropLocked(ref)
		}
		return nil, nil, o.at, nil
	case !held:
		return nil, nil, Position{}, errUnavailable
	case o.busy != nil:
		return nil, o.busy, Position{}, nil
	}
	o.busy = make(chan struct{})
	o.tried, o.delay, o.due = true, nil, false
	return &write{o.wanted, Lease{inc, deadline}, o.written != o.version, o.at.Epoch}, nil, Position{}, nil
}

// endWrite notes how a write ended, and gives what that means. later: what is wanted since then is throttled.
func (c *Channel) endWrite(ref entryRef, o *own, w *write, at Position, err error) (later bool, _ error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case errors.Is(err, errGone):
		o.gone, err = true, nil
	case isRefusal(err) && (w.leaves() || !w.changed): // of a Redis that refuses everything when it is full
		err = errUnavailable
	}
	switch {
	case err == nil:
		o.written, o.inc, o.at, o.stored = w.version, w.lease.Inc, at, w.meta
		if o.stored.same(o.meta) {
			o.stored = o.meta
		}
	case isRefusal(err) && o.version == w.version:
		c.takeBackLocked(ref, o)
	}
	close(o.busy)
	o.busy = nil
	return o.delay != nil, err
}

// takeBackLocked makes an entry what it was before a change that was refused.
func (c *Channel) takeBackLocked(ref entryRef, o *own) {
	o.written = o.version
	c.t.unsettled(c) // what it was before may have to be written again
	if o.storesNow() {
		o.meta = o.stored
	} else {
		o.gone = true
		c.dropLocked(ref)
	}
}

// dropLocked forgets an entry that has gone.
func (c *Channel) dropLocked(ref entryRef) {
	o := c.own.get(ref)
	o.stopLingering()
	if o.delay != nil {
		o.delay.Stop()
	}
	c.own.drop(ref)
	c.t.tidyLocked(c)
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
		c.t.cfg.Log.Error("presence write failed", "channel", c.name(), "error", err)
	}
	return err
}

// put writes an entry once. errGone: it was to linger and has gone.
func (c *Channel) put(ctx context.Context, ref entryRef, w *write) (at Position, err error) {
	inc := w.lease.Inc
	if w.gone {
		at, err := c.t.store.Leave(ctx, w.lease, c.name(), ref.user, ref.conn, newRef(), w.end.cause)
		if err != nil {
			return at, fmt.Errorf("write leave: %w", err)
		}
		return at, nil
	}
	known, err := c.register(ctx, inc)
	if err != nil {
		return Position{}, err
	}
	what := "join"
	if !w.lingers() {
		at, err = c.t.store.Join(ctx, w.lease, c.name(), ref.user, w.meta, w.changed, known, newRef())
	} else {
		what = "linger"
		stay := max(time.Until(w.end.until), 0)
		at, err = c.t.store.Linger(ctx, w.lease, c.name(), ref.user, w.meta, known, newRef(), stay, w.last,
			w.end.cause)
	}
	c.registered(inc, at.Epoch, err)
	if err != nil && !isRefusal(err) { // whose text is for the handler's author
		err = fmt.Errorf("write %s: %w", what, err)
	}
	return at, err
}

// registered notes what a write showed of the channel's registration. One that was refused registers again before it is
// tried again: after a wipe nobody would find its entry by the list.
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

		held, err := c.t.store.Register(ctx, inc, c.name())

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
