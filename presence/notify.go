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

// states is who is owed a presence_state of a channel, and the last one while that is worth keeping.
type states struct {
	owed []waiter  // oldest first
	due  time.Time // the next may be encoded; zero: none is due

	text   []byte    // the last, while it is still right
	byRefs []byte    // the same for clients of Phoenix, likewise
	at     time.Time // when one of them was encoded last
	cost   time.Duration
}

// fewUsers is how many users a channel may have whose texts are made when they are asked for, and kept nowhere: most
// channels are small, and quiet.
const fewUsers = 8

func (v *view) crowded() bool { return v.replica.Len() > fewUsers }

// all gives who is owed a state.
func (s *states) all() []waiter {
	if s == nil {
		return nil
	}
	return s.owed
}

// took notes when the last was encoded and how long that took.
func (s *states) took(at time.Time, cost time.Duration) {
	if s != nil {
		s.at, s.cost = at, cost
	}
}

// owe notes that somebody is owed a state, and sends it if it can.
func (v *view) owe(w waiter) {
	if v.states == nil {
		v.states = &states{}
	}
	v.states.owed = append(v.states.owed, w)
	v.callStates()
}

// note passes transitions on to scripts at once and to plain clients at the next flush.
func (v *view) note(ts []Transition) {
	if len(ts) == 0 {
		return
	}
	if v.states != nil {
		v.states.text, v.states.byRefs = nil, nil
		v.dropStates()
	}
	if v.now.Scripts {
		var es []Event
		for _, t := range ts {
			es = appendEvents(es, t)
		}
		if len(es) > 0 {
			v.do(es)
		}
	}
	if !v.now.Plain && !v.now.Refs {
		return
	}
	if v.changes == nil {
		v.changes = &Window{flushAt: v.now.Add(v.now.window)}
	}
	v.changes.Note(ts)
	if v.now.window <= 0 {
		v.flush()
	}
}

// flush ends the window.
func (v *view) flush() {
	d := v.changes.Flush(v.channel, v.now.Viewers, v.replica.User)
	v.changes = nil
	v.dropTexts()
	if d.Plain != nil || d.Devices != nil || d.ByRefs != nil || d.Fresh != nil {
		v.do(d)
	}
}

// stateDue tells whether a waiter's state can be sent: the channel has been read, and its view holds what it waits for.
func (v *view) stateDue(w waiter) bool { return v.known && v.reached(w) }

func (v *view) anyDue() bool { return slices.ContainsFunc(v.states.all(), v.stateDue) }

// encoded tells whether the states that are due need not be encoded.
func (v *view) encoded() bool {
	return !slices.ContainsFunc(v.states.all(), func(w waiter) bool {
		return v.stateDue(w) && (w.refs && v.states.byRefs == nil || !w.refs && v.states.text == nil)
	})
}

// callStates sends the states that are due, now or when the last encoding is old enough.
func (v *view) callStates() {
	if !v.anyDue() || !v.states.due.IsZero() {
		return
	}
	at := v.states.at.Add(stateSpacing(v.states.cost))
	if v.encoded() || !at.After(v.now.Time) {
		v.sendStates()
		return
	}
	v.states.due = at
}

// sendStates sends all whose state is due one shared frame of their kind.
func (v *view) sendStates() {
	var s state
	all := v.states
	all.due = time.Time{}
	all.owed = slices.DeleteFunc(all.owed, func(w waiter) bool {
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
		if v.changes != nil {
			v.changes.Told(w.conn)
		}
		return true
	})
	if len(s.asked) == 0 {
		return
	}
	if len(s.Conns) > 0 {
		if all.text == nil {
			all.text, all.at, s.fresh = renderState(v.channel, &v.replica), v.now.Time, true
		}
		s.Frame = all.text
	}
	if len(s.ByRefs) > 0 {
		if all.byRefs == nil {
			all.byRefs, all.at, s.fresh = renderByRefs(&v.replica), v.now.Time, true
		}
		s.Payload = all.byRefs
	}
	v.do(s)
	v.dropStates()
}

// dropStates drops what a small channel does not need between two states.
func (v *view) dropStates() {
	if len(v.states.owed) == 0 && !v.crowded() {
		v.states = nil
		v.dropTexts()
	}
}

// dropTexts drops the users' texts in a small channel, but while more are to be made of them.
func (v *view) dropTexts() {
	if v.crowded() || v.changes != nil || v.states != nil {
		return
	}
	for u := range v.replica.users.all() {
		u.frag = ""
	}
}
