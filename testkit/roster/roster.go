// Package roster is the client of presence that all tests share: what one client knows of one channel, kept as SPEC 1.2
// tells clients to, or as the Presence classes of Phoenix do. It says what each frame told, and what no right server
// tells.
//
// It starts no goroutine and knows no socket; only tests import it.
package roster

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// Meta is one device of a user.
type Meta struct {
	PhxRef       string  `json:"phx_ref"`
	ConnectionID string  `json:"connection_id"`
	State        string  `json:"state"`
	OnlineAt     float64 `json:"online_at"`
	All          string  `json:"-"` // the whole object
}

// Fault is something that no right server tells.
type Fault struct {
	Kind Kind
	User string // "": of a frame as a whole
	text string
}

func (f Fault) String() string { return f.User + f.text }

// Kind is a kind of fault.
type Kind int

// The kinds.
const (
	Malformed Kind = iota // the frame itself is wrong, whoever takes it
	Again                 // joins has a user, or a ref, as this client knows it
	Stranger              // leaves has a user, or a ref, that this client does not know
)

// Frame is a presence_state or a presence_diff. It may be taken by many rosters.
type Frame struct {
	Channel string
	ByRefs  bool // it is for clients of Phoenix: metas come and go by their refs
	State   bool
	Joins   map[string][]Meta // of a state: all who are there
	Leaves  map[string][]Meta
}

// Roster is what one client knows of one channel: a presence_state is all, joins replace users, leaves delete them; by
// refs they add metas and remove them. The zero value is that of a client that was told nothing yet.
type Roster struct {
	Users map[string][]Meta // nil before the first frame
	whole bool              // there was a presence_state: whoever leaves must have been there
}

// users is the shape of a presence_state and of each half of a diff.
type users map[string]struct {
	Metas []json.RawMessage `json:"metas"`
}

// Read reads a frame; nil when it is none of presence. faults are what is wrong with the frame itself; of a payload
// that cannot be read nothing else is taken.
func Read(text []byte) (f *Frame, faults []Fault) {
	var frame struct {
		Event          json.RawMessage
		Channel, Topic string
		Payload        json.RawMessage
	}
	switch {
	case bytes.HasPrefix(text, []byte("{")):
		if json.Unmarshal(text, &frame) != nil {
			return nil, nil
		}
	case bytes.HasPrefix(text, []byte("[")):
		var parts []json.RawMessage // join_ref, ref, topic, event, payload
		if json.Unmarshal(text, &parts) != nil || len(parts) != 5 || json.Unmarshal(parts[2], &frame.Topic) != nil {
			return nil, nil
		}
		frame.Event, frame.Payload = parts[3], parts[4]
	default:
		return nil, nil
	}
	f = &Frame{Channel: frame.Channel + frame.Topic, ByRefs: frame.Topic != ""}
	read := func(from users) (to map[string][]Meta) {
		to = make(map[string][]Meta, len(from))
		for user, u := range from {
			var wrong []Fault
			to[user], wrong = metas(user, u.Metas)
			faults = append(faults, wrong...)
		}
		return to
	}
	switch string(frame.Event) {
	case `"presence_state"`:
		var all users
		if err := json.Unmarshal(frame.Payload, &all); err != nil || all == nil {
			return f, []Fault{malformed("", "presence_state with payload %s", frame.Payload)}
		}
		f.State, f.Joins = true, read(all)
	case `"presence_diff"`:
		var diff struct{ Joins, Leaves users }
		if err := json.Unmarshal(frame.Payload, &diff); err != nil || diff.Joins == nil || diff.Leaves == nil {
			return f, []Fault{malformed("", "presence_diff with payload %s", frame.Payload)}
		}
		if len(diff.Joins)+len(diff.Leaves) == 0 {
			faults = append(faults, malformed("", "an empty presence_diff"))
		}
		for user := range diff.Joins {
			if _, both := diff.Leaves[user]; both && !f.ByRefs {
				faults = append(faults, malformed(user, " in both halves of a diff"))
			}
		}
		f.Joins, f.Leaves = read(diff.Joins), read(diff.Leaves)
	default:
		return nil, nil
	}
	return f, faults
}

func malformed(user, format string, args ...any) Fault {
	return Fault{Malformed, user, fmt.Sprintf(format, args...)}
}

