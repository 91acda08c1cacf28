package presence

import (
	"time"

	"rollcall/overload"
)

// How often presence may change (SPEC 6). Changes beyond that wait, and are merged meanwhile: presence is state.
var (
	changeRate = overload.Rate{Every: 100 * time.Millisecond, Burst: 10}        // of one connection in a channel
	joinRate   = overload.Rate{Every: 50 * time.Millisecond, Burst: MaxDevices} // of a user's connections on this node
)

// throttled tells whether a change of an entry has to wait. It is written later, with all that is wanted by then; what
// is undone before is not written at all.
func (c *Channel) throttled(ref entryRef, o *own) (later bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Since(c.t.began)
	var wait time.Duration
	switch {
	case o.leaves(): // at once
		if o.delay != nil {
			o.delay.Stop()
			o.delay, o.due = nil, false
		}
		if o.tried || c.own[ref] != o {
			return false
		}
		c.joinLimiterLocked(ref.user, now).Cancel(joinRate)
		c.dropLocked(ref)
		return true
	case o.delay != nil:
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
	var delay *time.Timer
	delay = time.AfterFunc(wait, func() {
		c.mu.Lock()
		o.due = o.due || o.delay == delay
		c.mu.Unlock()
		c.t.unsettled(c)
		c.t.kick()
	})
	o.delay = delay
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
