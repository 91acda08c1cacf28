package api

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"rollcall/broker"
	"rollcall/hub"
)

// keepOnce is how long an idempotency key is remembered.
const keepOnce = 24 * time.Hour

// Once remembers idempotency keys for all nodes; *broker.Broker is one.
type Once interface {
	Do(ctx context.Context, args ...any) (any, error)
	Keys() broker.Keys
}

// once tells whether this is the first call with a key. The same key with other messages is an error of the caller.
func (s *Server) once(ctx context.Context, key string, ms []hub.Message) (first bool, err error) {
	if key == "" {
		return true, nil
	}
	sum := digest(ms)
	name := s.onceName(ctx, key)
	_, err = s.cfg.Once.Do(ctx, "set", name, sum, "nx", "px", keepOnce.Milliseconds())
	switch {
	case err == nil:
		return true, nil
	case !errors.Is(err, broker.Nil):
		return false, s.fail(err)
	}
	had, err := s.cfg.Once.Do(ctx, "get", name)
	switch {
	case err != nil && !errors.Is(err, broker.Nil):
		return false, s.fail(err)
	case had != sum:
		return false, huma.Error422UnprocessableEntity("this idempotency key was used with another message",
			&huma.ErrorDetail{Location: "header.Idempotency-Key", Message: "used with another message", Value: key})
	}
	return false, nil
}

// forgetOnce lets a call that failed be made again with its key.
func (s *Server) forgetOnce(ctx context.Context, key string) {
	if key == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if _, err := s.cfg.Once.Do(ctx, "del", s.onceName(ctx, key)); err != nil {
		s.cfg.Log.Warn("forget idempotency key failed", "error", err)
	}
}

// onceName is the Redis key; keys of different callers do not meet.
func (s *Server) onceName(ctx context.Context, key string) string {
	who, _ := ctx.Value(callerKey{}).(caller)
	sum := sha256.Sum256([]byte(who.Name + "\x00" + key))
	return s.cfg.Once.Keys().Once(hex.EncodeToString(sum[:16]))
}

func digest(ms []hub.Message) string {
	h := sha256.New()
	for _, m := range ms {
		for _, part := range []string{m.Channel, m.Value.Text} {
			h.Write([]byte(itoa(len(part)) + ":" + part))
		}
		if m.Value.JSON {
			h.Write([]byte("j"))
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}
