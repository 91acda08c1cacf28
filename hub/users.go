package hub

import (
	"context"
	"errors"
	"slices"
	"sync"

	"rollcall/naming"
	"rollcall/presence"
)

// Identify makes the connection one of a user's, once: it then is present in the user's channel (naming.UserChannel),
// and hears what is broadcast there, as raw text whatever its kind. The same again replaces the fields. ErrOtherUser.
func (s *Session) Identify(ctx context.Context, userID string, f presence.Fields) error {
	channel, err := naming.UserChannel(userID)
	if err != nil {
		return err
	}
	if s.count(channel, (*membership).isUserLocked) > 0 {
		return ErrOtherUser
	}
	return s.track(ctx, channel, userID, presence.FromEvent, f, false)
}

// Watch lets the connection see who is in a channel, without its broadcasts: an event handler's client is sent a
// presence_state and then diffs, a script gets events.
func (s *Session) Watch(ctx context.Context, channel string) error {
	watches := func(m *membership) bool { return m.watches }
	if s.count(channel, watches) >= MaxWatches {
		return ErrTooManyWatch
	}
	return s.with(channel, func(m *membership) error {
		m.room.wait(ctx)
		var first bool
		m.change(func() {
			if first = !m.watches; first && s.events == nil && !m.presentLocked() {
				m.waiting = true // the state will hold all that diffs could tell
			}
			m.watches = true
		})
		if first && s.events == nil {
			ctx, cancel := context.WithTimeout(ctx, waitForRedis)
			defer cancel()
			_ = m.room.presence.State(ctx, s.id) // now or when Redis is back
		}
		return nil
	})
}

// Unwatch ends a Watch; also right when there is none.
func (s *Session) Unwatch(channel string) error {
	return s.within(channel, nil, func(m *membership) error {
		m.change(func() { m.watches = false; m.waiting = m.waiting && m.presentLocked() })
		return nil
	})
}

// Users tells who is online, in the order asked; at most MaxUsersAsked. What this node sees answers at once, all others
// are read in one pipeline. reader is the connection that asks, which sees its own writes; "": none does.
func (h *Hub) Users(ctx context.Context, ids []string, reader string) ([]presence.Status, error) {
	if len(ids) > MaxUsersAsked {
		return nil, ErrTooManyUsers
	}
	out := make([]presence.Status, len(ids))
	var rest []string
	for i, id := range ids {
		channel, err := naming.UserChannel(id)
		if err != nil {
			return nil, err
		}
		out[i] = presence.Status{ID: id, User: h.userHere(channel, reader)}
		if out[i].User == nil {
			rest = append(rest, id)
		}
	}
	if len(rest) == 0 {
		return out, nil
	}
	read, err := h.cfg.Tracker.Statuses(ctx, rest)
	if err != nil {
		return nil, unavailable("read users", err)
	}
	for i := range out {
		if out[i].User == nil {
			out[i], read = read[0], read[1:]
		}
	}
	return out, nil
}

// userHere is a user in their channel as this node sees it; nil: it does not, or they are not online.
func (h *Hub) userHere(channel, reader string) *presence.User {
	if r := h.room(channel); r != nil {
		if us, ok := r.presence.List(reader); ok && len(us) > 0 {
			return us[0]
		}
	}
	return nil
}

// SendUser sends to all connections of a user. false: there is none.
func (h *Hub) SendUser(ctx context.Context, userID string, v Value) (bool, error) {
	us, err := h.Users(ctx, []string{userID}, "")
	if err != nil || us[0].User == nil {
		return false, err
	}
	channel, err := naming.UserChannel(userID)
	if err != nil {
		return false, err
	}
	return true, h.Broadcast(ctx, channel, v, "")
}

// CloseUser closes all connections of a user, and waits for no answer. false: no live node can hold any.
func (h *Hub) CloseUser(ctx context.Context, userID string, code int, reason string) (bool, error) {
	return h.eachConn(ctx, userID, func(id string) (bool, error) { return h.CloseConn(ctx, id, code, reason) })
}

// CloseUserConfirmed is CloseUser that waits for the nodes, and tells whether any connection was there.
func (h *Hub) CloseUserConfirmed(ctx context.Context, userID string, code int, reason string) (bool, error) {
	return h.eachConn(ctx, userID, func(id string) (bool, error) { return h.CloseConnConfirmed(ctx, id, code, reason) })
}

// eachConn does something with each connection of a user, with all at once, and tells whether it could with any.
func (h *Hub) eachConn(ctx context.Context, userID string, do func(connID string) (bool, error)) (any bool, err error) {
	us, err := h.Users(ctx, []string{userID}, "")
	if err != nil || us[0].User == nil {
		return false, err
	}
	found, err := each(us[0].User, do)
	if slices.Contains(found, true) {
		return true, nil
	}
	return false, err
}

// UserConnections finds the connections of a user, oldest first. Those of nodes that do not answer are left out.
func (h *Hub) UserConnections(ctx context.Context, u *presence.User) ([]ConnInfo, error) {
	found, err := each(u, func(id string) (*ConnInfo, error) {
		c, err := h.Connection(ctx, id)
		if errors.Is(err, ErrSilent) {
			return nil, nil
		}
		return c, err
	})
	out := []ConnInfo{}
	for _, c := range found {
		if c != nil {
			out = append(out, *c)
		}
	}
	return out, err
}

// each asks something of each connection of a user, of all at once; err is any of the errors.
func each[T any](u *presence.User, ask func(connID string) (T, error)) (answers []T, err error) {
	answers = make([]T, len(u.Metas))
	errs := make([]error, len(u.Metas))
	var wg sync.WaitGroup
	for i := range u.Metas {
		wg.Go(func() { answers[i], errs[i] = ask(u.Metas[i].ConnID) })
	}
	wg.Wait()
	for _, e := range errs {
		if e != nil {
			err = e
		}
	}
	return answers, err
}
