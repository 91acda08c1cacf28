package presence

import (
	"slices"
	"sync"
	"time"
)

// audits says when each channel is compared with Redis: Audit after it was opened, read or changed, and then
// after twice the time again and again while nothing happens, up to Config.AuditQuiet. It counts rounds, some seconds
// each, so that one pipeline serves the channels of a round, and spreads what becomes due together.
//
// Invariant: a channel with an audit ahead (due) is in the round of that number. It may be in others too, from before
// its audit was moved; these pass it by.
type audits struct {
	// static
	first, max int32 // rounds that a changed channel waits for its audit, and a quiet one at the longest

	mu     sync.Mutex // the last to be taken
	now    int32
	ahead  [][]*Channel // by round, modulo; ahead[now] is empty
	spread int32
}

// audited is when a channel is to be audited; guarded by the mu of audits.
type audited struct {
	due   int32 // the round; 0: none is ahead
	every int32 // rounds
}

// auditRound is how far apart audits are.
const auditRound = 5 * time.Second

func newAudits(quiet time.Duration) *audits {
	a := &audits{first: int32(Audit / auditRound), max: int32(max(quiet, Audit) / auditRound)}
	a.ahead = make([][]*Channel, a.max+1)
	return a
}

// changed has a channel audited soon, for it was opened, read or changed.
func (a *audits) changed(c *Channel) {
	a.mu.Lock()
	defer a.mu.Unlock()
	c.audited.every = a.first
	if c.audited.due == 0 || c.audited.due > a.now+a.first {
		a.putLocked(c, a.first)
	}
}

// quiet plans the next audit of a channel after one.
func (a *audits) quiet(c *Channel) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if c.audited.due != 0 {
		return // something happened meanwhile
	}
	c.audited.every = min(2*c.audited.every, a.max)
	a.putLocked(c, c.audited.every)
}

// trouble has all channels audited within the first time: something was lost without a sign.
func (a *audits) trouble(all []*Channel) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i, c := range all {
		c.audited.every = a.first
		if due := a.now + 1 + int32(i)%a.first; c.audited.due > due {
			a.setLocked(c, due)
		}
	}
}

// putLocked plans an audit in so many rounds, or up to a quarter less: but at the longest pace channels keep apart as
// they are.
func (a *audits) putLocked(c *Channel, in int32) {
	if in < a.max || a.max == a.first {
		a.spread++
		in -= a.spread % (in/4 + 1)
	}
	a.setLocked(c, a.now+in)
}

func (a *audits) setLocked(c *Channel, due int32) {
	c.audited.due = due
	slot := a.slotLocked(due)
	*slot = append(*slot, c)
}

func (a *audits) slotLocked(round int32) *[]*Channel { return &a.ahead[round%int32(len(a.ahead))] }

// next begins a round and gives the channels that are due.
func (a *audits) next() (due []*Channel) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.now++
	slot := a.slotLocked(a.now)
	for _, c := range *slot {
		if c.audited.due == a.now {
			c.audited.due = 0
			due = append(due, c)
		}
	}
	*slot = nil
	return due
}

// check returns what breaks the invariants, or "". For tests.
func (a *audits) check(all []*Channel) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, c := range all {
		switch due := c.audited.due; {
		case due == 0:
			return c.name + " is never audited"
		case due <= a.now || due > a.now+a.max:
			return c.name + " is due in a round that is not ahead"
		case !slices.Contains(*a.slotLocked(due), c):
			return c.name + " is not in its round"
		}
	}
	return ""
}
