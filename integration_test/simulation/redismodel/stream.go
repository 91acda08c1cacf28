package redismodel

import (
	"slices"
	"strconv"
	"strings"
)

// Stream is a stream of entries with one field, whose name is empty.
type Stream struct {
	Entries []Entry
	last    streamID // of all that ever were
}

// Entry is one of a stream.
type Entry struct {
	id   streamID
	Text string
}

// ID is the entry's id.
func (e Entry) ID() string { return e.id.String() }

type streamID struct{ ms, seq int64 }

func (id streamID) String() string {
	return strconv.FormatInt(id.ms, 10) + "-" + strconv.FormatInt(id.seq, 10)
}

func (id streamID) before(o streamID) bool { return id.ms < o.ms || id.ms == o.ms && id.seq < o.seq }

// parseID reads an id; one without a seq has that one.
func parseID(text string, seq int64) (id streamID, err error) {
	ms, rest, both := strings.Cut(text, "-")
	id.seq = seq
	if id.ms, err = strconv.ParseInt(ms, 10, 64); err == nil && both {
		id.seq, err = strconv.ParseInt(rest, 10, 64)
	}
	return id, err
}

func (s *Stream) clone() *Stream {
	if s == nil {
		return nil
	}
	return &Stream{slices.Clone(s.Entries), s.last}
}

// cut takes the first n entries off.
func (s *Stream) cut(n int) { s.Entries = slices.Delete(s.Entries, 0, n) }

func (s *Server) stream(key string) []Entry {
	if i := s.get(key); i != nil && i.Stream != nil {
		return i.Stream.Entries
	}
	return nil
}

// perNode is how many entries Redis keeps in one node of a stream: MAXLEN ~ takes whole nodes off.
const perNode = 100

// xadd is key, perhaps MAXLEN ~ and a number, id, the empty name, text.
func xadd(s *Server, a []string) (any, error) {
	most := -1
	key, rest := a[0], a[1:]
	if len(rest) == 6 && strings.EqualFold(rest[0], "maxlen") && rest[1] == "~" {
		var err error
		if most, err = strconv.Atoi(rest[2]); err != nil {
			return nil, errSyntax
		}
		rest = rest[3:]
	}
	if len(rest) != 3 || rest[1] != "" {
		return nil, errSyntax
	}
	id, err := parseID(rest[0], 0)
	if err != nil {
		return nil, err
	}
	i := s.change(key)
	if i.Stream == nil {
		i.Stream = &Stream{}
	}
	if !i.Stream.last.before(id) {
		return nil, errID
	}
	i.Stream.last = id
	i.Stream.Entries = append(i.Stream.Entries, Entry{id, rest[2]})
	for most >= 0 && len(i.Stream.Entries)-perNode >= most {
		i.Stream.cut(perNode)
	}
	return rest[0], nil
}

// xrange is from and to, "-", "+" or ids, and perhaps COUNT and a number.
func xrange(s *Server, key, from, to string, more []string, reverse bool) (any, error) {
	first, last := streamID{}, streamID{1<<63 - 1, 1<<63 - 1}
	var err error
	if from != "-" {
		if first, err = parseID(from, 0); err != nil {
			return nil, errSyntax
		}
	}
	if to != "+" {
		if last, err = parseID(to, 1<<63-1); err != nil {
			return nil, errSyntax
		}
	}
	count := -1
	if len(more) > 0 {
		count, err = strconv.Atoi(more[len(more)-1])
		if err != nil || len(more) != 2 || !strings.EqualFold(more[0], "count") {
			return nil, errSyntax
		}
	}
	entries := slices.Clone(s.stream(key))
	if reverse {
		slices.Reverse(entries)
	}
	out := []any{}
	for _, e := range entries {
		if !e.id.before(first) && !last.before(e.id) && (count < 0 || len(out) < count) {
			out = append(out, []any{e.ID(), []any{"", e.Text}})
		}
	}
	return out, nil
}

// xdel is key and one id.
func xdel(s *Server, a []string) (any, error) {
	at := slices.IndexFunc(s.stream(a[0]), func(e Entry) bool { return e.ID() == a[1] })
	if at < 0 || len(a) != 2 {
		return int64(0), nil
	}
	i := s.change(a[0])
	i.Stream.Entries = slices.Delete(i.Stream.Entries, at, at+1)
	return int64(1), nil
}

// xtrim is key, MAXLEN and a number.
func xtrim(s *Server, a []string) (any, error) {
	if len(a) != 3 || !strings.EqualFold(a[1], "maxlen") {
		return nil, errSyntax
	}
	most, err := strconv.Atoi(a[2])
	over := len(s.stream(a[0])) - most
	if err != nil || over <= 0 {
		return int64(0), err
	}
	s.change(a[0]).Stream.cut(over)
	return int64(over), nil
}
