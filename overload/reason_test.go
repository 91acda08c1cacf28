package overload

import (
	"testing"
	"time"
)

// Each reason has an answer of its own, and 503 and 429 say when to come back.
func TestAnswers(t *testing.T) {
	want := map[Reason]int{Draining: 503, Memory: 503, Connections: 503, Files: 503, RateOfNode: 503,
		PerAddress: 429, PerUser: 429, RateOfAddress: 429}
	seen := map[string]bool{}
	all := map[Reason]bool{}
	for _, r := range append(UpgradeReasons(), SocketReasons()...) {
		all[r] = true
	}
	for r := range all {
		status, retryAfter, detail := r.Answer()
		if status != want[r] || retryAfter < time.Second || detail == "" || seen[detail] {
			t.Errorf("%s: %d, %v, %q", r, status, retryAfter, detail)
			continue
		}
		seen[detail] = true
	}
	if status, _, _ := Reason("").Answer(); len(seen) != len(want) || status != 0 {
		t.Errorf("%d reasons with an answer", len(seen))
	}
}
