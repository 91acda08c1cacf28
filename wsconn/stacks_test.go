package wsconn

import (
	"runtime"
	"testing"
)

// TestStacksAreKeptWhileNeeded: the stacks of a burst stay until a whole time between two trims has not needed them.
func TestStacksAreKeptWhileNeeded(t *testing.T) {
	var p stackPool
	before := runtime.NumGoroutine()
	burst := func(n int) {
		var ws []*stack
		for range n {
			ws = append(ws, p.take())
		}
		for _, w := range ws {
			p.keep(w)
		}
	}
	trim := func(what string, want int) {
		t.Helper()
		p.trim()
		if len(p.idle) != want {
			t.Errorf("%s: %d stacks, want %d", what, len(p.idle), want)
		}
	}
	burst(10)
	trim("after a burst", 10)
	burst(10)
	trim("after another", 10)
	burst(3)
	trim("after a small one", 3)
	trim("after none", 0)
	burst(2)
	p.trim()
	p.trim()
	if after := runtime.NumGoroutine(); after > before {
		t.Errorf("%d goroutines are left", after-before)
	}
}
