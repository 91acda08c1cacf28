package presence

import (
	"bytes"
	"encoding/json"
	"strconv"
)

// Event is what connection scripts hear of a change (SPEC 1.1): a user's first connection, its last, or changed
// metadata.
type Event struct {
	Type   string // "join", "leave", "update"
	UserID string
	Meta   *Meta // of the connection that caused it
	Cause  Cause // of a leave
}

// UserInfo is the JSON object that scripts see of a connection: what a script gave, or an event handler's own fields
// with state and user_id (SPEC 6).
func (m *Meta) UserInfo(userID string) []byte {
	if m.Source == FromScript {
		return []byte(m.Info)
	}
	b := append(make([]byte, 0, len(m.Info)+len(userID)+40), `{"user_id":`...)
	b = appendString(b, userID)
	if m.NoState {
		b = append(b, `,"state":"online"`...)
	}
	return appendInner(b, m.Info)
}

// AppendJSON writes the meta in Phoenix's shape with its own fields at top level.
func (m *Meta) AppendJSON(b []byte) []byte {
	b = append(b, `{"phx_ref":"`...)
	b = append(b, m.Ref...)
	b = append(b, `","connection_id":"`...)
	b = append(b, m.ConnID...)
	b = append(b, '"')
	if m.NoState {
		b = append(b, `,"state":"online"`...)
	}
	b = append(b, `,"online_at":`...)
	b = strconv.AppendInt(b, m.JoinedAt/1000, 10)
	return appendInner(b, m.Info)
}

// appendInner ends an object that has fields with those of another object's text.
func appendInner(b []byte, object string) []byte {
	if len(object) > 2 {
		b = append(b, ',')
	}
	return append(b, object[1:]...)
}

// AppendMetas writes {"metas":[…]}.
func (u *User) AppendMetas(b []byte) []byte {
	b = append(b, `{"metas":[`...)
	for i := range u.Metas {
		if i > 0 {
			b = append(b, ',')
		}
		b = u.Metas[i].AppendJSON(b)
	}
	return append(b, `]}`...)
}

// fragment is the user as a member of joins, leaves or a state's payload, made once.
func (u *User) fragment() string {
	if u.frag == "" {
		b := make([]byte, 0, len(u.ID)+24+len(u.Metas)*160)
		u.frag = string(u.AppendMetas(append(appendString(b, u.ID), ':')))
	}
	return u.frag
}

// renderState is the presence_state frame of SPEC 1.2.
func renderState(channel string, r *Replica) []byte {
	size := 80 + len(channel)
	for u := range r.users.all() {
		size += len(u.fragment()) + 1
	}
	b := append(make([]byte, 0, size), `{"event":"presence_state","channel":`...)
	b = append(appendString(b, channel), `,"payload":{`...)
	first := true
	for u := range r.users.all() {
		if !first {
			b = append(b, ',')
		}
		first = false
		b = append(b, u.fragment()...)
	}
	return append(b, `}}`...)
}

// outcome is what a transition means to plain clients.
type outcome byte

const (
	unseen  outcome = iota // nothing that clients could see
	devices                // a second device came or one of several went: for presence = "devices" only
	joins                  // now present with these metas, all of them
	leaves                 // gone
)

// told is what clients have to be told of a user: one transition or several in a row.
type told struct {
	Transition
	cut bool // somewhere between the user was away, or may have been
}

// overlap tells whether a connection was there both before and after: then the user was never away.
func (t Transition) overlap() bool {
	if t.Before == nil || t.After == nil {
		return false
	}
	for i := range t.After.Metas {
		if m := &t.After.Metas[i]; sameTracking(t.Before.meta(m.ConnID), m) {
			return true
		}
	}
	return false
}

// sameTracking tells whether two metas are of one tracking, though perhaps with other metadata.
func sameTracking(a, b *Meta) bool { return a != nil && a.ConnID == b.ConnID && a.Ref == b.Ref }

// outcomeOf decides between the halves of a presence_diff (SPEC 1.2).
func outcomeOf(t told) outcome {
	before, after := t.Before, t.After
	switch {
	case before == nil && after == nil:
		return unseen
	case before == nil:
		return joins
	case after == nil:
		return leaves
	case sameMetas(before.Metas, after.Metas):
		return unseen
	}
	common, anew := false, false
	for i := range after.Metas {
		m := &after.Metas[i]
		switch old := before.meta(m.ConnID); {
		case old == nil:
		case !sameTracking(old, m):
			anew = true
		case !old.same(m):
			return joins // set_presence
		default:
			common = true
		}
	}
	if !common && (t.cut || anew) {
		return joins // left and came back: joins alone with the new metas
	}
	return devices
}

// frames are the presence_diff texts of one flush; nil where there is nothing to tell.
type frames struct{ plain, devices []byte }

// renderDiff makes both texts from the users' values before and after.
func renderDiff(channel string, ts []told) frames {
	var in, dev, out []*User
	for _, t := range ts {
		switch outcomeOf(t) {
		case joins:
			in = append(in, t.After)
		case devices:
			dev = append(dev, t.After)
		case leaves:
			out = append(out, t.Before)
		}
	}
	var f frames
	if len(in)+len(out) > 0 {
		f.plain = diffText(channel, in, out)
	}
	f.devices = f.plain
	if len(dev) > 0 {
		f.devices = diffText(channel, append(in, dev...), out)
	}
	return f
}

func diffText(channel string, in, out []*User) []byte {
	size := 96 + len(channel)
	for _, u := range in {
		size += len(u.fragment()) + 1
	}
	for _, u := range out {
		size += len(u.fragment()) + 1
	}
	b := append(make([]byte, 0, size), `{"event":"presence_diff","channel":`...)
	b = append(appendString(b, channel), `,"payload":{"joins":{`...)
	b = appendFragments(b, in)
	b = append(b, `},"leaves":{`...)
	b = appendFragments(b, out)
	return append(b, `}}}`...)
}

func appendFragments(b []byte, us []*User) []byte {
	for i, u := range us {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, u.fragment()...)
	}
	return b
}

// appendEvents tells scripts of a transition: one join for a user's first connection, one leave for the last, an update
// for each connection whose metadata changed. A second device is no event (SPEC 6).
func appendEvents(es []Event, t Transition) []Event {
	switch {
	case t.Before == nil && t.After == nil:
		return es
	case t.Before == nil:
		return append(es, Event{Type: "join", UserID: t.After.ID, Meta: &t.After.Metas[0]})
	case t.After == nil:
		return append(es, Event{"leave", t.Before.ID, t.Before.last(), t.Cause})
	}
	for i := range t.After.Metas {
		m := &t.After.Metas[i]
		if old := t.Before.meta(m.ConnID); old != nil && !old.same(m) {
			es = append(es, Event{Type: "update", UserID: t.After.ID, Meta: m})
		}
	}
	return es
}

// appendString writes s as a JSON string, in UTF-8, HTML characters as they are.
func appendString(b []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < 0x20 || c == '"' || c == '\\' || c >= 0x7f {
			return appendQuoted(b, s)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

func appendQuoted(b []byte, s string) []byte {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(s) // a string always encodes
	return append(b, bytes.TrimSuffix(buf.Bytes(), []byte("\n"))...)
}
