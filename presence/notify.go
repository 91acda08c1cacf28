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
	v.state = nil
	if v.now.scripts {
		var es []Event
		for _, t := range ts {
			es = appendEvents(es, t)
		}
		if len(es) > 0 {
			v.do(es)
		}
	}
	switch {
	case !v.now.plain || !v.changes.Note(ts):
	case v.window <= 0:
		v.flush()
	case v.flushAt.IsZero():
		v.flushAt = v.now.Add(v.window)
	}
}

// flush ends the window.
func (v *view) flush() {
	if d := v.changes.Flush(v.channel, v.replica.User); d.Plain != nil || d.Devices != nil || d.Fresh != nil {
		v.do(d)
	}
}

// stateDue tells whether a waiter's state can be sent: the channel has been read, and its view holds what it waits for.
func (v *view) stateDue(w waiter) bool { return v.known && v.reached(w) }

func (v *view) anyDue() bool { return slices.ContainsFunc(v.states, v.stateDue) }

// callStates sends the states that are due, now or when the last encoding is old enough.
func (v *view) callStates() {
	if !v.statesAt.IsZero() || !v.anyDue() {
		return
	}
	at := v.stateAt.Add(stateSpacing(v.stateTook))
	if v.state != nil || !at.After(v.now.Time) {
		v.sendStates()
		return
	}
	v.statesAt = at
}

// sendStates sends all whose state is due one shared frame.
func (v *view) sendStates() {
	var s state
	v.states = slices.DeleteFunc(v.states, func(w waiter) bool {
		due := v.stateDue(w)
		if due {
			s.conns, s.asked = append(s.conns, w.conn), append(s.asked, w)
		}
		return due
	})
	if len(s.conns) == 0 {
		return
	}
	if v.state == nil {
		v.state, v.stateAt, s.fresh = renderState(v.channel, v.replica.users), v.now.Time, true
	}
	for _, conn := range s.conns {
		v.changes.Told(conn)
	}
	s.frame = v.state
	v.do(s)
}
