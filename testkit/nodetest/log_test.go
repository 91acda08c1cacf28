package nodetest

import (
	"strings"
	"testing"
)

// What collectors could not read of a node's log is a fault in each test that runs one.
func TestLogFaults(t *testing.T) {
	const good = `{"time":"2026-01-01T00:00:00Z","level":"INFO","msg":"m","node":"1f0c8e2a7b1b","fields":{"a":1}}`
	for _, tt := range []struct{ line, fault string }{
		{good, ""},
		{"a text", ""},
		{strings.Replace(good, `"level"`, `"time":1,"level"`, 1), "no strict JSON"},
		{strings.Replace(good, `"a":1`, `"a":1,"a":2`, 1), "no strict JSON"},
		{strings.Replace(good, `"m"`, "\"\xff\"", 1), "no strict JSON"},
		{strings.TrimSuffix(good, "}"), "no strict JSON"},
		{strings.Replace(good, `"node"`, `"process"`, 1), "no node"},
		{strings.Replace(good, `"m"`, `""`, 1), "no msg"},
	} {
		var l Log
		if _, err := l.Write([]byte(tt.line + "\n")); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(l.Faults(), "\n"); tt.fault == "" && got != "" || !strings.HasPrefix(got, tt.fault) {
			t.Errorf("%s: %q, want %q", tt.line, got, tt.fault)
		}
	}
}
