package cluster

import (
	"testing"
	"time"
)

// The state diagram of DESIGN 3: HELD, IN DOUBT, LOST.
func TestLease(t *testing.T) {
	const ttl = 6 * time.Second
	start := time.Unix(1000, 0)
	at := func(s float64) time.Time { return start.Add(time.Duration(s * float64(time.Second))) }
	type step struct {
		do      func(l lease) lease
		at      float64
		phase   Phase
		heldFor float64
		inc     string
	}
	keep := func(l lease) lease { return l }
	next := lease.next
	renounce := lease.renounced
	registered := func(s float64) func(lease) lease {
		return func(l lease) lease { return l.registered(at(s), int64(s*1000)+6000) }
	}
	renewed := func(s float64) func(lease) lease {
		return func(l lease) lease { return l.renewed(at(s), int64(s*1000)+6000) }
	}
	for _, c := range []struct {
		name  string
		steps []step
	}{
		{"before the first heartbeat", []step{{keep, 0, Lost, 0, ""}, {next, 0, Lost, 0, "p-1"}}},
		{"held from when the heartbeat was sent",
			[]step{{next, 0, Lost, 0, "p-1"}, {registered(0), 1, Held, 1, "p-1"}, {keep, 5.9, Held, 5.9, "p-1"}}},
		{"no answer", []step{{next, 0, Lost, 0, "p-1"}, {registered(0), 0, Held, 0, "p-1"}, {keep, 6, InDoubt, 0, "p-1"},
			{keep, 60, InDoubt, 0, "p-1"}}},
		{"renewed in time it was held all along",
			[]step{{next, 0, Lost, 0, "p-1"}, {registered(0), 0, Held, 0, "p-1"}, {renewed(4), 5, Held, 5, "p-1"},
				{renewed(8), 9, Held, 9, "p-1"}}},
		{"renewed late it is held anew",
			[]step{{next, 0, Lost, 0, "p-1"}, {registered(0), 0, Held, 0, "p-1"}, {keep, 7, InDoubt, 0, "p-1"},
				{renewed(8), 9, Held, 1, "p-1"}}},
		{"renounced", []step{{next, 0, Lost, 0, "p-1"}, {registered(0), 0, Held, 0, "p-1"}, {renounce, 1, Lost, 0, "p-1"},
			{next, 1, Lost, 0, "p-2"}, {registered(1), 2, Held, 1, "p-2"}}},
		{"an attempt without an answer costs a number",
			[]step{{next, 0, Lost, 0, "p-1"}, {next, 2, Lost, 0, "p-2"}, {registered(4), 4, Held, 0, "p-2"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := lease{process: "p", ttl: ttl}
			for i, s := range c.steps {
				l = s.do(l)
				if got := l.phase(at(s.at)); got != s.phase {
					t.Errorf("step %d: %v, want %v", i+1, got, s.phase)
				}
				if got := l.heldFor(at(s.at)); got != time.Duration(s.heldFor*float64(time.Second)) {
					t.Errorf("step %d: held for %v, want %v s", i+1, got, s.heldFor)
				}
				if l.inc() != s.inc {
					t.Errorf("step %d: incarnation %q, want %q", i+1, l.inc(), s.inc)
				}
			}
		})
	}
}

// Answers may overtake each other; a deadline never goes back.
func TestLeaseDeadline(t *testing.T) {
	l := lease{process: "p", ttl: time.Second}.next().registered(time.Unix(1, 0), 5000)
	if l = l.renewed(time.Unix(1, 0), 4000); l.deadline != 5000 {
		t.Errorf("deadline %d", l.deadline)
	}
	if l = l.renewed(time.Unix(1, 0), 9000); l.deadline != 9000 {
		t.Errorf("deadline %d", l.deadline)
	}
}

func TestPhaseNames(t *testing.T) {
	for p, want := range map[Phase]string{Lost: "lost", Held: "held", InDoubt: "in doubt"} {
		if p.String() != want {
			t.Errorf("%d is %q", p, p)
		}
	}
}
