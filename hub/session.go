package hub

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"rollcall/naming"
	"rollcall/presence"
)

// Session is one connection of this node: the channels it is in and what it tracks. Its calls come one at a time, from
// its handler; Exit may come at any moment.
//
// Invariant: memberships holds one membership a room, each with a reference on it.
type Session struct {
	// static
	h         *Hub
	id        string
	conn      Conn
	events    func(*Event) bool
	devices   bool
	route     string
	addr      string
	permit    func(kind ActionKind, channel string) error
	connected time.Time

	deaf atomic.Bool // a script whose queue ran over

	mu          sync.Mutex
	user        []byte
	closed      bool
	stay        time.Duration // once closed: how long its presence stays
	joins       uint64        // counts joins, for their order
	memberships []*membership
}

// Enter takes a connection in.
func (h *Hub) Enter(m Member) *Session {
	s := &Session{h: h, id: m.ID, conn: m.Conn, events: m.Events, devices: m.Devices, route: m.Route, addr: m.Addr,
		user: m.User, permit: m.Permit, connected: time.Now()}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sessions[s.id] = s
	return s
}

// SetIdentity replaces the user table that listings show, when a client has renewed its token.
func (s *Session) SetIdentity(user []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.user = user
}

// ID is the connection's id.
func (s *Session) ID() string { return s.id }

// hear hands an event to a connection script. One whose queue is full is closed by its owner and hears nothing more.
func (s *Session) hear(e *Event) {
	if !s.deaf.Load() && !s.events(e) {
		s.deaf.Store(true)
	}
}

// find gives the membership of a channel, or nil.
func (s *Session) find(name string) *membership {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.findLocked(name)
}

func (s *Session) findLocked(name string) *membership {
	for _, m := range s.memberships {
		if m.room.name == name {
			return m
		}
	}
	return nil
}

// hold gives the membership of a channel, made if need be, for the time of one call; release ends it.
func (s *Session) hold(name string) (*membership, error) {
	for {
		s.mu.Lock()
		m := s.findLocked(name)
		if s.closed {
			s.mu.Unlock()
			return nil, ErrGone
		}
		if m != nil {
			m.uses++
			s.mu.Unlock()
			return m, nil
		}
		s.mu.Unlock()

		m = newMembership(s, s.h.enter(name)) // not under mu: it takes the rooms' lock
		m.uses = 1
		s.mu.Lock()
		if !s.closed && s.findLocked(name) == nil {
			s.memberships = append(s.memberships, m)
			s.mu.Unlock()
			return m, nil
		}
		s.mu.Unlock()
		s.h.leave(m.room)
	}
}

// release ends a call on a membership; one that serves nothing any more is dropped.
func (s *Session) release(m *membership) {
	s.mu.Lock()
	m.uses--
	idle := m.uses == 0 && (s.closed || m.order == 0 && m.user == "" && !m.leaving.Load())
	if idle {
		s.memberships = slices.DeleteFunc(s.memberships, func(o *membership) bool { return o == m })
	}
	closed, stay, user := s.closed, s.stay, m.user
	s.mu.Unlock()
	switch {
	case idle && closed:
		s.giveUp(m, user, stay)
	case idle:
		s.h.leave(m.room)
	}
}

// giveUp ends what a closed session had in one room.
func (s *Session) giveUp(m *membership, user string, stay time.Duration) {
	m.room.set(m, func() {
		m.joined, m.tracked, m.waiting = false, false, false
		m.leaving.Store(false)
	})
	if user != "" {
		ctx, cancel := context.WithTimeout(context.Background(), waitForRedis)
		defer cancel()
		if stay > 0 {
			m.room.presence.Linger(ctx, s.id, user, stay)
		} else {
			m.room.presence.Untrack(ctx, s.id, user)
		}
	}
	s.h.leave(m.room)
}

// Ending is how a connection ended, as far as presence cares.
type Ending byte

// The endings.
const (
	Closed   Ending = iota // on purpose: its presence ends at once
	Dropped                // without a close handshake, or a page is loaded again: Config.Linger
	SentAway               // by this node, to come back to any: the longer of Config.Linger and Config.RestartGrace
)

// staysFor is how long the presence of a connection outlives it.
func (h *Hub) staysFor(e Ending) time.Duration {
	switch e {
	case Dropped:
		return h.cfg.Linger
	case SentAway:
		return max(h.cfg.Linger, h.cfg.RestartGrace)
	}
	return 0
}

// Exit releases everything the connection had.
func (s *Session) Exit(e Ending) {
	stay := s.h.staysFor(e)
	s.h.mu.Lock()
	if s.h.sessions[s.id] == s {
		delete(s.h.sessions, s.id)
	}
	s.h.mu.Unlock()
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return
	}
	s.closed, s.stay = true, stay
	var over []*membership
	var users []string
	s.memberships = slices.DeleteFunc(s.memberships, func(m *membership) bool {
		if m.uses > 0 {
			return false // the call under way gives it up
		}
		over, users = append(over, m), append(users, m.user)
		return true
	})
	s.mu.Unlock()
	for i, m := range over {
		s.giveUp(m, users[i], stay)
	}
}

