package presence

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"
)

// Place is a user in a channel.
type Place struct{ Channel, User string }

// UsersAt reads one user of a channel for each place, nil when absent. at is where the channels stood before: what is
// older is in what was read.
func (s *Store) UsersAt(ctx context.Context, places []Place) (users []*User, at []Position, err error) {
	heads := map[string]*redis.SliceCmd{}
	cmds := make([]redis.Cmder, 0, 2*len(places))
	hashes := make([]*redis.StringSliceCmd, len(places))
	for i, p := range places {
		if heads[p.Channel] == nil {
			heads[p.Channel] = redis.NewSliceCmd(ctx, "hmget", s.keys.Head(p.Channel), "epoch", "seq")
			cmds = append(cmds, heads[p.Channel])
		}
		hashes[i] = redis.NewStringSliceCmd(ctx, "hgetall", s.keys.User(p.Channel, p.User))
		cmds = append(cmds, hashes[i])
	}
	if err := s.batch(ctx, cmds...); err != nil {
		return nil, nil, fmt.Errorf("read users: %w", err)
	}
	users, at = make([]*User, len(places)), make([]Position, len(places))
	for i, p := range places {
		if users[i], err = userFrom(p.User, hashes[i].Val()); err != nil {
			return nil, nil, err
		}
		at[i] = positionOf(heads[p.Channel].Val())
	}
	return users, at, nil
}

// UserIDs reads who is in a channel.
func (s *Store) UserIDs(ctx context.Context, channel string) (map[string]bool, error) {
	ids := map[string]bool{}
	err := s.scan(ctx, s.keys.Users(channel), func(page []string) error {
		for _, id := range page {
			ids[id] = true
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list users: %w", err)
	}
	return ids, nil
}

// OnChange sets what is told of each write of this store that may have changed who is present: the user of the channel,
// "" anybody, also when the outcome is unknown, and for each channel that was gone through for a dead node. It is
// called before the first write, and fn must not wait.
func (s *Store) OnChange(fn func(channel, user string)) { s.changed = fn }

// Tracked lists the channels in which connections of this node are present.
func (t *Tracker) Tracked() (channels []string) {
	for _, c := range t.all() {
		c.mu.Lock()
		if c.own.len() > 0 {
			channels = append(channels, c.name())
		}
		c.mu.Unlock()
	}
	slices.SortFunc(channels, strings.Compare)
	return channels
}
