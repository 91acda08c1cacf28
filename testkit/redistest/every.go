package redistest

import "testing"

// EveryKind runs a suite on miniredis and on each kind of real Redis, side by side (STYLE: one suite for all).
func EveryKind(t *testing.T, suite func(t *testing.T, r *Redis)) {
	t.Helper()
	for _, kind := range []struct {
		name  string
		start func(testing.TB) *Redis
	}{
		{"mini", Mini},
		{"standalone", func(t testing.TB) *Redis { return Standalone(t) }},
		{"cluster", Cluster},
		{"sentinel", Sentinel},
	} {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			suite(t, kind.start(t))
		})
	}
}
