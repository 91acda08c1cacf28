package app

import (
	"context"
	"fmt"
	"sync"
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

	looked time.Time // whether the client is there; owned by the overseer

	// Owned by the goroutine of the turn.
	use    load // of Lua time before it
	calls  int
	ctx    context.Context // nil until it waits
	cancel context.CancelCauseFunc
}

// caller is the client whose event or request a turn serves.
type caller interface {
	// goneSince is when the client was first seen to have gone; the zero time: it is there. look: ask the socket. Only
	// the overseer calls it.
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
		t.server.overseer.add(t)
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
		t.server.overseer.remove(t)
		t.cancel(nil)
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
	case t.age(now) <= t.limit:
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

// check is the overseer's look at the turn.
func (t *turn) check(now time.Time) {
	if err := t.late(now); err != nil {
		t.cancel(err)
		return
	}
	if t.client == nil {
		return
	}
	look := t.age(now) >= lookForPeer && now.Sub(t.looked) >= lookForPeer/2
	if look {
		t.looked = now
	}
	gone := t.client.goneSince(now, look)
	if !gone.IsZero() && now.Sub(gone) >= maxAfterGone {
		t.cancel(errClientGone)
	}
}

// overseer ends turns that are over while they wait. It has a timer only while there are turns that have waited.
type overseer struct {
	every time.Duration

	looking sync.Mutex // held during a look
	looks   []*turn    // for it, used again

	mu     sync.Mutex
	turns  map[*turn]struct{}
	timer  *time.Timer
	armed  bool
	closed bool
}

func newOverseer(timeout time.Duration) *overseer {
	o := &overseer{every: max(min(timeout/8, 250*time.Millisecond), time.Millisecond), turns: map[*turn]struct{}{}}
	o.timer = time.AfterFunc(time.Hour, o.look)
	o.timer.Stop()
	return o
}

func (o *overseer) add(t *turn) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.turns[t] = struct{}{}
	o.armLocked()
}

func (o *overseer) armLocked() {
	if !o.armed && !o.closed {
		o.armed = true
		o.timer.Reset(o.every)
	}
}

func (o *overseer) remove(t *turn) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.turns, t)
}

// look checks all turns. Thousands may be there, each with a system call, so nobody waits for it but close. A turn that
// ends meanwhile may still be checked.
func (o *overseer) look() {
	o.looking.Lock()
	defer o.looking.Unlock()
	now := time.Now()
	o.mu.Lock()
	for t := range o.turns {
		o.looks = append(o.looks, t)
	}
	o.mu.Unlock()
	for _, t := range o.looks {
		t.check(now)
	}
	clear(o.looks)
	o.looks = o.looks[:0]
	o.mu.Lock()
	defer o.mu.Unlock()
	o.armed = false
	if len(o.turns) > 0 {
		o.armLocked()
	}
}

// close ends the looking; no look is under way afterwards.
func (o *overseer) close() {
	o.mu.Lock()
	o.closed = true
	o.timer.Stop()
	o.mu.Unlock()
	o.looking.Lock()
	defer o.looking.Unlock()
}

// goneSince is caller's.
func (c *eventClient) goneSince(now time.Time, look bool) time.Time {
	if look {
		c.ws.CheckPeer()
	}
	select {
	case <-c.ws.Done():
		c.gone.CompareAndSwap(0, now.UnixNano())
		return time.Unix(0, c.gone.Load())
	default:
		return time.Time{}
	}
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
