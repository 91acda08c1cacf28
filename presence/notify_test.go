package presence

import (
	"testing"
	"time"
)

// What is costly to encode is encoded seldom, and nobody waits long for it.
func TestStateSpacing(t *testing.T) {
	const ms = time.Millisecond
	for took, want := range map[time.Duration]time.Duration{
		0:       ms,
		ms / 50: ms,
		ms / 4:  5 * ms,
		2 * ms:  40 * ms,
		ms * 10: 50 * ms,
	} {
		if got := stateSpacing(took); got != want {
			t.Errorf("after %v: %v, want %v", took, got, want)
		}
	}
}
