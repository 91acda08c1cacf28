package cluster

import (
	"strings"
	"testing"
	"time"
)

// SPEC 2: "Ready means: the lease is held, … and a message sent through Redis came back over this node's own
// subscription in the last heartbeats."
func TestReady(t *testing.T) {
	const heartbeat = 2 * time.Second
	for _, tt := range []struct {
		name      string
		phase     Phase
		echo, now time.Duration
		says      string // "": ready
	}{
		{"at once", Held, time.Minute, time.Minute, ""},
		{"under three heartbeats", Held, time.Minute, time.Minute + 3*heartbeat - 1, ""},
		{"at three", Held, time.Minute, time.Minute + 3*heartbeat, ""},
		{"over three", Held, time.Minute, time.Minute + 3*heartbeat + 1, "three heartbeats"},
		{"none yet, just started", Held, 0, 1, "three heartbeats"},
		{"none yet, long after", Held, 0, time.Hour, "three heartbeats"},
		{"in doubt", InDoubt, time.Minute, time.Minute, "in doubt"},
		{"lost", Lost, time.Minute, time.Minute, "lost"},
	} {
		err := ready(tt.phase, tt.echo, tt.now, heartbeat)
		if (err == nil) != (tt.says == "") || err != nil && !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.says)
		}
	}
}
