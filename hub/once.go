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
// node: within an hour each message is published once. fresh is false when all of them had been published before. After
// an error the call may be made again; what it had published is then left out.
//
// Invariant: a message is published and marked in one script, so no crash and no lost answer comes between the two. The
// call itself is noted before, so that other messages with its id are refused whole (ErrOtherCall).
func (h *Hub) BroadcastOnce(ctx context.Context, id string, ms []Message) (fresh bool, err error) {
	if err := h.note(ctx, id, digest(ms)); err != nil {
		return false, err
	}
	topics, payloads, err := h.byTopic(ms)
	if err != nil {
		return false, err
	}
	cmds := make([]redis.Cmder, len(topics))
	for i, topic := range topics {
		args := append([]any{keepOnce.Milliseconds(), h.keys.PublishCommand(topic), topic}, payloads[i]...)
		cmds[i] = publishOnce.Command(ctx, []string{h.keys.OnceMark(topic, id)}, args...)
	}
	h.stats.Broadcasts.Add(int64(len(ms)))
	if err := h.cfg.Redis.Batch(ctx, cmds); err != nil {
		return false, unavailable("broadcast", err)
	}
	for _, cmd := range cmds {
		done, err := cmd.(*redis.Cmd).Int()
		if err != nil {
			return false, fmt.Errorf("broadcast: %w", err)
		}
		fresh = fresh || done == 1
	}
	return fresh, nil
}

// note remembers a call by its id; ErrOtherCall when another one is remembered.
func (h *Hub) note(ctx context.Context, id, sum string) error {
	key := h.keys.Once(id)
	for range 2 { // again when the older note expired between the two commands
		_, err := h.cfg.Redis.Do(ctx, "set", key, sum, "nx", "px", keepOnce.Milliseconds())
		switch {
		case err == nil:
			return nil
		case !errors.Is(err, redisconn.Nil):
			return unavailable("remember idempotency key", err)
		}
		had, err := h.cfg.Redis.Do(ctx, "get", key)
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

// byTopic sorts messages by their topics, each topic's in order.
func (h *Hub) byTopic(ms []Message) (topics []string, payloads [][]any, err error) {
	at := map[string]int{}
	for _, m := range ms {
		topic, err := h.topicOf(m)
		if err != nil {
			return nil, nil, err
		}
		i, ok := at[topic]
		if !ok {
			i = len(topics)
			at[topic] = i
			topics, payloads = append(topics, topic), append(payloads, nil)
		}
		payloads[i] = append(payloads[i], encode(m.Value, ""))
	}
	return topics, payloads, nil
}

// digest tells calls apart by what they send.
func digest(ms []Message) string {
	sum := sha256.New()
	for _, m := range ms {
		for _, part := range []string{m.Channel, string(m.Value.tag()), m.Value.Text} {
			sum.Write([]byte(strconv.Itoa(len(part)) + ":" + part))
		}
	}
	return hex.EncodeToString(sum.Sum(nil))
}
