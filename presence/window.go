package presence

import "time"

// Window gathers what happens in a channel between two flushes (SPEC 1.2: a window, 50 ms by default), so that a burst
// is one frame. Clients that were given a presence_state meanwhile are told only what came after it. It is a pure
// value.
//
// Invariant: dirty holds the users changed since the last flush, each with its value before every change, oldest first;
// order holds the same ids.
type Window struct {
	version uint64 // counts changes; a presence_state carries the version it was made at
	dirty   map[string][]pastUser
	order   []string          // of dirty, as they came
	fresh   map[string]uint64 // connection id to the version of the presence_state it got in this window
	flushAt time.Time         // when it ends
}

// pastUser is the value that a user had until the change that made a version.
type pastUser struct {
	version uint64
	before  *User
	cut     bool // the user was away at that change, or may have been
}

// Diff is one flush: what each client of a channel is sent. Frames are shared; nil is nothing.
type Diff struct {
	Plain, Devices []byte           // presence_diff for clients of plain routes, and of presence = "devices"
	Fresh          map[string]*Diff // by connection id: who is sent something else, since it has a newer presence_state
}

// Note takes transitions.
func (w *Window) Note(ts []Transition) {
	if w.dirty == nil {
		w.dirty = make(map[string][]pastUser, len(ts))
	}
	w.version++
	for _, t := range ts {
		id := t.ID()
		past := w.dirty[id]
		if past == nil {
			w.order = append(w.order, id)
		}
		w.dirty[id] = append(past, pastUser{w.version, t.Before, !t.stayed && !t.overlap()})
	}
}

// Told notes that a connection was given a presence_state of the current version.
func (w *Window) Told(connID string) {
	if len(w.dirty) == 0 {
		return // nothing older waits to be flushed
	}
	if w.fresh == nil {
		w.fresh = map[string]uint64{}
	}
	w.fresh[connID] = w.version
}

// Flush ends the window. current gives a user's value now, nil when absent.
func (w *Window) Flush(channel string, current func(id string) *User) *Diff {
	all := renderDiff(channel, w.since(0, current))
	d := &Diff{Plain: all.plain, Devices: all.devices}
	if len(w.fresh) > 0 {
		d.Fresh = make(map[string]*Diff, len(w.fresh))
		made := map[uint64]*Diff{w.version: {}}
		for conn, v := range w.fresh {
			f := made[v]
			if f == nil {
				own := renderDiff(channel, w.since(v, current))
				f = &Diff{Plain: own.plain, Devices: own.devices}
				made[v] = f
			}
			d.Fresh[conn] = f
		}
	}
	w.dirty, w.order, w.fresh = nil, nil, nil
	return d
}

// since gives what happened to each user after a version.
func (w *Window) since(version uint64, current func(string) *User) []told {
	ts := make([]told, 0, len(w.order))
	for _, id := range w.order {
		past := w.dirty[id]
		for len(past) > 0 && past[0].version <= version {
			past = past[1:]
		}
		if len(past) == 0 {
			continue
		}
		t := told{Transition: Transition{Before: past[0].before, After: current(id)}}
		for _, p := range past {
			t.cut = t.cut || p.cut
		}
		ts = append(ts, t)
	}
	return ts
}
