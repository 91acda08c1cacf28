package presence

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"rollcall/metrics"
)

// Each reason to read a channel again has a label of its own.
func TestResyncsHaveLabels(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		n := s.actor("n1")
		for r := range resync(resyncs) {
			n.t.stats.resyncs[r].Store(int64(r) + 1)
		}
		m := metrics.New(metrics.Config{})
		m.Watch(n.t.Measure)
		w := httptest.NewRecorder()
		m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
		if lines := strings.Count(w.Body.String(), "rollcall_presence_resyncs_total{"); lines != resyncs {
			t.Errorf("%d reasons, want %d", lines, resyncs)
		}
		for _, r := range []resync{resyncFirst, resyncGap, resyncOrphan} {
			if want := fmt.Sprintf(`rollcall_presence_resyncs_total{reason="%v"} %d`, r, r+1); !strings.Contains(w.Body.String(),
				want+"\n") {
				t.Errorf("no line %q", want)
			}
		}
	})
}

// DESIGN 3, "Held-back removals": they are counted as long as they are held.
func TestHeld(t *testing.T) {
	r := &Replica{}
	meta := func(conn string) Meta { return Meta{ConnID: conn, Ref: conn, Inc: "n-1"} }
	r.Reset(&Snapshot{Epoch: "e", Seq: 2, Users: map[string]*User{
		"ada": {ID: "ada", Seq: 1, Metas: []Meta{meta("1"), meta("2")}}, "bob": {ID: "bob", Seq: 2,
			Metas: []Meta{meta("3")}}}}, 0)
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
