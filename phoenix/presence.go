package phoenix

import (
	"encoding/base64"
	"encoding/binary"
	"hash/fnv"
)

// The events of presence.
const (
	StateEvent = "presence_state"
	DiffEvent  = "presence_diff"
)

// Meta is one meta of a user as clients of Phoenix see it. Their Presence classes tell metas apart by their refs alone
// and never look whether one with the same ref has changed. So a ref changes exactly when the text does.
type Meta struct {
	Tracking string // the ref of the tracking, which stays while its text changes
	Ref      string
	Rest     string // the fields behind the ref, as in an object's text: `"a":1,"b":2}`
}

// MetaOf makes a meta. Its ref is that of the tracking, a dot and a hash of the text: the same on every node.
func MetaOf(tracking, rest string) Meta {
	h := fnv.New64a()
	_, _ = h.Write([]byte(rest)) // never fails
	var sum [8]byte
	binary.BigEndian.PutUint64(sum[:], h.Sum64())
	return Meta{Tracking: tracking, Ref: tracking + "." + base64.RawURLEncoding.EncodeToString(sum[:]), Rest: rest}
}

// append writes a meta; prev is the ref under which the same tracking was told before, "" none.
func (m *Meta) append(b []byte, prev string) []byte {
	b = append(append(append(b, `{"phx_ref":"`...), m.Ref...), `",`...)
	if prev != "" {
		b = append(append(append(b, `"phx_ref_prev":"`...), prev...), `",`...)
	}
	return append(b, m.Rest...)
}

// AppendState writes a user for a presence_state: `"id":{"metas":[…]}`.
func AppendState(b []byte, user string, metas []Meta) []byte {
	b = append(quote(b, user), `:{"metas":[`...)
	for i := range metas {
		if i > 0 {
			b = append(b, ',')
		}
		b = metas[i].append(b, "")
	}
	return append(b, `]}`...)
}

// Change is what a presence_diff tells of one user: members of joins and leaves, `"id":{"metas":[…]}`; "" nothing.
type Change struct{ Joins, Leaves string }

// Compare tells what a user's metas have become since they were told last: joins are those whose ref was not told, with
// the ref told before of the same tracking; leaves are those told whose ref is gone, as they were told. false: nothing.
func Compare(user string, told, now []Meta) (c Change, changed bool) {
	var in, out []byte
	for i := range now {
		if find(told, now[i].Ref) {
			continue
		}
		in = now[i].append(appendUser(in, user), previous(told, now[i].Tracking))
	}
	for i := range told {
		if !find(now, told[i].Ref) {
			out = told[i].append(appendUser(out, user), "")
		}
	}
	if in != nil {
		c.Joins = string(append(in, `]}`...))
	}
	if out != nil {
		c.Leaves = string(append(out, `]}`...))
	}
	return c, in != nil || out != nil
}

// appendUser begins a user's metas, or goes on with them.
func appendUser(b []byte, user string) []byte {
	if b != nil {
		return append(b, ',')
	}
	return append(quote(nil, user), `:{"metas":[`...)
}

func find(metas []Meta, ref string) bool {
	for i := range metas {
		if metas[i].Ref == ref {
			return true
		}
	}
	return false
}

// previous is the ref under which a tracking was told; "": it was not.
func previous(metas []Meta, tracking string) string {
	for i := range metas {
		if metas[i].Tracking == tracking {
			return metas[i].Ref
		}
	}
	return ""
}

// DiffPayload is the payload of a presence_diff. Both halves are always there.
func DiffPayload(changes []Change) string {
	size := 32
	for i := range changes {
		size += len(changes[i].Joins) + len(changes[i].Leaves) + 2
	}
	b := append(make([]byte, 0, size), `{"joins":{`...)
	b = appendHalf(b, changes, func(c *Change) string { return c.Joins })
	b = append(b, `},"leaves":{`...)
	b = appendHalf(b, changes, func(c *Change) string { return c.Leaves })
	return string(append(b, `}}`...))
}

func appendHalf(b []byte, changes []Change, half func(*Change) string) []byte {
	first := true
	for i := range changes {
		text := half(&changes[i])
		if text == "" {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b = append(b, text...)
	}
	return b
}
