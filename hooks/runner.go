package hooks

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// runner is one hook on this node. It claims a share of the hook's parts, and works in those where something is due:
//
//	          something is due            nothing is due, or an error
//	idle ───────────────────────▶ working ────────────────────────────▶ idle
//	  ▲                              │
//	  └──── claimed by another ──────┘
//
// When the hook has to be synchronised, all nodes give their parts back, and one of them has them all for it.
type runner struct {
	// static
	h       *Hooks
	hook    *Hook
	store   *store
	sink    sink
	backoff *backoff
	beats   chan struct{} // asks for a claim now
	due     chan string   // parts, by the topic or a timer

	marks atomic.Int64 // requests and acknowledgements that this node has noted
	stats stats

	work sync.WaitGroup // parts and a synchronisation at work

	auditAll atomic.Bool // the next audit compares all

	claiming sync.RWMutex // a claim is being made: no request begins

	mu     sync.Mutex
	flying map[string]bool  // parts with a request under way, also when they are not this node's any more
	round  string           // of synchronisation; "": none is known
	seen   bool             // this node has known a round
	until  time.Time        // how long the claims last, at least
	ends   int64            // the same by the clock of Redis, in ms
	own    map[string]*part // by name; syncPart too while this node synchronises
	owed   int64
	oldest time.Time // when what is owed longest changed; zero: nothing is
	state  State
}

// part is a part of the hook's channels that this node has claimed.
type part struct {
	name    string
	ctx     context.Context // ends when the part is another node's
	cancel  context.CancelFunc
	differ  differ               // owned by the worker
	audited map[string]auditMark // owned by the auditor
	look    atomic.Bool          // the worker asks the sink whether it has what it was told; of a keeper
	timer   *time.Timer          // when something is due; guarded by mu of the runner, like the rest
	working bool
	again   bool // something became due meanwhile
}

func newRunner(h *Hooks, hook *Hook) (*runner, error) {
	r := &runner{h: h, hook: hook, store: newStore(&h.cfg, hook.Name), backoff: newBackoff(),
		beats: make(chan struct{}, 1), due: make(chan string, 4*parts), own: map[string]*part{},
		flying: map[string]bool{}, state: Syncing}
	if hook.Stream != "" {
		k := h.cfg.Redis.Keys()
		r.sink = &streamSink{h.cfg.Redis, hook.Name, []string{k.Stream(hook.Stream), k.StreamMarks(hook.Stream)}}
		return r, nil
	}
	var err error
	r.sink, err = newHTTPSink(hook, h.cfg.Agent, h.cfg.Roots)
	return r, err
}

// Receive hears which parts may have something due.
func (r *runner) Receive(payload string) {
	if payload == anyWake {
		r.beatSoon()
		return
	}
	for len(payload) > 0 {
		i := 0
		for i < len(payload) && payload[i] != ',' {
			i++
		}
		r.wake(payload[:i])
		payload = payload[min(i+1, len(payload)):]
	}
}

// Resubscribed says that wakings may have been missed.
func (r *runner) Resubscribed() { r.beatSoon() }

func (r *runner) beatSoon() {
	select {
	case r.beats <- struct{}{}:
	default:
	}
}

// wake lets a part be looked at, if it is this node's; when too many are asked for, the next claim tells.
func (r *runner) wake(name string) {
	select {
	case r.due <- name:
	default:
	}
}

// run claims parts and lets them be worked in.
func (r *runner) run(ctx context.Context) {
	topic := r.store.topic
	if r.h.cfg.Topics.Attach(topic, r) {
		r.Resubscribed()
	}
	defer r.h.cfg.Topics.Unsubscribe(topic, r)
	defer r.work.Wait()
	defer r.disown()
	audit := time.NewTicker(r.h.cfg.Audit)
	defer audit.Stop()
	next := time.NewTimer(0)
	defer next.Stop()
	first := true
	for {
		select {
		case <-ctx.Done():
			return
		case name := <-r.due:
			r.start(name)
			continue
		case <-audit.C:
			r.audit(ctx)
			continue
		case <-r.beats:
		case <-next.C:
		}
		beat := r.h.cfg.Lease / 3
		next.Reset(beat - beat/8 + rand.N(beat/8)) // nodes do not beat in step
		if err := r.claim(ctx, first); err == nil {
			first = false
		} else if ctx.Err() == nil {
			r.h.cfg.Log.Warn("claim parts of a hook failed", "hook", r.hook.Name, "error", err)
		}
	}
}

