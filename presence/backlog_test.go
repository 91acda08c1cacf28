package presence

import "testing"

func TestBacklog(t *testing.T) {
	var b backlog
	for range 16 {
		if !b.add(&Change{}, 1<<20) {
			t.Fatal("16 MiB are too many bytes")
		}
	}
	if b.add(&Change{}, 1) {
		t.Error("a byte more is taken")
	}
	b = backlog{}
	for range maxBacklog {
		if !b.add(&Change{}, 100) {
			t.Fatal("too few changes are taken")
		}
	}
	if b.add(&Change{}, 100) {
		t.Error("one change more is taken")
	}
}
