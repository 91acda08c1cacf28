package hub

import "time"

// A connection that leaves a channel still gets the broadcasts that it made there before (SPEC 6), though they come
// back through Redis after it has left. So a membership counts those that were sent and those that came; while some are
// under way, the connection listens on, and hears nothing that comes behind them.
//
//	joined ── Leave ──▶ leaving ── the last of its own came, or will not come ──▶ left
//	   ▲                   │
//	   └────── Join ───────┘

// leave ends a membership's part in the room, but for what is under way.
func (m *membership) leave() {
	var leaving bool
	m.change(func() {
		if m.joinedLocked() {
			m.order = 0
			m.leaving = m.sent.Load() != m.heard.Load()
			leaving = m.leaving
		}
	})
	if leaving {
		time.AfterFunc(waitForRedis, m.left) // Redis may have lost it
	}
}

// left ends the leaving.
func (m *membership) left() {
	if m.endLeaving() {
		m.tidy()
	}
}

// endLeaving tells whether the membership was leaving.
func (m *membership) endLeaving() (was bool) {
	m.change(func() { was, m.leaving = m.leaving, false })
	return was
}

// tidy drops the membership if it serves nothing any more.
func (m *membership) tidy() {
	m.s.mu.Lock()
	there := m.s.findLocked(m.room.name) == m
	if there {
		m.uses++
	}
	m.s.mu.Unlock()
	if there {
		m.s.release(m)
	}
}

// ownMembership finds a sender's membership of a channel; nil when it is not there, or not on this node.
func (h *Hub) ownMembership(channel, senderID string) *membership {
	if s := h.session(senderID); s != nil {
		return s.find(channel)
	}
	return nil
}

// heardOwn is told of each broadcast that came, after it was handed out: to members who get it as it comes, or to those
// whom the feed serves.
func (r *room) heardOwn(sender string, byFeed bool) {
	if sender == "" {
		return
	}
	m := r.h.ownMembership(r.name, sender)
	if m == nil || m.wantsFeed() != byFeed || m.heard.Load() == m.sent.Load() { // it was sent before it was here
		return
	}
	// It counts first: leave compares when it has the lock. What comes next is not for one who was leaving.
	if m.heard.Add(1) == m.sent.Load() && m.endLeaving() {
		r.h.background(m.tidy) // not here: the room may close with it, and this is its reader
	}
}

// forgetOwn ends all leaving: what was under way may be lost.
func (r *room) forgetOwn() {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, m := range r.members {
		m.heard.Store(m.sent.Load())
		if m.leaving {
			r.h.background(m.left)
		}
	}
}
