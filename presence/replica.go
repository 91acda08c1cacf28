package presence

import "slices"

// Replica is one node's view of who is in a channel: a pure value without I/O or clock. Its methods return what changed.
//
// Invariant: users holds no user without metas; every held meta is among its user's metas.
type Replica struct {
	epoch string // "" while Redis holds nothing of the channel
	seq   int64
	users map[string]*User
	// held are metas that Redis lost, user id to connection id to the time (ms) until which their nodes may write them again.
	held map[string]map[string]int64
}

// Transition is what a change did to one user: nil is absent.
type Transition struct{ Before, After *User }

// ID names the user.
func (t Transition) ID() string {
	if t.After != nil {
		return t.After.ID
	}
	return t.Before.ID
}

// Snapshot is what Redis held of a channel. A user's own Seq may be past Seq: pages are read one after another.
type Snapshot struct {
	Epoch string
	Seq   int64
	Users map[string]*User
}

// NewReplica gives the view of an empty channel.
func NewReplica() *Replica { return &Replica{users: map[string]*User{}} }

// Position is the epoch and seq of the last change applied.
func (r *Replica) Position() (epoch string, seq int64) { return r.epoch, r.seq }

// User finds a present user, or nil.
func (r *Replica) User(id string) *User { return r.users[id] }

// Len counts the present users.
func (r *Replica) Len() int { return len(r.users) }

// Apply takes the next change. ok is false when it is not the next one (a gap): then nothing was applied and the
// replica has to be read again.
func (r *Replica) Apply(c *Change) (ts []Transition, ok bool) {
	begins := c.Seq == 1 && len(r.users) == 0 // a history begins, and nothing of it was missed
	if !begins && (c.Epoch != r.epoch || c.Seq != r.seq+1) {
		return nil, false
	}
	r.epoch, r.seq = c.Epoch, c.Seq
	for _, conn := range c.Gone {
		r.release(conn)
	}
	for i := range c.Users {
		u := &c.Users[i]
		if old := r.users[u.ID]; old != nil && old.Seq > u.Seq {
			continue // a snapshot page was read after this change
		}
		if t, changed := r.put(u.ID, u.Metas, u.Seq, false, 0); changed {
			ts = append(ts, t)
		}
	}
	return ts, true
}

// release takes the hold from a connection that is said to have left.
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
	r.epoch, r.seq = s.Epoch, s.Seq
	for id := range r.users {
		if s.Users[id] == nil {
			if t, changed := r.put(id, nil, s.Seq, true, holdUntil); changed {
				ts = append(ts, t)
			}
		}
	}
	for id, u := range s.Users {
		if t, changed := r.put(id, u.Metas, u.Seq, true, holdUntil); changed {
			ts = append(ts, t)
		}
	}
	return ts
}

// Expire ends the holds that are over.
func (r *Replica) Expire(now int64) (ts []Transition) {
	for id, conns := range r.held {
		over := false
		for _, until := range conns {
			over = over || until <= now
		}
		if !over {
			continue
		}
		old := r.users[id]
		var stay []Meta
		for _, m := range old.Metas {
			if until, ok := conns[m.ConnID]; !ok || until > now {
				stay = append(stay, m)
			} else {
				delete(conns, m.ConnID)
			}
		}
		if len(conns) == 0 {
			delete(r.held, id)
		}
		ts = append(ts, r.set(id, old, stay, old.Seq))
	}
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

// put makes metas the truth about a user, but for metas that are held; with hold set, metas that go missing now are held
// until holdUntil (0: not held).
func (r *Replica) put(id string, metas []Meta, seq int64, reset bool, holdUntil int64) (Transition, bool) {
	old := r.users[id]
	if old == nil && len(metas) == 0 {
		return Transition{}, false
	}
	next := metas
	if old != nil && (holdUntil != 0 || len(r.held[id]) > 0) {
		next = r.withHeld(id, old, metas, reset, holdUntil)
	}
	if old != nil && sameMetas(old.Metas, next) {
		if old.Seq != seq || !sameOwners(old.Metas, next) {
			r.users[id] = &User{ID: id, Seq: seq, Metas: next, frag: old.frag}
		}
		return Transition{}, false
	}
	return r.set(id, old, next, seq), true
}

// withHeld adds to metas what is or now becomes held of the old ones.
func (r *Replica) withHeld(id string, old *User, metas []Meta, reset bool, holdUntil int64) []Meta {
	conns := r.held[id]
	next := slices.Clone(metas)
	for _, m := range old.Metas {
		_, was := conns[m.ConnID]
		if slices.ContainsFunc(metas, func(n Meta) bool { return n.ConnID == m.ConnID }) {
			delete(conns, m.ConnID) // written again
			continue
		}
		switch {
		case was && conns[m.ConnID] == 0: // its node said that it left
			delete(conns, m.ConnID)
			continue
		case !was && reset && holdUntil != 0:
			if conns == nil {
				conns = map[string]int64{}
				if r.held == nil {
					r.held = map[string]map[string]int64{}
				}
				r.held[id] = conns
			}
			conns[m.ConnID] = holdUntil
		case !was:
			continue
		}
		next = append(next, m)
	}
	if conns != nil && len(conns) == 0 {
		delete(r.held, id)
	}
	sortMetas(next)
	return next
}

func (r *Replica) set(id string, old *User, metas []Meta, seq int64) Transition {
	if len(metas) == 0 {
		delete(r.users, id)
		return Transition{Before: old}
	}
	u := &User{ID: id, Seq: seq, Metas: metas}
	r.users[id] = u
	return Transition{Before: old, After: u}
}

// List gives the users, the one who has been here longest first.
func (r *Replica) List() []*User {
	us := make([]*User, 0, len(r.users))
	for _, u := range r.users {
		us = append(us, u)
	}
	sortUsers(us)
	return us
}

func sortUsers(us []*User) {
	slices.SortFunc(us, func(a, b *User) int {
		if a.since() != b.since() {
			if a.since() < b.since() {
				return -1
			}
			return 1
		}
		if a.ID < b.ID {
			return -1
		}
		return 1
	})
}

func sameMetas(a, b []Meta) bool {
	return slices.EqualFunc(a, b, func(x, y Meta) bool { return x.same(&y) })
}

func sameOwners(a, b []Meta) bool {
	return slices.EqualFunc(a, b, func(x, y Meta) bool { return x.Inc == y.Inc })
}

// Check returns what breaks the invariants, or "". For tests.
func (r *Replica) Check() string {
	for id, u := range r.users {
		if u.ID != id || len(u.Metas) == 0 {
			return "user " + id + " is damaged or has no metas"
		}
	}
	for id, conns := range r.held {
		if len(conns) == 0 {
			return "empty hold of " + id
		}
		for c := range conns {
			if r.users[id].meta(c) == nil {
				return "held connection " + c + " is not among the metas of " + id
			}
		}
	}
	return ""
}
