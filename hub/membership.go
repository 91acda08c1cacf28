package hub

import (
	"fmt"
	"sync/atomic"
)

// membership is one session's part in a room: the room's member while it is joined, tracked or leaving.
type membership struct {
	// static
	s    *Session
	room *room

	uses int // calls under way; guarded by the session's mu

	// Broadcasts of the connection's own to this channel, by which leave.go knows of those that are under way.
	sent, heard atomic.Uint32

	// guarded by the room's mu; only change writes them
	index   int    // in members; -1: not there
	order   uint64 // of joining; 0: not joined
	user    string // tracked as; "": not tracked
	waiting bool   // for its presence_state, which will hold all that diffs could tell
	leaving bool   // not joined any more, but for what is under way
	place   place  // in the room's feed
	late    bool   // the call that waited for the feed's answer has ended without it

	answered chan Recovery // capacity 1; since enterFeed, of the session's handler
}

// change changes a membership under the room's lock and keeps the room's members right.
func (m *membership) change(f func()) {
	r := m.room
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
	if m.place != outside && !m.listensLocked() {
		m.leaveFeedLocked()
	}
	in := m.listensLocked() || m.presentLocked()
	switch {
	case in && m.index < 0:
		m.index = len(r.members)
		r.members = append(r.members, member{membership: m})
		m.s.viewers(r).Add(1)
	case !in && m.index >= 0:
		last := len(r.members) - 1
		r.members[m.index] = r.members[last]
		r.members[m.index].index = m.index
		r.members[last] = member{}
		r.members = r.members[:last]
		m.index = -1
		m.s.viewers(r).Add(-1)
	}
	if m.index >= 0 {
		r.members[m.index].refreshLocked()
	}
}

// joinedLocked tells whether the connection is in the channel.
func (m *membership) joinedLocked() bool { return m.order != 0 }

// listensLocked tells whether broadcasts reach the connection.
func (m *membership) listensLocked() bool { return m.joinedLocked() || m.leaving }

// presentLocked tells whether the connection sees who is there.
func (m *membership) presentLocked() bool { return m.joinedLocked() || m.user != "" }

// hearsLocked gives the connection to which broadcasts go; nil: they do not reach it yet, or its script hears of them.
func (m *membership) hearsLocked() Conn {
	if !m.listensLocked() || m.s.events != nil || m.wantsFeed() && m.place != fed {
		return nil
	}
	return m.s.conn
}

// state gives when the connection joined (0: it has not) and whom it is tracked as ("": nobody).
func (m *membership) state() (order uint64, user string) {
	m.room.mu.RLock()
	defer m.room.mu.RUnlock()
	return m.order, m.user
}

// serves tells whether the membership is for anything.
func (m *membership) serves() bool {
	m.room.mu.RLock()
	defer m.room.mu.RUnlock()
	return m.index >= 0
}

func (s *Session) viewers(r *room) *atomic.Int32 {
	if s.events != nil {
		return &r.scripts
	}
	return &r.plain
}

// check says what is wrong with the members, or nil.
func (r *room) check() error {
	r.mu.RLock()
	defer r.mu.RUnlock()
	var plain, scripts int32
	for i, m := range r.members {
		if m.s.events != nil {
			scripts++
		} else {
			plain++
		}
		switch {
		case m.room != r || m.index != i:
			return fmt.Errorf("member %d of %q believes to be %d of %q", i, r.name, m.index, m.room.name)
		case !m.listensLocked() && !m.presentLocked():
			return fmt.Errorf("%s is a member of %q for nothing", m.s.id, r.name)
		case m.leaving && m.joinedLocked():
			return fmt.Errorf("%s leaves %q, and is in it", m.s.id, r.name)
		case m.place != outside && !(m.wantsFeed() && m.listensLocked()):
			return fmt.Errorf("%s is in the feed of %q for nothing", m.s.id, r.name)
		case m.fed != (m.place == fed):
			return fmt.Errorf("%s is in the feed of %q: %v, and %v", m.s.id, r.name, m.fed, m.place)
		case m.to != m.hearsLocked():
			return fmt.Errorf("broadcasts to %q go to %v for %s", r.name, m.to, m.s.id)
		}
	}
	if r.feed != nil {
		if err := r.feed.gate.Check(); err != nil {
			return fmt.Errorf("feed of %q: %w", r.name, err)
		}
	}
	if plain != r.plain.Load() || scripts != r.scripts.Load() {
		return fmt.Errorf("%q has %d and %d members, and counts %d and %d",
			r.name, plain, scripts, r.plain.Load(), r.scripts.Load())
	}
	return nil
}
