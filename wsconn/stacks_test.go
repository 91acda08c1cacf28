package wsconn

import (
	"runtime"
	"strings"
	"testing"

	"rollcall/testkit"
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

// TestWaitsOnAFreshStack: a connection that has waited for long goes on in a new goroutine, others in the same.
func TestWaitsOnAFreshStack(t *testing.T) {
	h := newHost(t, setup{})
	c, p := h.dial(t)
	waits := func() (id string) {
		testkit.Eventually(t, "the connection waits", func() bool {
			stacks := make([]byte, 1<<20)
			for stack := range strings.SplitSeq(string(stacks[:runtime.Stack(stacks, true)]), "\n\n") {
				if strings.Contains(stack, "wsconn.(*Conn).live") && strings.Contains(stack, "AwaitInput") {
					id, _, _ = strings.Cut(stack, " [")
					return true
				}
			}
			return false
		})
		return id
	}
	say := func(text string) {
		t.Helper()
		c.text(text)
		if got := testkit.Receive(t, p.messages, "the message"); got != "text:"+text {
			t.Errorf("got %q, want %q", got, text)
		}
	}
	first := waits()
	say("soon")
	if id := waits(); id != first {
		t.Errorf("it waits in %s, no longer in %s", id, first)
	}
	h.ticks.Add(freshAfter)
	say("late")
	second := waits()
	if second == first {
		t.Errorf("it still waits in %s", first)
	}
	say("soon again")
	if id := waits(); id != second {
		t.Errorf("it waits in %s, no longer in %s", id, second)
	}
}
