package hooks

import (
	"context"
	"strconv"
	"time"

	"rollcall/presence"
)

// maxQuiet is how rarely a channel is looked at whose presence does not change.
const maxQuiet = 10 * time.Minute

// auditMark is what the last audit saw of a channel.
type auditMark struct {
	at    presence.Position
	next  time.Time
	every time.Duration
}

// auditSoon lets the next audit compare all channels.
func (r *runner) auditSoon() { r.auditAll.Store(true) }

// audit compares of whom the sink was told with who is present, in all channels of this node's parts whose presence has
// changed since the last audit; a waking may have been lost. One that stays as it is is looked at more and more rarely.
// It also lets each part's worker ask a keeper whether it still has what it was told.
func (r *runner) audit(ctx context.Context) {
	all := r.h.doubt() == 0 && r.auditAll.Swap(false)
	r.mu.Lock()
	own := make([]*part, 0, len(r.own))
	for name, p := range r.own {
		if name != syncPart {
			own = append(own, p)
		}
	}
	r.mu.Unlock()
	_, keeps := r.sink.(keeper)
	for _, p := range own {
		if keeps {
			p.look.Store(true)
			r.start(p.name)
		}
		if all {
			clear(p.audited)
		}
		if err := r.auditPart(p); err != nil && ctx.Err() == nil && p.ctx.Err() == nil {
			r.h.cfg.Log.Warn("audit of a hook failed", "hook", r.hook.Name, "error", err)
			return
		}
	}
}

func (r *runner) auditPart(p *part) error {
	n, _ := strconv.Atoi(p.name)
	known, err := r.store.known(p.ctx, n)
	if err != nil {
		return err
	}
	now := time.Now()
	marks := make(map[string]auditMark, len(known))
	var due []string
	for _, c := range known {
		m := p.audited[c]
		if marks[c] = m; !now.Before(m.next) {
			due = append(due, c)
		}
	}
	p.audited = marks
	for len(due) > 0 {
		page := due[:min(len(due), perStep)]
		due = due[len(page):]
		at, err := r.h.cfg.Presence.Positions(p.ctx, page)
		if err != nil {
			return err
		}
		for i, c := range page {
			m := marks[c]
			m.every = min(2*max(m.every, r.h.cfg.Audit/2), maxQuiet)
			if m.at != at[i] || m.next.IsZero() {
				if err := r.compare(p.ctx, c); err != nil {
					return err
				}
				m.at, m.every = at[i], r.h.cfg.Audit
			}
			m.next = now.Add(m.every - r.h.cfg.Audit/2) // before the audit that is then
			marks[c] = m
		}
	}
	return nil
}

// compare notes the users as changed who are told and not present, or present and not told. A channel with neither is
// forgotten.
func (r *runner) compare(ctx context.Context, channel string) error {
	told, err := r.store.toldUsers(ctx, channel)
	if err != nil {
		return err
	}
	present, err := r.h.cfg.Presence.UserIDs(ctx, channel)
	if err != nil {
		return err
	}
	var changes []Change
	for id := range told {
		if !present[id] {
			changes = append(changes, Change{Channel: channel, User: id})
		}
	}
	for id := range present {
		if !told[id] {
			changes = append(changes, Change{Channel: channel, User: id})
		}
	}
	if len(told)+len(present) == 0 {
		return r.unused(ctx, channel)
	}
	for len(changes) > 0 {
		n := min(len(changes), perStep)
		if err := r.store.wake(ctx, changes[:n]); err != nil {
			return err
		}
		changes = changes[n:]
	}
	return nil
}

// unused forgets a channel that nobody is in.
func (r *runner) unused(ctx context.Context, channel string) error {
	round, _ := r.claims()
	_, err := r.store.mark(ctx, strconv.Itoa(partOf(channel)), round, nil, []op{{"unused", channel, "", ""}})
	return err
}
