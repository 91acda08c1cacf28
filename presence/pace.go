package presence

import "time"

// How often presence may change (SPEC 6). Changes beyond that wait, and are merged meanwhile: presence is state.
const (
	changeEvery = 100 * time.Millisecond // of one connection in a channel
	changeBurst = 10
	joinEvery   = 50 * time.Millisecond // connections of one user that come on this node
	joinBurst   = MaxDevices
)

// pace bounds how often something happens: burst times at once, then once in each interval. It is a pure value: the time up to
// which turns are taken.
type pace time.Time

// take takes the next turn, and gives how long it is until then.
func (p *pace) take(now time.Time, every time.Duration, burst int) (wait time.Duration) {
	taken := time.Time(*p)
	if taken.Before(now) {
		taken = now
	}
	*p = pace(taken.Add(every))
	return max(taken.Sub(now)-time.Duration(burst-1)*every, 0)
}

// giveBack gives a turn back that was not needed.
func (p *pace) giveBack(every time.Duration) { *p = pace(time.Time(*p).Add(-every)) }

// idle tells whether all turns are over, so that it is as if none had been taken.
func (p pace) idle(now time.Time) bool { return !time.Time(p).After(now) }

// takesTurn takes the turn of a change of an entry. later: the change is written when it comes, with all that is wanted by then.
// What was undone before its turn is not written at all.
func (c *Channel) takesTurn(ref entryRef, o *own) (later bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
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
		c.joinPace(ref.user, now).giveBack(joinEvery)
		c.drop(ref)
		return true
	case o.turn != nil:
		return true
	case o.stored.Ref == o.meta.Ref:
		wait = o.changes.take(now, changeEvery, changeBurst)
	default:
		wait = c.joinPace(ref.user, now).take(now, joinEvery, joinBurst)
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

// joinPace is the pace of a user's joins. c.mu is held.
func (c *Channel) joinPace(user string, now time.Time) *pace {
	if len(c.joins) > 2*len(c.own)+16 {
		for u, p := range c.joins {
			if p.idle(now) {
				delete(c.joins, u)
			}
		}
	}
	p := c.joins[user]
	if p == nil {
		p = new(pace)
		c.joins[user] = p
	}
	return p
}
