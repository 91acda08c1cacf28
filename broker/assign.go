package broker

import (
	"context"
	"time"

	"rollcall/redisconn"
)

// assign gives every topic whose pause is over to the connection of its slot's master. It returns the connections made
// for that, which are to be started, and when it wants to be called again (zero: when woken).
func (g *group) assign(ctx context.Context, now time.Time) (started []*conn, next time.Time) {
	if !g.b.sharded {
		return g.assignPlain(now)
	}
	due := g.takeDue(now)
	masters := make([]master, len(due))
	errs := make([]error, len(due))
	for i, t := range due {
		masters[i], errs[i] = g.masterOf(ctx, t.name)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, t := range due {
		if g.topics[t.name] != t {
			continue // nobody wants it any more
		}
		if errs[i] != nil {
			g.backOffLocked(t, now)
			continue
		}
		c := g.conns[masters[i].addr]
		if c == nil {
			c = g.newConnLocked(masters[i], t.name)
			started = append(started, c)
		}
		g.assignLocked(t, c)
	}
	g.nextAssign = time.Time{}
	for _, t := range g.unassigned {
		if g.nextAssign.IsZero() || t.retryAt().Before(g.nextAssign) {
			g.nextAssign = t.retryAt()
		}
	}
	return started, g.nextAssign
}

// assignPlain is assign where all topics have one connection, so that they wait for it and not each for itself.
func (g *group) assignPlain(now time.Time) (started []*conn, next time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	c := g.conns[""]
	if c == nil {
		if now.Before(g.plainRetryAt) {
			return nil, g.plainRetryAt
		}
		c = g.newConnLocked(master{}, "")
		c.replaces = g.made > 1
		started = append(started, c)
	}
	for _, t := range g.unassigned {
		if g.topics[t.name] == t {
			g.assignLocked(t, c)
		}
	}
	g.unassigned, g.nextAssign = nil, time.Time{}
	return started, time.Time{}
}

// assignLocked gives a topic without a connection to c.
func (g *group) assignLocked(t *topic, c *conn) {
	t.conn = c
	c.replaces = c.replaces || t.lost
	c.toSubscribe = append(c.toSubscribe, t)
	c.notify()
}

// takeDue takes the topics off unassigned whose pause is over.
func (g *group) takeDue(now time.Time) []*topic {
	g.mu.Lock()
	defer g.mu.Unlock()
	var due []*topic
	kept := g.unassigned[:0]
	for _, t := range g.unassigned {
		switch {
		case g.topics[t.name] != t:
		case t.retryAt().After(now):
			kept = append(kept, t)
		default:
			due = append(due, t)
		}
	}
	clear(g.unassigned[len(kept):])
	g.unassigned = kept
	return due
}

// addLocked brings a new topic on its way.
func (g *group) addLocked(t *topic) {
	if g.b.sharded {
		t.slot = redisconn.Slot(t.name)
	} else if c := g.conns[""]; c != nil {
		g.assignLocked(t, c)
		return
	}
	g.unassigned = append(g.unassigned, t)
	g.notify()
}

// backOffLocked takes the topic off its connection, where no answer is due for it any more (or none can come). The
// topic waits for longer with each time that it was not confirmed in between.
func (g *group) backOffLocked(t *topic, now time.Time) {
	tries := 1
	if t.pause != nil {
		tries = t.pause.tries + 1
	}
	g.unassignLocked(t, pause{tries, now.Add(g.backoff(tries))})
}

func (g *group) backoff(failures int) time.Duration {
	return time.Duration(g.jitter * float64(redisconn.Backoff(failures)))
}

// unassignLocked takes the topic off its connection. It is assigned again after a pause.
func (g *group) unassignLocked(t *topic, p pause) {
	t.conn, t.moving, t.sub, t.pause = nil, false, subscription{}, &p
	g.unassigned = append(g.unassigned, t)
	if g.nextAssign.IsZero() || p.until.Before(g.nextAssign) {
		g.nextAssign = p.until
		g.notify()
	}
}

// ended forgets a connection that is closed and whose reader has returned: its topics are unassigned. One that was
// confirmed there is asked for elsewhere at once.
func (g *group) ended(c *conn) {
	now := g.now()
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.conns[c.addr] == c {
		delete(g.conns, c.addr)
	}
	if !g.b.sharded {
		g.failures++
		if g.plainRetryAt = now; c.answered.Load() > 0 {
			g.failures = 0
		} else {
			g.plainRetryAt = now.Add(g.backoff(g.failures))
		}
		g.notify()
	}
	for name, t := range g.topics {
		switch {
		case t.conn != c:
		case !t.wanted():
			delete(g.topics, name)
		case t.sub.live():
			t.lost = true
			g.unassignLocked(t, pause{until: now})
		default:
			t.lost = true
			g.backOffLocked(t, now)
		}
	}
}

// releaseLocked takes the topic off its connection when nothing is due for it there: forgotten when nobody wants
// it, unassigned when it is moving.
func (g *group) releaseLocked(t *topic) {
	switch {
	case !t.sub.over():
	case !t.wanted():
		delete(g.topics, t.name)
	case t.moving:
		g.backOffLocked(t, g.now())
	}
}