// Join subscribes the connection to a channel. When it returns, every later broadcast reaches it; while Redis cannot be
// reached it succeeds too, and takes effect when Redis is back.
func (s *Session) Join(ctx context.Context, channel string) error {
	if err := CheckChannel(channel); err != nil {
		return err
	}
	if s.countJoined(channel) >= MaxChannels {
		return ErrTooMany
	}
	m, err := s.hold(channel)
	if err != nil {
		return err
	}
	defer s.release(m)
	m.room.wait(ctx)
	m.room.set(m, func() {
		m.joined = true
		m.leaving.Store(false)
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	if m.order == 0 {
		s.joins++
		m.order = s.joins
	}
	return nil
}

// countJoined counts the channels the connection is in, but for one.
func (s *Session) countJoined(but string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.memberships {
		if m.order != 0 && m.room.name != but {
			n++
		}
	}
	return n
}

// Leave unsubscribes; also right when the connection is not in the channel. It does not untrack.
func (s *Session) Leave(channel string) error {
	if err := CheckChannel(channel); err != nil {
		return err
	}
	if s.find(channel) == nil {
		return nil
	}
	m, err := s.hold(channel)
	if err != nil {
		return err
	}
	defer s.release(m)
	if m.isJoined() {
		m.leave()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	m.order = 0
	return nil
}

// Rooms lists the channels the connection is in, in the order of joining.
func (s *Session) Rooms() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	in := make([]*membership, 0, len(s.memberships))
	for _, m := range s.memberships {
		if m.order != 0 {
			in = append(in, m)
		}
	}
	slices.SortFunc(in, func(a, b *membership) int { return int(a.order) - int(b.order) })
	names := make([]string, len(in))
	for i, m := range in {
		names[i] = m.room.name
	}
	return names
}

// Track starts tracking this connection as a user's, or replaces its metadata (then it is as set_presence). The client
// gets a presence_state at the first time.
func (s *Session) Track(ctx context.Context, channel, userID string, f presence.Fields) error {
	return s.track(ctx, channel, userID, presence.FromEvent, f)
}

// PresenceJoin is what presence.join of a connection script does: info is user_info, a JSON object.
func (s *Session) PresenceJoin(ctx context.Context, channel, userID string, info json.RawMessage) error {
	var f presence.Fields
	if err := json.Unmarshal(info, &f); err != nil {
		return fmt.Errorf("user_info: %w", err)
	}
	return s.track(ctx, channel, userID, presence.FromScript, f)
}

// track makes the connection one of the user's. While it waits for its presence_state it is sent no diffs: the state
// will hold all they could tell.
func (s *Session) track(ctx context.Context, channel, userID string, src presence.Source, f presence.Fields) error {
	if err := CheckChannel(channel); err != nil {
		return err
	}
	if err := naming.CheckUserID(userID); err != nil {
		return err
	}
	e, err := presence.Encode(src, f)
	if err != nil {
		return err
	}
	if s.countTracked(channel) >= MaxTrackings {
		return ErrTooManyTrack
	}
	m, err := s.hold(channel)
	if err != nil {
		return err
	}
	defer s.release(m)
	m.room.wait(ctx)
	old := s.userIn(m)
	fresh := old != userID
	announce := fresh && src == presence.FromEvent
	if fresh {
		m.room.set(m, func() { m.tracked, m.waiting = true, announce })
	}
	if fresh && old != "" {
		m.room.presence.Untrack(ctx, s.id, old)
	}
	s.setUser(m, userID)
	// Pending or not, it is done; the state comes when Redis is back.
	if _, err := m.room.presence.Track(ctx, s.id, userID, e, announce); err != nil {
		if fresh && s.stopTracking(m) {
			_ = m.room.presence.State(ctx, s.id) // now or when Redis is back
		}
		return err
	}
	return nil
}

// stopTracking ends the tracking of a membership, but for its presence. While it waited for its state it was sent no diffs; owed
// tells that it stays in the channel and still needs one.
func (s *Session) stopTracking(m *membership) (owed bool) {
	m.room.set(m, func() {
		owed = m.waiting && m.joined
		m.tracked, m.waiting = false, owed
	})
	s.setUser(m, "")
	return owed
}

func (s *Session) setUser(m *membership, user string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m.user = user
}

func (s *Session) countTracked(but string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.memberships {
		if m.user != "" && m.room.name != but {
			n++
		}
	}
	return n
}

// SetPresence merges metadata of this connection's tracking in a channel; presence.ErrNotTracked without one.
func (s *Session) SetPresence(ctx context.Context, channel string, f presence.Fields) error {
	if err := CheckChannel(channel); err != nil {
		return err
	}
	if s.find(channel) == nil {
		return presence.ErrNotTracked
	}
	m, err := s.hold(channel)
	if err != nil {
		return err
	}
	defer s.release(m)
	_, err = m.room.presence.Update(ctx, s.id, s.userIn(m), f) // pending or not, it is done
	return err
}

func (s *Session) userIn(m *membership) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return m.user
}

// Untrack stops tracking; also right when the connection is not tracked. It does not leave the channel.
func (s *Session) Untrack(ctx context.Context, channel string) error {
	if err := CheckChannel(channel); err != nil {
		return err
	}
	if s.find(channel) == nil {
		return nil
	}
	m, err := s.hold(channel)
	if err != nil {
		return err
	}
	defer s.release(m)
	user := s.userIn(m)
	if user == "" {
		return nil
	}
	owed := s.stopTracking(m)
	m.room.presence.Untrack(ctx, s.id, user)
	if owed {
		_ = m.room.presence.State(ctx, s.id) // now or when Redis is back
	}
	return nil
}

// SendPresence sends the client a presence_state of a channel, whether it is in it or not.
func (s *Session) SendPresence(ctx context.Context, channel string) error {
	if err := CheckChannel(channel); err != nil {
		return err
	}
	m, err := s.hold(channel)
	if err != nil {
		return err
	}
	defer s.release(m)
	m.room.wait(ctx)
	ctx, cancel := context.WithTimeout(ctx, waitForRedis)
	defer cancel()
	if err := m.room.presence.State(ctx, s.id); err != nil {
		return fmt.Errorf("read presence: %w: %w", ErrUnavailable, err)
	}
	return nil
}
