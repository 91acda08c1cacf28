package presence

import (
	"fmt"
	"testing"
)

// left is a change by which nodes say that connections of theirs left.
func left(epoch string, seq int64, gone string, users ...User) *Change {
	c := change(epoch, seq, gone, users...)
	c.Op = OpLeave
	return c
}

// SPEC 5.1: "one leave for each user who really went", also when a failover loses the leave that clients were told.
func TestReplicaAfterALostLeave(t *testing.T) {
	a1, a2, b3 := device("c1"), device("c2"), device("c3")
	again := a1
	again.Ref = "another ref"
	for name, steps := range map[string][]step{
		"Redis shows a user again": {
			{reset: snapshot("e", 4, user("a", 4, a1), user("b", 3, b3)), told: "a: - > [c1]; b: - > [c3]", view: "a[c1] b[c3]"},
			{change: left("e", 5, "c1", user("a", 0)), told: "a: [c1] > -", view: "b[c3]"},
			{reset: snapshot("e", 4, user("a", 4, a1), user("b", 3, b3)), hold: 100, view: "b[c3]"},
			{change: change("e", 5, "c1", user("a", 0)), view: "b[c3]"}, // reaped
		},
		"Redis shows a device again": {
			{reset: snapshot("e", 4, user("a", 4, a1, a2)), told: "a: - > [c1 c2]", view: "a[c1 c2]"},
			{change: left("e", 5, "c1", user("a", 0, a2)), told: "a: [c1 c2] > [c2]", view: "a[c2]"},
			{reset: snapshot("e", 4, user("a", 4, a1, a2)), hold: 100, view: "a[c2]"},
			{change: change("e", 5, "", user("a", 0, a1, a2)), view: "a[c2]"},
			{change: left("e", 6, "c2", user("a", 0, a1)), told: "a: [c2] > -", view: ""},
			{expire: 100, view: ""},
		},
		"a change shows the user again": {
			{reset: snapshot("e", 4, user("a", 4, a1)), told: "a: - > [c1]", view: "a[c1]"},
			{change: left("e", 5, "c1", user("a", 0)), told: "a: [c1] > -", view: ""},
			{reset: snapshot("e", 4, user("a", 4, a1)), view: ""},
			{change: change("e", 5, "", user("a", 0, a1, b3)), told: "a: - > [c3]", view: "a[c3]"},
		},
		"a message from before the snapshot is no gap": {
			{reset: snapshot("e", 4, user("a", 4, a1)), told: "a: - > [c1]", view: "a[c1]"},
			{change: left("e", 5, "c1", user("a", 0)), told: "a: [c1] > -", view: ""},
			{reset: snapshot("e", 4, user("a", 4, a1)), view: ""},
			{change: change("e", 4, "", user("a", 0, a1)), view: ""},
		},
		"a leave while held": {
			{reset: snapshot("e", 4, user("a", 4, a1)), told: "a: - > [c1]", view: "a[c1]"},
			{reset: snapshot("f", 1), hold: 100, view: "a[c1]"},
			{change: left("f", 2, "c1", user("a", 0)), told: "a: [c1] > -", view: ""},
			{reset: snapshot("e", 4, user("a", 4, a1)), hold: 200, view: ""},
		},
		"a leave while the snapshot was read": {
			{reset: snapshot("e", 4, user("a", 4, a1)), told: "a: - > [c1]", view: "a[c1]"},
			{reset: advanced(snapshot("e", 4, user("a", 4, a1)), left("e", 5, "c1", user("a", 0))), told: "a: [c1] > -",
				view: ""},
			{reset: snapshot("e", 4, user("a", 4, a1)), hold: 100, view: ""},
		},
		"a leave while the snapshot was read, of one who was not known": {
			{reset: advanced(snapshot("e", 4, user("a", 4, a1)), left("e", 5, "c1", user("a", 0))), view: ""},
			{reset: snapshot("e", 4, user("a", 4, a1)), hold: 100, view: ""},
		},
		"a leave while the snapshot was read, whose pages lack it": {
			{reset: snapshot("e", 4, user("a", 4, a1)), told: "a: - > [c1]", view: "a[c1]"},
			{reset: advanced(snapshot("e", 4), left("e", 5, "c1", user("a", 0))), told: "a: [c1] > -", view: ""},
			{reset: snapshot("e", 4, user("a", 4, a1)), hold: 100, view: ""},
		},
		"a leave while the snapshot was read, whose pages show that it came back": {
			{reset: advanced(snapshot("e", 4, user("a", 6, again)), left("e", 5, "c1", user("a", 0)),
				change("e", 6, "", user("a", 0, again))),
				told: "a: - > [c1]", view: "a[c1]"},
		},
		"a leave while the snapshot was read, and a return, both told already": {
			{reset: snapshot("e", 4, user("a", 4, a1)), told: "a: - > [c1]", view: "a[c1]"},
			{change: left("e", 5, "c1", user("a", 0)), told: "a: [c1] > -", view: ""},
			{change: change("e", 6, "", user("b", 0, again)), told: "b: - > [c1]", view: "b[c1]"},
			{reset: advanced(snapshot("e", 4, user("a", 4, a1)), left("e", 5, "c1", user("a", 0)),
				change("e", 6, "", user("b", 0, again))), view: "b[c1]"},
			{reset: snapshot("e", 4, user("a", 4, a1)), hold: 100, view: "b[c1]"},
		},
		"it tracks as another, and the leave comes last, while the snapshot was read": {
			{reset: snapshot("e", 4, user("a", 4, a1)), told: "a: - > [c1]", view: "a[c1]"},
			{reset: advanced(snapshot("e", 4, user("a", 4, a1)), change("e", 5, "", user("b", 0, again)),
				left("e", 6, "c1", user("a", 0))),
				told: "a: [c1] > -; b: - > [c1]", view: "b[c1]"},
			{reset: advanced(snapshot("e", 5, user("a", 4, a1), user("b", 5, again)), left("e", 6, "c1", user("a", 0))),
				view: "b[c1]"},
		},
		"the connection tracks again": {
			{reset: snapshot("e", 4, user("a", 4, a1)), told: "a: - > [c1]", view: "a[c1]"},
			{change: left("e", 5, "c1", user("a", 0)), told: "a: [c1] > -", view: ""},
			{change: change("e", 6, "", user("a", 0, again)), told: "a: - > [c1]", view: "a[c1]"},
		},
		"one who was reaped may come back: the node lives": {
			{reset: snapshot("e", 4, user("a", 4, a1)), told: "a: - > [c1]", view: "a[c1]"},
			{change: change("e", 5, "c1", user("a", 0)), told: "a: [c1] > -", view: ""},
			{change: change("e", 6, "", user("a", 0, a1)), told: "a: - > [c1]", view: "a[c1]"},
		},
	} {
		t.Run(name, func(t *testing.T) { walk(t, &Replica{}, steps) })
	}
}

func advanced(s *Snapshot, changes ...*Change) *Snapshot {
	for _, c := range changes {
		s.Advance(c)
	}
	return s
}

// Only so many departures are remembered, the last ones.
func TestTombstonesAreBounded(t *testing.T) {
	var d tombstones
	ref := func(i int) string { return fmt.Sprint("ref", i) }
	for i := range 3 * maxTombstones {
		d.add([]string{ref(i), ref(i)})
		if len(d.refs) != len(d.ring) || len(d.ring) > maxTombstones {
			t.Fatalf("after %d: %d refs, %d in the ring", i, len(d.refs), len(d.ring))
		}
	}
	metas := []Meta{{Ref: ref(2*maxTombstones - 1)}, {Ref: ref(2 * maxTombstones)}, {Ref: ref(3*maxTombstones - 1)}}
	if got := d.without(metas); len(got) != 1 || got[0].Ref != metas[0].Ref || len(metas) != 3 || metas[1].Ref == "" {
		t.Errorf("left %v of %v", got, metas)
	}
}
