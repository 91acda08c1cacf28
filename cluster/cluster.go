package cluster

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/broker"
	"rollcall/redisconn"
)

//go:embed scripts/heartbeat.lua
var heartbeatSrc string

//go:embed scripts/declare.lua
var declareSrc string

//go:embed scripts/end.lua
var endSrc string

var (
	heartbeatScript = redisconn.NewScript(heartbeatSrc).AllowOOM()
	declareScript   = redisconn.NewScript(declareSrc).AllowOOM()
	endScript       = redisconn.NewScript(endSrc).AllowOOM()
)

// ErrClosed says that the node is stopping.
var ErrClosed = errors.New("cluster: closed")

// Redis is what a cluster asks of Redis.
type Redis interface {
	Keys() redisconn.Keys
	Run(ctx context.Context, s *redisconn.Script, keys []string, args ...any) (any, error)
	Batch(ctx context.Context, cmds []redis.Cmder) error
}

// Broker is how a cluster's messages come and go.
type Broker interface {
	Publish(ctx context.Context, topic string, payload []byte) error
	PublishMany(ctx context.Context, ms []broker.Message) error
	Attach(topic string, r broker.Receiver) (confirmed bool)
	Unsubscribe(topic string, r broker.Receiver)
}

// Config of a node's place in the cluster. TTL and Heartbeat come from SPEC 3; a heartbeat is at most a third of the
// TTL.
type Config struct {
	Redis     Redis
	Broker    Broker
	Process   string // from NewProcess
	TTL       time.Duration
	Heartbeat time.Duration
	Node      Node        // address, version, pid and start; the rest is filled in
	Load      func() Load // asked at each heartbeat
	Remover   Remover
	Observer  Observer // nil: nobody
	Log       *slog.Logger
}

// Observer is told of heartbeats, for metrics. It is called from the heartbeat's goroutine and must not block.
type Observer interface {
	// Beat is called with each heartbeat's time and outcome.
	Beat(took time.Duration, err error)
}

// noObserver is the Observer of a Cluster that was given none.
type noObserver struct{}

func (noObserver) Beat(time.Duration, error) {}

// Stats counts what operators watch.
type Stats struct {
	Incarnations atomic.Int64 // that this node began
	Reaped       atomic.Int64 // incarnations of others that this node removed
	ReapErrors   atomic.Int64 // rounds that failed
	Dropped      atomic.Int64 // questions of others, since too many were being answered
	Refused      atomic.Int64 // questions of this node, since too many were open
}

// Cluster is this node among the others.
type Cluster struct {
	// static after New
	cfg   Config
	keys  redisconn.Keys
	calls *calls
	began time.Time

	// tells when a new incarnation begins; set before Start
	onIncarnation func(inc string)

	beats  chan chan error // asks the loop for a heartbeat now
	wake   chan struct{}   // the lease was renounced
	cancel context.CancelFunc
	closed chan struct{} // closed when the loop has ended
	done   sync.WaitGroup
	reaper *reaper
	echo   atomic.Int64 // when the last echo came back, ns since began; 0: none did
	alive  atomic.Pointer[map[string]Node]
	stats  Stats

	mu    sync.Mutex
	lease lease
	clock redisClock
}

// New makes a cluster member that does nothing until Start.
func New(cfg Config) *Cluster {
	if cfg.Observer == nil {
		cfg.Observer = noObserver{}
	}
	c := &Cluster{cfg: cfg, keys: cfg.Redis.Keys(), beats: make(chan chan error), wake: make(chan struct{}, 1),
		closed: make(chan struct{}), began: time.Now(), lease: lease{process: cfg.Process, ttl: cfg.TTL}}
	c.cfg.Node.Process = cfg.Process
	c.alive.Store(&map[string]Node{})
	c.calls = newCalls(c)
	c.reaper = &reaper{c: c, want: make(chan struct{}, 1)}
	return c
}

// OnIncarnation sets what is told of each new incarnation, the first included. It is called before Start, and fn runs
// in the heartbeat's goroutine and must not wait.
func (c *Cluster) OnIncarnation(fn func(inc string)) { c.onIncarnation = fn }

