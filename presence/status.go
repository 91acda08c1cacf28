package presence

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/redis/go-redis/v9"

	"rollcall/naming"
)

// Status is whether a user is online anywhere (SPEC 9).
type Status struct {
	ID       string
	User     *User // nil: offline
	LastSeen int64 // ms of the Redis clock; 0: online, or not known
}

// Statuses reads users in the order asked, all in one pipeline. Ids have channels (naming.UserChannel). A head is read
// after its user, where UsersAt reads it before: who is not there any more has left the time that is read then.
func (s *Store) Statuses(ctx context.Context, ids []string) ([]Status, error) {
	cmds := make([]redis.Cmder, 0, 2*len(ids))
	for _, id := range ids {
		channel, err := naming.UserChannel(id)
		if err != nil {
			return nil, err
		}
		cmds = append(cmds, redis.NewStringSliceCmd(ctx, "hgetall", s.keys.User(channel, id)),
			redis.NewStringCmd(ctx, "hget", s.keys.Head(channel), "seen"))
	}
	if err := s.batch(ctx, cmds...); err != nil {
		return nil, fmt.Errorf("read users: %w", err)
	}
	out := make([]Status, len(ids))
	for i, id := range ids {
		user, err := userFrom(id, cmds[2*i].(*redis.StringSliceCmd).Val())
		if err != nil {
			return nil, err
		}
		out[i] = Status{ID: id, User: user}
		if user == nil {
			out[i].LastSeen, _ = strconv.ParseInt(cmds[2*i+1].(*redis.StringCmd).Val(), 10, 64)
		}
	}
	return out, nil
}

// Statuses is the store's; it also looks after users of nodes that are not there any more.
func (t *Tracker) Statuses(ctx context.Context, ids []string) ([]Status, error) {
	list, err := t.store.Statuses(ctx, ids)
	for _, st := range list {
		if st.User != nil {
			channel, _ := naming.UserChannel(st.ID)
			t.noteOwners(channel, ownersOf(slices.Values([]*User{st.User})), true)
		}
	}
	return list, err
}
