package model

import (
	"os/exec"
	"testing"

	"rollcall/testkit/redistest"
)

// SPEC 5.1, 5.2 and 5.4: "one leave for each user who really went and none for those who stayed"; "nothing a dead or
// fenced node still had in flight can bring a user back". No order of steps and faults breaks them, within the bounds
// of the model; and every mutant, the protocol without one of its parts, does.
func TestModel(t *testing.T) {
	for _, tool := range []string{"bash", "spin", "tcc"} {
		redistest.Program(t, tool)
	}
	out, err := exec.CommandContext(t.Context(), "bash", "./check").CombinedOutput()
	t.Logf("presence/model/check:\n%s", out)
	if err != nil {
		t.Fatalf("run check: %v", err)
	}
}
