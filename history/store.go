package history

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/redisconn"
)

//go:embed scripts/publish.lua
var publishSource string

//go:embed scripts/read.lua
var readSource string

//go:embed scripts/empty.lua
var emptySource string

var (
	publishScript = redisconn.NewScript(publishSource)
	readScript    = redisconn.NewScript(readSource)
	emptyScript   = redisconn.NewScript(emptySource)
)

// Redis is what the store needs of Redis.
type Redis interface {
	Process(ctx context.Context, cmd *redis.Cmd) (any, error)
	Run(ctx context.Context, s *redisconn.Script, keys []string, args ...any) (any, error)
}

// Store is history in Redis. Each message is kept and published in one step.
type Store struct {
	redis Redis
	keys  redisconn.Keys
}

// NewStore makes a store on a Redis.
func NewStore(r Redis, keys redisconn.Keys) *Store { return &Store{redis: r, keys: keys} }

// Outgoing is one broadcast to a channel with history. One that is transient is published and not kept.
type Outgoing struct {
	Broadcast
	Transient bool
}

// Once makes a publication one that may be made again (keys: redisconn.Keys.OnceMark): within a time it is done once.
type Once struct {
	Mark string
	Keep time.Duration
}

// PublishCommand is the command that keeps and publishes messages of one channel, in order; Published reads its answer.
// once: nil for none.
func (s *Store) PublishCommand(ctx context.Context, channel string, p Policy, once *Once, ms ...Outgoing) *redis.Cmd {
	topic := s.keys.Topic(channel)
	keys := []string{s.keys.History(channel), s.keys.HistoryHead(channel), topic}
	args := make([]any, 0, 4+2*len(ms))
	args = append(args, p.Size, (p.TTL + time.Second).Milliseconds(), s.keys.PublishCommand(topic))
	for _, m := range ms {
		if m.Transient {
			args = append(args, "", m.Encode(time.Now().UnixMilli()))
		} else {
			args = append(args, m.Head(), " "+m.Text)
		}
	}
	if once != nil {
		keys, args = append(keys, once.Mark), append(args, once.Keep.Milliseconds())
	}
	return publishScript.Command(ctx, keys, args...)
}

// Published reads where the channel stands after a PublishCommand; fresh is false when all had been published before.
func Published(answer any) (at Position, fresh bool, err error) {
	text, _ := answer.(string)
	text, again := strings.CutPrefix(text, "=")
	at, ok := ParsePosition(text)
	if !ok && !again { // a mark may be of a time when the channel had no history
		return at, false, fmt.Errorf("publish: unexpected answer %v", answer)
	}
	return at, !again, nil
}

// Publish keeps and publishes one broadcast.
func (s *Store) Publish(ctx context.Context, channel string, p Policy, b Broadcast) (Position, error) {
	answer, err := s.redis.Process(ctx, s.PublishCommand(ctx, channel, p, nil, Outgoing{Broadcast: b}))
	if err != nil {
		return Position{}, fmt.Errorf("publish: %w", err)
	}
	at, _, err := Published(answer)
	return at, err
}

// Empty forgets a channel's messages. Positions go on.
func (s *Store) Empty(ctx context.Context, channel string) error {
	_, err := s.redis.Run(ctx, emptyScript, []string{s.keys.History(channel), s.keys.HistoryHead(channel)})
	if err != nil {
		return fmt.Errorf("empty history: %w", err)
	}
	return nil
}

// Read reads all that is kept of a channel, or with ReadPosition where it stands.
func (s *Store) Read(ctx context.Context, channel string, p Policy, what Read) (Held[Broadcast], error) {
	count := 0
	if what == ReadAll {
		count = MaxSize
	}
	v, err := s.read(ctx, channel, p, "XRANGE", "-", "+", count)
	return Held[Broadcast]{What: what, At: v.at, Messages: v.messages, Now: v.now}, err
}

// Query asks for a part of a channel's history: of the messages after Since and before Before those that came first, or
// without Since those that came last.
type Query struct {
	Since, Before *Position
	Limit         int // 1 to MaxSize
	Reverse       bool
}

// MissedError says why what came since a position cannot be had whole.
type MissedError struct{ Why Why }

func (e MissedError) Error() string { return "what came since cannot be had: " + string(e.Why) }

