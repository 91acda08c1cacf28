package broker

import (
	"sync/atomic"
	"time"
)

// order is what a connection sends to Redis for a topic.
type order int

const (
	nothing order = iota
	subscribe
	unsubscribe
)

// subscription is what one pub/sub connection knows of one topic: a pure value.
//
//	         sent SUBSCRIBE             answered, no other due
//	(zero) ──────────────────▶ asked ───────────────────────────▶ live
//	  ▲                          ▲ │ sent UNSUBSCRIBE               │
//	  │ answered                 │ ▼                                │
//	  └─────────────────────── leaving ◀────────────────────────────┘
//
// Redis answers in the order of the commands. So a SUBSCRIBE that follows an UNSUBSCRIBE
// (or another SUBSCRIBE) whose answer is still on its way is confirmed only by
// the last answer, never by one of those before it.
//
// Invariant: live means that Redis has processed a SUBSCRIBE on this connection and no UNSUBSCRIBE
// was sent after it.
type subscription struct {
	asked  bool  // the last command sent was SUBSCRIBE
	subs   int32 // answers to SUBSCRIBE that are due
	unsubs int32 // answers to UNSUBSCRIBE that are due
}

// next says what to send, given whether anyone wants the topic.
func (s subscription) next(wanted bool) order {
	switch {
	case wanted && !s.asked:
		return subscribe
	case !wanted && s.asked:
		return unsubscribe
	}
	return nothing
}

// sent returns the state after o was written to the connection.
func (s subscription) sent(o order) subscription {
	switch o {
	case subscribe:
		s.asked, s.subs = true, s.subs+1
	case unsubscribe:
		s.asked, s.unsubs = false, s.unsubs+1
	}
	return s
}

// answered returns the state after Redis answered o, and whether that made the topic live.
func (s subscription) answered(o order) (after subscription, confirmed bool) {
	switch {
	case o == subscribe && s.subs > 0:
		s.subs--
		return s, s.live()
	case o == unsubscribe && s.unsubs > 0:
		s.unsubs--
	}
	return s, false
}

// ended returns the state after Redis ended the subscription by itself.
func (s subscription) ended() subscription {
	s.asked = false
	return s
}

// refused returns the state after Redis answered a command with an error: o had no effect.
func (s subscription) refused(o order) subscription {
	switch {
	case o == subscribe && s.subs > 0:
		if s.subs--; s.subs == 0 {
			s.asked = false
		}
	case o == unsubscribe && s.unsubs > 0:
		s.unsubs--
	}
	return s
}

// live: every later message reaches this connection.
func (s subscription) live() bool { return s.asked && s.subs == 0 }

// over: nothing is subscribed and no answer is due; the topic may be forgotten.
func (s subscription) over() bool { return !s.asked && s.subs == 0 && s.unsubs == 0 }

// topic is one subscribed topic of a group. All fields are guarded by group.mu.
//
//	            given to the connection of its slot's master
//	unassigned ─────────────────────────────────────────────▶ assigned
//	   ▲   ▲             the connection ended                  │   │
//	   │   └───────────────────────────────────────────────────┘   │ the slot left the master,
//	   │                                                           ▼ or was never there
//	   └───────────────────────────────────────────────────────── moving
//	     no answer is due there any more, or the connection ended
//
// From any of them it is forgotten when nobody wants it and its subscription is over, or its connection is.
//
// Invariant: it is in group.topics as long as it has a registration or its subscription is not over.
// Invariant: unassigned, its subscription is the zero value. It changes connections only when that is over, or the
// connection is: no two readers ever call its receivers at one time.
type topic struct {
	name string
	slot int             // in a Cluster with sharded pub/sub
	regs []*registration // never changed in place: the reader goes through it without the lock

	sub    subscription // on conn
	moving bool         // not to be asked for on conn any more
	lost   bool         // its connection ended, and it was not confirmed since
	conn   *conn        // nil: unassigned
	pause  *pause       // nil: it need not wait to be assigned
}

// pause is how long a topic that was not confirmed stays unassigned.
type pause struct {
	tries int       // times unassigned since it was last confirmed
	until time.Time // unassigned: until then
}

// retryAt is when it may be assigned.
func (t *topic) retryAt() (at time.Time) {
	if t.pause != nil {
		at = t.pause.until
	}
	return at
}

// registration is one receiver on one topic.
type registration struct {
	receiver Receiver
	gone     atomic.Bool // no further call may start
}

func (t *topic) find(r Receiver) *registration {
	for _, reg := range t.regs {
		if reg.receiver == r {
			return reg
		}
	}
	return nil
}

func (t *topic) add(reg *registration) {
	regs := make([]*registration, len(t.regs), len(t.regs)+1)
	copy(regs, t.regs)
	t.regs = append(regs, reg)
}

func (t *topic) remove(reg *registration) {
	reg.gone.Store(true)
	regs := make([]*registration, 0, len(t.regs))
	for _, other := range t.regs {
		if other != reg {
			regs = append(regs, other)
		}
	}
	t.regs = regs
}

func (t *topic) wanted() bool { return len(t.regs) > 0 }

// wantedHere: someone wants it, and on this connection.
func (t *topic) wantedHere() bool { return t.wanted() && !t.moving }
