package broker

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// Publish sends payload to all who are subscribed to topic. It returns nil once Redis has done so.
// Messages that one goroutine publishes to one topic arrive in that order. The payload
// must not change until it returns, and never after ErrUnknown.
func (b *Broker) Publish(ctx context.Context, topic string, payload []byte) error {
	began := time.Now()
	_, err := b.redis.Process(ctx, b.publishCommand(ctx, b.keys.Sharded(topic), topic, payload))
	b.cfg.Observer.Published(time.Since(began))
	if err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	return nil
}

// Message is one payload for one topic.
type Message struct {
	Topic   string
	Payload []byte
}

// PublishMany sends messages in as few pipelines as it takes; those of one topic arrive in order. It returns the first
// error; the other messages may have been sent all the same.
func (b *Broker) PublishMany(ctx context.Context, ms []Message) error {
	cmds := make([]redis.Cmder, len(ms))
	for i, m := range ms {
		cmds[i] = b.publishCommand(ctx, b.keys.Sharded(m.Topic), m.Topic, m.Payload)
	}
	began := time.Now()
	err := b.redis.Batch(ctx, cmds)
	b.cfg.Observer.Published(time.Since(began))
	if err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	for _, cmd := range cmds {
		if err := cmd.Err(); err != nil { // Redis's own answer
			return fmt.Errorf("publish: %w", err)
		}
	}
	return nil
}

// publishCommand is PUBLISH or SPUBLISH, sent to the master of the topic's slot: messages that enter a Cluster
// by different nodes have no order between them.
func (b *Broker) publishCommand(ctx context.Context, sharded bool, topic string, payload any) *redis.Cmd {
	name := "publish"
	if sharded {
		name = "spublish"
	}
	cmd := redis.NewCmd(ctx, name, topic, payload)
	cmd.SetFirstKeyPos(1)
	return cmd
}
