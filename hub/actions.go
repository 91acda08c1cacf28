package hub

import (
	"context"
	"slices"

	"rollcall/wsconn"
)

// Do runs the validated actions of one return, one after another, each complete before the next. An action that fails
// does not keep the ones after it from running, but for a connection that is gone.
func (s *Session) Do(ctx context.Context, actions []Action) []ActionError {
	var errs []ActionError
	var joined []string // in this return; the last one counts
	for _, a := range actions {
		if err := s.act(ctx, a, joined); err != nil {
			errs = append(errs, ActionError{a, err})
			continue
		}
		switch a.Kind {
		case ActionJoin:
			joined = append(joined, a.Channel)
		case ActionLeave:
			joined = slices.DeleteFunc(joined, func(c string) bool { return c == a.Channel })
		}
	}
	return errs
}

func (s *Session) act(ctx context.Context, a Action, joined []string) error {
	switch a.Kind {
	case ActionLeave:
		return s.Leave(a.Channel)
	case ActionJoin:
		return s.Join(ctx, a.Channel)
	case ActionUntrack:
		return s.Untrack(ctx, a.Channel)
	case ActionTrack:
		return s.Track(ctx, a.Channel, a.UserID, a.Fields)
	case ActionSetPresence:
		return s.SetPresence(ctx, a.Channel, a.Fields)
	case ActionSend:
		return s.Send(a.Value)
	case ActionSendPresence:
		return s.SendPresence(ctx, a.Channel)
	case ActionBroadcastRoom:
		channel := a.Channel
		if channel == "" && len(joined) > 0 {
			channel = joined[len(joined)-1]
		}
		if channel == "" {
			channel = s.newest()
		}
		if channel == "" {
			return ErrNoRoom
		}
		if a.Channel == "" && s.permit != nil {
			if err := s.permit(channel); err != nil {
				return err
			}
		}
		return s.h.Broadcast(ctx, channel, a.Value, s.id)
	case ActionBroadcastChannel:
		return s.h.Broadcast(ctx, a.Channel, a.Value, s.id)
	case ActionBroadcast:
		return s.h.BroadcastAll(ctx, a.Value)
	case ActionClose:
		s.conn.Close(a.Code, a.Reason)
	}
	return nil
}

// Send sends to this client only.
func (s *Session) Send(v Value) error { return s.conn.Send(wsconn.TextString(v.Text)) }

// newest is the most recently joined channel, or "".
func (s *Session) newest() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var best *membership
	for _, m := range s.memberships {
		if m.order != 0 && (best == nil || m.order > best.order) {
			best = m
		}
	}
	if best == nil {
		return ""
	}
	return best.room.name
}