// Start begins to beat. It does not wait for Redis: until the first heartbeat is answered there is no lease.
func (c *Cluster) Start() {
	ctx, cancel := context.WithCancel(context.Background())
	c.cancel = cancel
	c.done.Go(func() {
		defer close(c.closed)
		c.loop(ctx)
	})
	c.done.Go(func() { c.reaper.loop(ctx) })
	c.cfg.Broker.Attach(c.keys.NodeTopic(c.cfg.Process), c.calls)
}

// Close gives the lease up, so that nobody waits for it to expire, and waits for all goroutines. The caller has removed
// this node's presence before; what is left of it others reap at once. An incarnation that was renounced is left to
// expire: a write of it may still arrive, and only the fence at its deadline keeps it from bringing a user back (SPEC
// 5.4).
func (c *Cluster) Close(ctx context.Context) error {
	if c.cancel == nil {
		return nil // never started
	}
	c.cancel()
	c.done.Wait()
	c.calls.close()
	c.mu.Lock()
	inc, lost := c.lease.inc(), c.lease.lost
	c.lease = c.lease.renounced()
	c.mu.Unlock()
	if inc == "" || lost {
		return nil
	}
	return c.end(ctx, inc, "retire")
}

// Process is this node's process id.
func (c *Cluster) Process() string { return c.cfg.Process }

// Lease gives the present incarnation and its deadline in ms of the Redis clock. held is false while the lease is in
// doubt or lost: then writes wait.
func (c *Cluster) Lease() (inc string, deadline int64, held bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lease.inc(), c.lease.deadline, c.lease.phase(time.Now()) == Held
}

// Phase is the lease's standing.
func (c *Cluster) Phase() Phase {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lease.phase(time.Now())
}

