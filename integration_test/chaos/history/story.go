package history

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// maxStory bounds a story's lines; the first and the last are kept.
const maxStory = 60

// story tells the least that explains a violation: what the user's devices did in that room, what the client was told
// of the user, and the faults, from the last point of rest but one to a little after.
func (c *checker) story(v *Violation) []string {
	from, to := time.Duration(0), v.At+2*time.Second
	var rests []time.Duration
	for _, p := range c.rec.Points {
		if p.At < v.At {
			rests = append(rests, p.At)
		}
	}
	if len(rests) > 1 {
		from = rests[len(rests)-2]
	}
	type entry struct {
		at   time.Duration
		text string
	}
	var out []entry
	add := func(at time.Duration, format string, args ...any) {
		if at >= from && at <= to {
			out = append(out, entry{at, fmt.Sprintf(format, args...)})
		}
	}
	for _, f := range c.rec.Faults {
		if f.Ended >= from {
			add(max(f.Began, from), "FAULT %s %v %s begins (at %s)", f.Name, f.Nodes, f.Note, seconds(f.Began))
			add(f.Ended, "FAULT %s ends", f.Name)
		}
	}
	for _, p := range c.rec.Points {
		add(p.Quiet, "clients rest")
		add(p.At, "point of rest")
	}
	for _, s := range c.rec.Stalls {
		add(s.From, "the driver does not run until %s", seconds(s.To))
	}
	for _, client := range c.rec.Clients {
		if client.User != "" && (client.User == v.User || client.User == v.Other) {
			for _, e := range client.Events {
				if e.Kind < Whole && (e.Room == "" || v.Room == "" || e.Room == v.Room) {
					add(e.At, "%s of %s (%s on %s) %s %s", client.Name, client.User, client.Route, client.Node, e.Kind, e.Text)
				}
			}
		}
		if client.Name != v.Client && client.Name != v.Beside {
			continue
		}
		for _, e := range client.Events {
			switch {
			case e.Kind < Whole:
				if e.Room == "" && client.User != v.User && client.User != v.Other {
					add(e.At, "%s (%s on %s) %s %s", client.Name, client.Route, client.Node, e.Kind, e.Text)
				}
			case e.Kind == Whole && e.Room == v.Room:
				metas, here := e.View[v.User]
				add(e.At, "%s %s: %s %q (%v)", client.Name, e.Kind, v.User, metas, here)
			case e.Room == v.Room && e.Kind != Heard && (e.User == v.User || v.Other != "" && e.User == v.Other):
				add(e.At, "%s %s %s %s", client.Name, e.Kind, e.User, e.Text)
			case v.Rule == AtMost && e.Kind == Heard && e.Room == v.Room && e.At > v.At-time.Second:
				add(e.At, "%s hears %s #%d", client.Name, e.Device, e.Number)
			}
		}
	}
	slices.SortStableFunc(out, func(a, b entry) int { return cmp.Compare(a.at, b.at) })
	lines := make([]string, 0, len(out))
	for i, e := range out {
		switch {
		case len(out) > maxStory && i == maxStory/2:
			lines = append(lines, fmt.Sprintf("… %d more …", len(out)-maxStory))
		case len(out) > maxStory && i > maxStory/2 && i < len(out)-maxStory/2:
		default:
			lines = append(lines, fmt.Sprintf("%10s  %s", seconds(e.at), e.text))
		}
	}
	return lines
}
