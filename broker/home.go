package broker

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/redisconn"
)

// place is where a topic is subscribed: at the master that serves its slot, or, with plain pub/sub, anywhere.
type place struct {
	addr string        // of the master, as go-redis names it; "": plain pub/sub
	node *redis.Client // of the master; nil: plain pub/sub
}

// place returns where topic is to be subscribed now, as the topology has it that commands go by too. Where a slot
// has no master it is any node, which will refuse.
func (b *Broker) place(ctx context.Context, topic string) (place, error) {
	cluster, ok := b.redis.GoRedis().(*redis.ClusterClient)
	if !ok || !b.keys.Sharded(topic) {
		return place{}, nil
	}
	node, err := cluster.MasterForKey(ctx, topic)
	if err != nil {
		return place{}, err
	}
	return place{addr: node.Options().Addr, node: node}, nil
}

// rereadTopology has go-redis read the slots of a Cluster again, in the background and not too often.
func (b *Broker) rereadTopology(ctx context.Context) {
	if cluster, ok := b.redis.GoRedis().(*redis.ClusterClient); ok {
		cluster.ReloadState(ctx)
	}
}

// strangeChecks is how often in a row the topology must name another master for a slot before a link
// believes it against a connection that still stands. As a rule the old master itself ends the
// subscriptions of a slot that leaves it, and that is the better sign: from then on nobody can publish there.
const strangeChecks = 2

