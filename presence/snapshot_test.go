package presence

import "testing"

// DESIGN 3: the snapshot is read "in pages", and changes that arrive meanwhile are settled with it.
func TestSnapshotAdvance(t *testing.T) {
	a1, a2, b3 := device("c1"), device("c2"), device("c3")
	read := func() *Snapshot { // b's page was read after change 12
		s := snapshot("e", 10, user("a", 7, a1), user("b", 12, b3))
		s.End = 12
		return s
	}
	for _, c := range []struct {
		name    string
		snap    *Snapshot
		changes []*Change
		ok      bool
		seq     int64
		view    string
		gone    string
	}{
		{"nothing came", read(), nil, true, 10, "a[c1] b[c3]", ""},
		{"what came before is known", read(),
			[]*Change{change("e", 9, "c1", user("a", 0)), change("e", 10, "", user("z", 0, a2))}, true, 10, "a[c1] b[c3]", ""},
		{"a join, and a change that a page held already", read(),
			[]*Change{change("e", 11, "", user("a", 0, a1, a2)),
				change("e", 12, "", user("b", 0, b3))}, true, 12, "a[c1 c2] b[c3]", ""},
		{"a user who left before the page was read comes and goes", read(),
			[]*Change{change("e", 11, "", user("z", 0, a2)),
				change("e", 12, "c2", user("z", 0))}, true, 12, "a[c1] b[c3]", "c2"},
		{"a leave", read(), []*Change{change("e", 11, "c1", user("a", 0))}, true, 11, "b[c3]", "c1"},
		{"gone and back", read(), []*Change{change("e", 11, "c1", user("a", 0)), change("e", 12, "", user("a", 0, a1))}, true,
			12, "a[c1] b[c3]", ""},
		{"one is missing", read(), []*Change{change("e", 12, "c1", user("a", 0))}, false, 10, "a[c1] b[c3]", ""},
		{"of another history", read(), []*Change{change("f", 11, "", user("z", 0, a2))}, false, 10, "a[c1] b[c3]", ""},
		{"a history begins after an empty reading", snapshot("", 0),
			[]*Change{change("f", 1, "", user("z", 0, a2)), change("f", 2, "", user("a", 0, a1))}, true, 2, "a[c1] z[c2]", ""},
		{"a history that began before an empty reading was not read whole", snapshot("", 0),
			[]*Change{change("f", 2, "", user("z", 0, a2))}, false, 0, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			ok := true
			for _, ch := range c.changes {
				ok = ok && c.snap.Advance(ch)
			}
			if ok != c.ok || c.snap.Seq != c.seq {
				t.Errorf("ok %v seq %d, want %v %d", ok, c.snap.Seq, c.ok, c.seq)
			}
			var us []*User
			for _, u := range c.snap.Users {
				us = append(us, u)
			}
			sortUsers(us)
			if got := show(us); got != c.view {
				t.Errorf("got %q, want %q", got, c.view)
			}
			gone := ""
			for conn := range c.snap.gone {
				gone += conn
			}
			if gone != c.gone {
				t.Errorf("gone are %q, want %q", gone, c.gone)
			}
		})
	}
}

// A connection that left while the snapshot was read is not held back, whatever else may have been lost.
func TestSnapshotGoneIsNotHeld(t *testing.T) {
	r := &Replica{}
	r.Reset(snapshot("e", 4, user("a", 4, device("c1")), user("b", 3, device("c3"))), 0)
	s := snapshot("e", 5, user("a", 4, device("c1")))
	if !s.Advance(change("e", 6, "c1", user("a", 0))) {
		t.Fatal("change refused")
	}
	ts := r.Reset(s, 100)
	if got, want := showTransitions(ts), "a: [c1] > -"; got != want {
		t.Errorf("told %q, want %q", got, want)
	}
	if got := show(r.List()); got != "b[c3]" {
		t.Errorf("view %q", got)
	}
	if fault := r.Check(); fault != "" {
		t.Error(fault)
	}
}
