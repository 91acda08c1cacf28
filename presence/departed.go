package presence

import "slices"

// maxDeparted is how many departures of a channel are remembered.
const maxDeparted = 256

// departed remembers the phx_refs of the last metas whose node said that they left, or that went as their user came back. None of them comes back: tracking again
// draws a new one. But a failover may lose such a leave; then Redis shows them again until their incarnation is reaped, and
// whoever saw them go must not be told that they are back. Those that a reaper removed do not count: their node may be
// alive, and write them again.
//
// Invariant: refs holds exactly what ring does.
type departed struct {
	refs map[string]struct{}
	ring []string // the oldest is at next once it is full
	next int
}

// note remembers the metas of a user that were of these connections.
func (d *departed) note(u *User, conns []string) {
	if u != nil && len(conns) > 0 {
		d.add(refsOf(u, conns))
	}
}

func (d *departed) add(refs []string) {
	for _, ref := range refs {
		if _, known := d.refs[ref]; known {
			continue
		}
		if d.refs == nil {
			d.refs = map[string]struct{}{}
		}
		if len(d.ring) < maxDeparted {
			d.ring = append(d.ring, ref)
		} else {
			delete(d.refs, d.ring[d.next])
			d.ring[d.next] = ref
			d.next = (d.next + 1) % maxDeparted
		}
		d.refs[ref] = struct{}{}
	}
}

// without gives metas but those that have departed. It copies only when there are any.
func (d *departed) without(metas []Meta) []Meta {
	has := func(m Meta) bool { _, ok := d.refs[m.Ref]; return ok }
	if len(d.refs) == 0 || !slices.ContainsFunc(metas, has) {
		return metas
	}
	return slices.DeleteFunc(slices.Clone(metas), has)
}
