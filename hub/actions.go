package hub

import (
	"cmp"
	"context"
	"slices"

	"rollcall/auth"
)

// Do runs the validated actions of one return, one after another, each complete before the next. It finds the channel
// of each broadcast_room that names none, and asks Member.Permit, before it runs any of them: what is refused there is
// the only error, and nothing was done. An action that fails does not keep the ones after it from running, but for a
// connection that is gone.
func (s *Session) Do(ctx context.Context, actions []Action) []ActionError {
	if refused := s.Resolve(actions); refused != nil {
		return []ActionError{*refused}
	}
	var errs []ActionError
	var missed []string // channels that could not be joined
	for _, a := range actions {
		if a.room != "" && slices.Contains(missed, a.room) {
			a.room = ""
		}
		if err := s.act(ctx, a); err != nil {
			errs = append(errs, ActionError{a, err})
			if a.Kind == ActionJoin {
				missed = append(missed, a.Channel)
			}
		}
	}
	return errs
}

// Resolve finds the rooms of a return's actions and asks about each; nil: all may run. Do begins with it. Who runs a
// part of a return asks about the whole before.
func (s *Session) Resolve(actions []Action) *ActionError {
	var joined, left []string // in this return
	for i := range actions {
		a := &actions[i]
		switch a.Kind {
		case ActionJoin:
			joined = append(joined, a.Channel)
		case ActionLeave:
			left = append(left, a.Channel)
			joined = slices.DeleteFunc(joined, func(c string) bool { return c == a.Channel })
		case ActionBroadcastRoom, ActionBroadcastFrom:
			if a.Channel != "" {
				break
			}
			if len(joined) > 0 {
				a.room = joined[len(joined)-1]
			} else if a.room = s.newest(left); a.room == "" {
				continue // no effect
			}
		}
		verb, asked := a.Kind.verb()
		if s.permit == nil || !asked || a.Trusted && verb == auth.ToPublish {
			continue
		}
		if err := s.permit(verb, cmp.Or(a.Channel, a.room)); err != nil {
			return &ActionError{*a, err}
		}
	}
	return nil
}

// verb is what a token must allow for an action; asked: whether one is needed at all. None is for what takes away, only
// reads, or is about this client alone. An action that is added needs one, and no token allows it until it stands here.
func (k ActionKind) verb() (v auth.Verb, asked bool) {
	switch k {
	case ActionIdentify, ActionLeave, ActionUntrack, ActionSetPresence, ActionUnwatch, ActionSend, ActionSendPresence,
		ActionAfter, ActionClose:
		return 0, false
	case ActionWatch:
		return auth.ToWatch, true
	case ActionJoin, ActionHistory:
		return auth.ToJoin, true
	case ActionTrack:
		return auth.ToTrack, true
	case ActionBroadcastRoom, ActionBroadcastFrom, ActionBroadcastChannel, ActionBroadcast:
		return auth.ToPublish, true
	}
	return 0, true
}

func (s *Session) act(ctx context.Context, a Action) error {
	switch a.Kind {
	case ActionIdentify:
		return s.Identify(ctx, a.UserID, a.Fields)
	case ActionUnwatch:
		return s.Unwatch(a.Channel)
	case ActionWatch:
		return s.Watch(ctx, a.Channel)
	case ActionLeave:
		return s.Leave(a.Channel)
	case ActionJoin:
		_, _, err := s.JoinSince(ctx, a.Channel, a.Since)
		return err
	case ActionUntrack:
		return s.Untrack(ctx, a.Channel)
	case ActionTrack:
		return s.Track(ctx, a.Channel, a.UserID, a.Fields)
	case ActionSetPresence:
		return s.SetPresence(ctx, a.Channel, a.Fields)
	case ActionSend:
		if a.Channel != "" {
			return s.Push(a.Channel, a.Value)
		}
		return s.Send(a.Value)
	case ActionSendPresence:
		return s.SendPresence(ctx, a.Channel)
	case ActionHistory:
		return s.SendHistory(ctx, a.Channel, a.Query)
	case ActionBroadcastRoom, ActionBroadcastFrom:
		channel := cmp.Or(a.Channel, a.room)
		if channel == "" {
			return ErrNoRoom
		}
		a.Value.Others = a.Kind == ActionBroadcastFrom
		return s.h.Broadcast(ctx, channel, a.Value, s.id)
	case ActionBroadcastChannel, ActionBroadcast:
		return s.h.act(ctx, a, s.id)
	case ActionAfter:
		if s.setTimer == nil {
			return ErrNoTimers
		}
		return s.setTimer(*a.Timer)
	case ActionClose:
		s.conn.Close(a.Code, a.Reason)
	}
	return nil
}

// Do runs validated broadcasts that no connection makes, one after another. One that fails does not keep the ones after
// it from running; an action of another kind fails.
func (h *Hub) Do(ctx context.Context, actions []Action) (errs []ActionError) {
	for _, a := range actions {
		if err := h.act(ctx, a, ""); err != nil {
			errs = append(errs, ActionError{a, err})
		}
	}
	return errs
}

// act runs an action that needs no connection; sender is whose it is, "" for nobody's.
func (h *Hub) act(ctx context.Context, a Action, sender string) error {
	switch a.Kind {
	case ActionBroadcastChannel:
		return h.Broadcast(ctx, a.Channel, a.Value, sender)
	case ActionBroadcast:
		return h.BroadcastAll(ctx, a.Value)
	}
	return ErrNoConnection
}

// Send sends to this client only.
func (s *Session) Send(v Value) error {
	f := frames{topic: NodeTopic, value: v}
	return s.conn.Send(f.of(s.phoenix))
}

// newest is the most recently joined channel but for some, or "".
func (s *Session) newest(but []string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var name string
	var last uint64
	for _, m := range s.memberships {
		if order, _ := m.state(); order > last && !slices.Contains(but, m.room.name) {
			name, last = m.room.name, order
		}
	}
	return name
}
