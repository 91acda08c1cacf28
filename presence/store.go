package presence

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"math"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/naming"
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

	changed func(channel, user string, cause Cause)                 // see OnChange
	others  func(channel string, refs map[entryRef]bool) []entryRef // but those that this node holds; its Tracker's

	lastSeen time.Duration // static after KeepLastSeen

	reaped atomic.Int64
}

// NewStore makes a store on a Redis.
func NewStore(r Redis, keys redisconn.Keys) *Store {
	return &Store{redis: r, keys: keys, changed: func(string, string, Cause) {},
		others: func(_ string, refs map[entryRef]bool) []entryRef { return sortedRefs(refs) }}
}

// KeepLastSeen says how long it is kept when a user was there last (SPEC 9, --last-seen). It is called before the store
// is used; else nothing is kept.
func (s *Store) KeepLastSeen(d time.Duration) { s.lastSeen = d }

// keep is for how many ms a channel that empties keeps when its user was there.
func (s *Store) keep(channel string) int64 {
	if !naming.IsUserChannel(channel) {
		return 0
	}
	return s.lastSeen.Milliseconds()
}

// Join writes a meta of a user: a new connection or a change of one. With bounded it is refused with ErrTooManyDevices
// or ErrMetasTooBig when the user would have too many, and with redisconn.ErrFull on a full Redis; without, Redis has
// just lost what was allowed before. known is the epoch in which the channel was put on the incarnation's list, "" if
// that is not known; in another one nothing is written. epoch begins the channel's history if it has none.
func (s *Store) Join(ctx context.Context, l Lease, channel, userID string, m *Meta, bounded bool, known, epoch string) (
	Position, error,
) {
	script, most := rejoinScript, 0
	if bounded {
		script, most = joinScript, MaxDevices
	}
	return s.writeMeta(ctx, script, l, channel, userID, m, known, epoch, most, MaxMetas)
}

// Linger lets the entry of a connection that has gone stay for a while; last is the epoch in which it was last written,
// the rest is as for Join. errGone: another connection of the user is there, or somebody has removed it.
func (s *Store) Linger(ctx context.Context, l Lease, channel, userID string, m *Meta, known, epoch string,
	stay time.Duration, last string, cause Cause,
) (Position, error) {
	return s.writeMeta(ctx, lingerScript, l, channel, userID, m, known, epoch, stay.Milliseconds(), last, string(cause))
}

func (s *Store) writeMeta(ctx context.Context, script *redisconn.Script, l Lease, channel, userID string, m *Meta,
	known, epoch string, more ...any,
) (Position, error) {
	defer s.changed(channel, userID, CauseUnknown)
	k, topic := s.keys, s.keys.Topic(channel)
	return s.write(ctx, script,
		[]string{k.Head(channel), k.Users(channel), k.User(channel, userID), k.Entries(channel, l.Inc)},
		append([]any{l.Deadline, epoch, k.PublishCommand(topic), topic, m.ConnID, userID, l.Inc, m.body(),
			k.Entries(channel, ""), known}, more...)...)
}

// Leave removes a connection of a user.
func (s *Store) Leave(ctx context.Context, l Lease, channel, userID, connID, epoch string, cause Cause) (Position,
	error,
) {
	defer s.changed(channel, userID, cause)
	k, topic := s.keys, s.keys.Topic(channel)
	return s.write(ctx, leaveScript,
		[]string{k.Head(channel), k.Users(channel), k.User(channel, userID)},
		l.Deadline, epoch, k.PublishCommand(topic), topic, connID, userID, l.Inc, k.Entries(channel, ""), string(cause),
		s.keep(channel))
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

// Which entries are removed: all of them, or those that are due, for which what lingers stays until its time.
const (
	removeAll = "all"
	removeDue = "due"
)

// remove takes entries away that belong to an incarnation, and tells the channel. It is for the dead and the unknown:
// no lease is asked for. n counts those that were there; later is the earliest deadline (ms of the Redis clock) of
// those that linger, math.MaxInt64 none. lived is until when the incarnation was there (ms likewise), 0 not known.
func (s *Store) remove(ctx context.Context, channel, inc, which string, lived int64, refs []entryRef) (n, later int64,
	err error,
) {
	later = math.MaxInt64
	k, topic := s.keys, s.keys.Topic(channel)
	keys := []string{k.Head(channel), k.Users(channel), k.Entries(channel, inc)}
	for len(refs) > 0 {
		page := refs[:min(len(refs), pageSize)]
		args := make([]any, 0, 8+2*len(page))
		args = append(args, newRef(), k.PublishCommand(topic), topic, inc, k.UserPrefix(channel), which, s.keep(channel),
			lived)
		for _, r := range page {
			args = append(args, r.conn, r.user)
		}
		res, err := s.redis.Run(ctx, reapScript, keys, args...)
		out, _ := res.([]any)
		s.removed(channel, page, out)
		if err != nil {
			return n, later, fmt.Errorf("remove entries: %w", err)
		}
		if len(out) < 2 {
			return n, later, fmt.Errorf("remove entries: unexpected answer %v", res)
		}
		removed, _ := out[0].(int64)
		n += removed
		if till, _ := out[1].(int64); till != 0 {
			later = min(later, till)
		}
		refs = refs[len(page):]
	}
	return n, later, nil
}

// removed tells of a removal that was tried: out is the script's answer, which has causes, nil when it is not known.
func (s *Store) removed(channel string, refs []entryRef, out []any) {
	causes := map[string]Cause{}
	for i := 2; i+1 < len(out); i += 2 {
		user, _ := out[i].(string)
		cause, _ := out[i+1].(string)
		causes[user] = Cause(cause)
	}
	for _, r := range refs {
		s.changed(channel, r.user, causes[r.user])
	}
}

// RemoveIncarnation removes the entries of a dead incarnation in a channel, but those that linger, and those that this
// node holds itself, which are about to be written again: later is the earliest deadline (ms of the Redis clock) of
// these, 0 when that is soon, math.MaxInt64 none. lived is until when its lease was good (ms likewise), 0 not known:
// its users were there then.
func (s *Store) RemoveIncarnation(ctx context.Context, channel, inc string, lived int64) (later int64, err error) {
	refs, err := s.Entries(ctx, channel, inc)
	if err != nil {
		return 0, err
	}
	others := s.others(channel, refs)
	n, later, err := s.remove(ctx, channel, inc, removeDue, lived, others)
	s.changed(channel, "", CauseUnknown) // the dead node may have changed more, and told nobody
	s.reaped.Add(n)
	if len(others) < len(refs) {
		later = 0
	}
	return later, err
}
