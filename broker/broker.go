package broker

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
)

// Broker is one node's connection to Redis. Safe for concurrent use.
type Broker struct {
	// static after Open
	cfg      Config
	keys     Keys
	kind     Kind
	client   redis.UniversalClient
	embedded *embedded // nil: a real Redis
	sharded  bool      // a Cluster with sharded pub/sub: topics but AllTopic go by it
	links    []*link
	workers  []*worker
	seed     maphash.Seed
	opened   time.Time
	ctx      context.Context // ends with Close
	cancel   context.CancelFunc
	running  sync.WaitGroup

	breaks   atomic.Uint64
	echoes   atomic.Uint64 // the last echo's number
	noFlags  atomic.Bool   // Redis, or one of them, does not know flags of scripts
	toldFull atomic.Int64  // when the log last said that Redis is full, since the broker was opened; 0: never
	closing  sync.Once
	closeErr error

	mu      sync.Mutex
	onBreak []func()
}

// Open connects to Redis. It tries until ctx ends, at most Config.Timeout; an error of a
// Redis that can't be reached is ErrUnavailable, others are errors of the configuration.
func Open(ctx context.Context, cfg Config) (*Broker, error) {
	cfg = cfg.defaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	b := &Broker{cfg: cfg, seed: maphash.MakeSeed(), opened: time.Now()}
	if err := b.dial(ctx); err != nil {
		return nil, err
	}
	b.ctx, b.cancel = context.WithCancel(context.WithoutCancel(ctx))
	b.start()
	return b, nil
}

// dial makes b.client and waits for Redis's first answer.
func (b *Broker) dial(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, b.cfg.Timeout)
	defer cancel()
	address := Address{Kind: Standalone, Network: "tcp"}
	if b.cfg.URL == "" {
		server, err := startEmbedded()
		if err != nil {
			return fmt.Errorf("start embedded redis: %w", err)
		}
		b.embedded = server
		address.Hosts, address.Password = []string{server.Addr()}, server.password
		b.cfg.Log.Warn("no redis given: using an embedded one; it serves this node alone and forgets everything when the node stops")
	} else {
		var err error
		if address, err = ParseURL(b.cfg.URL); err != nil {
			return err
		}
	}
	b.kind, b.client = address.Kind, newClient(address, b.cfg.Timeout)
	err := b.firstAnswer(ctx)
	if err == nil && b.kind == Standalone && b.embedded == nil && b.clusterEnabled(ctx) {
		_ = b.client.Close()
		address.Kind = Cluster
		b.kind, b.client = Cluster, newClient(address, b.cfg.Timeout)
		err = b.firstAnswer(ctx)
	}
	if err == nil {
		b.sharded, err = b.askSharded(ctx)
	}
	if err != nil {
		_ = b.client.Close()
		b.embedded.stop()
		return fmt.Errorf("connect to redis: %w", err)
	}
	b.keys = NewKeysIn(b.cfg.Prefix, address.DB)
	b.keys.sharded = b.sharded
	b.warnOfEviction(ctx)
	return nil
}

// firstAnswer pings until Redis answers or ctx ends.
func (b *Broker) firstAnswer(ctx context.Context) error {
	for failures := 1; ; failures++ {
		err := classify(b.client.Ping(ctx).Err())
		if err == nil || !errors.Is(err, ErrUnavailable) {
			return err
		}
		if pause(ctx, failures); ctx.Err() != nil {
			return err
		}
	}
}

func (b *Broker) start() {
	if b.cfg.Workers == 0 {
		b.cfg.Workers = defaultWorkers
		if b.kind == Cluster {
			b.cfg.Workers = clusterWorkers
		}
	}
	for range b.cfg.Workers {
		w := newWorker(b)
		b.workers = append(b.workers, w)
		b.running.Go(w.run)
	}
	id := uuid.NewString()
	for i := range b.cfg.Receivers {
		l := newLink(b, id+":"+strconv.Itoa(i))
		b.links = append(b.links, l)
		b.running.Go(func() { l.run(b.ctx) })
	}
	if b.embedded == nil {
		b.running.Go(b.keep)
	}
}

