package presence

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Limits of SPEC 6.
const (
	MaxMeta    = 4 << 10  // bytes of one connection's own fields
	MaxDevices = 64       // connections of a user in a channel
	MaxMetas   = 16 << 10 // bytes of the fields of all of them
)

// Errors of a tracking. Their texts are for the author of the handler.
var (
	ErrNotTracked     = errors.New("this connection is not tracked in that channel")
	ErrTooManyDevices = fmt.Errorf("a user may have %d connections in a channel at most", MaxDevices)
	ErrMetasTooBig    = fmt.Errorf("metadata of all connections of one user in a channel is larger than %d bytes",
		MaxMetas)

	ErrMetaTooBig = fmt.Errorf("metadata of one connection is larger than %d bytes", MaxMeta)

	errUnavailable = errors.New("presence: Redis does not take writes of this node now")
)

// Fields are a meta's own fields, name to JSON value. A nil or "null" value handed to SetPresence deletes the field.
type Fields map[string]json.RawMessage

// reserved are the names that Rollcall itself writes into a meta (SPEC 6); in input they are dropped.
var reserved = []string{"connection_id", "online_at", "phx_ref"}

// Source says which kind of handler tracked a connection; it decides the two wire shapes of SPEC 1.1 and 1.2.
type Source byte

// The two kinds of handler.
const (
	FromEvent  Source = 'e' // track: Info is the own fields, state among them
	FromScript Source = 's' // presence.join: Info is user_info as the script gave it
)

// Meta is one tracked connection of a user. It is never changed after it was made.
type Meta struct {
	ConnID   string
	Inc      string // the incarnation that owns the entry; of no meaning to clients
	Ref      string // phx_ref
	JoinedAt int64  // ms, by the clock of the node that tracked it
	Source   Source
	NoState  bool   // Info has no "state", so clients are shown "online"
	Info     string // a JSON object
}

// same tells whether clients would see a difference.
func (m *Meta) same(o *Meta) bool {
	return m.Ref == o.Ref && m.Info == o.Info && m.ConnID == o.ConnID && m.JoinedAt == o.JoinedAt && m.Source == o.Source
}

// User is one present user: one meta for each tracked connection, oldest first. It is never changed after it was made,
// but for the cached text that render keeps in it.
type User struct {
	ID    string
	Seq   int64 // of the channel, at this user's last change
	Metas []Meta

	frag string // `"id":{"metas":[…]}`, kept in crowded channels; guarded by the channel's lock
}

func (u *User) key() string { return u.ID }

// pack puts the user's strings into one of their own: those of a message or an answer are parts of it, and keep all of
// it.
func (u *User) pack() {
	each := func(do func(s *string)) {
		do(&u.ID)
		for i := range u.Metas {
			m := &u.Metas[i]
			do(&m.ConnID)
			do(&m.Inc)
			do(&m.Ref)
			do(&m.Info)
		}
	}
	size := 0
	each(func(s *string) { size += len(*s) })
	var b strings.Builder
	b.Grow(size)
	each(func(s *string) { b.WriteString(*s) })
	rest := b.String()
	each(func(s *string) { *s, rest = rest[:len(*s)], rest[len(*s):] })
}

// meta finds the meta with a connection id.
func (u *User) meta(connID string) *Meta {
	if u == nil {
		return nil
	}
	for i := range u.Metas {
		if u.Metas[i].ConnID == connID {
			return &u.Metas[i]
		}
	}
	return nil
}

// last is the meta of the connection that came last.
func (u *User) last() *Meta { return &u.Metas[len(u.Metas)-1] }

// since is when the user's oldest connection came, in ms.
func (u *User) since() int64 {
	if len(u.Metas) == 0 {
		return 0
	}
	return u.Metas[0].JoinedAt
}

func sortMetas(ms []Meta) {
	slices.SortFunc(ms, func(a, b Meta) int {
		if a.JoinedAt != b.JoinedAt {
			if a.JoinedAt < b.JoinedAt {
				return -1
			}
			return 1
		}
		return strings.Compare(a.Ref, b.Ref)
	})
}

// Encoded are a connection's own fields, checked, as they go into its meta.
type Encoded struct {
	source  Source
	info    string // a JSON object
	noState bool
}

// Encode checks fields and writes them as a JSON object, names in order; reserved names are left out. ErrMetaTooBig.
func Encode(src Source, f Fields) (Encoded, error) {
	names := make([]string, 0, len(f))
	size := 2
	for k, v := range f {
		if v != nil && !slices.Contains(reserved, k) && !(k == "state" && string(v) == "null") { // no state is "online"
			names = append(names, k)
			size += len(k) + len(v) + 4
		}
	}
	slices.Sort(names)
	b := append(make([]byte, 0, size), '{')
	e := Encoded{source: src, noState: true}
	for i, k := range names {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendString(b, k), ':')
		b = append(b, f[k]...)
		e.noState = e.noState && k != "state"
	}
	b = append(b, '}')
	if len(b) > MaxMeta {
		return Encoded{}, ErrMetaTooBig
	}
	e.info = string(b)
	return e, nil
}

// merge is what set_presence does: later fields win, null deletes (SPEC 1.2).
func merge(info string, f Fields) (Fields, error) {
	out := Fields{}
	if err := json.Unmarshal([]byte(info), &out); err != nil {
		return nil, fmt.Errorf("decode stored metadata: %w", err)
	}
	for k, v := range f {
		if v == nil || string(v) == "null" {
			delete(out, k)
		} else {
			out[k] = v
		}
	}
	return out, nil
}

// body is a meta as Redis keeps it, `<inc> <phx_ref> <joined ms> <flags> <info>`, but for the incarnation, which the
// scripts put before it.
func (m *Meta) body() string {
	b := make([]byte, 0, len(m.Ref)+len(m.Info)+24)
	b = append(append(b, m.Ref...), ' ')
	b = strconv.AppendInt(b, m.JoinedAt, 10)
	b = append(b, ' ', byte(m.Source))
	if m.NoState {
		b = append(b, '-')
	}
	return string(append(append(b, ' '), m.Info...))
}

// parseEntry reads it, incarnation and all; the strings in the result are parts of it. While an entry lingers,
// linger.lua has put its deadline behind the flags, `<flags>~<ms>`, and zeros before it for the cause; readers need not
// know.
func parseEntry(connID, s string) (Meta, error) {
	var part [4]string
	rest, ok := s, true
	for i := range part {
		if part[i], rest, ok = strings.Cut(rest, " "); !ok {
			return Meta{}, errBadEntry(connID)
		}
	}
	at, err := strconv.ParseInt(part[2], 10, 64)
	flags, _, _ := strings.Cut(part[3], "~")
	if err != nil || len(flags) == 0 || len(flags) == 2 && flags[1] != '-' || len(flags) > 2 ||
		len(rest) < 2 || rest[0] != '{' || rest[len(rest)-1] != '}' {
		return Meta{}, errBadEntry(connID)
	}
	return Meta{ConnID: connID, Inc: part[0], Ref: part[1], JoinedAt: at, Source: Source(flags[0]),
		NoState: len(flags) == 2, Info: rest}, nil
}

func errBadEntry(connID string) error { return fmt.Errorf("presence entry of %q is damaged", connID) }
