package presence

import (
	"context"
	"slices"
	"time"
)

// ownWriteWait is how long a writer waits to see its change come back; then it counts as lost and the channel is read again.
const ownWriteWait = 1500 * time.Millisecond

// waiter waits until a position is in the view: reached in the channel's history, or covered by a snapshot that was begun
// after the wait.
type waiter struct {
	at    Position
	begun uint64        // snapshots begun before
	done  chan struct{} // closed when it is over
}

// reached tells whether a wait is over. c.mu is held.
func (c *Channel) reached(w waiter) bool {
	epoch, seq := c.replica.Position()
	return w.at.Epoch == "" || w.at.Epoch == epoch && w.at.Seq <= seq || c.adopted > w.begun
}

// await waits until a position is in the view and what could be told of it at once has been told, or there is nobody to
// see it, or the time is over.
func (c *Channel) await(ctx context.Context, at Position) {
	c.mu.Lock()
	w := waiter{at: at, begun: c.begun}
	if c.phase == cold || c.reached(w) && !c.draining {
		c.mu.Unlock()
		return
	}
	w.done = make(chan struct{})
	if c.reached(w) {
		c.wake([]waiter{w}) // the audience is being told of it at this moment
		c.mu.Unlock()
		<-w.done
		return
	}
	if c.waiters == nil {
		c.waiters = map[Position][]waiter{}
	}
	c.waiters[at] = append(c.waiters[at], w)
	c.mu.Unlock()
	if c.wait(ctx, w) == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	left := slices.DeleteFunc(c.waiters[at], func(o waiter) bool { return o.done == w.done })
	if len(left) == 0 {
		delete(c.waiters, at)
	} else {
		c.waiters[at] = left
	}
}

// wait returns nil when w is over. A change that does not come back counts as lost: the channel is read again.
func (c *Channel) wait(ctx context.Context, w waiter) error {
	timeout := time.NewTimer(ownWriteWait)
	defer timeout.Stop()
	for range 2 {
		select {
		case <-w.done:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-timeout.C:
			c.overdue(w)
			timeout.Reset(ownWriteWait)
		}
	}
	return context.DeadlineExceeded
}

// overdue reads the channel again if what w waits for has not come.
func (c *Channel) overdue(w waiter) {
	c.mu.Lock()
	defer c.unlock()
	if c.phase == live && !c.reached(w) {
		c.t.stats.Gaps.Add(1)
		c.reload(resyncUnseen)
	}
}

// seen wakes those who wait for the change just applied, once the audience has been told what it may hear at once.
// c.mu is held.
func (c *Channel) seen(at Position) {
	if ws := c.waiters[at]; len(ws) > 0 {
		delete(c.waiters, at)
		c.wake(ws)
	}
	if len(c.states) > 0 {
		c.callStates()
	}
}

// seenAll wakes all whose wait is over, after a snapshot. c.mu is held.
func (c *Channel) seenAll() {
	var over []waiter
	for at, ws := range c.waiters {
		left := slices.DeleteFunc(ws, func(w waiter) bool {
			reached := c.reached(w)
			if reached {
				over = append(over, w)
			}
			return reached
		})
		if len(left) == 0 {
			delete(c.waiters, at)
		} else {
			c.waiters[at] = left
		}
	}
	c.wake(over)
	c.callStates()
}

// wake ends waits, after all that is to be told before. c.mu is held.
func (c *Channel) wake(ws []waiter) {
	if len(ws) == 0 {
		return
	}
	c.out = append(c.out, func() {
		for _, w := range ws {
			close(w.done)
		}
	})
}

// dismiss ends all waits: there is no view any more. c.mu is held.
func (c *Channel) dismiss() {
	for at, ws := range c.waiters {
		for _, w := range ws {
			close(w.done)
		}
		delete(c.waiters, at)
	}
	for _, w := range c.states {
		close(w.done)
	}
	c.states = nil
}
