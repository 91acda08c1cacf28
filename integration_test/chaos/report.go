package chaos

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"rollcall/integration_test/chaos/history"
)

// Tally sums up verdicts, by kind of fault.
type Tally struct {
	mu     sync.Mutex // guards all, in Add
	times  map[string][]history.Measure
	faults map[string]int

	Runs, Faults, Clients, Told, Heard, Followed, Recovered, Slow, Violations int
}

// NewTally is empty.
func NewTally() *Tally {
	return &Tally{times: map[string][]history.Measure{}, faults: map[string]int{}}
}

// Add takes one run.
func (t *Tally) Add(r *history.Record, v *history.Verdict) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.Runs++
	t.Faults += len(r.Faults)
	t.Clients += len(r.Clients)
	t.Told += v.Told
	t.Heard += v.Heard
	t.Followed += v.Followed
	t.Recovered += v.Recovered
	t.Slow += v.Slow
	t.Violations += len(v.Violations)
	for _, f := range r.Faults {
		t.faults[f.Name+leases(r.Times)]++
	}
	for _, m := range v.Measures {
		name := "mixed"
		if len(m.Faults) == 1 {
			name = m.Faults[0]
		}
		name += leases(r.Times)
		t.times[name] = append(t.times[name], m)
	}
}

// Quantile gives a kind's time until all was exact, of what of(measure) picks: q of 1 is the longest.
func (t *Tally) Quantile(name string, q float64, of func(history.Measure) time.Duration) time.Duration {
	var all []time.Duration
	for _, m := range t.times[name] {
		all = append(all, of(m))
	}
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[min(int(q*float64(len(all))), len(all)-1)]
}

// leases marks the rows of runs whose leases are not those of most.
func leases(times history.Times) string {
	if times.Lease > 2*time.Second {
		return fmt.Sprintf(" (lease %v)", times.Lease)
	}
	return ""
}

// Missed says which aims were not reached, over all faults of runs with these leases: at the 99th percentile views are
// exact within history.Back, but for users of killed nodes and removals that are held back for a lease time, which may
// take Times.Gone.
func (t *Tally) Missed(times history.Times) (texts []string) {
	var all []history.Measure
	for name, list := range t.times {
		if mark := leases(times); strings.HasSuffix(name, mark) && (mark != "" || !strings.HasSuffix(name, ")")) {
			all = append(all, list...)
		}
	}
	sum := &Tally{times: map[string][]history.Measure{"all": all}}
	for _, aim := range []struct {
		what   string
		of     func(history.Measure) time.Duration
		within time.Duration
	}{
		{"who is there is seen", func(m history.Measure) time.Duration { return m.There }, history.Back},
		{"the users of killed nodes are gone", func(m history.Measure) time.Duration { return m.Killed }, times.Gone()},
	} {
		if got := sum.Quantile("all", 0.99, aim.of); got > aim.within {
			texts = append(texts, fmt.Sprintf("%s after %v at the 99th percentile; the aim is %v", aim.what, got, aim.within))
		}
	}
	return texts
}

// String is a table, as in docs/guarantees.md.
func (t *Tally) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "runs %d, faults %d, connections %d, joins and leaves told %d, broadcasts heard %d, messages followed %d, recovered %d times, violations %d, late only because the machine stood still %d\n\n",
		t.Runs, t.Faults, t.Clients, t.Told, t.Heard, t.Followed, t.Recovered, t.Violations, t.Slow)
	b.WriteString("| fault | struck | alone | there p50 | p99 | max | gone p50 | p99 | max |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- |\n")
	there := func(m history.Measure) time.Duration { return m.There }
	gone := func(m history.Measure) time.Duration { return max(m.Gone, m.Killed) }
	for _, name := range slices.Sorted(maps.Keys(t.times)) {
		fmt.Fprintf(&b, "| %s | %d | %d |", name, t.faults[name], len(t.times[name]))
		for _, of := range []func(history.Measure) time.Duration{there, gone} {
			for _, q := range []float64{0.5, 0.99, 1} {
				fmt.Fprintf(&b, " %.2f s |", t.Quantile(name, q, of).Seconds())
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}
