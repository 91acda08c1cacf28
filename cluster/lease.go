package cluster

import (
	"fmt"
	"time"
)

// Grace is how long after its deadline an incarnation is declared dead at the earliest. The clocks of Redis hosts that
// follow each other may differ by less (DESIGN 3, assumed).
const Grace = time.Second

// Phase is a lease's standing as its own node sees it.
//
//	          register            renewed
//	(start) ───────────▶ Held ◀──────────┐
//	                      │  └────────────┘
//	        deadline near │ no answer
//	                      ▼
//	 writes wait ◀──── InDoubt ── renewed ──▶ Held
//	                      │ answered "lost", or renounced
//	                      ▼
//	                    Lost ── new incarnation ──▶ Held
type Phase byte

// The phases.
const (
	Lost Phase = iota // no incarnation: at the start, or declared dead
	Held
	InDoubt
)

func (p Phase) String() string { return [...]string{"lost", "held", "in doubt"}[p] }

// Label is the phase as the label of a metric.
func (p Phase) Label() string { return [...]string{"lost", "held", "in_doubt"}[p] }

// lease is what a node knows of its own lease. A pure value: times are this node's monotonic clock, deadlines are
// Redis's.
type lease struct {
	process  string
	ttl      time.Duration
	gen      int       // of the incarnation; 0: none yet
	name     string    // of the incarnation, "" before the first
	lost     bool      // the present incarnation is of no use any more
	began    int64     // when the incarnation was registered, ms of the Redis clock
	deadline int64     // ms of the Redis clock
	sent     time.Time // when the last answered heartbeat was sent
	since    time.Time // since when the lease was held without doubt
}

// inc names the present incarnation, "" before the first.
func (l lease) inc() string { return l.name }

// phase judges by this node's clock: the answer to a heartbeat is good for a ttl from when it was sent.
func (l lease) phase(now time.Time) Phase {
	switch {
	case l.gen == 0 || l.lost:
		return Lost
	case now.Sub(l.sent) < l.ttl:
		return Held
	}
	return InDoubt
}

// heldFor is how long the lease has been held without doubt.
func (l lease) heldFor(now time.Time) time.Duration {
	if l.phase(now) != Held {
		return 0
	}
	return now.Sub(l.since)
}

// registered is the answer to a new incarnation's first heartbeat.
func (l lease) registered(sent time.Time, deadline int64) lease {
	l.lost, l.deadline, l.sent = false, deadline, sent
	l.since = sent
	l.began = deadline - l.ttl.Milliseconds()
	return l
}

// renewed is the answer to a heartbeat sent at the given time.
func (l lease) renewed(sent time.Time, deadline int64) lease {
	if l.phase(sent) != Held {
		l.since = sent // it was in doubt meanwhile
	}
	l.deadline, l.sent = max(l.deadline, deadline), sent
	return l
}

// next begins a new incarnation; it has no lease until registered.
func (l lease) next() lease {
	l.gen++
	l.name = fmt.Sprintf("%s-%d", l.process, l.gen)
	l.lost = true
	return l
}

// renounced gives the present incarnation up: it was declared dead, or a write of it may still be on its way somewhere.
func (l lease) renounced() lease {
	l.lost = true
	return l
}
