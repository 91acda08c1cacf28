package presence

import (
	"time"

	"rollcall/overload"
)

// How often presence may change (SPEC 6). Changes beyond that wait, and are merged meanwhile: presence is state.
var (
	changeRate = overload.Rate{Every: 100 * time.Millisecond, Burst: 10}        // of one connection in a channel
	joinRate   = overload.Rate{Every: 50 * time.Millisecond, Burst: MaxDevices} // connections of one user that come on this node
)

// takesTurn takes the turn of a change of an entry. later: the change is written when it comes, with all that is wanted by then.
// What was undone before its turn is not written at all.
func (c *Channel) takesTurn(ref entryRef, o *own) (later bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Since(c.t.began)
	var wait time.Duration
	switch {
	case o.leaves(): // at once
		if o.turn != nil {
			o.turn.Stop()
			o.turn, o.due = nil, false
		}
		if o.tried || c.own[ref] != o {
			return false
		}
		c.joinLimiterLocked(ref.user, now).Cancel(joinRate)
		c.dropLocked(ref)
		return true
	case o.turn != nil:
		return true
	case o.stored.Ref == o.meta.Ref:
		wait = o.changes.Reserve(now, changeRate, 1)
	default:
		wait = c.joinLimiterLocked(ref.user, now).Reserve(now, joinRate, 1)
	}
	if wait == 0 {
		return false
	}
	c.t.stats.Merged.Add(1)
	var turn *time.Timer
	turn = time.AfterFunc(wait, func() {
		c.mu.Lock()
		o.due = o.due || o.turn == turn
		c.mu.Unlock()
		c.t.unsettled(c)
		c.t.kick()
	})
	o.turn = turn
	return true
}

// joinLimiterLocked is the limiter of a user's joins.
func (c *Channel) joinLimiterLocked(user string, now time.Duration) *overload.Limiter {
	if len(c.joins) > 2*len(c.own)+16 {
		for u, l := range c.joins {
			if l.Idle(now) {
				delete(c.joins, u)
			}
		}
	}
	l := c.joins[user]
	if l == nil {
		l = new(overload.Limiter)
		c.joins[user] = l
	}
	return l
}