// home gives every topic whose pause is over to the lane of its place. It returns the lanes made for
// that, which are to be started, and when it wants to be called again (zero: when woken).
func (l *link) home(ctx context.Context, now time.Time) (started []*lane, next time.Time) {
	if !l.b.sharded {
		return l.homePlain(now)
	}
	due := l.takeDue(now)
	places := make([]place, len(due))
	errs := make([]error, len(due))
	for i, t := range due {
		places[i], errs[i] = l.place(ctx, t.name)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, t := range due {
		if l.topics[t.name] != t {
			continue // nobody wants it any more
		}
		if errs[i] != nil {
			l.strayLocked(t, now)
			continue
		}
		ln := l.lanes[places[i].addr]
		if ln == nil {
			ln = newLane(l, places[i], t.name)
			started = append(started, ln)
		}
		ln.takeInLocked(t)
	}
	l.nextHome = time.Time{}
	for _, t := range l.astray {
		if l.nextHome.IsZero() || t.due.Before(l.nextHome) {
			l.nextHome = t.due
		}
	}
	return started, l.nextHome
}

// homePlain is home where all topics have one lane, so that they wait for it and not each for itself.
func (l *link) homePlain(now time.Time) (started []*lane, next time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	ln := l.lanes[""]
	if ln == nil {
		if now.Before(l.plainAt) {
			return nil, l.plainAt
		}
		ln = newLane(l, place{}, "")
		ln.again = l.made > 1
		started = append(started, ln)
	}
	for _, t := range l.astray {
		if l.topics[t.name] == t {
			ln.takeInLocked(t)
		}
	}
	l.astray, l.nextHome = nil, time.Time{}
	return started, time.Time{}
}

// takeDue takes the topics off astray whose pause is over.
func (l *link) takeDue(now time.Time) []*topic {
	l.mu.Lock()
	defer l.mu.Unlock()
	var due []*topic
	kept := l.astray[:0]
	for _, t := range l.astray {
		switch {
		case l.topics[t.name] != t:
		case t.due.After(now):
			kept = append(kept, t)
		default:
			due = append(due, t)
		}
	}
	clear(l.astray[len(kept):])
	l.astray = kept
	return due
}

// admitLocked brings a new topic on its way.
func (l *link) admitLocked(t *topic) {
	if l.b.sharded {
		t.slot = redisconn.Slot(t.name)
	} else if ln := l.lanes[""]; ln != nil {
		ln.takeInLocked(t)
		return
	}
	l.astray = append(l.astray, t)
	l.nudge()
}

// strayLocked takes the topic out of its lane, where no answer is due for it any more (or none can come), and has it
// wait for longer with each time that it was not confirmed in between.
func (l *link) strayLocked(t *topic, now time.Time) {
	t.tries++
	l.awaitLocked(t, now.Add(time.Duration(l.eager*float64(redisconn.Backoff(t.tries)))))
}

// awaitLocked takes the topic out of its lane until due.
func (l *link) awaitLocked(t *topic, due time.Time) {
	t.lane, t.away, t.sub, t.due = nil, false, subscription{}, due
	l.astray = append(l.astray, t)
	if l.nextHome.IsZero() || due.Before(l.nextHome) {
		l.nextHome = due
		l.nudge()
	}
}

// ended takes leave of a lane whose connection is closed and whose reader has returned: its topics go astray. One that was
// confirmed on that connection is asked for elsewhere at once.
func (l *link) ended(ln *lane) {
	now := l.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lanes[ln.addr] == ln {
		delete(l.lanes, ln.addr)
	}
	if !l.b.sharded {
		l.failures++
		if l.plainAt = now; ln.answered.Load() > 0 {
			l.failures = 0
		} else {
			l.plainAt = now.Add(time.Duration(l.eager * float64(redisconn.Backoff(l.failures))))
		}
		l.nudge()
	}
	for name, t := range l.topics {
		switch {
		case t.lane != ln:
		case !t.wanted():
			delete(l.topics, name)
		case t.sub.live():
			t.lost = true
			l.awaitLocked(t, now)
		default:
			t.lost = true
			l.strayLocked(t, now)
		}
	}
}

// leaveLocked ends the topic's stay in its lane when nothing is due for it there: forgotten when nobody wants
// it, astray when it has to go elsewhere.
func (l *link) leaveLocked(t *topic) {
	switch {
	case !t.sub.over():
	case !t.wanted():
		delete(l.topics, t.name)
	case t.away:
		l.strayLocked(t, l.now())
	}
}

// views is what compare remembers. Owned by link.run.
type views struct {
	seen    []*lane // by slot: a lane with topics of the slot
	samples []sample
	strange map[int]int // slot → checks in a row that found it strange
}

// sample stands for the topics of one slot in one lane.
type sample struct {
	slot  int
	topic string
	lane  *lane
}

// compare looks whether lanes stand at the masters that the topology names for their topics, and has topics leave those that do
// not. It is for masters that can't say that a slot left them: one that became a replica
// and still hears its shard, or one cut off from the others.
func (l *link) compare(ctx context.Context) {
	v := &l.views
	l.sample(v)
	strange := make(map[int]int)
	places := make(map[int]string)
	for _, s := range v.samples {
		if p, err := l.place(ctx, s.topic); err == nil && p.addr != s.lane.addr {
			strange[s.slot], places[s.slot] = v.strange[s.slot]+1, p.addr
		}
	}
	v.strange = strange
	for slot, n := range strange {
		if n < strangeChecks {
			delete(places, slot)
		}
	}
	if len(places) > 0 {
		l.move(places)
	}
}

// sample fills v.samples.
func (l *link) sample(v *views) {
	if v.seen == nil {
		v.seen = make([]*lane, redisconn.Slots)
	}
	clear(v.seen)
	clear(v.samples)
	v.samples = v.samples[:0]
	l.mu.Lock()
	defer l.mu.Unlock()
	for name, t := range l.topics {
		if ln := t.lane; ln != nil && ln.sharded() && v.seen[t.slot] != ln {
			v.seen[t.slot] = ln
			v.samples = append(v.samples, sample{t.slot, name, ln})
		}
	}
}

// move has the topics of slots leave every lane but that of the slot's address.
func (l *link) move(places map[int]string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, t := range l.topics {
		ln := t.lane
		if ln == nil || t.away || !ln.sharded() {
			continue
		}
		if addr, ok := places[t.slot]; ok && addr != ln.addr {
			t.away = true
			ln.dropped = append(ln.dropped, t)
			ln.nudge()
			l.leaveLocked(t)
		}
	}
}
