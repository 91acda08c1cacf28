package api

import (
	"context"
	"errors"

	"rollcall/hub"
	"rollcall/redisconn"
)

// outcome is what became of a call that changes something.
type outcome string

const (
	done      outcome = "done"
	unknown   outcome = "unknown" // there was no answer after the change may have been made, or a part of it
	unchanged outcome = ""        // it failed, and changed nothing
)

// outcomeOf tells what became of one change.
func outcomeOf(err error) outcome {
	switch {
	case err == nil:
		return done
	case errors.Is(err, redisconn.ErrUnknown), errors.Is(err, hub.ErrSilent), errors.Is(err, context.Canceled):
		return unknown
	}
	return unchanged
}

// audit writes one line for each change: who did what, from where, and what became of it.
func (s *Server) audit(ctx context.Context, what string, o outcome, more ...any) {
	if o == unchanged {
		return
	}
	who, _ := ctx.Value(callerKey{}).(caller)
	about := []any{"what", what, "key", who.Name, "from", who.from, "outcome", string(o)}
	s.cfg.Log.Info("audit", append(about, more...)...)
}