// Page gives the messages of a query, and where the channel stands. A MissedError: not all since then are held.
func (s *Store) Page(ctx context.Context, channel string, p Policy, q Query) ([]Message[Broadcast], Position, error) {
	command, from, to := "XREVRANGE", "-", "+"
	switch {
	case q.Since != nil:
		command, from = "XRANGE", Position{q.Since.MS, q.Since.Seq + 1}.String()
	case q.Before != nil:
		to = Position{q.Before.MS, q.Before.Seq - 1}.String()
		if q.Before.Seq == 0 { // no message is before it that is of its counting
			to = Position{q.Before.MS, 0}.String()
		}
	}
	v, err := s.read(ctx, channel, p, command, from, to, q.Limit)
	if err != nil {
		return nil, v.at, err
	}
	if q.Since != nil {
		if why := v.since(p, *q.Since); why != "" {
			return nil, v.at, MissedError{why}
		}
		v.messages = slices.DeleteFunc(v.messages,
			func(m Message[Broadcast]) bool { return q.Before != nil && m.At.Seq >= q.Before.Seq })
	}
	if q.Reverse == (q.Since != nil) {
		slices.Reverse(v.messages)
	}
	return v.messages, v.at, nil
}

// view is what read.lua answers.
type view struct {
	at       Position
	now      int64
	oldest   int64 // seq of the oldest message that is held; beyond at: none is
	messages []Message[Broadcast]
}

// since says whether all after a position is held, if the first message is the one after it.
func (v view) since(policy Policy, p Position) Why {
	var prev *int64
	if len(v.messages) > 0 && v.messages[0].At.Seq == p.Seq+1 {
		prev = &v.messages[0].Prev
	}
	return judge(policy, p, v.at, v.oldest, prev).final(policy, p, v.now)
}

var errAnswer = errors.New("unexpected answer")

func (s *Store) read(ctx context.Context, channel string, p Policy, command, from, to string, count int) (v view,
	err error,
) {
	answer, err := s.redis.Run(ctx, readScript, []string{s.keys.History(channel), s.keys.HistoryHead(channel)},
		p.Size, p.TTL.Milliseconds(), command, from, to, count)
	if err != nil {
		return v, fmt.Errorf("read history: %w", err)
	}
	parts, _ := answer.([]any)
	if len(parts) != 4 {
		return v, fmt.Errorf("read history: %w %v", errAnswer, answer)
	}
	at, _ := parts[0].(string)
	now, _ := parts[1].(string)
	var ok, okNow bool
	v.at, ok = ParsePosition(at)
	v.now, okNow = parseNumber(now)
	if !ok || !okNow {
		return v, fmt.Errorf("read history: %w %v", errAnswer, parts[:2])
	}
	came := time.Now()
	oldest, err := v.entries(parts[2], p, came)
	if err != nil {
		return v, err
	}
	v.oldest = v.at.Seq + 1
	if len(oldest) > 0 {
		v.oldest = oldest[0].At.Seq
	}
	v.messages, err = v.entries(parts[3], p, came)
	return v, err
}

// entries reads stream entries.
func (v view) entries(answer any, p Policy, came time.Time) ([]Message[Broadcast], error) {
	list, _ := answer.([]any)
	out := make([]Message[Broadcast], 0, len(list))
	for _, entry := range list {
		pair, _ := entry.([]any)
		if len(pair) != 2 {
			return nil, fmt.Errorf("read history: %w: entry %v", errAnswer, entry)
		}
		fields, _ := pair[1].([]any)
		if len(fields) != 2 {
			return nil, fmt.Errorf("read history: %w: entry %v", errAnswer, entry)
		}
		text, _ := fields[1].(string)
		if !IsBroadcast(text) {
			return nil, fmt.Errorf("read history: %w: message %q", errAnswer, text)
		}
		b, ok := Decode(text)
		if !ok || !b.Kept {
			return nil, fmt.Errorf("read history: %w: message %q", errAnswer, text)
		}
		age := time.Duration(v.now-b.At.MS) * time.Millisecond
		out = append(out, b.Message(len(text), came.Add(p.TTL-age)))
	}
	return out, nil
}

// Message is a broadcast that is kept, of so many bytes.
func (b Broadcast) Message(size int, until time.Time) Message[Broadcast] {
	return Message[Broadcast]{At: b.At, Prev: b.Prev, Until: until, Size: size, Body: b}
}
