package presence

import (
	"slices"
	"time"
)

// Encodings of a channel's presence_state are so far apart that they take a twentieth of the time, within bounds: a
// thousand clients who join together share a few of them, and wait little for one that is cheap.
const (
	stateShare    = 20
	minStateSpace = time.Millisecond
	maxStateSpace = 50 * time.Millisecond
)

// stateSpacing is the least time between two encodings, of which the last took took.
func stateSpacing(took time.Duration) time.Duration {
	return min(max(stateShare*took, minStateSpace), maxStateSpace)
}

// note passes transitions on to scripts at once and to plain clients at the next flush.
func (v *view) note(ts []Transition) {
	if len(ts) == 0 {
		return
	}
	v.state, v.byRefs = nil, nil
	if v.now.Scripts {
		var es []Event
		for _, t := range ts {
			es = appendEvents(es, t)
		}
		if len(es) > 0 {
			v.do(es)
		}
	}
	switch {
	case !v.now.Plain && !v.now.Refs, !v.changes.Note(ts):
	case v.window <= 0:
		v.flush()
	case v.flushAt.IsZero():
		v.flushAt = v.now.Add(v.window)
	}
}

// flush ends the window.
func (v *view) flush() {
	d := v.changes.Flush(v.channel, v.now.Viewers, v.replica.User)
	if d.Plain != nil || d.Devices != nil || d.ByRefs != nil || d.Fresh != nil {
		v.do(d)
	}
}

// stateDue tells whether a waiter's state can be sent: the channel has been read, and its view holds what it waits for.
func (v *view) stateDue(w waiter) bool { return v.known && v.reached(w) }

func (v *view) anyDue() bool { return slices.ContainsFunc(v.states, v.stateDue) }

// encoded tells whether the states that are due need not be encoded.
func (v *view) encoded() bool {
	return !slices.ContainsFunc(v.states, func(w waiter) bool {
		return v.stateDue(w) && (w.refs && v.byRefs == nil || !w.refs && v.state == nil)
	})
}

// callStates sends the states that are due, now or when the last encoding is old enough.
func (v *view) callStates() {
	if !v.statesAt.IsZero() || !v.anyDue() {
		return
	}
	at := v.stateAt.Add(stateSpacing(v.stateTook))
	if v.encoded() || !at.After(v.now.Time) {
		v.sendStates()
		return
	}
	v.statesAt = at
}

// sendStates sends all whose state is due one shared frame of their kind.
func (v *view) sendStates() {
	var s state
	v.states = slices.DeleteFunc(v.states, func(w waiter) bool {
		due := v.stateDue(w)
		switch {
		case !due:
			return false
		case w.refs:
			s.ByRefs = append(s.ByRefs, w.conn)
		default:
			s.Conns = append(s.Conns, w.conn)
		}
		s.asked = append(s.asked, w)
		v.changes.Told(w.conn)
		return true
	})
	if len(s.asked) == 0 {
		return
	}
	if len(s.Conns) > 0 {
		if v.state == nil {
			v.state, v.stateAt, s.fresh = renderState(v.channel, v.replica.users), v.now.Time, true
		}
		s.Frame = v.state
	}
	if len(s.ByRefs) > 0 {
		if v.byRefs == nil {
			v.byRefs, v.stateAt, s.fresh = renderByRefs(v.replica.users), v.now.Time, true
		}
		s.Payload = v.byRefs
	}
	v.do(s)
}