// claim renews the claims and follows the answer.
func (r *runner) claim(ctx context.Context, first bool) error {
	r.claiming.Lock()
	defer r.claiming.Unlock()
	sent := time.Now()
	c, err := r.store.claim(ctx, r.hook.definition(), first, r.marks.Load(), r.busy())
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	before := r.state
	r.ends = c.now + r.h.cfg.Lease.Milliseconds()
	switch c.state {
	case "ok":
		r.followLocked(ctx, &c, sent)
	case "sync":
		if !c.known && r.seen {
			r.h.Suspect() // Redis was wiped
		}
		r.disownLocked(c.mine && c.left == 0)
		r.state, r.until = Syncing, sent.Add(r.h.cfg.Lease)
		r.owed, r.oldest = 0, sent.Add(-time.Duration(c.unsync)*time.Millisecond)
		if c.mine && c.left == 0 {
			r.ownLocked(ctx, syncPart)
			r.startLocked(syncPart)
		} else if !c.mine {
			r.oldest = time.Time{} // the other node tells
		}
	default:
		r.disownLocked(false)
		r.owed, r.oldest = 0, time.Time{}
		if r.state = Paused; c.state != string(Paused) {
			r.state = other
		}
	}
	if r.state != before {
		r.h.cfg.Log.Info("state of a hook", "hook", r.hook.Name, "state", string(r.state))
	}
	return nil
}

// busy are the parts with a request under way.
func (r *runner) busy() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Collect(maps.Keys(r.flying))
}

// lift notes that a request begins, and gives the claim that it is made by; false: the part is not this node's any
// more.
func (r *runner) lift(p *part, last acknowledged) (c claim, ok bool) {
	r.claiming.RLock()
	defer r.claiming.RUnlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.own[p.name] != p || r.flying[p.name] || !time.Now().Before(r.until) {
		return claim{}, false
	}
	r.flying[p.name] = true
	return claim{p.name, r.ends, last}, true
}

// land notes that it has ended.
func (r *runner) land(p *part) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.flying, p.name)
	if r.own[p.name] != p {
		r.startLocked(p.name) // which waited for it
	}
}

// followLocked works in the parts that this node has.
func (r *runner) followLocked(ctx context.Context, c *claimed, sent time.Time) {
	if c.round != r.round {
		r.disownLocked(false)
	}
	r.round, r.seen, r.until, r.state, r.owed, r.oldest = c.round, true, sent.Add(r.h.cfg.Lease), OK, 0, time.Time{}
	var have []string
	for _, cp := range c.parts {
		name := strconv.Itoa(cp.part)
		have = append(have, name)
		r.ownLocked(ctx, name)
		r.owed += cp.owed
		if at := sent.Add(-time.Duration(c.now-cp.oldest) * time.Millisecond); cp.oldest != 0 &&
			(r.oldest.IsZero() || at.Before(r.oldest)) {
			r.oldest = at
		}
		switch {
		case cp.request, cp.due != 0 && cp.due <= c.now:
			r.startLocked(name)
		case cp.due != 0:
			r.armLocked(r.own[name], time.Duration(cp.due-c.now)*time.Millisecond)
		}
	}
	for name, p := range r.own {
		if !slices.Contains(have, name) {
			r.dropLocked(p)
		}
	}
}

func (r *runner) ownLocked(ctx context.Context, name string) {
	if r.own[name] != nil {
		return
	}
	p := &part{name: name, audited: map[string]auditMark{}, differ: differ{wants: r.hook.wants,
		settle: r.hook.Settle.Milliseconds(), hold: r.h.cfg.Hold.Milliseconds(), unsettled: map[pair]settling{}}}
	p.ctx, p.cancel = context.WithCancel(ctx)
	r.own[name] = p
}

func (r *runner) dropLocked(p *part) {
	p.cancel()
	if p.timer != nil {
		p.timer.Stop()
	}
	delete(r.own, p.name)
}

// disownLocked drops all parts but, with keepSync, a synchronisation. A request that is under way ends by itself.
func (r *runner) disownLocked(keepSync bool) {
	for name, p := range r.own {
		if name != syncPart || !keepSync {
			r.dropLocked(p)
		}
	}
}

func (r *runner) disown() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.disownLocked(false)
}

// armLocked looks at a part after a while.
func (r *runner) armLocked(p *part, after time.Duration) {
	if p.timer != nil {
		p.timer.Stop()
	}
	p.timer = time.AfterFunc(after, func() { r.wake(p.name) })
}

func (r *runner) start(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.startLocked(name)
}

// startLocked works in a part, if it is this node's; once more when somebody does already.
func (r *runner) startLocked(name string) {
	p := r.own[name]
	switch {
	case p == nil, r.flying[name] && !p.working: // land starts it
	case p.working:
		p.again = true
	default:
		p.working = true
		r.work.Go(func() {
			for again := true; again; again = r.ended(p) {
				r.workIn(p)
			}
		})
	}
}

// ended notes that a worker has nothing to do any more, unless something became due meanwhile.
func (r *runner) ended(p *part) (again bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	again, p.again = p.again && p.ctx.Err() == nil, false
	p.working = again
	return again
}

// workIn does what is due in a part.
func (r *runner) workIn(p *part) {
	var err error
	if p.name == syncPart {
		err = r.synchronise(p)
	} else {
		err = r.tell(p)
	}
	switch {
	case errors.Is(err, errLost), errors.Is(err, errPaused):
		r.beatSoon()
	case err != nil && p.ctx.Err() == nil: // the next claim looks again
		r.h.cfg.Log.Warn("work for a hook failed", "hook", r.hook.Name, "part", p.name, "error", err)
	}
}

// claims gives the round, and whether this node's claims still stand by its own clock.
func (r *runner) claims() (round string, held bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.round, time.Now().Before(r.until)
}
