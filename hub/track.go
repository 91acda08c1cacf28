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
// waits for that it is sent no diffs: the state will hold all they could tell.
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
			if old, m.user = m.user, userID; old != userID && m.stay == nil {
				m.waiting = m.waiting || announce
			}
		})
		fresh := old != userID
		if fresh && old != "" {
			m.room.presence.Untrack(ctx, s.id, old)
		}
		// Pending or not, it is done; the state comes when Redis is back.
		_, err := m.room.presence.Track(ctx, s.id, userID, e, fresh && announce && s.phoenix == 0)
		switch {
		case err != nil && fresh:
			m.stopTracking(ctx, presence.CauseUnknown)
		case err == nil && m.unheard():
			_ = m.askPresence(ctx) // now or when Redis is back
		}
		return err
	})
}

// stopTracking ends the tracking of a membership; presence is told why, unless that is CauseUnknown. While it waited
// for its state it was sent no diffs: when it stays in the channel it still needs one.
func (m *membership) stopTracking(ctx context.Context, cause presence.Cause) {
	var user string
	var owed bool
	m.change(func() {
		if user = m.user; user != "" {
			m.user = ""
			if m.stay == nil {
				owed = m.waiting && m.presentLocked()
				m.waiting = owed
			}
		}
	})
	if cause != presence.CauseUnknown && user != "" {
		m.room.presence.Exit(ctx, m.s.id, user, cause, 0)
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
	return s.UntrackFor(ctx, channel, presence.CauseUntracked)
}

// UntrackFor is Untrack for another cause.
func (s *Session) UntrackFor(ctx context.Context, channel string, cause presence.Cause) error {
	if naming.IsUserChannel(channel) {
		return ErrUserChannel
	}
	return s.within(channel, nil, func(m *membership) error {
		m.stopTracking(ctx, cause)
		return nil
	})
}

// SendPresence sends the client a presence_state of a channel, whether it is in it or not.
func (s *Session) SendPresence(ctx context.Context, channel string) error {
	return s.with(channel, func(m *membership) error {
		m.room.wait(ctx)
		ctx, cancel := context.WithTimeout(ctx, waitForRedis)
		defer cancel()
		ask := func() error { return m.room.presence.State(ctx, s.id) }
		if s.phoenix != 0 {
			ask = func() error { return m.askPresence(ctx) }
		}
		if err := ask(); err != nil {
			return fmt.Errorf("read presence: %w: %w", ErrUnavailable, err)
		}
		return nil
	})
}
