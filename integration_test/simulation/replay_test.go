package simulation

import (
	"testing"
)

// replays is how many seeds are lived through twice.
const replays = 5

// TestReplay: a seed that is lived through again is the same, step by step: so a seed that fails can be looked at.
func TestReplay(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector makes the scheduler of goroutines draw lots")
	}
	for name, plan := range map[string]func(uint64, int) *Plan{"presence": NewPlan, "history": NewHistoryPlan} {
		t.Run(name, func(t *testing.T) { replay(t, plan) })
	}
}

func replay(t *testing.T, plan func(uint64, int) *Plan) {
	t.Helper()
	seen := map[uint64]bool{}
	for seed := uint64(1); seed <= replays; seed++ {
		first, again := live(t, plan(seed, 0)), live(t, plan(seed, 0))
		if first.Hash != again.Hash || first.Steps != again.Steps {
			t.Errorf("seed %d: %d steps with hash %x, then %d with %x", seed, first.Steps, first.Hash, again.Steps, again.Hash)
		}
		if seen[first.Hash] {
			t.Errorf("seed %d is the same as another", seed)
		}
		seen[first.Hash] = true
	}
}

// TestReplayOfAFault: what goes wrong goes wrong again in the same place, also in the smaller plan that is found.
func TestReplayOfAFault(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector makes the scheduler of goroutines draw lots")
	}
	runs := func(p *Plan) Result { return live(t, p, hasty...) }
	for seed := uint64(1); seed <= 60; seed++ {
		p := NewPlan(seed, 0)
		r := runs(p)
		if r.Fault == "" {
			continue
		}
		if again := runs(NewPlan(seed, 0)); again.Fault != r.Fault || again.Hash != r.Hash {
			t.Errorf("seed %d: %q, then %q", seed, r.Fault, again.Fault)
		}
		small, fault := shrink(p, r, 40, runs)
		if again := runs(small); fault.Fault == "" || again.Fault != fault.Fault || again.Hash != fault.Hash {
			t.Errorf("the smaller plan of seed %d: %q, then %q", seed, fault.Fault, again.Fault)
		}
		if fault.Steps > r.Steps || len(small.WithoutFaults)+len(small.WithoutOps) == 0 {
			t.Errorf("seed %d did not get smaller: %d steps, then %d", seed, r.Steps, fault.Steps)
		}
		return
	}
	t.Error("no seed fails")
}
