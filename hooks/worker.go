package hooks

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"rollcall/presence"
)

// tell works in a part until nothing is due; not while Redis may have lost what was told. It finishes the request that
// is under way, looks at users who may have changed, and tells the sink of the difference.
func (r *runner) tell(p *part) error {
	for p.ctx.Err() == nil {
		if wait := r.h.doubt(); wait > 0 { // until then each node has said how much it had marked
			r.arm(p, wait)
			return nil
		}
		round, held := r.claims()
		if !held {
			return errLost
		}
		t, err := r.store.take(p.ctx, p.name, round, r.marks.Load())
		switch {
		case err != nil:
			return fmt.Errorf("read what is due: %w", err)
		case t.request != nil:
			if err := r.deliver(p, round, t.last, t.request); err != nil {
				return err
			}
			continue
		case len(t.looks) == 0:
			if err := r.look(p, round, t.last); err != nil {
				return err
			}
			if t.next != 0 {
				r.arm(p, time.Duration(t.next-t.now)*time.Millisecond)
			}
			return nil
		}
		b, err := r.decide(p, t)
		if err != nil {
			return err
		}
		if len(b.now) > 0 {
			if _, err := r.store.mark(p.ctx, p.name, round, nil, b.now); err != nil {
				return fmt.Errorf("note what was looked at: %w", err)
			}
		}
		if len(b.events) == 0 {
			continue
		}
		q := newRequest(b.events, b.acked)
		marks, err := r.store.keep(p.ctx, p.name, round, r.marks.Load(), q)
		if err != nil {
			return fmt.Errorf("keep a request: %w", err)
		}
		r.marked(marks)
		if err := r.deliver(p, round, t.last, q); err != nil {
			return err
		}
	}
	return p.ctx.Err()
}

func (r *runner) arm(p *part, after time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p.ctx.Err() == nil {
		r.armLocked(p, after)
	}
}

// decide reads what is true and says what is to be told.
func (r *runner) decide(p *part, t taken) (b batch, err error) {
	var users, rooms []look
	for _, l := range t.looks {
		switch {
		case !r.hook.Matches(l.channel): // a node with an older definition noted it
			b.now = append(b.now, op{"done", l.channel, l.user, l.wakes})
		case l.user == "":
			rooms = append(rooms, l)
		default:
			users = append(users, l)
		}
	}
	for _, l := range rooms {
		if err := r.compare(p.ctx, l.channel); err != nil {
			return batch{}, err
		}
		b.now = append(b.now, op{"done", l.channel, "", l.wakes})
	}
	if len(users) == 0 {
		return b, nil
	}
	if err := r.read(p.ctx, users); err != nil {
		return batch{}, err
	}
	made := p.differ.make(users, t.now)
	made.now = append(b.now, made.now...)
	return made, nil
}

// read fills in what is true of users.
func (r *runner) read(ctx context.Context, looks []look) error {
	places := make([]presence.Place, len(looks))
	for i, l := range looks {
		places[i] = presence.Place{Channel: l.channel, User: l.user}
	}
	doubt := r.h.doubt() > 0 // before it is read
	users, at, err := r.h.cfg.Presence.UsersAt(ctx, places)
	if err != nil {
		return fmt.Errorf("read who is present: %w", err)
	}
	for i := range looks {
		l := &looks[i]
		if users[i] != nil {
			l.is, l.since = metasOf(users[i]), users[i].Metas[0].JoinedAt
		}
		was := positionFrom(l.position)
		l.doubt = doubt || was.Epoch != "" && (was.Epoch != at[i].Epoch || at[i].Seq < was.Seq)
		l.position = at[i].Epoch + " " + strconv.FormatInt(at[i].Seq, 10)
	}
	return nil
}

// metasOf are a user's metas as clients see them, a JSON array.
func metasOf(u *presence.User) string {
	b := []byte{'['}
	for i := range u.Metas {
		if i > 0 {
			b = append(b, ',')
		}
		b = u.Metas[i].AppendJSON(b)
	}
	return string(append(b, ']'))
}

func positionFrom(text string) (at presence.Position) {
	if _, err := fmt.Sscanf(text, "%s %d", &at.Epoch, &at.Seq); err != nil {
		return presence.Position{}
	}
	return at
}

// errPaused says that the sink wants no more.
var errPaused = errors.New("the hook is paused")

// deliver repeats a request until it is acknowledged, and notes that.
func (r *runner) deliver(p *part, round string, last acknowledged, q *request) error {
	for {
		err := r.backoff.pass(p.ctx, func() error { return r.try(p, last, q) })
		switch {
		case err == nil:
			return r.acked(p, round, q)
		case errors.Is(err, errForgotten):
			return r.anew(p, round)
		case errors.Is(err, errLost), p.ctx.Err() != nil:
			return errLost
		}
		gone := errors.Is(err, errGone)
		if gone {
			r.h.cfg.Log.Error("a hook is paused: ask for a synchronisation when its sink is back", "hook", r.hook.Name,
				"error", err)
		}
		if note := r.store.failed(p.ctx, p.name, round, err.Error(), gone); note != nil && p.ctx.Err() == nil {
			r.h.cfg.Log.Warn("note a failure failed", "hook", r.hook.Name, "error", note)
		}
		if gone {
			return errPaused
		}
	}
}

// look asks the sink whether it has what it was told last, once after each audit.
func (r *runner) look(p *part, round string, last acknowledged) error {
	if !p.look.Swap(false) {
		return nil
	}
	c, ok := r.lift(p, last)
	if !ok {
		return errLost
	}
	defer r.land(p)
	err := r.sink.(keeper).look(p.ctx, c)
	if errors.Is(err, errForgotten) {
		return r.anew(p, round)
	}
	return err
}

// anew lets all begin anew, since the sink has lost what it was told. A synchronisation begins again by itself.
func (r *runner) anew(p *part, round string) error {
	r.h.cfg.Log.Warn("a hook is synchronised anew", "hook", r.hook.Name, "error", errForgotten)
	if p.name != syncPart {
		if err := r.store.anew(p.ctx, p.name, round); err != nil {
			return fmt.Errorf("ask for a synchronisation: %w", err)
		}
	}
	return errLost
}

// try makes a request once, while the claim stands.
func (r *runner) try(p *part, last acknowledged, q *request) error {
	c, ok := r.lift(p, last)
	if !ok {
		return errLost
	}
	defer r.land(p)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(p.ctx), requestTimeout) // its answer is of use in any case
	defer cancel()
	defer context.AfterFunc(r.h.ctx, cancel)()
	err := r.sink.deliver(ctx, c, q)
	r.stats.tried(err, q.Events)
	if err != nil {
		r.h.cfg.Log.Debug("a request of a hook failed", "hook", r.hook.Name, "id", q.ID, "error", err)
	}
	return err
}

// acked notes that a request was acknowledged. While Redis does not answer it is tried again: the sink is not asked
// twice for that.
func (r *runner) acked(p *part, round string, q *request) error {
	for {
		marks, err := r.store.mark(context.WithoutCancel(p.ctx), p.name, round, q, q.Acked)
		switch {
		case err == nil:
			r.marked(marks)
			return nil
		case errors.Is(err, errLost):
			return err
		}
		if _, held := r.claims(); !held {
			return errLost
		}
		select {
		case <-time.After(firstWait):
		case <-r.h.ctx.Done():
			return err
		}
	}
}

// marked notes how many requests and acknowledgements this node has noted.
func (r *runner) marked(marks int64) {
	for {
		had := r.marks.Load()
		if marks <= had || r.marks.CompareAndSwap(had, marks) {
			return
		}
	}
}
