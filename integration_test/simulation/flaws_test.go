package simulation

import (
	"testing"

	"rollcall/integration_test/simulation/redismodel"
)

// TestFlaws: a Redis that does one thing wrong is found out.
func TestFlaws(t *testing.T) {
	if raceDetector {
		t.Skip("it is about the checks, and slow; make simulate runs it")
	}
	tests := []struct {
		name  string
		first uint64 // of the seeds: one that is known to find it, when nothing else has changed
		flaws redismodel.Flaws
	}{
		{"writes past their deadline are taken", 50, redismodel.Flaws{NoFence: true}},
		{"generations are not compared", 125, redismodel.Flaws{NoStale: true}},
		{"a reaper removes what was written again", 27, redismodel.Flaws{ReapAll: true}},
		{"dead at the deadline, whoever asks", 5, redismodel.Flaws{ReapHastily: true}},
		{"removals are not published", 2, redismodel.Flaws{ReapSilently: true}},
		{"a reaper does not wait for what lingers", 1, redismodel.Flaws{ReapLingering: true}},
		{"a join leaves what lingers of its user", 1, redismodel.Flaws{KeepDevices: true}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for seed := test.first; seed < test.first+100; seed++ {
				if r := live(t, NewPlan(seed, 0), test.flaws); r.Fault != "" {
					t.Logf("seed %d: %s", seed, r.Fault)
					return
				}
			}
			t.Error("not found in 100 seeds")
		})
	}
}
