package presence

import (
	"cmp"
	"slices"
	"strings"
)

// Replica is one node's view of who is in a channel: a pure value without I/O or clock. Its methods return what
// changed. The zero value is that of an empty channel.
//
// Invariant: users holds no user without metas, and none with a Seq past the replica's; every held meta is among its
// user's metas; base is at most seq.
type Replica struct {
	epoch string // "" while Redis holds nothing of the channel
	seq   int64
	base  int64 // seq of the last snapshot: messages up to it may still be on their way
	users few[string, *User]
	// held are metas that Redis lost, user id to connection id to the time (ms) until which their nodes may write them
	// again; 0: their node said meanwhile that they left.
	held       map[string]map[string]int64
	lost       bool        // the epoch has changed since something is held: it was not only missed that it left
	tombstones *tombstones // nil: none
}

// Transition is what a change did to one user: nil is absent.
type Transition struct {
	Before, After *User
	Cause         Cause // why the user's last connection left; CauseUnknown also while the user is there

	stayed bool // the user was not away between the two: one change did it
}

// ID names the user.
func (t Transition) ID() string {
	if t.After != nil {
		return t.After.ID
	}
	return t.Before.ID
}

// cause asks why the connection left that a leave is told of.
func (t *Transition) cause(of func(conn string) Cause) Cause {
	if t.After != nil {
		return CauseUnknown
	}
	return of(t.Before.last().ConnID)
}

// Position is the epoch and seq of the last change applied.
func (r *Replica) Position() (epoch string, seq int64) { return r.epoch, r.seq }

// User finds a present user, or nil.
func (r *Replica) User(id string) *User { return r.users.get(id) }

// Len counts the present users.
func (r *Replica) Len() int { return r.users.len() }

// Apply takes the next change. A change that the last snapshot held already does nothing. ok is false when it is
// neither (a gap): then nothing was applied and the replica has to be read again.
func (r *Replica) Apply(c *Change) (ts []Transition, ok bool) {
	switch {
	case c.Epoch == r.epoch && c.Seq == r.seq+1:
	case c.Seq == 1 && c.Epoch != r.epoch && (r.epoch == "" || r.users.len() == 0):
		r.base = 0 // a history begins, nothing of it was missed
	default:
		return nil, c.Epoch == r.epoch && r.seq == r.base && r.includes(c)
	}
	if r.seq = c.Seq; r.epoch != c.Epoch {
		r.epoch = strings.Clone(c.Epoch) // the message is longer
	}
	for _, conn := range c.Gone {
		r.release(conn)
	}
	if c.Op != OpReap {
		for i := range c.Users {
			r.bury(refsOf(r.users.get(c.Users[i].ID), c.Gone))
		}
	}
	for i := range c.Users {
		u := &c.Users[i]
		if t, changed := r.put(u.ID, u.Metas, u.Seq, nil); changed {
			t.stayed = t.Before != nil && t.After != nil
			t.Cause = t.cause(c.cause)
			ts = append(ts, t)
		}
	}
	return ts, true
}

// includes tells whether a change was made before the snapshot that the replica stands on, as far as can be seen:
// of its users the replica knows the same or something later. After a failover that lost writes it is not so.
func (r *Replica) includes(c *Change) bool {
	if c.Seq > r.base {
		return false
	}
	for i := range c.Users {
		u := &c.Users[i]
		metas := r.tombstones.without(u.Metas)
		switch have := r.users.get(u.ID); {
		case have == nil:
			if len(metas) > 0 {
				return false
			}
		case have.Seq < u.Seq, have.Seq == u.Seq && !sameMetas(have.Metas, metas):
			return false
		}
	}
	return true
}

// bury remembers metas that are known to have left.
func (r *Replica) bury(refs []string) {
	if len(refs) == 0 {
		return
	}
	if r.tombstones == nil {
		r.tombstones = &tombstones{}
	}
	r.tombstones.add(refs)
}

// release notes of held connections that they are said to have left.
func (r *Replica) release(conn string) {
	for _, conns := range r.held {
		if _, ok := conns[conn]; ok {
			conns[conn] = 0
		}
	}
}

// Reset takes a snapshot in place of all that was known. With holdUntil not 0 (Redis may have lost data) metas that are
// missing from it stay until then, since their nodes may be about to write them again.
func (r *Replica) Reset(s *Snapshot, holdUntil int64) (ts []Transition) {
	for _, l := range s.left {
		for i := range l.Users {
			// Else it may show who came back.
			if u := r.users.get(l.Users[i].ID); u != nil && (r.epoch != s.Epoch || u.Seq < l.Seq) {
				r.bury(refsOf(u, l.Gone))
			}
		}
	}
	r.lost = r.epoch != s.Epoch || r.lost && len(r.held) > 0
	r.epoch, r.seq, r.base = s.Epoch, s.Seq, s.Seq
	for conn := range s.gone {
		r.release(conn)
	}
	r.bury(s.refs)
	var h *hold
	if holdUntil != 0 {
		h = &hold{holdUntil, s.gone}
	}
	for u := range r.users.all() {
		if s.Users[u.ID] == nil {
			if t, changed := r.put(u.ID, nil, s.Seq, h); changed {
				t.Cause = t.cause(func(conn string) Cause { return s.gone[conn] })
				ts = append(ts, t)
			}
		}
	}
	for id, u := range s.Users {
		if t, changed := r.put(id, u.Metas, u.Seq, h); changed {
			ts = append(ts, t)
		}
	}
	sortTransitions(ts)
	return ts
}

