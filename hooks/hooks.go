package hooks

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"rollcall/broker"
	"rollcall/presence"
)

const (
	perHook = parts // requests at a time, of a hook and node
	// forgetAfter is when a hook that no node has is forgotten.
	forgetAfter  = 10 * time.Minute
	presentEvery = time.Minute
)

// errLost says that a part is another node's now, or that the hook begins anew.
var errLost = errors.New("the claim is over")

// ErrUnknown says that there is no hook of a name.
var ErrUnknown = errors.New("there is no such hook")

// Presence is what is true, in Redis; *presence.Store is one.
type Presence interface {
	// UsersAt reads one user of a channel for each place, nil when absent, and before it where the channel stands.
	UsersAt(ctx context.Context, places []presence.Place) ([]*presence.User, []presence.Position, error)
	// UserIDs reads who is in a channel.
	UserIDs(ctx context.Context, channel string) (map[string]bool, error)
	// Positions reads where channels stand.
	Positions(ctx context.Context, channels []string) ([]presence.Position, error)
	// Snapshot reads a channel whole.
	Snapshot(ctx context.Context, channel string) (*presence.Snapshot, error)
}

// Topics is how nodes wake each other; *broker.Broker is one.
type Topics interface {
	Attach(topic string, r broker.Receiver) (confirmed bool)
	Unsubscribe(topic string, r broker.Receiver)
}

// Config of a node's hooks.
type Config struct {
	Hooks    []Hook
	Redis    Redis
	Topics   Topics
	Presence Presence
	// Channels lists the channels of the cluster that have presence.
	Channels func(ctx context.Context) ([]string, error)
	// Tracked lists those in which connections of this node are present.
	Tracked func() []string
	Process string
	Lease   time.Duration  // how long a claim lasts without a beat, of which there are three in it
	Hold    time.Duration  // how long removals are not believed after Redis may have lost data
	Audit   time.Duration  // between comparisons of all that was told with what is true; 0: 30 s
	Agent   string         // the header User-Agent
	Roots   *x509.CertPool // that certificates of sinks are checked with; nil: the machine's
	Log     *slog.Logger
}

// Hooks are the hooks of this node.
type Hooks struct {
	// static
	cfg     Config
	runners []*runner // in the order of Config.Hooks

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	done   sync.WaitGroup

	mu      sync.Mutex
	waiting map[string]map[Change]bool // by hook: changes that Redis is to be told of
	lost    map[string]bool            // hooks of which some could not be held: all channels of this node count as changed
	wakes   chan struct{}              // something waits
	suspect time.Time                  // until then Redis may have lost data
}

// Change is a user of a channel who may have changed; User "": anybody may have.
type Change struct {
	Channel, User string
	Cause         string // of a leave; "" not known
}

// inUse as user says that a channel is in use; it need not have changed.
const inUse = "\x01"

// New makes the hooks of a node, which do nothing until Start. Errors are of a hook's definition.
func New(cfg Config) (*Hooks, error) {
	if cfg.Audit == 0 {
		cfg.Audit = 30 * time.Second
	}
	h := &Hooks{cfg: cfg, waiting: map[string]map[Change]bool{}, lost: map[string]bool{}, wakes: make(chan struct{}, 1)}
	for i := range cfg.Hooks {
		r, err := newRunner(h, &cfg.Hooks[i])
		if err != nil {
			return nil, fmt.Errorf("hook %q: %w", cfg.Hooks[i].Name, err)
		}
		h.runners = append(h.runners, r)
	}
	return h, nil
}

// Start begins to tell.
func (h *Hooks) Start() {
	ctx, cancel := context.WithCancel(context.Background())
	h.ctx, h.cancel = ctx, cancel
	h.done.Go(func() { h.present(ctx) })
	if len(h.runners) == 0 {
		return
	}
	h.done.Go(func() { h.waker(ctx) })
	h.done.Go(func() { h.announcer(ctx) })
	for _, r := range h.runners {
		h.done.Go(func() { r.run(ctx) })
	}
}

// Close ends all requests, gives the claims back so that others go on at once, and waits. It may be called on Hooks
// that were not started.
func (h *Hooks) Close(ctx context.Context) {
	if h.cancel == nil {
		return
	}
	h.flush(ctx) // what this node's connections did last
	h.cancel()
	h.done.Wait()
	for _, r := range h.runners {
		r.sink.close()
		if err := r.store.release(ctx); err != nil && ctx.Err() == nil {
			h.cfg.Log.Warn("give back the claims of a hook failed", "hook", r.hook.Name, "error", err)
		}
	}
}

// Suspect says that Redis may have lost data: for a while nothing is told, and nobody counts as gone who is only
// missing.
func (h *Hooks) Suspect() {
	h.mu.Lock()
	h.suspect = time.Now().Add(h.cfg.Hold)
	h.mu.Unlock()
	for _, r := range h.runners {
		r.auditSoon()
		r.beatSoon()
	}
}

// doubt is how long it is still suspected.
func (h *Hooks) doubt() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	return max(0, time.Until(h.suspect))
}

func (h *Hooks) runner(name string) *runner {
	i := slices.IndexFunc(h.runners, func(r *runner) bool { return r.hook.Name == name })
	if i < 0 {
		return nil
	}
	return h.runners[i]
}

// Sync begins a hook anew: its sink is told of everything. ErrUnknown.
func (h *Hooks) Sync(ctx context.Context, name string) error {
	r := h.runner(name)
	if r == nil {
		return ErrUnknown
	}
	if err := r.store.order(ctx); err != nil {
		return fmt.Errorf("synchronise hook %q: %w", name, err)
	}
	return nil
}

// present notes now and then which hooks this node has, and forgets those that none has.
func (h *Hooks) present(ctx context.Context) {
	args := []any{forgetAfter.Milliseconds()}
	for _, r := range h.runners {
		args = append(args, r.hook.Name)
	}
	keys := []string{h.cfg.Redis.Keys().Hooks()}
	for {
		if res, err := h.cfg.Redis.Run(ctx, presentScript, keys, args...); err == nil {
			old, _ := res.([]any)
			for i := range old {
				h.forget(ctx, answer(old).text(i))
			}
		} // else in the next round
		select {
		case <-ctx.Done():
			return
		case <-time.After(presentEvery):
		}
	}
}

// forget forgets a hook that was removed.
func (h *Hooks) forget(ctx context.Context, name string) {
	done, err := newStore(&h.cfg, name).forget(ctx)
	if err == nil && done {
		_, err = h.cfg.Redis.Do(ctx, "hdel", h.cfg.Redis.Keys().Hooks(), name)
		h.cfg.Log.Info("forgot a hook that no node has any more", "hook", name)
	}
	if err != nil && ctx.Err() == nil {
		h.cfg.Log.Warn("forget a hook failed", "hook", name, "error", err)
	}
}
