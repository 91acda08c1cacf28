package presence

import (
	"sync"
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
		if o.tried || c.own.get(ref) != o {
			return false
		}
		c.t.joins.cancel(c.name(), ref.user)
		c.dropLocked(ref)
		return true
	case o.delay != nil:
		return true
	case o.storesNow():
		wait = o.changes.Reserve(now, changeRate, 1)
	default:
		wait = c.t.joins.reserve(c.name(), ref.user, now)
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

// storesNow tells whether Redis holds an entry of the present tracking.
func (o *own) storesNow() bool { return o.stored != nil && o.stored.Ref == o.meta.Ref }

// joinLimits holds the joins of users in channels to joinRate. It knows those who have joined of late: a limiter that
// is idle says nothing.
type joinLimits struct {
	mu    sync.Mutex
	by    map[joiner]overload.Limiter
	sweep int // how many there are when idle ones are dropped
}

type joiner struct{ channel, user string }

// leastSweep is how many limiters are worth looking through.
const leastSweep = 256

// reserve takes one join, and says how long it has to wait.
func (j *joinLimits) reserve(channel, user string, now time.Duration) time.Duration {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.by) >= j.sweep {
		left := map[joiner]overload.Limiter{} // a map never shrinks
		for k, l := range j.by {
			if !l.Idle(now) {
				left[k] = l
			}
		}
		j.by, j.sweep = left, max(2*len(left), leastSweep)
	}
	l := j.by[joiner{channel, user}]
	wait := l.Reserve(now, joinRate, 1)
	j.by[joiner{channel, user}] = l
	return wait
}

// cancel gives one back.
func (j *joinLimits) cancel(channel, user string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if l, known := j.by[joiner{channel, user}]; known {
		l.Cancel(joinRate)
		j.by[joiner{channel, user}] = l
	}
}
