package app

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"rollcall/hub"
	"rollcall/luavm"
	"rollcall/overload"
)

// Bounds of a turn besides Config.TurnTimeout (SPEC 6).
const (
	// maxCalls is how many calls to Redis a turn makes at most, those of its actions included.
	maxCalls = 1000
	// maxAfterGone is how long a turn may go on after its client has gone.
	maxAfterGone = 2 * time.Second
	// lookForPeer is the age from which on it is looked whether the client of a turn is still there.
	lookForPeer = time.Second
	// checkEvery is how often a turn that waits is checked at least.
	checkEvery = lookForPeer / 2
)

// turn is one event of a connection or one HTTP call, with what bounds it. It is the context in which its calls wait.
//
//	runs ──▶ over: its time is up, its calls are used up, its client has gone, or the node closes
//	  └────▶ ended
type turn struct {
	// Static.
	server *Server
	client caller        // nil: it has gone already
	limit  time.Duration // of its time

	began atomic.Int64 // when it got its VM, unix ns; 0: it waits for one

	// Owned by the goroutine of the turn.
	use   load // of Lua time before it
	calls int

	// Set when it first waits.
	ctx    context.Context
	cancel context.CancelCauseFunc
	timer  *time.Timer // of its next check
}

// caller is the client whose event or request a turn serves.
type caller interface {
	// goneSince is when the client was first seen to have gone; the zero time: it is there. look: ask the socket. It is
	// called by one goroutine at a time.
	goneSince(now time.Time, look bool) time.Time
}

// overError is why a turn was ended before it was done.
type overError struct {
	reason Reason
	text   string
}

func (e *overError) Error() string { return e.text }

var (
	errTooManyCalls = &overError{ReasonCalls, fmt.Sprintf("more than %d calls to Redis in one turn", maxCalls)}
	errClientGone   = &overError{ReasonGone,
		fmt.Sprintf("the client is gone, and the turn went on for %v", maxAfterGone)}
	errTurnTooLarge = &overError{Reason(luavm.Memory.String()),
		"scripts of this node hold too much together, and this one, which waits, the most"}
	errNodeCloses = &overError{ReasonGone, "the node closes"}
)

// newTurn makes a turn for what a client wants; nil: for the end of its connection.
func (s *Server) newTurn(c caller) *turn {
	t := &turn{server: s, client: c, limit: s.cfg.TurnTimeout}
	if c == nil {
		t.limit = min(t.limit, maxAfterGone)
	}
	return t
}

// begin is called when the turn has its VM; the error says that it is over already.
func (t *turn) begin() error {
	t.began.Store(time.Now().UnixNano())
	return t.over()
}

// age is how long the turn has had its VM.
func (t *turn) age(now time.Time) time.Duration {
	if at := t.began.Load(); at != 0 {
		return now.Sub(time.Unix(0, at))
	}
	return 0
}

// context is what the calls of the turn wait with; it ends when the turn is over.
func (t *turn) context() context.Context {
	if t.ctx == nil {
		t.ctx, t.cancel = context.WithCancelCause(t.server.ctx)
		t.timer = time.AfterFunc(time.Hour, t.check)
		t.timer.Reset(min(t.limit, checkEvery))
	}
	return t.ctx
}

// waits is told before the turn waits for its VM; t may be nil.
func (t *turn) waits() {
	if t != nil {
		t.context()
	}
}

// end is called when the turn is done with.
func (t *turn) end() {
	if t.ctx != nil {
		t.cancel(nil)
		t.timer.Stop()
	}
}

// over says why the turn may not go on; nil: it may.
func (t *turn) over() error {
	if t.ctx != nil && t.ctx.Err() != nil {
		if why, ok := context.Cause(t.ctx).(*overError); ok {
			return why
		}
		return errNodeCloses
	}
	return t.late(time.Now())
}

func (t *turn) late(now time.Time) error {
	switch {
	case t.age(now) < t.limit:
		return nil
	case t.client == nil && t.limit == maxAfterGone:
		return errClientGone
	}
	return &overError{ReasonTimeout, fmt.Sprintf("the turn took longer than %v", t.limit)}
}

// call counts n calls to Redis; the error says that the turn may not make them.
func (t *turn) call(n int) error {
	if t.calls += n; t.calls > maxCalls {
		return errTooManyCalls
	}
	return t.over()
}

// check ends the turn if it is over while it waits, and sees to the next check.
func (t *turn) check() {
	if t.ctx.Err() != nil {
		return
	}
	now := time.Now()
	if err := t.late(now); err != nil {
		t.cancel(err)
		return
	}
	age := t.age(now)
	next := min(checkEvery, t.limit-age)
	if t.client != nil {
		if gone := t.client.goneSince(now, age >= lookForPeer); !gone.IsZero() {
			left := maxAfterGone - now.Sub(gone)
			if left <= 0 {
				t.cancel(errClientGone)
				return
			}
			next = min(next, left)
		}
	}
	t.timer.Reset(next)
}

// goneSince is caller's.
func (c *eventClient) goneSince(now time.Time, look bool) time.Time {
	if look {
		c.ws.CheckPeer()
	}
	if !c.ws.IsDone() {
		return time.Time{}
	}
	c.gone.CompareAndSwap(0, now.UnixNano())
	return time.Unix(0, c.gone.Load())
}

// longGone tells that no turn for what the client has sent may begin any more.
func (c *eventClient) longGone() bool {
	at := c.gone.Load()
	return at != 0 && time.Since(time.Unix(0, at)) >= maxAfterGone
}

// requester is the client of an HTTP call.
type requester struct {
	ctx  context.Context // of the request
	gone time.Time
}

func (r *requester) goneSince(now time.Time, _ bool) time.Time {
	if r.gone.IsZero() && r.ctx.Err() != nil {
		r.gone = now
	}
	return r.gone
}

// callRate bounds the calls to Redis of one connection (SPEC 6).
var callRate = overload.Rate{Every: time.Second / 1000, Burst: 100}

// rest waits; the error is ctx's.
func rest(ctx context.Context, wait time.Duration) error {
	if wait <= 0 {
		return nil
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// redisCalls is how many of the actions go to Redis.
func redisCalls(actions []hub.Action) (n int) {
	for i := range actions {
		switch actions[i].Kind {
		case hub.ActionSend, hub.ActionAfter, hub.ActionClose:
		default:
			n++
		}
	}
	return n
}
