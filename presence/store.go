package presence

import (
	"cmp"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/redisconn"
)

//go:embed scripts/message.lua
var messageSrc string

//go:embed scripts/join.lua
var joinSrc string

//go:embed scripts/leave.lua
var leaveSrc string

//go:embed scripts/linger.lua
var lingerSrc string

//go:embed scripts/reap.lua
var reapSrc string

//go:embed scripts/register.lua
var registerSrc string

var (
	joinScript     = redisconn.NewScript(messageSrc + joinSrc)
	rejoinScript   = joinScript.AllowOOM() // of what was allowed before
	leaveScript    = redisconn.NewScript(messageSrc + leaveSrc).AllowOOM()
	lingerScript   = redisconn.NewScript(messageSrc + lingerSrc).AllowOOM()
	reapScript     = redisconn.NewScript(messageSrc + reapSrc).AllowOOM()
	registerScript = redisconn.NewScript(registerSrc).AllowOOM()
)

// Answers of the presence scripts that are no success.
var (
	errFenced = errors.New("the lease was over when the write arrived, or Redis has lost it")
	errStale  = errors.New("a later incarnation of this node owns the entry")
	errGone   = errors.New("the entry went instead of lingering")
)

// pageSize is how many members one command reads or one script removes: never one long script.
const pageSize = 200

// Redis is what the store needs of Redis.
type Redis interface {
	Run(ctx context.Context, s *redisconn.Script, keys []string, args ...any) (any, error)
	Batch(ctx context.Context, cmds []redis.Cmder) error
}

// Lease is the right to write: an incarnation and its deadline in ms of the Redis clock.
type Lease struct {
	Inc      string
	Deadline int64
}

// Position is a point in a channel's history.
type Position struct {
	Epoch string
	Seq   int64
}

// Store is presence in Redis: the keys p:{…} and the channels of an incarnation. Every change is one script that writes
// and publishes. The users of a channel and the entries of an incarnation are sorted sets by name, for scan.
type Store struct {
	redis Redis
	keys  redisconn.Keys

	reaped atomic.Int64
}

// NewStore makes a store on a Redis.
func NewStore(r Redis, keys redisconn.Keys) *Store { return &Store{redis: r, keys: keys} }

// Reaped counts the entries that RemoveIncarnation removed.
func (s *Store) Reaped() int64 { return s.reaped.Load() }

// Join writes a meta of a user: a new connection or a change of one. With bounded it is refused with ErrTooManyDevices or
// ErrMetasTooBig when the user would have too many, and with redisconn.ErrFull on a full Redis; without, Redis has just lost what was
// allowed before. known is the epoch in which the channel was put on the
// incarnation's list, "" if that is not known; in another one nothing is written. epoch begins the channel's history if it has none.
func (s *Store) Join(ctx context.Context, l Lease, channel, userID string, m *Meta, bounded bool, known, epoch string) (Position, error) {
	script, most := rejoinScript, 0
	if bounded {
		script, most = joinScript, MaxDevices
	}
	return s.writeMeta(ctx, script, l, channel, userID, m, known, epoch, most, MaxMetas)
}

// Linger lets the entry of a connection that has gone stay for a while; last is the epoch in which it was last written, the rest
// is as for Join. errGone: another connection of the user is there, or somebody has removed it.
func (s *Store) Linger(ctx context.Context, l Lease, channel, userID string, m *Meta, known, epoch string, stay time.Duration, last string) (Position, error) {
	return s.writeMeta(ctx, lingerScript, l, channel, userID, m, known, epoch, stay.Milliseconds(), last)
}

func (s *Store) writeMeta(ctx context.Context, script *redisconn.Script, l Lease, channel, userID string, m *Meta, known, epoch string, more ...any) (Position, error) {
	k, topic := s.keys, s.keys.Topic(channel)
	return s.write(ctx, script,
		[]string{k.Head(channel), k.Users(channel), k.User(channel, userID), k.Entries(channel, l.Inc)},
		append([]any{l.Deadline, epoch, k.PublishCommand(topic), topic, m.ConnID, userID, l.Inc, m.body(), k.Entries(channel, ""), known}, more...)...)
}

// Leave removes a connection of a user.
func (s *Store) Leave(ctx context.Context, l Lease, channel, userID, connID, epoch string) (Position, error) {
	k, topic := s.keys, s.keys.Topic(channel)
	return s.write(ctx, leaveScript,
		[]string{k.Head(channel), k.Users(channel), k.User(channel, userID)},
		l.Deadline, epoch, k.PublishCommand(topic), topic, connID, userID, l.Inc, k.Entries(channel, ""))
}

func (s *Store) write(ctx context.Context, script *redisconn.Script, keys []string, args ...any) (Position, error) {
	res, err := s.redis.Run(ctx, script, keys, args...)
	if err != nil {
		return Position{}, err
	}
	out, _ := res.([]any)
	if len(out) == 0 {
		return Position{}, fmt.Errorf("unexpected answer %v", res)
	}
	switch out[0] {
	case "ok", "gone":
		if len(out) != 3 {
			break
		}
		epoch, _ := out[1].(string)
		seq, _ := out[2].(int64)
		if out[0] == "gone" {
			return Position{epoch, seq}, errGone
		}
		return Position{epoch, seq}, nil
	case "fenced":
		return Position{}, errFenced
	case "stale":
		return Position{}, errStale
	case "devices":
		return Position{}, ErrTooManyDevices
	case "metas":
		return Position{}, ErrMetasTooBig
	}
	return Position{}, fmt.Errorf("unexpected answer %v", res)
}

