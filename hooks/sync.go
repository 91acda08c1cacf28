package hooks

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"rollcall/presence"
)

// syncBytes is about how large one sync event becomes; a channel with more users is told in parts.
const syncBytes = 64 << 10

// synchronise begins the hook anew: a reset, then a sync for each channel with somebody in it. This node has the claim
// to all parts, and no other has a request under way. When it ends early, whoever goes on begins with a reset again.
func (r *runner) synchronise(p *part) error {
	if err := pause(p.ctx, r.h.doubt()); err != nil { // nodes may be about to write again what Redis has lost
		return err
	}
	round := rand.Text()
	if err := r.store.clear(p.ctx, round); err != nil {
		return fmt.Errorf("forget what was told: %w", err)
	}
	channels, err := r.h.cfg.Channels(p.ctx)
	if err != nil {
		return fmt.Errorf("list channels: %w", err)
	}
	channels = slices.DeleteFunc(channels, func(c string) bool { return !r.hook.Matches(c) })
	slices.Sort(channels)
	next, before := &pending{events: []Event{{Type: reset, At: time.Now().UnixMilli()}}}, acknowledged{}
	deliver := func() error {
		q := newRequest(next.events, next.acked)
		if err := r.deliver(p, round, before, q); err != nil {
			return err
		}
		next, before = &pending{}, acknowledged{part: q.ID}
		return nil
	}
	for _, channel := range channels {
		told, err := r.everybody(p.ctx, channel)
		if err != nil {
			return err
		}
		for i := range told {
			if next.add(&told[i]) {
				continue
			}
			if err := deliver(); err != nil {
				return err
			}
			next.add(&told[i])
		}
	}
	if err := deliver(); err != nil {
		return err
	}
	if r.h.doubt() > 0 {
		r.start(p.name) // what was read may not have been all
		return nil
	}
	if err := r.store.synced(p.ctx, round); err != nil {
		return fmt.Errorf("end a synchronisation: %w", err)
	}
	r.h.cfg.Log.Info("a hook was synchronised", "hook", r.hook.Name, "channels", len(channels))
	r.beatSoon()
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// pending is a request of a synchronisation that is being made.
type pending struct {
	events []Event
	acked  []op
	size   int
}

// add puts one more event into it; false: it is full.
func (b *pending) add(s *synced) bool {
	if len(b.events) == MaxEvents || len(b.events) > 0 && b.size+s.size > maxEvents {
		return false
	}
	b.events, b.acked, b.size = append(b.events, s.event), append(b.acked, s.acked...), b.size+s.size
	return true
}

// synced is one sync event, with what is noted after it.
type synced struct {
	event Event
	acked []op
	size  int // bytes
}

// everybody reads a channel whole and makes its sync events, in parts when it is large; none when nobody is in it.
func (r *runner) everybody(ctx context.Context, channel string) ([]synced, error) {
	var snap *presence.Snapshot
	for snap == nil {
		var err error
		snap, err = r.h.cfg.Presence.Snapshot(ctx, channel)
		if err != nil && !errors.Is(err, presence.ErrMoved) {
			return nil, fmt.Errorf("read a channel: %w", err)
		}
	}
	return syncsOf(channel, snap), nil
}

func syncsOf(channel string, snap *presence.Snapshot) (all []synced) {
	users := make([]*presence.User, 0, len(snap.Users))
	for _, u := range snap.Users {
		users = append(users, u)
	}
	slices.SortFunc(users, (*presence.User).Compare)
	at := time.Now().UnixMilli()
	room := syncBytes
	for _, u := range users {
		metas := metasOf(u)
		size := len(metas) + 6*len(u.ID) + 64 // as JSON, at most
		if len(all) == 0 || room < size {
			room = syncBytes
			all = append(all, synced{event: Event{Type: syncUser, Channel: channel, At: at}, size: 6*len(channel) + 128,
				acked: []op{}})
		}
		s := &all[len(all)-1]
		s.event.Users = append(s.event.Users, syncedUser{u.ID, raw(metas)})
		s.acked = append(s.acked, op{"set", channel, u.ID, metas})
		s.size, room = s.size+size, room-size
	}
	for i := range all {
		all[i].event.Part, all[i].event.Parts = i+1, len(all)
		all[i].acked = append(all[i].acked, op{"at", channel, snap.Epoch + " " + strconv.FormatInt(snap.Seq, 10), ""})
	}
	return all
}
