package api

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"rollcall/auth"
	"rollcall/hub"
)

// maxBatch is how many broadcasts one call may hold.
const maxBatch = 1000

// message is what clients are sent: any JSON value; a string leaves as it is, anything else as JSON text (SPEC 1.2).
type message struct {
	Message json.RawMessage `json:"message" doc:"Any JSON value. Clients get a string as it is, and anything else as JSON."`
}

func (m message) value() (hub.Value, error) { return valueOf(m.Message, "body.message") }

func valueOf(raw json.RawMessage, location string) (hub.Value, error) {
	if len(raw) > 0 && raw[0] == '"' {
		var text string
		if err := json.Unmarshal(raw, &text); err != nil {
			return hub.Value{}, huma.Error422UnprocessableEntity("the message is no JSON", &huma.ErrorDetail{Location: location, Message: err.Error()})
		}
		return hub.Value{Text: text}, nil
	}
	return hub.Value{Text: string(raw), JSON: true}, nil
}

// OnceHeader makes a repeated call one: the second answer is that of the first.
type OnceHeader struct {
	Key string `header:"Idempotency-Key" maxLength:"255" doc:"A call with a key that was used in the last day does nothing and gets the first call's answer."`
}

type broadcastInput struct {
	OnceHeader
	Body message
}

type channelBroadcastInput struct {
	OnceHeader
	ChannelPath
	Body message
}

type batchInput struct {
	OnceHeader
	Body struct {
		Broadcasts []struct {
			Channel string          `json:"channel,omitempty" doc:"None: every connection of the cluster."`
			Message json.RawMessage `json:"message" doc:"Any JSON value."`
		} `json:"broadcasts" minItems:"1" maxItems:"1000"`
	}
}

// sent answers a broadcast: Redis has taken it. Whether anyone listens is not known (broadcasts are at most once).
type sent struct {
	Replayed string `header:"Idempotent-Replayed" doc:"true when this answers a call that was made before."`
	Body     struct {
		Sent int `json:"sent" doc:"Number of broadcasts."`
	}
}

// broadcasts registers what reaches many clients.
func (s *Server) broadcasts(api huma.API) {
	huma.Register(api, operation("broadcast", http.MethodPost, "/_api/broadcast", "Send to every connection", auth.Publish, http.StatusOK),
		func(ctx context.Context, in *broadcastInput) (*sent, error) {
			v, err := in.Body.value()
			if err != nil {
				return nil, err
			}
			return s.publish(ctx, in.Key, []hub.Message{{Value: v}})
		})
	huma.Register(api, operation("broadcast-to-channel", http.MethodPost, "/_api/channels/{channel}/broadcast", "Send to all in a channel", auth.Publish, http.StatusOK),
		func(ctx context.Context, in *channelBroadcastInput) (*sent, error) {
			v, err := in.Body.value()
			if err != nil {
				return nil, err
			}
			if err := hub.CheckChannel(in.Channel); err != nil {
				return nil, s.fail(err)
			}
			return s.publish(ctx, in.Key, []hub.Message{{Channel: in.Channel, Value: v}})
		})
	huma.Register(api, operation("batch", http.MethodPost, "/_api/batch", "Many broadcasts in one call, in order", auth.Publish, http.StatusOK),
		func(ctx context.Context, in *batchInput) (*sent, error) {
			ms := make([]hub.Message, len(in.Body.Broadcasts))
			for i, b := range in.Body.Broadcasts {
				at := "body.broadcasts[" + itoa(i) + "]"
				if b.Channel != "" {
					if err := hub.CheckChannel(b.Channel); err != nil {
						return nil, huma.Error422UnprocessableEntity(err.Error(), &huma.ErrorDetail{Location: at + ".channel", Message: err.Error()})
					}
				}
				v, err := valueOf(b.Message, at+".message")
				if err != nil {
					return nil, err
				}
				ms[i] = hub.Message{Channel: b.Channel, Value: v}
			}
			return s.publish(ctx, in.Key, ms)
		})
}

// publish sends messages, once for each idempotency key.
func (s *Server) publish(ctx context.Context, key string, ms []hub.Message) (*sent, error) {
	out := &sent{}
	out.Body.Sent = len(ms)
	first, err := s.once(ctx, key, ms)
	if err != nil {
		return nil, err
	}
	if !first {
		out.Replayed = "true"
		return out, nil
	}
	if err := s.cfg.Hub.BroadcastMany(ctx, ms); err != nil {
		s.forgetOnce(ctx, key)
		return nil, s.fail(err)
	}
	channel := ""
	if len(ms) == 1 {
		channel = ms[0].Channel
	}
	s.audit(ctx, "broadcast", "channel", channel, "messages", len(ms))
	return out, nil
}

// audit writes one line for each change: who did what, from where.
func (s *Server) audit(ctx context.Context, what string, more ...any) {
	who, _ := ctx.Value(callerKey{}).(caller)
	s.cfg.Log.Info("audit: "+what, append([]any{"key", who.Name, "from", who.from}, more...)...)
}
