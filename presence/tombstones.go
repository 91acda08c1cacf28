package presence

import (
	"slices"
	"strings"
)

// maxTombstones is how many a channel keeps.
const maxTombstones = 256

// tombstones are the phx_refs of the last metas whose node said that they left, or that went as their user came back.
// None of them comes back: tracking again draws a new one. But a failover may lose such a leave; then Redis shows them
// again until their incarnation is reaped, and whoever saw them go must not be told that they are back. Those that a
// reaper removed have none: their node may be alive, and write them again.
//
// Invariant: refs holds exactly what ring does.
type tombstones struct {
	refs map[string]struct{}
	ring []string // the oldest is at next once it is full
	next int

	// returned are the incarnations of metas that came back nevertheless, until they are looked up. The view does not show
	// those metas, so nothing else tells that they may be orphans.
	returned []string
}

func (t *tombstones) add(refs []string) {
	for _, ref := range refs {
		if _, known := t.refs[ref]; known {
			continue
		}
		if t.refs == nil {
			t.refs = map[string]struct{}{}
		}
		if len(t.ring) < maxTombstones {
			t.ring = append(t.ring, ref)
		} else {
			delete(t.refs, t.ring[t.next])
			t.ring[t.next] = ref
			t.next = (t.next + 1) % maxTombstones
		}
		t.refs[ref] = struct{}{}
	}
}

// without gives metas but those that have departed. It copies only when there are any.
func (t *tombstones) without(metas []Meta) []Meta {
	if t == nil {
		return metas
	}
	has := func(m Meta) bool { _, ok := t.refs[m.Ref]; return ok }
	if !slices.ContainsFunc(metas, has) {
		return metas
	}
	for _, m := range metas {
		if has(m) && !slices.Contains(t.returned, m.Inc) {
			t.returned = append(t.returned, strings.Clone(m.Inc))
		}
	}
	return slices.DeleteFunc(slices.Clone(metas), has)
}

// takeReturned gives the incarnations of metas that came back, once.
func (t *tombstones) takeReturned() []string {
	if t == nil {
		return nil
	}
	incs := t.returned
	t.returned = nil
	return incs
}
