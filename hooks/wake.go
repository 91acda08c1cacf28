package hooks

import (
	"context"
	"time"
)

const (
	gather     = 10 * time.Millisecond // in which changes gather before Redis is told of them
	maxWaiting = 1 << 17               // of a hook; beyond it all channels of this node count as changed
	wakeRetry  = 500 * time.Millisecond
)

// Changed says that a user of a channel may have changed. It does not wait.
func (h *Hooks) Changed(c Change) {
	any := false
	for _, r := range h.runners {
		if r.hook.Matches(c.Channel) {
			h.note(r.hook.Name, c)
			any = true
		}
	}
	if any {
		h.kick()
	}
}

func (h *Hooks) kick() {
	select {
	case h.wakes <- struct{}{}:
	default:
	}
}

// note lets a change wait.
func (h *Hooks) note(hook string, c Change) {
	h.mu.Lock()
	defer h.mu.Unlock()
	w := h.waiting[hook]
	if w == nil {
		w = map[Change]bool{}
		h.waiting[hook] = w
	}
	if len(w) >= maxWaiting {
		h.lost[hook] = true
		return
	}
	w[c] = true
}

// waker tells Redis of changes.
func (h *Hooks) waker(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-h.wakes:
		}
		pause := gather
		if !h.flush(ctx) {
			pause = wakeRetry
			h.kick()
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

// flush tells Redis of all changes that wait; false: some wait on.
func (h *Hooks) flush(ctx context.Context) (all bool) {
	all = true
	for _, r := range h.runners {
		all = h.flushOf(ctx, r) && all
	}
	return all
}

func (h *Hooks) flushOf(ctx context.Context, r *runner) bool {
	name := r.hook.Name
	h.mu.Lock()
	waiting, lost := h.waiting[name], h.lost[name]
	delete(h.waiting, name)
	delete(h.lost, name)
	h.mu.Unlock()
	changes := make([]Change, 0, len(waiting))
	for c := range waiting {
		changes = append(changes, c)
	}
	if lost {
		for _, channel := range h.cfg.Tracked() {
			if r.hook.Matches(channel) {
				changes = append(changes, Change{Channel: channel})
			}
		}
	}
	for len(changes) > 0 {
		n := min(len(changes), perStep)
		if err := r.store.wake(ctx, changes[:n]); err != nil {
			for _, c := range changes {
				h.note(name, c)
			}
			return false
		}
		changes = changes[n:]
	}
	return true
}

// announcer says now and then which channels are in use here, should Redis have lost it.
func (h *Hooks) announcer(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(h.cfg.Audit):
		}
		for _, channel := range h.cfg.Tracked() {
			h.Changed(Change{Channel: channel, User: inUse})
		}
	}
}
