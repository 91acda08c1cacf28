package simulation

import (
	"fmt"
	"strconv"
	"strings"
)

// shrink looks for a smaller plan that still fails: without some of the faults, with fewer nodes, with fewer ops. live
// runs a plan; at most tries of them are run. It gives the smallest plan found and its result.
func shrink(p *Plan, r Result, tries int, live func(*Plan) Result) (*Plan, Result) {
	best, result := p, r
	try := func(change func(*Plan)) (failed bool) {
		if tries == 0 {
			return false
		}
		tries--
		next := best.copy()
		change(next)
		got := live(next)
		if got.Fault != "" {
			best, result = next, got
		}
		return got.Fault != ""
	}
	for again := true; again; {
		again = false
		for i := len(p.Faults) - 1; i >= 0; i-- {
			if best.runsFault(i) && try(func(n *Plan) { n.WithoutFaults = append(n.WithoutFaults, i) }) {
				again = true
			}
		}
		for best.Nodes > 2 && try(func(n *Plan) { n.Nodes-- }) {
			again = true
		}
	}
	for size := len(p.Ops) / 2; size >= 8; size /= 2 {
		for at := 0; at < len(p.Ops); at += size {
			cut := Range{at, min(at+size, len(p.Ops))}
			if best.runsAny(cut) {
				try(func(n *Plan) { n.WithoutOps = append(n.WithoutOps, cut) })
			}
		}
	}
	return best, result
}

// copy gives a plan that can be made smaller.
func (p *Plan) copy() *Plan {
	n := *p
	n.WithoutFaults = append([]int(nil), p.WithoutFaults...)
	n.WithoutOps = append([]Range(nil), p.WithoutOps...)
	return &n
}

func (p *Plan) runsAny(r Range) bool {
	for i := r.A; i < r.B; i++ {
		if p.runsOp(i) {
			return true
		}
	}
	return false
}

// leaveOut takes faults and ops out, written as Command writes them.
func (p *Plan) leaveOut(faults, ops string) error {
	for _, word := range strings.FieldsFunc(faults, func(r rune) bool { return r == ',' }) {
		i, err := strconv.Atoi(word)
		if err != nil {
			return fmt.Errorf("faults to leave out: %w", err)
		}
		p.WithoutFaults = append(p.WithoutFaults, i)
	}
	for _, word := range strings.FieldsFunc(ops, func(r rune) bool { return r == ',' }) {
		var r Range
		if _, err := fmt.Sscanf(word, "%d-%d", &r.A, &r.B); err != nil {
			return fmt.Errorf("ops to leave out: %w", err)
		}
		p.WithoutOps = append(p.WithoutOps, r)
	}
	return nil
}

// Command is how to live through a plan again.
func (p *Plan) Command() string {
	test := "TestSimulation"
	if p.Keep.Size > 0 {
		test = "TestHistory"
	}
	args := fmt.Sprintf("go test ./integration_test/simulation -run %s -seed %d -nodes %d", test, p.Seed, p.Nodes)
	if len(p.WithoutFaults) > 0 {
		args += " -without " + strings.Join(strings.Fields(strings.Trim(fmt.Sprint(p.WithoutFaults), "[]")), ",")
	}
	if len(p.WithoutOps) > 0 {
		var ranges []string
		for _, r := range p.WithoutOps {
			ranges = append(ranges, fmt.Sprintf("%d-%d", r.A, r.B))
		}
		args += " -without-ops " + strings.Join(ranges, ",")
	}
	return args
}