// Close ends all connections and waits for all goroutines. Commands that still wait
// end with ErrUnavailable. No receiver and no OnBreak function is called after it. Must not be called from one.
func (b *Broker) Close() error {
	b.closing.Do(func() {
		b.cancel()
		for _, w := range b.workers {
			w.close()
		}
		b.running.Wait()
		b.closeErr = b.client.Close()
		b.embedded.stop()
	})
	return b.closeErr
}

// now is the time since the broker was opened.
func (b *Broker) now() time.Duration { return time.Since(b.opened) }

// Embedded reports whether this is the in-process Redis, for one node.
func (b *Broker) Embedded() bool { return b.embedded != nil }

// Cluster reports whether Redis is a Cluster.
func (b *Broker) Cluster() bool { return b.kind == Cluster }

// Keys returns the names of all keys and topics.
func (b *Broker) Keys() Keys { return b.keys }

// Client returns the client below, for rare commands (it has its own
// connections, does not batch, and its errors are go-redis's own).
func (b *Broker) Client() redis.UniversalClient { return b.client }

// Breaks counts the events that OnBreak tells of.
func (b *Broker) Breaks() uint64 { return b.breaks.Load() }

// OnBreak registers fn, which is told whenever something may have been lost: a command ended as
// ErrUnknown, a pub/sub connection broke, it is back, or another Redis process answers than before
// (a restart or a failover, which may have lost acknowledged writes). fn runs on a
// goroutine of the broker and must not block. Several may be registered, none removed.
func (b *Broker) OnBreak(fn func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.onBreak = append(b.onBreak[:len(b.onBreak):len(b.onBreak)], fn)
}

func (b *Broker) broke() {
	b.breaks.Add(1)
	b.mu.Lock()
	fns := b.onBreak
	b.mu.Unlock()
	for _, fn := range fns {
		fn()
	}
}

// clusterEnabled asks a single server whether it is a node of a Cluster.
func (b *Broker) clusterEnabled(ctx context.Context) bool {
	info, err := b.client.Info(ctx, "cluster").Result()
	return err == nil && infoField(info, "cluster_enabled") == "1"
}

// warnOfEviction logs when Redis may throw keys away for want of memory.
func (b *Broker) warnOfEviction(ctx context.Context) {
	if b.embedded != nil {
		return
	}
	err := b.eachMaster(ctx, func(ctx context.Context, c redis.UniversalClient) error {
		info, err := c.Info(ctx, "memory").Result()
		if err != nil {
			return err
		}
		policy := infoField(info, "maxmemory_policy")
		if policy != "" && policy != "noeviction" && infoField(info, "maxmemory") != "0" {
			b.cfg.Log.Warn("redis may evict keys, and presence with them: set maxmemory-policy noeviction", "maxmemory-policy", policy)
		}
		return nil
	})
	if err != nil {
		b.cfg.Log.Debug("could not read redis's memory policy", "error", err)
	}
}

// eachMaster calls fn for the Redis process, or for each master of a Cluster, there concurrently.
func (b *Broker) eachMaster(ctx context.Context, fn func(context.Context, redis.UniversalClient) error) error {
	if cluster, ok := b.client.(*redis.ClusterClient); ok {
		return cluster.ForEachMaster(ctx, func(ctx context.Context, c *redis.Client) error { return fn(ctx, c) })
	}
	return fn(ctx, b.client)
}

// infoField returns the value of one line "name:value" of an answer to INFO, or "".
func infoField(info, name string) string {
	for line := range strings.Lines(info) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// after returns a channel that is told once when Config.Timeout is over, and a function to stop it.
func (b *Broker) after() (<-chan time.Time, func() bool) {
	timer := time.NewTimer(b.cfg.Timeout)
	return timer.C, timer.Stop
}
