package api

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-json-experiment/json/jsontext"

	"rollcall/auth"
	"rollcall/hub"
)

// message is what clients are sent: any JSON value; a string leaves as it is, anything else as JSON text (SPEC 1.2).
type message struct {
	Message json.RawMessage `json:"message" doc:"Any JSON value. Clients get a string as it is, and anything else as JSON."`
}

// channelMessage is a message for one channel.
type channelMessage struct {
	Message   json.RawMessage `json:"message" doc:"Any JSON value. Clients get a string as it is, and anything else as JSON."`
	Transient bool            `json:"transient,omitempty" doc:"The message is not kept where the channel has a history."`
}

// valueOf reads a message; guard has checked that it is JSON.
func valueOf(raw json.RawMessage, location string) (hub.Value, error) {
	if len(raw) > maxMessage {
		return hub.Value{}, unprocessable(location, fmt.Sprintf("a message is larger than %d bytes", maxMessage))
	}
	if len(raw) > 0 && raw[0] == '"' {
		var text string
		if err := json.Unmarshal(raw, &text); err != nil {
			return hub.Value{}, unprocessable(location, err.Error())
		}
		return hub.Value{Text: text}, nil
	}
	v := jsontext.Value(raw)
	if err := v.Compact(); err != nil {
		return hub.Value{}, unprocessable(location, err.Error())
	}
	return hub.Value{Text: string(v), JSON: true}, nil
}

// OnceHeader makes a repeated call one: the second answer is that of the first.
type OnceHeader struct {
	Key string `header:"Idempotency-Key" maxLength:"255" doc:"A broadcast that is repeated with the same key within an hour is sent once. Keys of different API keys do not meet."`
}

type broadcastInput struct {
	OnceHeader
	Body message
}

type channelBroadcastInput struct {
	OnceHeader
	ChannelPath
	Body channelMessage
}

type batchInput struct {
	OnceHeader
	Body struct {
		Broadcasts []struct {
			Channel channelName     `json:"channel,omitempty" doc:"None: every connection of the cluster."`
			Message json.RawMessage `json:"message" doc:"Any JSON value."`

			Transient bool `json:"transient,omitempty" doc:"The message is not kept where the channel has a history."`
		} `json:"broadcasts" nullable:"false" minItems:"1" maxItems:"1000"`
	}
}

// channelName tells a channel that is missing from one that is null by mistake: that must not reach everyone.
type channelName struct {
	there bool
	name  string
}

// UnmarshalJSON is called for null too, and leaves the name empty then.
func (c *channelName) UnmarshalJSON(text []byte) error {
	c.there = true
	return json.Unmarshal(text, &c.name)
}

// Schema is that of a string.
func (channelName) Schema(huma.Registry) *huma.Schema { return &huma.Schema{Type: huma.TypeString} }

// sent answers a broadcast: Redis has taken it. Whether anyone listens is not known (broadcasts are at most once).
type sent struct {
	Replayed string `header:"Idempotent-Replayed" doc:"true when all of it had been sent by an earlier call with this key."`
	Body     struct {
		Sent     int    `json:"sent" doc:"Number of broadcasts."`
		Position string `json:"position,omitempty" doc:"Of the message, or of the last, if it is one channel and the message was kept."`
	}
}

// broadcasts registers what reaches many clients.
func (s *Server) broadcasts() {
	huma.Register(s.api, operation("broadcast", http.MethodPost, "/_api/broadcast", "Send to every connection",
		auth.Publish, http.StatusOK),
		func(ctx context.Context, in *broadcastInput) (*sent, error) {
			v, err := valueOf(in.Body.Message, "body.message")
			if err != nil {
				return nil, err
			}
			return s.publish(ctx, in.Key, []hub.Message{{Value: v}})
		})
	huma.Register(s.api, operation("broadcast-to-channel", http.MethodPost, "/_api/channels/{channel}/broadcast",
		"Send to all in a channel", auth.Publish, http.StatusOK),
		func(ctx context.Context, in *channelBroadcastInput) (*sent, error) {
			v, err := valueOf(in.Body.Message, "body.message")
			if err != nil {
				return nil, err
			}
			if err := hub.CheckChannel(in.Channel); err != nil {
				return nil, s.fail(err)
			}
			v.Transient = in.Body.Transient
			return s.publish(ctx, in.Key, []hub.Message{{Channel: in.Channel, Value: v}})
		})
	batch := operation("batch", http.MethodPost, "/_api/batch",
		"Many broadcasts in one call, those of one channel in order", auth.Publish, http.StatusOK)
	batch.Metadata[metaBody] = int64(maxBatch)
	huma.Register(s.api, batch, func(ctx context.Context, in *batchInput) (*sent, error) {
		ms, err := in.messages()
		if err != nil {
			return nil, err
		}
		return s.publish(ctx, in.Key, ms)
	})
}

// messages checks the whole batch.
func (in *batchInput) messages() ([]hub.Message, error) {
	ms := make([]hub.Message, len(in.Body.Broadcasts))
	for i, b := range in.Body.Broadcasts {
		where := fmt.Sprintf("body.broadcasts[%d]", i)
		if b.Channel.there {
			if err := hub.CheckChannel(b.Channel.name); err != nil {
				return nil, unprocessable(where+".channel", err.Error())
			}
			ms[i].Channel = b.Channel.name
		}
		var err error
		if ms[i].Value, err = valueOf(b.Message, where+".message"); err != nil {
			return nil, err
		}
		ms[i].Value.Transient = b.Transient
	}
	return ms, nil
}

// publish sends messages, with an idempotency key once.
func (s *Server) publish(ctx context.Context, key string, ms []hub.Message) (*sent, error) {
	out := &sent{}
	out.Body.Sent = len(ms)
	var receipt hub.Receipt
	var err error
	if key == "" {
		receipt, err = s.cfg.Hub.BroadcastMany(ctx, ms)
	} else {
		receipt, err = s.cfg.Hub.BroadcastOnce(ctx, onceID(ctx, key), ms)
	}
	out.Body.Position = receipt.Position
	if err == nil && !receipt.Fresh {
		out.Replayed = "true"
		return out, nil
	}
	if !errors.Is(err, hub.ErrOtherCall) {
		o := outcomeOf(err)
		if o == unchanged && len(ms) > 1 {
			o = unknown // some of them may have been sent
		}
		s.audit(ctx, "broadcast", o, "channels", channelsOf(ms), "messages", len(ms))
	}
	if err != nil {
		return nil, s.fail(err)
	}
	return out, nil
}

// onceID names a call in the whole cluster; those of different API keys do not meet.
func onceID(ctx context.Context, key string) string {
	who, _ := ctx.Value(callerKey{}).(caller)
	sum := sha256.Sum256([]byte(who.Name + "\x00" + key))
	return hex.EncodeToString(sum[:16])
}

// channelsOf lists the first channels of a call for the audit log; "*" is everyone.
func channelsOf(ms []hub.Message) (names []string) {
	const most = 10
	seen := map[string]bool{}
	for _, m := range ms {
		name := m.Channel
		if name == "" {
			name = "*"
		}
		if seen[name] {
			continue
		}
		if seen[name] = true; len(seen) > most {
			return append(names, "…")
		}
		names = append(names, name)
	}
	return names
}
