package hub

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/history"
	"rollcall/redisconn"
)

// keepOnce is how long a call is remembered.
const keepOnce = time.Hour

// ErrOtherCall says that an id belongs to a call with other messages.
var ErrOtherCall = errors.New("this idempotency key was used with another call")

//go:embed scripts/publish_once.lua
var publishOnceSource string

var publishOnce = redisconn.NewScript(publishOnceSource)

// BroadcastOnce is BroadcastMany for a call that may be made again with the same id, at the same time too, and over any
// node: within an hour each message is published once. After an error the call may be made again; what it had published
// is then left out.
//
// Invariant: a message is published and marked in one script, so no crash and no lost answer comes between the two. The
// call itself is noted before, so that other messages with its id are refused whole (ErrOtherCall).
func (h *Hub) BroadcastOnce(ctx context.Context, id string, ms []Message) (Receipt, error) {
	if err := h.note(ctx, id, digest(ms)); err != nil {
		return Receipt{}, err
	}
	all, err := h.batches(ms)
	if err != nil {
		return Receipt{}, err
	}
	cmds := make([]redis.Cmder, len(all))
	for i, b := range all {
		mark := h.keys.OnceMark(b.topic, id)
		if b.kept {
			cmds[i] = h.keep(ctx, b, &history.Once{Mark: mark, Keep: keepOnce})
			continue
		}
		args := []any{keepOnce.Milliseconds(), h.keys.PublishCommand(b.topic), b.topic}
		for _, m := range b.ms {
			args = append(args, encode(m.Value, ""))
		}
		cmds[i] = publishOnce.Command(ctx, []string{mark}, args...)
	}
	h.stats.Broadcasts.Add(int64(len(ms)))
	answers, err := h.perform(ctx, cmds)
	if err != nil {
		return Receipt{}, err
	}
	var r Receipt
	for i, b := range all {
		if !b.kept {
			r.Fresh = r.Fresh || answers[i] == int64(1)
			continue
		}
		at, fresh, err := history.Published(answers[i])
		if err != nil {
			return Receipt{}, fmt.Errorf("broadcast: %w", err)
		}
		if r.Fresh = r.Fresh || fresh; len(all) == 1 && at != (history.Position{}) {
			r.Position = at.String()
		}
	}
	return r, nil
}

// note remembers a call by its id; ErrOtherCall when another one is remembered.
func (h *Hub) note(ctx context.Context, id, sum string) error {
	key := h.keys.Once(id)
	for range 2 { // again when the older note expired between the two commands
		_, err := h.cfg.Redis.Process(ctx, redis.NewCmd(ctx, "set", key, sum, "nx", "px", keepOnce.Milliseconds()))
		switch {
		case err == nil:
			return nil
		case !errors.Is(err, redisconn.Nil):
			return unavailable("remember idempotency key", err)
		}
		had, err := h.cfg.Redis.Process(ctx, redis.NewCmd(ctx, "get", key))
		switch {
		case err == nil && had == sum:
			return nil
		case err == nil:
			return ErrOtherCall
		case !errors.Is(err, redisconn.Nil):
			return unavailable("look up idempotency key", err)
		}
	}
	return fmt.Errorf("remember idempotency key: %w", ErrUnavailable)
}

// digest tells calls apart by what they send.
func digest(ms []Message) string {
	sum := sha256.New()
	for _, m := range ms {
		kind := string(m.Value.tag())
		if m.Value.Transient {
			kind += "t"
		}
		for _, part := range []string{m.Channel, kind, m.Value.Text} {
			sum.Write([]byte(strconv.Itoa(len(part)) + ":" + part))
		}
	}
	return hex.EncodeToString(sum.Sum(nil))
}
