package chaos

import (
	"testing"

	"rollcall/integration_test/chaos/history"
)

// SPEC 5, all of it: what was promised under each fault, and how long it took; see docs/guarantees.md.
func TestChaos(t *testing.T) {
	tally := NewTally()
	plans, full := plansFrom(t)
	t.Run("on", func(t *testing.T) {
		for _, plan := range plans {
			t.Run(plan.Redis, func(t *testing.T) {
				if full {
					t.Parallel()
				}
				t.Logf("repeat it: ROLLCALL_CHAOS='%s' make chaos", plan)
				record := Run(t, plan)
				verdict := history.Check(record)
				tally.Add(record, verdict)
				show(t, verdict)
				if len(record.Faults) < plan.Faults {
					t.Errorf("it ended after %d of %d faults", len(record.Faults), plan.Faults)
				}
			})
		}
	})
	t.Logf("\n%s", tally)
	if full {
		for _, text := range tally.Missed(plans[0].Times) {
			t.Error(text)
		}
	}
}

// show reports violations: of each rule the first few with their stories.
func show(t *testing.T, v *history.Verdict) {
	t.Helper()
	shown := map[history.Rule]int{}
	for _, one := range v.Violations {
		if shown[one.Rule]++; shown[one.Rule] > 3 {
			one.Story = nil
		}
		if shown[one.Rule] <= 20 {
			t.Error(one)
		}
	}
	if len(shown) > 0 {
		t.Errorf("violations: %v", shown)
	}
}
