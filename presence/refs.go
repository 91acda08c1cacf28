package presence

import "rollcall/phoenix"

// byRefs are the user's metas as clients of Phoenix see them.
func (u *User) byRefs() []phoenix.Meta {
	if u == nil {
		return nil
	}
	metas := make([]phoenix.Meta, len(u.Metas))
	var buf []byte
	for i := range u.Metas {
		buf = u.Metas[i].appendRest(buf[:0])
		metas[i] = phoenix.MetaOf(u.Metas[i].Ref, string(buf))
	}
	return metas
}

// renderByRefs is the payload of a presence_state for clients of Phoenix.
func renderByRefs(r *Replica) []byte {
	b := append(make([]byte, 0, 2+r.Len()*192), '{')
	first := true
	for u := range r.users.all() {
		if !first {
			b = append(b, ',')
		}
		first = false
		b = phoenix.AppendState(b, u.ID, u.byRefs())
	}
	return append(b, '}')
}

// changesByRefs are what clients of Phoenix are told of a flush, a user each.
func changesByRefs(ts []told) (cs []phoenix.Change) {
	for _, t := range ts {
		if t.Before == nil && t.After == nil { // came and went within the window
			continue
		}
		if c, changed := phoenix.Compare(t.ID(), t.Before.byRefs(), t.After.byRefs()); changed {
			cs = append(cs, c)
		}
	}
	return cs
}
