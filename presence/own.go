package presence

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"rollcall/broker"
)

// own is what one connection of this node tracks in a channel: the truth of which Redis holds the index.
//
// Invariant: at most one write of an entry is under way (busy is set), so writes of one entry reach Redis in order.
type own struct {
	// guarded by the channel's mu
	meta     Meta // wanted, unless gone
	gone     bool // wanted: no entry
	version  int  // of what is wanted
	written  int  // the version that Redis confirmed
	inc      string
	at       Position      // of the last confirmed write
	busy     chan struct{} // closed when the write under way is over
	announce bool          // its presence_state is owed: the entry could not be written when it was tracked
}

// registration is the channel's place on the list {nodes}:<inc>:channels, by which a reaper finds its entries.
type registration struct {
	inc  string        // under which it stands there, "" not
	busy chan struct{} // closed when the write under way is over
}

// settled tells whether Redis holds what is wanted, under the present incarnation.
func (o *own) settled(inc string) bool {
	return o.written == o.version && (o.gone || o.inc == inc)
}

// newRef draws a phx_ref, unique in the cluster.
func newRef() string {
	var b [12]byte
	_, _ = rand.Read(b[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// Track makes a connection one of a user's, or replaces its metadata: phx_ref and online_at then stay. It returns when
// the change is in this node's view. While Redis cannot be reached it succeeds too, and is written when Redis is back;
// pending tells so.
func (c *Channel) Track(ctx context.Context, connID, userID string, src Source, f Fields) (pending bool, err error) {
	info, noState, err := f.encode()
	if err != nil {
		return false, err
	}
	return c.track(ctx, connID, userID, Meta{Source: src, NoState: noState, Info: info})
}

func (c *Channel) track(ctx context.Context, connID, userID string, m Meta) (pending bool, err error) {
	m.ConnID = connID
	ref := entryRef{connID, userID}
	c.mu.Lock()
	o := c.own[ref]
	switch {
	case o == nil:
		o = &own{}
		c.own[ref] = o
		m.Ref, m.JoinedAt = newRef(), time.Now().UnixMilli()
	case o.gone:
		m.Ref, m.JoinedAt = newRef(), time.Now().UnixMilli()
	default:
		m.Ref, m.JoinedAt = o.meta.Ref, o.meta.JoinedAt
	}
	o.meta, o.gone = m, false
	o.version++
	c.mu.Unlock()
	return c.write(ctx, ref, o)
}

// Update merges fields into the metadata of a tracked connection; null deletes one. ErrNotTracked without tracking.
func (c *Channel) Update(ctx context.Context, connID, userID string, f Fields) (pending bool, err error) {
	ref := entryRef{connID, userID}
	c.mu.Lock()
	o := c.own[ref]
	if o == nil || o.gone {
		c.mu.Unlock()
		return false, ErrNotTracked
	}
	m := o.meta
	c.mu.Unlock() // one connection's calls come one at a time, so nobody changes o.meta meanwhile
	merged, err := merge(m.Info, f)
	if err != nil {
		return false, err
	}
	if m.Info, m.NoState, err = merged.encode(); err != nil {
		return false, err
	}
	return c.track(ctx, connID, userID, m)
}

// Untrack takes a connection away from its user. While Redis cannot be reached it succeeds too.
func (c *Channel) Untrack(ctx context.Context, connID, userID string) error {
	ref := entryRef{connID, userID}
	c.mu.Lock()
	o := c.own[ref]
	if o == nil || o.gone {
		c.mu.Unlock()
		return nil
	}
	o.gone = true
	o.announce = false
	o.version++
	c.mu.Unlock()
	_, err := c.write(ctx, ref, o)
	return err
}

// write settles an entry for its own connection and waits until the change is in the view.
func (c *Channel) write(ctx context.Context, ref entryRef, o *own) (pending bool, err error) {
	at, err := c.settle(ctx, ref, o)
	switch {
	case err == nil:
		c.await(ctx, at)
		return false, nil
	case errors.Is(err, ErrUnavailable):
		c.t.unsettled(c)
		return true, nil
	}
	return false, err
}

// Announce notes that a connection whose tracking is pending is owed its presence_state.
func (c *Channel) Announce(connID, userID string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if o := c.own[entryRef{connID, userID}]; o != nil && !o.gone {
		o.announce = true
	}
}

// maxAttempts bounds how often a write is tried with a renewed lease before it waits for the next heartbeat.
const maxAttempts = 3

// settle makes Redis hold what is wanted of an entry. ErrUnavailable: not now; the tracker tries again.
func (c *Channel) settle(ctx context.Context, ref entryRef, o *own) (Position, error) {
	for attempt := 0; ; {
		c.mu.Lock()
		inc, deadline, held := c.t.lease.Lease()
		if o.settled(inc) {
			at := o.at
			if o.gone && c.own[ref] == o {
				delete(c.own, ref)
				c.t.tidy(c)
			}
			c.mu.Unlock()
			return at, nil
		}
		if !held {
			c.mu.Unlock()
			return Position{}, ErrUnavailable
		}
		if wait := o.busy; wait != nil {
			c.mu.Unlock()
			select {
			case <-wait:
				continue
			case <-ctx.Done():
				return Position{}, ErrUnavailable
			}
		}
		busy := make(chan struct{})
		o.busy = busy
		meta, gone, version := o.meta, o.gone, o.version
		c.mu.Unlock()

		at, err := c.put(ctx, Lease{inc, deadline}, ref, &meta, gone)

		c.mu.Lock()
		if err == nil {
			o.written, o.inc, o.at = version, inc, at
		}
		o.busy = nil
		close(busy)
		c.mu.Unlock()
		if err == nil {
			continue
		}
		if attempt++; attempt >= maxAttempts {
			return Position{}, errors.Join(ErrUnavailable, err)
		}
		if err := c.recover(ctx, err); err != nil {
			return Position{}, err
		}
	}
}

// recover decides what a failed write means: nil, it is worth another try now.
func (c *Channel) recover(ctx context.Context, err error) error {
	switch {
	case errors.Is(err, errFenced), errors.Is(err, errStale):
		if err := c.t.lease.Renew(ctx); err != nil {
			return errors.Join(ErrUnavailable, err)
		}
		return nil
	case errors.Is(err, broker.ErrUnavailable), ctx.Err() != nil:
		// The write may still arrive: under this incarnation's lease it must not count.
		c.t.lease.Renounce("a presence write had no answer")
		return errors.Join(ErrUnavailable, err)
	}
	return err
}

// put writes one entry once.
func (c *Channel) put(ctx context.Context, l Lease, ref entryRef, m *Meta, gone bool) (Position, error) {
	if gone {
		at, err := c.t.store.Leave(ctx, l, c.name, ref.user, ref.conn)
		if err != nil {
			return at, fmt.Errorf("write leave: %w", err)
		}
		return at, nil
	}
	if err := c.register(ctx, l.Inc); err != nil {
		return Position{}, err
	}
	at, err := c.t.store.Join(ctx, l, c.name, ref.user, m, newRef())
	if err != nil {
		return at, fmt.Errorf("write join: %w", err)
	}
	return at, nil
}

// register puts the channel on the incarnation's list, once.
func (c *Channel) register(ctx context.Context, inc string) error {
	for {
		c.mu.Lock()
		if wait := c.reg.busy; wait != nil {
			c.mu.Unlock()
			select {
			case <-wait:
				continue
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if c.reg.inc == inc {
			c.mu.Unlock()
			return nil
		}
		busy := make(chan struct{})
		c.reg.busy = busy
		c.mu.Unlock()

		held, err := c.t.store.Register(ctx, inc, c.name)

		c.mu.Lock()
		if err == nil && held {
			c.reg.inc = inc
		}
		c.reg.busy = nil
		close(busy)
		c.mu.Unlock()
		switch {
		case err != nil:
			return err
		case !held:
			return errFenced
		}
		return nil
	}
}