func metas(user string, raw []json.RawMessage) (all []Meta, faults []Fault) {
	if len(raw) == 0 {
		faults = append(faults, malformed(user, " without metas"))
	}
	all = make([]Meta, len(raw))
	for i, text := range raw {
		m := &all[i]
		if err := json.Unmarshal(text, m); err != nil || m.PhxRef == "" || m.ConnectionID == "" || m.State == "" ||
			m.OnlineAt == 0 {
			faults = append(faults, malformed(user, " has the meta %s", text))
		}
		m.All = string(text)
	}
	return all, faults
}

// Take applies a frame. told is what it says to this client: "state", "join u", "update u", "leave u"; faults are what
// should not have been told to it.
func (r *Roster) Take(f *Frame) (told []string, faults []Fault) {
	if f.State {
		if f.ByRefs {
			faults = r.changed(f.Joins)
		}
		r.Users, r.whole = maps.Clone(f.Joins), true
		return []string{"state"}, faults
	}
	if r.Users == nil {
		r.Users = map[string][]Meta{} // a client that joined without tracking has no list to begin with
	}
	if f.ByRefs {
		return r.takeByRefs(f)
	}
	for _, u := range slices.Sorted(maps.Keys(f.Joins)) {
		metas := f.Joins[u]
		switch old, here := r.Users[u]; {
		case !here:
			told = append(told, "join "+u)
		case slices.Equal(old, metas):
			faults = append(faults, Fault{Again, u, " was told again, with nothing new"})
		default:
			told = append(told, "update "+u)
		}
		r.Users[u] = metas
	}
	for _, u := range slices.Sorted(maps.Keys(f.Leaves)) {
		if _, here := r.Users[u]; !here && r.whole {
			faults = append(faults, Fault{Stranger, u, " leaves, who was not there"})
		}
		told = append(told, "leave "+u)
		delete(r.Users, u)
	}
	return told, faults
}

// takeByRefs is Take of a diff for clients of Phoenix.
func (r *Roster) takeByRefs(f *Frame) (told []string, faults []Fault) {
	there := map[string]bool{} // the users that it is about, and whether they were there
	for _, half := range []map[string][]Meta{f.Joins, f.Leaves} {
		for u := range half {
			_, there[u] = r.Users[u]
		}
	}
	for _, u := range slices.Sorted(maps.Keys(there)) {
		metas := slices.Clone(r.Users[u])
		for _, m := range f.Joins[u] {
			if find(metas, m.PhxRef) != nil {
				faults = append(faults, Fault{Again, u, " was told again, by the ref " + m.PhxRef})
				continue
			}
			metas = append(metas, m)
		}
		for _, m := range f.Leaves[u] {
			switch {
			case find(f.Joins[u], m.PhxRef) != nil:
				faults = append(faults, malformed(u, " in both halves of a diff, by the ref %s", m.PhxRef))
			case find(metas, m.PhxRef) == nil && r.whole:
				faults = append(faults, Fault{Stranger, u, " leaves by the ref " + m.PhxRef + ", which was not there"})
			}
			metas = slices.DeleteFunc(metas, func(o Meta) bool { return o.PhxRef == m.PhxRef })
		}
		r.Users[u] = metas
		switch {
		case len(metas) == 0:
			delete(r.Users, u)
			told = append(told, "leave "+u)
		case there[u]:
			told = append(told, "update "+u)
		default:
			told = append(told, "join "+u)
		}
	}
	return told, faults
}

// changed finds metas of a state that changed under a ref that this client has: clients of Phoenix keep the old ones.
func (r *Roster) changed(state map[string][]Meta) (faults []Fault) {
	for u, metas := range state {
		for _, m := range metas {
			old := find(r.Users[u], m.PhxRef)
			if m.All = ""; old != nil && (Meta{m.PhxRef, old.ConnectionID, old.State, old.OnlineAt, ""}) != m {
				faults = append(faults, malformed(u, " changed under the ref %s", m.PhxRef))
			}
		}
	}
	return faults
}

// find gives the meta of a ref, or nil.
func find(metas []Meta, ref string) *Meta {
	if i := slices.IndexFunc(metas, func(m Meta) bool { return m.PhxRef == ref }); i >= 0 {
		return &metas[i]
	}
	return nil
}
