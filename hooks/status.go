package hooks

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"rollcall/metrics"
)

// State is how a hook is.
type State string

// The states.
const (
	OK      State = "ok"
	Failing State = "failing" // its sink does not acknowledge
	Syncing State = "syncing" // all is told anew
	Paused  State = "paused"  // its sink wants no more
	other   State = "other"   // on this node: another definition is in force, and other nodes do the work
)

// Status is how a hook is in the whole cluster. It is GET /_api/hooks's.
type Status struct {
	Name      string `json:"name"`
	State     State  `json:"state"`
	Owed      int64  `json:"owed"`       // changes of users that were not told yet
	OldestMS  int64  `json:"oldest_ms"`  // how long the oldest of them waits
	Delivered int64  `json:"delivered"`  // events that were acknowledged
	LastError string `json:"last_error"` // "" none
}

// List asks Redis how all hooks are, in the order of config/hooks.lua.
func (h *Hooks) List(ctx context.Context) ([]Status, error) {
	all := make([]Status, 0, len(h.runners))
	for _, r := range h.runners {
		s, err := r.store.status(ctx)
		if err != nil {
			return nil, fmt.Errorf("read hook %q: %w", r.hook.Name, err)
		}
		s.Name = r.hook.Name
		all = append(all, s)
	}
	return all, nil
}

func (s *store) status(ctx context.Context) (Status, error) {
	a, err := s.run(ctx, statusScript, parts)
	if err != nil {
		return Status{}, err
	}
	st := Status{State: OK, Delivered: a.num(4), LastError: a.text(5), Owed: a.num(6), OldestMS: a.num(7)}
	switch failed, acked := a.num(2), a.num(3); {
	case a.num(0) == 1:
		st.State = Paused
	case a.num(1) == 0:
		st.State = Syncing
	case failed > acked:
		st.State = Failing
	}
	return st, nil
}

// stats counts what a hook does on this node.
type stats struct {
	mu       sync.Mutex
	requests map[string]int64 // by outcome
	events   int64            // acknowledged
}

// outcomes are the labels of requests.
var outcomes = []string{"acknowledged", "failed", "gone"}

func (s *stats) tried(err error, events int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.requests == nil {
		s.requests = map[string]int64{}
	}
	switch {
	case err == nil:
		s.requests["acknowledged"]++
		s.events += int64(events)
	case errors.Is(err, errGone):
		s.requests["gone"]++
	default:
		s.requests["failed"]++
	}
}

// Measure tells metrics of hooks: of those parts of them that this node has.
func (h *Hooks) Measure(to metrics.Scrape) {
	for _, r := range h.runners {
		r.measure(to)
	}
}

func (r *runner) measure(to metrics.Scrape) {
	r.mu.Lock()
	owed, oldest, state := r.owed, r.oldest, r.state
	r.mu.Unlock()
	if failing, _ := r.backoff.failing(); failing && state == OK {
		state = Failing
	}
	name, age := r.hook.Name, 0.0
	if !oldest.IsZero() {
		age = time.Since(oldest).Seconds()
	}
	to.Gauge("rollcall_hook_owed", "Changes of users that a hook has not told yet, of those that this node is to tell.",
		float64(owed), "hook", name)
	to.Gauge("rollcall_hook_oldest_seconds", "How long the oldest change that this node is to tell has waited.", age,
		"hook", name)
	for _, s := range []State{OK, Failing, Syncing, Paused} {
		to.Gauge("rollcall_hook_state", "1 for the state in which a hook is, as this node sees it.",
			metrics.Bool(s == state), "hook", name, "state", string(s))
	}
	r.stats.mu.Lock()
	defer r.stats.mu.Unlock()
	for _, o := range outcomes {
		to.Counter("rollcall_hook_requests_total", "Requests of this node to the sinks of hooks, by how they ended.",
			float64(r.stats.requests[o]), "hook", name, "outcome", o)
	}
	to.Counter("rollcall_hook_events_total", "Events that sinks of hooks have acknowledged to this node.",
		float64(r.stats.events), "hook", name)
}
