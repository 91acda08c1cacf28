package presence

import (
	"errors"
	"slices"
	"strconv"
)

// MessagePrefix is the first byte of a presence change on a channel's topic. Broadcasts there begin with another.
const MessagePrefix = 'p'

// Op says what a change was, for logs; what it means to clients follows from the users in it.
type Op byte

// The changes that scripts publish.
const (
	OpJoin   Op = 'j'
	OpLeave  Op = 'l'
	OpUpdate Op = 'u'
	OpReap   Op = 'r'
)

// Change is one message of a presence script: every user concerned with all metas after the change.
//
// On the wire it is MessagePrefix and then netstrings ("length:bytes"): epoch, seq, op, the connections taken away
// (count, ids; before them causeMark and their cause), the users (count; each: id, count of metas; each: connection id,
// entry). Scripts build it by joining strings. Those of nodes that are older than causes give none.
type Change struct {
	Epoch string
	Seq   int64
	Op    Op
	Gone  []string // connection ids that left by this change; of a join those that lingered
	Users []User   // no Metas: the user has left

	causes []Cause // of Gone; nil: none is known
}

// cause tells why a connection left.
func (c *Change) cause(conn string) Cause {
	if i := slices.Index(c.Gone, conn); i >= 0 && i < len(c.causes) {
		return c.causes[i]
	}
	return CauseUnknown
}

// position is where a channel stands after the change.
func (c *Change) position() Position { return Position{c.Epoch, c.Seq} }

var errBadMessage = errors.New("presence message is damaged")

// maxList bounds counts in a message before they are believed.
const maxList = 1 << 16

// parseChange reads a message. The strings in the result are parts of it, but those of users.
func parseChange(msg string) (Change, error) {
	r := reader{rest: msg}
	if !r.prefix(MessagePrefix) {
		return Change{}, errBadMessage
	}
	var c Change
	c.Epoch = r.str()
	c.Seq = r.num()
	if op := r.str(); len(op) == 1 {
		c.Op = Op(op[0])
	} else {
		r.bad = true
	}
	var why Cause
	for range r.count() {
		switch s := r.str(); {
		case s != "" && s[0] == causeMark:
			why = Cause(s[1:])
		case why != CauseUnknown || c.causes != nil:
			c.causes = append(c.causes, make([]Cause, len(c.Gone)-len(c.causes))...)
			c.Gone, c.causes = append(c.Gone, s), append(c.causes, why)
		default:
			c.Gone = append(c.Gone, s)
		}
	}
	n := r.count()
	if !r.bad && n > 0 {
		c.Users = make([]User, 0, min(n, 64))
	}
	for range n {
		u := User{ID: r.str(), Seq: c.Seq}
		k := r.count()
		if r.bad {
			break
		}
		if k > 0 {
			u.Metas = make([]Meta, 0, min(k, 64))
		}
		for range k {
			conn := r.str()
			m, err := parseEntry(conn, r.str())
			if r.bad {
				break
			}
			if err != nil {
				return Change{}, err
			}
			u.Metas = append(u.Metas, m)
		}
		sortMetas(u.Metas)
		u.pack()
		c.Users = append(c.Users, u)
	}
	if r.bad || r.rest != "" {
		return Change{}, errBadMessage
	}
	return c, nil
}

// reader takes netstrings from a text; after the first fault it gives zero values.
type reader struct {
	rest string
	bad  bool
}

func (r *reader) prefix(b byte) bool {
	if r.rest == "" || r.rest[0] != b {
		return false
	}
	r.rest = r.rest[1:]
	return true
}

func (r *reader) str() string {
	n := 0
	for i := 0; i < len(r.rest) && !r.bad; i++ {
		switch c := r.rest[i]; {
		case c == ':' && i > 0:
			if i+1+n > len(r.rest) {
				r.bad = true
				return ""
			}
			s := r.rest[i+1 : i+1+n]
			r.rest = r.rest[i+1+n:]
			return s
		case c >= '0' && c <= '9' && i < 8:
			n = n*10 + int(c-'0')
		default:
			r.bad = true
		}
	}
	r.bad = true
	return ""
}

func (r *reader) num() int64 {
	n, err := strconv.ParseInt(r.str(), 10, 64)
	if err != nil {
		r.bad = true
		return 0
	}
	return n
}

func (r *reader) count() int {
	n := r.num()
	if n < 0 || n > maxList {
		r.bad = true
		return 0
	}
	return int(n)
}