// Register notes that the incarnation has presence in a channel. held is false when it has been declared dead.
func (s *Store) Register(ctx context.Context, inc, channel string) (held bool, err error) {
	res, err := s.redis.Run(ctx, registerScript, []string{s.keys.Nodes(), s.keys.NodeChannels(inc)}, inc, channel)
	if err != nil {
		return false, fmt.Errorf("register channel: %w", err)
	}
	return res == int64(1), nil
}

// Unregister takes channels without entries off an incarnation's list.
func (s *Store) Unregister(ctx context.Context, inc string, channels []string) error {
	args := []any{"srem", s.keys.NodeChannels(inc)}
	for _, c := range channels {
		args = append(args, c)
	}
	cmd := redis.NewIntCmd(ctx, args...)
	if err := s.batch(ctx, cmd); err != nil {
		return fmt.Errorf("unregister channels: %w", err)
	}
	return nil
}

// batch runs commands and gives the first error of any.
func (s *Store) batch(ctx context.Context, cmds ...redis.Cmder) error {
	if err := s.redis.Batch(ctx, cmds); err != nil {
		return err
	}
	for _, c := range cmds {
		if err := c.Err(); err != nil && !errors.Is(err, redis.Nil) {
			return err
		}
	}
	return nil
}

// Positions reads where the channels stand; the zero Position for one that Redis knows nothing of.
func (s *Store) Positions(ctx context.Context, channels []string) ([]Position, error) {
	cmds := make([]redis.Cmder, len(channels))
	for i, c := range channels {
		cmds[i] = redis.NewSliceCmd(ctx, "hmget", s.keys.Head(c), "epoch", "seq")
	}
	if err := s.batch(ctx, cmds...); err != nil {
		return nil, fmt.Errorf("read positions: %w", err)
	}
	out := make([]Position, len(channels))
	for i, c := range cmds {
		out[i] = positionOf(c.(*redis.SliceCmd).Val())
	}
	return out, nil
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

// errMoved says that the channel's history was replaced while a snapshot was read.
var errMoved = errors.New("the channel was wiped while it was read")

// Snapshot reads who is in a channel, in pages. The caller has subscribed to the topic before, so every change after the
// snapshot's Seq reaches it. errMoved: read again.
func (s *Store) Snapshot(ctx context.Context, channel string) (*Snapshot, error) {
	at, err := s.Positions(ctx, []string{channel})
	if err != nil {
		return nil, err
	}
	snap := &Snapshot{Epoch: at[0].Epoch, Seq: at[0].Seq, End: at[0].Seq, Users: map[string]*User{}}
	if snap.Epoch == "" {
		return snap, nil
	}
	err = s.scan(ctx, s.keys.Users(channel), func(ids []string) error { return s.readUsers(ctx, channel, ids, snap.Users) })
	if err != nil {
		return nil, fmt.Errorf("read users: %w", err)
	}
	if at, err = s.Positions(ctx, []string{channel}); err != nil {
		return nil, err
	}
	snap.End = at[0].Seq
	if at[0].Epoch != snap.Epoch || snap.End < snap.Seq {
		return nil, errMoved
	}
	for _, u := range snap.Users {
		if u.Seq > snap.End {
			return nil, errMoved
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

// EntryCounts counts the entries of an incarnation in each channel.
func (s *Store) EntryCounts(ctx context.Context, inc string, channels []string) ([]int64, error) {
	cmds := make([]redis.Cmder, len(channels))
	for i, c := range channels {
		cmds[i] = redis.NewIntCmd(ctx, "zcard", s.keys.Entries(c, inc))
	}
	if err := s.batch(ctx, cmds...); err != nil {
		return nil, fmt.Errorf("count entries: %w", err)
	}
	out := make([]int64, len(channels))
	for i, c := range cmds {
		out[i] = c.(*redis.IntCmd).Val()
	}
	return out, nil
}

// Which entries are removed: all of them, or those that are due, for which what lingers stays until its time.
const (
	removeAll = "all"
	removeDue = "due"
)

// remove takes entries away that belong to an incarnation, and tells the channel. It is for the dead and the unknown:
// no lease is asked for. n counts those that were there; later is the earliest deadline (ms of the Redis clock) of those that
// linger, 0 none.
func (s *Store) remove(ctx context.Context, channel, inc, which string, refs []entryRef) (n, later int64, err error) {
	k, topic := s.keys, s.keys.Topic(channel)
	keys := []string{k.Head(channel), k.Users(channel), k.Entries(channel, inc)}
	for len(refs) > 0 {
		page := refs[:min(len(refs), pageSize)]
		args := make([]any, 0, 6+2*len(page))
		args = append(args, newRef(), k.PublishCommand(topic), topic, inc, k.UserPrefix(channel), which)
		for _, r := range page {
			args = append(args, r.conn, r.user)
		}
		res, err := s.redis.Run(ctx, reapScript, keys, args...)
		if err != nil {
			return n, later, fmt.Errorf("remove entries: %w", err)
		}
		out, _ := res.([]any)
		if len(out) != 2 {
			return n, later, fmt.Errorf("remove entries: unexpected answer %v", res)
		}
		removed, _ := out[0].(int64)
		n += removed
		if till, _ := out[1].(int64); till != 0 && (later == 0 || till < later) {
			later = till
		}
		refs = refs[len(page):]
	}
	return n, later, nil
}

// RemoveIncarnation removes the entries of a dead incarnation in a channel, but those that linger: later is the earliest
// deadline (ms of the Redis clock) of these, 0 none.
func (s *Store) RemoveIncarnation(ctx context.Context, channel, inc string) (later int64, err error) {
	refs, err := s.Entries(ctx, channel, inc)
	if err != nil {
		return 0, err
	}
	n, later, err := s.remove(ctx, channel, inc, removeDue, sortedRefs(refs))
	s.reaped.Add(n)
	return later, err
}