// sortTransitions gives what was found by reading one order on all nodes: who left, then the others as they changed
// last.
func sortTransitions(ts []Transition) {
	slices.SortFunc(ts, func(a, b Transition) int {
		switch {
		case a.After == nil && b.After == nil:
			return strings.Compare(a.Before.ID, b.Before.ID)
		case a.After == nil:
			return -1
		case b.After == nil:
			return 1
		}
		return cmp.Or(cmp.Compare(a.After.Seq, b.After.Seq), strings.Compare(a.After.ID, b.After.ID))
	})
}

// hold says that metas which go missing stay until a time, but for connections that are known to have left.
type hold struct {
	until int64
	but   map[string]Cause
}

func (h *hold) excepts(conn string) bool {
	_, left := h.but[conn]
	return left
}

// Expire ends the holds that are over.
func (r *Replica) Expire(now int64) (ts []Transition) {
	why := CauseUnknown
	if r.lost {
		why = CauseNodeLost // which did not write it again
	}
	for id, conns := range r.held {
		old := r.users.get(id)
		stay := make([]Meta, 0, len(old.Metas))
		for _, m := range old.Metas {
			if until, ok := conns[m.ConnID]; ok && until <= now {
				delete(conns, m.ConnID)
				continue
			}
			stay = append(stay, m)
		}
		if len(conns) == 0 {
			delete(r.held, id)
		}
		if len(stay) < len(old.Metas) {
			t := r.set(id, old, stay, old.Seq)
			t.Cause = t.cause(func(string) Cause { return why })
			ts = append(ts, t)
		}
	}
	sortTransitions(ts)
	return ts
}

// Holding tells whether removals are held back, and until when the earliest.
func (r *Replica) Holding() (until int64, any bool) {
	for _, conns := range r.held {
		for _, t := range conns {
			if !any || t < until {
				until, any = t, true
			}
		}
	}
	return until, any
}

// Held counts the metas that are held.
func (r *Replica) Held() (n int) {
	for _, conns := range r.held {
		n += len(conns)
	}
	return n
}

// put makes metas the truth about a user, but for metas that are or become held.
func (r *Replica) put(id string, metas []Meta, seq int64, h *hold) (Transition, bool) {
	metas = r.tombstones.without(metas)
	old := r.users.get(id)
	if old == nil && len(metas) == 0 {
		return Transition{}, false
	}
	next := metas
	if old != nil && (h != nil || len(r.held[id]) > 0) {
		next = r.withHeld(id, old, metas, h)
	}
	if old != nil && sameMetas(old.Metas, next) {
		if old.Seq != seq || !sameOwners(old.Metas, next) {
			r.users.put(&User{ID: id, Seq: seq, Metas: next, frag: old.frag})
		}
		return Transition{}, false
	}
	return r.set(id, old, next, seq), true
}

// withHeld adds to metas what is or now becomes held of the old ones.
func (r *Replica) withHeld(id string, old *User, metas []Meta, h *hold) []Meta {
	conns := r.held[id]
	next := slices.Clone(metas)
	for _, m := range old.Metas {
		until, was := conns[m.ConnID]
		switch {
		case slices.ContainsFunc(metas, func(n Meta) bool { return n.ConnID == m.ConnID }):
			delete(conns, m.ConnID) // written again
		case was && until == 0:
			delete(conns, m.ConnID) // its node said that it left
		case was:
			next = append(next, m)
		case h != nil && !h.excepts(m.ConnID):
			if conns == nil {
				conns = map[string]int64{}
			}
			conns[m.ConnID] = h.until
			next = append(next, m)
		}
	}
	switch {
	case len(conns) == 0:
		delete(r.held, id)
	case r.held == nil:
		r.held = map[string]map[string]int64{id: conns}
	default:
		r.held[id] = conns
	}
	sortMetas(next)
	return next
}

func (r *Replica) set(id string, old *User, metas []Meta, seq int64) Transition {
	if len(metas) == 0 {
		r.users.drop(id)
		return Transition{Before: old}
	}
	u := &User{ID: id, Seq: seq, Metas: metas}
	r.users.put(u)
	return Transition{Before: old, After: u}
}

// List gives the users, the one who has been here longest first.
func (r *Replica) List() []*User {
	return slices.SortedFunc(r.users.all(), (*User).Compare)
}

func sortUsers(us []*User) { slices.SortFunc(us, (*User).Compare) }

// Compare is the order of lists: who has been here longest comes first.
func (u *User) Compare(o *User) int {
	return cmp.Or(cmp.Compare(u.since(), o.since()), strings.Compare(u.ID, o.ID))
}

// sameMetas tells whether clients would see the same.
func sameMetas(a, b []Meta) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !a[i].same(&b[i]) {
			return false
		}
	}
	return true
}

func sameOwners(a, b []Meta) bool {
	for i := range a {
		if a[i].Inc != b[i].Inc {
			return false
		}
	}
	return true
}

// Check returns what breaks the invariants, or "". For tests.
func (r *Replica) Check() string {
	for u := range r.users.all() {
		switch {
		case r.users.get(u.ID) != u || len(u.Metas) == 0:
			return "user " + u.ID + " is damaged or has no metas"
		case u.Seq > r.seq:
			return "user " + u.ID + " is ahead of the replica"
		}
	}
	for id, conns := range r.held {
		if len(conns) == 0 {
			return "empty hold of " + id
		}
		for c := range conns {
			if r.users.get(id).meta(c) == nil {
				return "held connection " + c + " is not among the metas of " + id
			}
		}
	}
	if r.base > r.seq {
		return "base is past seq"
	}
	return ""
}
