package hub

import (
	"context"
	"encoding/json"
	"fmt"

	"rollcall/naming"
	"rollcall/presence"
)

// Track starts tracking this connection as a user's, or replaces its metadata (then it is as set_presence). The client
// gets a presence_state at the first time.
func (s *Session) Track(ctx context.Context, channel, userID string, f presence.Fields) error {
	return s.trackThere(ctx, channel, userID, presence.FromEvent, f)
}

// PresenceJoin is what presence.join of a connection script does: info is user_info, a JSON object.
func (s *Session) PresenceJoin(ctx context.Context, channel, userID string, info json.RawMessage) error {
	var f presence.Fields
	if err := json.Unmarshal(info, &f); err != nil {
		return fmt.Errorf("user_info: %w", err)
	}
	return s.trackThere(ctx, channel, userID, presence.FromScript, f)
}

// trackThere is track in a channel that is no user's.
func (s *Session) trackThere(ctx context.Context, channel, userID string, src presence.Source,
	f presence.Fields,
) error {
	if naming.IsUserChannel(channel) {
		return ErrUserChannel
	}
	tracked := func(m *membership) bool { return m.user != "" && !m.room.ofUser }
	if s.count(channel, tracked) >= MaxTrackings {
		return ErrTooManyTrack
	}
	return s.track(ctx, channel, userID, src, f, src == presence.FromEvent)
}

// track makes the connection one of the user's; with announce it is sent a presence_state at the first time. While it
// waits for its presence_state it is sent no diffs: the state will hold all they could tell.
func (s *Session) track(ctx context.Context, channel, userID string, src presence.Source, f presence.Fields,
	announce bool,
) error {
	if err := naming.CheckUserID(userID); err != nil {
		return err
	}
	e, err := presence.Encode(src, f)
	if err != nil {
		return err
	}
	return s.with(channel, func(m *membership) error {
		m.room.wait(ctx)
		var old string
		m.change(func() {
			if old, m.user = m.user, userID; old != userID {
				m.waiting = m.waiting || announce
			}
		})
		fresh := old != userID
		if fresh && old != "" {
			m.room.presence.Untrack(ctx, s.id, old)
		}
		// Pending or not, it is done; the state comes when Redis is back.
		_, err := m.room.presence.Track(ctx, s.id, userID, e, fresh && announce)
		if err != nil && fresh {
			m.stopTracking(ctx, false)
		}
		return err
	})
}

// stopTracking ends the tracking of a membership; told: presence is, too. While it waited for its state it was sent no
// diffs: when it stays in the channel it still needs one.
func (m *membership) stopTracking(ctx context.Context, told bool) {
	var user string
	var owed bool
	m.change(func() {
		if user = m.user; user != "" {
			m.user = ""
			owed = m.waiting && m.presentLocked()
			m.waiting = owed
		}
	})
	if told && user != "" {
		m.room.presence.Untrack(ctx, m.s.id, user)
	}
	if owed {
		_ = m.room.presence.State(ctx, m.s.id) // now or when Redis is back
	}
}

// SetPresence merges metadata of this connection's tracking in a channel; presence.ErrNotTracked without one.
func (s *Session) SetPresence(ctx context.Context, channel string, f presence.Fields) error {
	return s.within(channel, presence.ErrNotTracked, func(m *membership) error {
		_, user := m.state()
		_, err := m.room.presence.Update(ctx, s.id, user, f) // pending or not, it is done
		return err
	})
}

// Untrack stops tracking; also right when the connection is not tracked. It does not leave the channel.
func (s *Session) Untrack(ctx context.Context, channel string) error {
	if naming.IsUserChannel(channel) {
		return ErrUserChannel
	}
	return s.within(channel, nil, func(m *membership) error {
		m.stopTracking(ctx, true)
		return nil
	})
}

// SendPresence sends the client a presence_state of a channel, whether it is in it or not.
func (s *Session) SendPresence(ctx context.Context, channel string) error {
	return s.with(channel, func(m *membership) error {
		m.room.wait(ctx)
		ctx, cancel := context.WithTimeout(ctx, waitForRedis)
		defer cancel()
		if err := m.room.presence.State(ctx, s.id); err != nil {
			return fmt.Errorf("read presence: %w: %w", ErrUnavailable, err)
		}
		return nil
	})
}