// Renew sends a heartbeat now and waits for its answer; a write that was refused calls it. Callers share a heartbeat.
func (c *Cluster) Renew(ctx context.Context) error {
	reply := make(chan error, 1)
	select {
	case c.beats <- reply:
	case <-c.closed:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-reply:
		return err
	case <-c.closed:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Renounce takes a new incarnation as soon as possible: something this node wrote may have been lost, or may still
// arrive. The old one expires by itself, and what is left of it is reaped.
func (c *Cluster) Renounce(why string) { c.renounce("", why) }

// Disown is Renounce for one incarnation: it does nothing when that is not the present one any more.
func (c *Cluster) Disown(inc, why string) { c.renounce(inc, why) }

func (c *Cluster) renounce(inc, why string) {
	c.mu.Lock()
	held := c.lease.gen > 0 && !c.lease.lost && (inc == "" || inc == c.lease.inc())
	if held {
		inc, c.lease = c.lease.inc(), c.lease.renounced()
	}
	c.mu.Unlock()
	if !held {
		return
	}
	c.cfg.Log.Warn("lease renounced", "incarnation", inc, "why", why)
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// Ready tells that the lease is held and that an echo of this node came back in the last three heartbeats.
func (c *Cluster) Ready() error {
	return ready(c.Phase(), time.Duration(c.echo.Load()), time.Since(c.began), c.cfg.Heartbeat)
}

// ready decides; echo (0: none) and now are times since the same moment. An echo is sent with each heartbeat, so that
// one or two may be late before the third tells.
func ready(p Phase, echo, now, heartbeat time.Duration) error {
	if p != Held {
		return fmt.Errorf("the lease is %s", p)
	}
	if echo == 0 || now-echo > 3*heartbeat {
		return errors.New("no message came back through Redis in the last three heartbeats")
	}
	return nil
}

// loop beats until ctx ends.
func (c *Cluster) loop(ctx context.Context) {
	tick := time.NewTicker(c.cfg.Heartbeat)
	defer tick.Stop()
	var waiting []chan error
	for ctx.Err() == nil {
		waiting = c.join(waiting, tick.C)
		err := c.beat(ctx)
		for _, reply := range waiting {
			reply <- err
		}
		waiting = waiting[:0]
		if err == nil {
			c.afterBeat(ctx)
		} else if ctx.Err() == nil {
			c.cfg.Log.Warn("heartbeat failed", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-c.wake:
		case reply := <-c.beats:
			waiting = append(waiting, reply)
		}
	}
}

// join takes in everything else that asks for a heartbeat at this moment: one serves all.
func (c *Cluster) join(waiting []chan error, tick <-chan time.Time) []chan error {
	for {
		select {
		case <-tick:
		case <-c.wake:
		case reply := <-c.beats:
			waiting = append(waiting, reply)
		default:
			return waiting
		}
	}
}

// beat renews the lease, or takes a new incarnation when there is none.
func (c *Cluster) beat(ctx context.Context) error {
	c.mu.Lock()
	l := c.lease
	c.mu.Unlock()
	if l.gen > 0 && !l.lost {
		sent := time.Now()
		deadline, err := c.heartbeat(ctx, l.inc(), "renew")
		if err != nil {
			return fmt.Errorf("renew lease: %w", err)
		}
		if deadline != 0 {
			c.mu.Lock()
			if !c.lease.lost {
				c.lease = c.lease.renewed(sent, deadline)
			}
			c.mu.Unlock()
			return nil
		}
		c.Renounce("declared dead, or Redis was wiped")
	}
	return c.register(ctx)
}

// register takes the next incarnation.
func (c *Cluster) register(ctx context.Context) error {
	c.mu.Lock()
	c.lease = c.lease.next()
	inc := c.lease.inc()
	c.mu.Unlock()
	sent := time.Now()
	deadline, err := c.heartbeat(ctx, inc, "register")
	if err != nil {
		return fmt.Errorf("register incarnation %s: %w", inc, err)
	}
	c.mu.Lock()
	c.lease = c.lease.registered(sent, deadline)
	c.mu.Unlock()
	c.stats.Incarnations.Add(1)
	c.cfg.Log.Info("lease held", "incarnation", inc)
	if c.onIncarnation != nil {
		c.onIncarnation(inc)
	}
	return nil
}

func (c *Cluster) heartbeat(ctx context.Context, inc, how string) (deadline int64, err error) {
	began, closing := time.Now(), ctx
	defer func() {
		if closing.Err() == nil {
			c.cfg.Observer.Beat(time.Since(began), err)
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, max(c.cfg.TTL/3, time.Second))
	defer cancel()
	n := c.cfg.Node
	if c.cfg.Load != nil {
		n.Load = c.cfg.Load()
	}
	args := append([]any{inc, c.cfg.TTL.Milliseconds(), how}, n.info()...)
	res, err := c.cfg.Redis.Run(ctx, heartbeatScript, []string{c.keys.Nodes(), c.keys.Node(inc)}, args...)
	if err != nil {
		return 0, err
	}
	deadline, ok := res.(int64)
	if !ok {
		return 0, fmt.Errorf("unexpected answer %T", res)
	}
	if deadline != 0 {
		c.learn(deadline - c.cfg.TTL.Milliseconds())
	}
	return deadline, nil
}

// afterBeat is what else each heartbeat does: read the registry, send an echo, look for the dead.
func (c *Cluster) afterBeat(ctx context.Context) {
	if err := c.refresh(ctx); err != nil && ctx.Err() == nil {
		c.cfg.Log.Warn("read registry failed", "error", err)
	}
	c.calls.sendEcho(ctx)
	c.reaper.kick()
}

// end takes an incarnation off the lists: "forget" when its entries are all removed, "retire" when its node stops; then
// it waits to be reaped if it has channels left.
func (c *Cluster) end(ctx context.Context, inc, how string) error {
	keys := []string{c.keys.Nodes(), c.keys.Reaping(), c.keys.Node(inc), c.keys.NodeChannels(inc)}
	if _, err := c.cfg.Redis.Run(ctx, endScript, keys, inc, how); err != nil {
		return fmt.Errorf("%s incarnation %s: %w", how, inc, err)
	}
	return nil
}
