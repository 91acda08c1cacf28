package presence

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// Positions reads where the channels stand; the zero Position for one that Redis knows nothing of.
func (s *Store) Positions(ctx context.Context, channels []string) ([]Position, error) {
	at, _, err := s.Standings(ctx, channels, "", nil)
	return at, err
}

// Standings reads where channels stand, and how many entries of an incarnation others hold, in one pipeline.
func (s *Store) Standings(ctx context.Context, channels []string, inc string, others []string) (
	at []Position, entries []int64, err error,
) {
	cmds := make([]redis.Cmder, 0, len(channels)+len(others))
	for _, c := range channels {
		cmds = append(cmds, redis.NewSliceCmd(ctx, "hmget", s.keys.Head(c), "epoch", "seq"))
	}
	for _, c := range others {
		cmds = append(cmds, redis.NewIntCmd(ctx, "zcard", s.keys.Entries(c, inc)))
	}
	if err := s.batch(ctx, cmds...); err != nil {
		return nil, nil, fmt.Errorf("read where channels stand: %w", err)
	}
	at, entries = make([]Position, len(channels)), make([]int64, len(others))
	for i := range at {
		at[i] = positionOf(cmds[i].(*redis.SliceCmd).Val())
	}
	for i := range entries {
		entries[i] = cmds[len(at)+i].(*redis.IntCmd).Val()
	}
	return at, entries, nil
}

func positionOf(v []any) Position {
	if len(v) != 2 {
		return Position{}
	}
	epoch, _ := v[0].(string)
	text, _ := v[1].(string)
	seq, _ := strconv.ParseInt(text, 10, 64)
	return Position{epoch, seq}
}

// ErrMoved says that the channel's history was replaced while it was read; read it again.
var ErrMoved = errors.New("the channel was wiped while it was read")

// Snapshot reads who is in a channel, in pages. The caller has subscribed to the topic before, so every change after
// the snapshot's Seq reaches it. ErrMoved: read again.
func (s *Store) Snapshot(ctx context.Context, channel string) (*Snapshot, error) {
	at, err := s.Positions(ctx, []string{channel})
	if err != nil {
		return nil, err
	}
	snap := &Snapshot{Epoch: at[0].Epoch, Seq: at[0].Seq, End: at[0].Seq, Users: map[string]*User{}}
	if snap.Epoch == "" {
		return snap, nil
	}
	err = s.scan(ctx, s.keys.Users(channel), func(ids []string) error {
		return s.readUsers(ctx, channel, ids, snap.Users)
	})
	if err != nil {
		return nil, fmt.Errorf("read users: %w", err)
	}
	if at, err = s.Positions(ctx, []string{channel}); err != nil {
		return nil, err
	}
	snap.End = at[0].Seq
	if at[0].Epoch != snap.Epoch || snap.End < snap.Seq {
		return nil, ErrMoved
	}
	for _, u := range snap.Users {
		if u.Seq > snap.End {
			return nil, ErrMoved
		}
	}
	return snap, nil
}

// scan goes through a sorted set whose scores are all 0, in pages by name: a member that is there all the time is met
// exactly once, whatever changes meanwhile (the cursors of SSCAN promise that in Redis, but not in miniredis).
func (s *Store) scan(ctx context.Context, key string, page func(members []string) error) error {
	for from := "-"; ; {
		cmd := redis.NewStringSliceCmd(ctx, "zrangebylex", key, from, "+", "limit", 0, pageSize)
		if err := s.batch(ctx, cmd); err != nil {
			return err
		}
		members := cmd.Val()
		if len(members) == 0 {
			return nil
		}
		if err := page(members); err != nil {
			return err
		}
		if len(members) < pageSize {
			return nil
		}
		from = "(" + members[len(members)-1]
	}
}

func (s *Store) readUsers(ctx context.Context, channel string, ids []string, into map[string]*User) error {
	cmds := make([]redis.Cmder, len(ids))
	for i, id := range ids {
		cmds[i] = redis.NewStringSliceCmd(ctx, "hgetall", s.keys.User(channel, id))
	}
	if err := s.batch(ctx, cmds...); err != nil {
		return err
	}
	for i, id := range ids {
		u, err := userFrom(id, cmds[i].(*redis.StringSliceCmd).Val())
		if err != nil {
			return err
		}
		if u != nil {
			into[id] = u
		}
	}
	return nil
}

// userFrom reads a user's hash, nil when it is empty.
func userFrom(id string, pairs []string) (*User, error) {
	u := &User{ID: id}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i] == "s" {
			u.Seq, _ = strconv.ParseInt(pairs[i+1], 10, 64)
			continue
		}
		m, err := parseEntry(pairs[i], pairs[i+1])
		if err != nil {
			return nil, err
		}
		u.Metas = append(u.Metas, m)
	}
	if len(u.Metas) == 0 {
		return nil, nil
	}
	sortMetas(u.Metas)
	u.pack()
	return u, nil
}

// User reads one user, nil when absent.
func (s *Store) User(ctx context.Context, channel, id string) (*User, error) {
	got := map[string]*User{}
	if err := s.readUsers(ctx, channel, []string{id}, got); err != nil {
		return nil, fmt.Errorf("read user: %w", err)
	}
	return got[id], nil
}

// entryRef names an entry: a member of p:{C}:n:<inc>.
type entryRef struct{ conn, user string }

func parseRef(member string) (entryRef, bool) {
	conn, user, ok := strings.Cut(member, " ")
	return entryRef{conn, user}, ok
}

func (r entryRef) compare(o entryRef) int {
	return cmp.Or(strings.Compare(r.conn, o.conn), strings.Compare(r.user, o.user))
}

// sortedRefs gives the refs in one order, so that what is done to each is told in that order.
func sortedRefs[V any](refs map[entryRef]V) []entryRef {
	return slices.SortedFunc(maps.Keys(refs), entryRef.compare)
}

// Entries lists the entries of an incarnation in a channel.
func (s *Store) Entries(ctx context.Context, channel, inc string) (map[entryRef]bool, error) {
	out := map[entryRef]bool{}
	err := s.scan(ctx, s.keys.Entries(channel, inc), func(members []string) error {
		for _, m := range members {
			if ref, ok := parseRef(m); ok {
				out[ref] = true
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list entries: %w", err)
	}
	return out, nil
}
