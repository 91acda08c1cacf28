package presence

import "testing"

// Each reason to read a channel again has a label of its own.
func TestResyncsHaveLabels(t *testing.T) {
	var s Stats
	for r := range resync(resyncs) {
		s.resyncs[r].Add(int64(r) + 1)
	}
	by := s.Resyncs()
	if len(by) != resyncs || by["gap"] != int64(resyncGap)+1 || by["orphan"] != int64(resyncOrphan)+1 || by[""] != 0 {
		t.Errorf("%v", by)
	}
}

// DESIGN 3, "Held-back removals": they are counted as long as they are held.
func TestHeld(t *testing.T) {
	r := NewReplica()
	meta := func(conn string) Meta { return Meta{ConnID: conn, Ref: conn, Inc: "n-1"} }
	r.Reset(&Snapshot{Epoch: "e", Seq: 2, Users: map[string]*User{
		"ada": {ID: "ada", Seq: 1, Metas: []Meta{meta("1"), meta("2")}}, "bob": {ID: "bob", Seq: 2, Metas: []Meta{meta("3")}}}}, 0)
	if n := r.Held(); n != 0 {
		t.Errorf("%d held at first", n)
	}
	r.Reset(&Snapshot{Epoch: "f", Users: map[string]*User{}}, 1000)
	if n := r.Held(); n != 3 {
		t.Errorf("%d held after a wipe, want 3", n)
	}
	r.Expire(1000)
	if n := r.Held(); n != 0 {
		t.Errorf("%d held after their time", n)
	}
}
