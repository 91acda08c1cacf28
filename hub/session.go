package hub

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"rollcall/auth"
	"rollcall/history"
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
	resume    bool
	fits      func(events, bytes int) bool // of a script's queue
	route     string
	addr      string
	permit    func(v auth.Verb, channel string) error
	setTimer  func(Timer) error // nil: it has none
	connected time.Time

	deaf  atomic.Bool   // a script whose queue ran over
	joins atomic.Uint64 // counts joins, for their order

	mu          sync.Mutex
	user        []byte
	closed      bool
	stay        time.Duration  // once closed: how long its presence stays
	cause       presence.Cause // and why it closed
	memberships []*membership
	positions   map[string]history.Position // where the client was, of channels that it has not joined yet
}

// Enter takes a connection in.
func (h *Hub) Enter(m Member) *Session {
	s := &Session{h: h, id: m.ID, conn: m.Conn, events: m.Events, devices: m.Devices, route: m.Route, addr: m.Addr,
		user: m.User, permit: m.Permit, setTimer: m.SetTimer, resume: m.Resume, fits: m.Fits, positions: m.Positions,
		connected: time.Now()}
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

		m = &membership{s: s, room: s.h.enter(name), index: -1, uses: 1} // not under mu: it takes the rooms' lock
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
	idle := m.uses == 0 && (s.closed || !m.serves())
	if idle {
		s.memberships = slices.DeleteFunc(s.memberships, func(o *membership) bool { return o == m })
	}
	closed := s.closed
	s.mu.Unlock()
	switch {
	case idle && closed:
		s.giveUp(m)
	case idle:
		s.h.leave(m.room)
	}
}

// giveUp ends what a closed session had in one room. Its stay and cause do not change any more.
func (s *Session) giveUp(m *membership) {
	var user string
	m.change(func() {
		user = m.user
		m.order, m.user, m.waiting, m.leaving = 0, "", false, false
	})
	if user != "" {
		ctx, cancel := context.WithTimeout(context.Background(), waitForRedis)
		defer cancel()
		m.room.presence.Exit(ctx, s.id, user, s.cause, s.stay)
	}
	s.h.leave(m.room)
}

// Ending says how long the presence of a connection may outlive it.
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

// Exit releases everything the connection had; cause is told of those who leave by it.
func (s *Session) Exit(e Ending, cause presence.Cause) {
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
	s.closed, s.stay, s.cause = true, s.h.staysFor(e), cause
	var over []*membership
	s.memberships = slices.DeleteFunc(s.memberships, func(m *membership) bool {
		if m.uses > 0 {
			return false // the call under way gives it up
		}
		over = append(over, m)
		return true
	})
	s.mu.Unlock()
	for _, m := range over {
		s.giveUp(m)
	}
}

// with calls f with the membership of a channel, made if need be.
func (s *Session) with(channel string, f func(*membership) error) error {
	if err := CheckChannel(channel); err != nil {
		return err
	}
	m, err := s.hold(channel)
	if err != nil {
		return err
	}
	defer s.release(m)
	return f(m)
}

// within is with for a membership that is there; absent is the error when none is.
func (s *Session) within(channel string, absent error, f func(*membership) error) error {
	if CheckChannel(channel) == nil && s.find(channel) == nil {
		return absent
	}
	return s.with(channel, f)
}

// count counts the memberships but that of one channel, by what they are for.
func (s *Session) count(but string, counts func(order uint64, user string) bool) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.memberships {
		if m.room.name != but && counts(m.state()) {
			n++
		}
	}
	return n
}

// Join subscribes the connection to a channel. When it returns, every later broadcast reaches it; while Redis cannot be
// reached it succeeds too, and takes effect when Redis is back.
func (s *Session) Join(ctx context.Context, channel string) error {
	_, _, err := s.JoinSince(ctx, channel, nil)
	return err
}

// JoinSince is Join that goes on from where the client was in a channel with history: it gets what came since, or is
// told that it cannot be had. nil: from where it said at its start, else from now on. in: it is in the channel's feed,
// and rec is true; else the channel has none for it, or Redis cannot be reached.
func (s *Session) JoinSince(ctx context.Context, channel string, since *history.Position) (rec Recovery, in bool,
	err error,
) {
	if s.count(channel, func(order uint64, _ string) bool { return order != 0 }) >= MaxChannels {
		return rec, false, ErrTooMany
	}
	if was := s.takePosition(channel); since == nil {
		since = was
	}
	until := time.Now().Add(waitForRedis)
	err = s.with(channel, func(m *membership) error {
		m.room.wait(ctx)
		m.change(func() {
			m.leaving = false
			if !m.joinedLocked() {
				m.order = s.joins.Add(1)
			}
		})
		if m.wantsFeed() {
			rec, in = m.enterFeed(ctx, since, until)
		}
		return nil
	})
	return rec, in, err
}

// takePosition gives where the client said that it was in a channel, once.
func (s *Session) takePosition(channel string) *history.Position {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.positions[channel]
	if !ok {
		return nil
	}
	delete(s.positions, channel)
	return &p
}

// Leave unsubscribes; also right when the connection is not in the channel. It does not untrack.
func (s *Session) Leave(channel string) error {
	return s.within(channel, nil, func(m *membership) error {
		m.leave()
		return nil
	})
}

// Rooms lists the channels the connection is in, in the order of joining.
func (s *Session) Rooms() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	type joined struct {
		order uint64
		name  string
	}
	in := make([]joined, 0, len(s.memberships))
	for _, m := range s.memberships {
		if order, _ := m.state(); order != 0 {
			in = append(in, joined{order, m.room.name})
		}
	}
	slices.SortFunc(in, func(a, b joined) int { return cmp.Compare(a.order, b.order) })
	names := make([]string, len(in))
	for i, j := range in {
		names[i] = j.name
	}
	return names
}
