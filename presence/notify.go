package presence

import (
	"context"
	"errors"
	"slices"
	"time"
)

// Encodings of a channel's presence_state are so far apart that they take a twentieth of the time, within bounds: a thousand
// clients who join together share a few of them, and wait little for one that is cheap.
const (
	stateShare    = 20
	minStateSpace = time.Millisecond
	maxStateSpace = 50 * time.Millisecond
)

// stateSpacing is the least time between two encodings, of which the last took took.
func stateSpacing(took time.Duration) time.Duration {
	return min(max(stateShare*took, minStateSpace), maxStateSpace)
}

// errDetached says that nobody on this node is in the channel any more.
var errDetached = errors.New("presence: the channel is closed")

// stateWaiter is a connection that is to get a presence_state as soon as the view holds what the waiter waits for.
type stateWaiter struct {
	conn string
	waiter
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
			es = appendEvents(es, t)
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
// told only what comes after it. While the channel has not been read yet it waits, as long as ctx allows.
func (c *Channel) State(ctx context.Context, connID string) error {
	return c.stateAfter(ctx, connID, Position{})
}

// stateAfter is State for a view that holds the change at a position. When ctx ends the state is still owed.
func (c *Channel) stateAfter(ctx context.Context, connID string, at Position) error {
	c.mu.Lock()
	if c.aud == nil {
		c.mu.Unlock()
		return errDetached
	}
	w := waiter{at: at, begun: c.begun, done: make(chan struct{})}
	c.states = append(c.states, stateWaiter{connID, w})
	c.callStates()
	c.unlock()
	return c.wait(ctx, w)
}

// owe queues a presence_state without waiting for it.
func (c *Channel) owe(connID string, at Position) {
	c.mu.Lock()
	defer c.unlock()
	if c.aud == nil {
		return
	}
	w := waiter{at: at, begun: c.begun, done: make(chan struct{})}
	c.states = append(c.states, stateWaiter{connID, w})
	c.callStates()
	time.AfterFunc(ownWriteWait, func() { c.overdue(w) })
}

// due tells whether a state can be sent: the channel has been read, and its view holds what the waiter waits for. c.mu is held.
func (c *Channel) due(w waiter) bool {
	return closed(c.ready) && c.reached(w)
}

// callStates sends the states that are due, now or when the last encoding is old enough. c.mu is held.
func (c *Channel) callStates() {
	if c.stateTimer != nil || !slices.ContainsFunc(c.states, func(w stateWaiter) bool { return c.due(w.waiter) }) {
		return
	}
	wait := stateSpacing(c.stateTook) - time.Since(c.stateAt)
	if c.state != nil || wait <= 0 {
		c.sendStates()
		return
	}
	c.stateTimer = time.AfterFunc(wait, func() {
		c.mu.Lock()
		defer c.unlock()
		c.stateTimer = nil
		c.sendStates()
	})
}

// sendStates sends all whose state is due one shared frame. c.mu is held.
func (c *Channel) sendStates() {
	if c.aud == nil {
		return
	}
	var conns []string
	var told []chan struct{}
	c.states = slices.DeleteFunc(c.states, func(w stateWaiter) bool {
		if !c.due(w.waiter) {
			return false
		}
		conns, told = append(conns, w.conn), append(told, w.done)
		return true
	})
	if len(conns) == 0 {
		return
	}
	if c.state == nil {
		began := time.Now()
		c.state = renderState(c.name, c.replica.users)
		c.stateAt = time.Now()
		c.stateTook = c.stateAt.Sub(began)
	}
	for _, conn := range conns {
		c.window.Told(conn)
	}
	aud, frame := c.aud, c.state
	c.out = append(c.out, func() {
		aud.PresenceState(conns, frame)
		for _, done := range told {
			close(done)
		}
	})
}
