package presence

import "slices"

// Snapshot is what Redis held of a channel. Its pages are read one after another, while the channel goes on changing:
// between Seq, where it stood before the first page, and End, where it stood after the last. Advance adds the changes
// of that time, which came by the topic; with all of them up to End the snapshot is the channel's state at one moment,
// whichever of them a page held already, since each change carries its users whole.
//
// Invariant: no user's Seq is past End.
type Snapshot struct {
	Epoch string
	Seq   int64
	End   int64
	Users map[string]*User

	gone map[string]Cause // connections that left by the changes added
	left []*Change        // those by which nodes said that connections of theirs left
	refs []string         // the phx_refs they had, as far as the pages told
}

// Advance adds the next change. A change from before the snapshot does nothing. false: changes are missing between, or
// it is of another history; then the snapshot has to be read again.
func (s *Snapshot) Advance(c *Change) bool {
	switch {
	case c.Epoch == s.Epoch && c.Seq <= s.Seq:
		return true
	case c.Epoch == s.Epoch && c.Seq == s.Seq+1:
	case s.Epoch == "" && c.Seq == 1:
		s.Epoch = c.Epoch
	default:
		return false
	}
	s.Seq = c.Seq
	if len(c.Gone) > 0 && s.gone == nil {
		s.gone = map[string]Cause{}
	}
	for _, conn := range c.Gone {
		s.gone[conn] = c.cause(conn)
	}
	if c.Op != OpReap && len(c.Gone) > 0 {
		s.left = append(s.left, c)
	}
	for i := range c.Users {
		u := &c.Users[i]
		if page := s.Users[u.ID]; c.Op != OpReap && page != nil && page.Seq < c.Seq { // else it may show who came back
			s.refs = append(s.refs, refsOf(page, c.Gone)...)
		}
		if len(u.Metas) == 0 {
			delete(s.Users, u.ID)
		} else {
			s.Users[u.ID] = u
		}
		for _, m := range u.Metas {
			delete(s.gone, m.ConnID)
		}
	}
	return true
}

// refsOf gives the phx_refs of a user's metas of these connections; u may be nil.
func refsOf(u *User, conns []string) (refs []string) {
	if u == nil {
		return nil
	}
	for i := range u.Metas {
		if m := &u.Metas[i]; slices.Contains(conns, m.ConnID) {
			refs = append(refs, m.Ref)
		}
	}
	return refs
}
