package hub

import (
	"context"

	"rollcall/broker"
)

// Message is one broadcast of the HTTP API; no Channel is every connection of the cluster.
type Message struct {
	Channel string
	Value   Value
}

// BroadcastMany sends messages, those of one channel in order. They share pipelines. The first error is told; the
// others may have been sent. A bad channel name: none was.
func (h *Hub) BroadcastMany(ctx context.Context, ms []Message) error {
	batch := make([]broker.Message, len(ms))
	for i, m := range ms {
		topic, err := h.topicOf(m)
		if err != nil {
			return err
		}
		batch[i] = broker.Message{Topic: topic, Payload: encode(m.Value, "")}
	}
	h.stats.Broadcasts.Add(int64(len(ms)))
	if err := h.cfg.Broker.PublishMany(ctx, batch); err != nil {
		return unavailable("broadcast", err)
	}
	return nil
}

// topicOf is where a message is published.
func (h *Hub) topicOf(m Message) (string, error) {
	if m.Channel == "" {
		return h.keys.AllTopic(), nil
	}
	return h.keys.Topic(m.Channel), CheckChannel(m.Channel)
}
