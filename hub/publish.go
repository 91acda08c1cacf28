package hub

import (
	"context"
	"strconv"

	"rollcall/broker"
)

// Message is one broadcast of the HTTP API; no Channel is every connection of the cluster.
type Message struct {
	Channel string
	Value   Value
}

// BroadcastMany sends messages, those of one channel in order. They share pipelines. The first error is told; the others
// may have been sent. A bad channel name: none was.
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

// Deliver sends to one connection, wherever it is, and tells whether it was there.
func (h *Hub) Deliver(ctx context.Context, connID string, v Value) (found bool, err error) {
	return h.reach(ctx, connID, callSend, string(v.tag())+v.Text)
}

// Disconnect closes one connection, wherever it is, and tells whether it was there.
func (h *Hub) Disconnect(ctx context.Context, connID string, code int, reason string) (found bool, err error) {
	return h.reach(ctx, connID, callClose, strconv.Itoa(code)+" "+reason)
}

// reach asks the connection's node to do something, and whether it could.
func (h *Hub) reach(ctx context.Context, connID, kind, rest string) (bool, error) {
	answer, err := h.askHolder(ctx, kind, connID, " "+rest)
	return answer == answerYes, err
}

// askHolder puts a question about a connection to its node; "": no live node can hold it. ErrBadID: no UUID. ErrSilent: the
// node did not answer.
func (h *Hub) askHolder(ctx context.Context, kind, connID, rest string) (answer string, err error) {
	connID, process, err := h.holder(ctx, connID)
	if err != nil || process == "" {
		return "", err
	}
	answer, answered, err := h.cfg.Cluster.AskOne(ctx, process, kind, connID+rest)
	switch {
	case err != nil:
		return "", unavailable("reach connection", err)
	case !answered:
		return "", ErrSilent
	}
	return answer, nil
}

// answerYes is the answer of a node that had the connection.
const answerYes = "yes"
