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

	uses int32 // calls under way; guarded by the session's mu

	// Broadcasts of the connection's own to this channel, by which leave.go knows of those that are under way.
	sent, heard atomic.Uint32

	// guarded by the room's mu; only change writes them
	index     int32     // in members; -1: not there
	order     uint64    // of joining; 0: not joined
	user      string    // tracked as; "": not tracked
	watches   bool      // sees who is there, and hears no broadcasts for it
	waiting   bool      // for its presence_state, which will hold all that diffs could tell
	leaving   bool      // not joined any more, but for what is under way
	feedState feedState // in the room's feed
	late      bool      // the call that waited for the feed's answer has ended without it
	stay      *Stay     // of a client of Phoenix, while it is joined

	answered chan Recovery // capacity 1; since enterFeed, of the session's handler
}

// change changes a membership under the room's lock and keeps the room's members right.
func (m *membership) change(f func()) {
	r := m.room
	r.mu.Lock()
	defer r.mu.Unlock()
	saw := m.presentLocked()
	f()
	switch sees := m.presentLocked(); {
	case sees && !saw:
		m.s.viewers(r).Add(1)
	case saw && !sees:
		m.s.viewers(r).Add(-1)
	}
	if m.feedState != outside && !m.listensLocked() {
		m.leaveFeedLocked()
	}
	in := m.listensLocked() || m.presentLocked()
	switch {
	case in && m.index < 0:
		m.index = int32(len(r.members))
		r.members = append(r.members, member{membership: m})
	case !in && m.index >= 0:
		last := len(r.members) - 1
		r.members[m.index] = r.members[last]
		r.members[m.index].index = m.index
		r.members[last] = member{}
		r.members = r.members[:last]
		m.index = -1
	}
	if m.index >= 0 {
		r.members[m.index].refreshLocked()
	}
}

// joinedLocked tells whether the connection is in the channel.
func (m *membership) joinedLocked() bool { return m.order != 0 }

// listensLocked tells whether broadcasts reach the connection.
func (m *membership) listensLocked() bool { return m.joinedLocked() || m.leaving || m.isUserLocked() }

// isUserLocked tells whether the connection is one of the user's whose channel this is: it hears what comes there, and
// does not see who is there.
func (m *membership) isUserLocked() bool { return m.room.ofUser && m.user != "" }

// presentLocked tells whether the connection sees who is there.
func (m *membership) presentLocked() bool {
	return m.joinedLocked() || m.watches || m.user != "" && !m.room.ofUser
}

// hearsLocked gives the connection to which broadcasts go; nil: they do not reach it yet, or its script hears of them.
func (m *membership) hearsLocked() Conn {
	switch {
	case m.isUserLocked(): // scripts too: as ws_send
	case !m.listensLocked() || m.s.events != nil || m.wantsFeed() && m.feedState != fed:
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

// is asks something of the membership under the room's lock.
func (m *membership) is(what func(*membership) bool) bool {
	m.room.mu.RLock()
	defer m.room.mu.RUnlock()
	return what(m)
}

// serves tells whether the membership is for anything.
func (m *membership) serves() bool {
	m.room.mu.RLock()
	defer m.room.mu.RUnlock()
	return m.index >= 0
}

func (s *Session) viewers(r *room) *atomic.Int32 {
	switch {
	case s.events != nil:
		return &r.scripts
	case s.phoenix != 0:
		return &r.byRefs
	}
	return &r.plain
}

// check says what is wrong with the members, or nil.
func (r *room) check() error {
	r.mu.RLock()
	defer r.mu.RUnlock()
	var plain, byRefs, scripts int32
	for i, m := range r.members {
		switch {
		case !m.presentLocked():
		case m.s.events != nil:
			scripts++
		case m.s.phoenix != 0:
			byRefs++
		default:
			plain++
		}
		switch {
		case (m.stay != nil) != (m.s.phoenix != 0 && m.joinedLocked()):
			return fmt.Errorf("%s is in %q without a stay, or has one and is not", m.s.id, r.name)
		case m.room != r || int(m.index) != i:
			return fmt.Errorf("member %d of %q believes to be %d of %q", i, r.name, m.index, m.room.name)
		case !m.listensLocked() && !m.presentLocked():
			return fmt.Errorf("%s is a member of %q for nothing", m.s.id, r.name)
		case m.leaving && m.joinedLocked():
			return fmt.Errorf("%s leaves %q, and is in it", m.s.id, r.name)
		case m.feedState != outside && !(m.wantsFeed() && m.listensLocked()):
			return fmt.Errorf("%s is in the feed of %q for nothing", m.s.id, r.name)
		case m.fed != (m.feedState == fed):
			return fmt.Errorf("%s is in the feed of %q: %v, and %v", m.s.id, r.name, m.fed, m.feedState)
		case m.to != m.hearsLocked():
			return fmt.Errorf("broadcasts to %q go to %v for %s", r.name, m.to, m.s.id)
		}
	}
	if r.feed != nil {
		if err := r.feed.gate.Check(); err != nil {
			return fmt.Errorf("feed of %q: %w", r.name, err)
		}
	}
	if plain != r.plain.Load() || byRefs != r.byRefs.Load() || scripts != r.scripts.Load() {
		return fmt.Errorf("%q has %d, %d and %d viewers, and counts %d, %d and %d",
			r.name, plain, byRefs, scripts, r.plain.Load(), r.byRefs.Load(), r.scripts.Load())
	}
	return nil
}
