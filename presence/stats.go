package presence

import "sync/atomic"

// Stats counts what operators watch.
type Stats struct {
	Loads   atomic.Int64 // snapshots adopted
	Gaps    atomic.Int64 // changes found missing
	Orphans atomic.Int64 // entries of no node, removed
	Repairs atomic.Int64 // own entries that an audit had to mend
	Audits  atomic.Int64 // of channels
	Failed  atomic.Int64 // those that Redis did not answer
	Merged  atomic.Int64 // changes that were throttled
	Refused atomic.Int64 // own entries that waited, and were more than their user may have

	resyncs [resyncs]atomic.Int64
}

// resync is why a channel is to be read from Redis; it is also the label of a metric.
type resync int

const (
	resyncFirst        resync = iota // someone came
	resyncGap                        // a change is missing
	resyncBad                        // a message cannot be read
	resyncUnseen                     // an own write did not come back
	resyncSubscription               // the topic's subscription had been lost
	resyncIncarnation                // this node's lease had been lost
	resyncAudit                      // the view differs from Redis
	resyncOrphan                     // entries moved to another incarnation unseen

	resyncs = iota
)

func (r resync) String() string {
	return [resyncs]string{"first", "gap", "bad_message", "unseen", "resubscribed", "incarnation", "audit", "orphan"}[r]
}

// reread counts one reason.
func (s *Stats) reread(why resync) {
	s.resyncs[why].Add(1)
	switch why {
	case resyncGap, resyncBad, resyncUnseen, resyncAudit:
		s.Gaps.Add(1)
	}
}

// Census is how much presence a node has in hand at one moment.
type Census struct {
	Channels int // with a view
	Users    int // in these views
	Entries  int // of this node's connections
	Pending  int // changes of these that Redis does not hold yet
	Held     int // metas that Redis lost and that stay for a time
}

// Census counts; it takes each channel's lock for a moment.
func (t *Tracker) Census() (n Census) {
	inc, _, _ := t.lease.Lease()
	for _, c := range t.all() {
		c.mu.Lock()
		if c.view.phase == live {
			n.Channels++
			n.Users += c.view.replica.Len()
		}
		for o := range c.own.all() {
			if !o.gone {
				n.Entries++
			}
			if !o.settled(inc) {
				n.Pending++
			}
		}
		n.Held += c.view.replica.Held()
		c.mu.Unlock()
	}
	return n
}
