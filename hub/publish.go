package hub

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/broker"
	"rollcall/history"
)

// Message is one broadcast of the HTTP API; no Channel is every connection of the cluster.
type Message struct {
	Channel string
	Value   Value
}

// Receipt answers a publication.
type Receipt struct {
	// Fresh is false when all messages had been published before.
	Fresh bool
	// Position is where the channel stood after the last message, if it is one channel and the message was kept.
	Position string
}

// batch is the messages of one call that go to one channel, in order.
type batch struct {
	channel, topic string
	ms             []Message
	policy         history.Policy
	kept           bool // something of it is
}

// batches sorts messages by their channels.
func (h *Hub) batches(ms []Message) ([]*batch, error) {
	var all []*batch
	at := map[string]*batch{}
	for _, m := range ms {
		b := at[m.Channel]
		if b == nil {
			topic, err := h.topicOf(m)
			if err != nil {
				return nil, err
			}
			b = &batch{channel: m.Channel, topic: topic}
			at[m.Channel], all = b, append(all, b)
		}
		b.ms = append(b.ms, m)
	}
	rules := h.rules.Load()
	for _, b := range all {
		var has bool
		if b.policy, has = rules.For(b.channel); !has || b.channel == "" {
			continue
		}
		for _, m := range b.ms {
			b.kept = b.kept || !m.Value.Transient
		}
	}
	return all, nil
}

// keep is the command that keeps and publishes a batch.
func (h *Hub) keep(ctx context.Context, b *batch, once *history.Once) redis.Cmder {
	out := make([]history.Outgoing, len(b.ms))
	for i, m := range b.ms {
		out[i] = history.Outgoing{Broadcast: m.Value.broadcast(""), Transient: m.Value.Transient}
	}
	return h.history.PublishCommand(ctx, b.channel, b.policy, once, out...)
}

// BroadcastMany sends messages, those of one channel in order. They share pipelines. The first error is told; the
// others may have been sent. A bad channel name: none was.
func (h *Hub) BroadcastMany(ctx context.Context, ms []Message) (Receipt, error) {
	all, err := h.batches(ms)
	if err != nil {
		return Receipt{}, err
	}
	h.stats.Broadcasts.Add(int64(len(ms)))
	var plain []broker.Message
	var cmds []redis.Cmder
	for _, b := range all {
		if b.kept {
			cmds = append(cmds, h.keep(ctx, b, nil))
			continue
		}
		for _, m := range b.ms {
			plain = append(plain, broker.Message{Topic: b.topic, Payload: encode(m.Value, "")})
		}
	}
	if len(plain) > 0 {
		if err := h.cfg.Broker.PublishMany(ctx, plain); err != nil {
			return Receipt{}, unavailable("broadcast", err)
		}
	}
	answers, err := h.perform(ctx, cmds)
	if err != nil || len(all) != 1 || len(answers) != 1 {
		return Receipt{Fresh: true}, err
	}
	at, _, err := history.Published(answers[0])
	return Receipt{true, at.String()}, err
}

// perform runs commands that publish, and gives their answers.
func (h *Hub) perform(ctx context.Context, cmds []redis.Cmder) ([]any, error) {
	if len(cmds) == 0 {
		return nil, nil
	}
	began := time.Now()
	err := h.cfg.Redis.Batch(ctx, cmds)
	h.cfg.Observer.Published(time.Since(began))
	if err != nil {
		return nil, unavailable("broadcast", err)
	}
	answers := make([]any, len(cmds))
	for i, cmd := range cmds {
		if answers[i], err = cmd.(*redis.Cmd).Result(); err != nil {
			return nil, fmt.Errorf("broadcast: %w", err)
		}
	}
	return answers, nil
}

// topicOf is where a message is published.
func (h *Hub) topicOf(m Message) (string, error) {
	if m.Channel == "" {
		return h.keys.AllTopic(), nil
	}
	return h.keys.Topic(m.Channel), CheckChannel(m.Channel)
}
