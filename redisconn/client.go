package redisconn

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	retryMin = 50 * time.Millisecond
	retryMax = time.Second
)

// Client is one node's connection to Redis. Safe for concurrent use.
type Client struct {
	// static after Open
	cfg      Config
	keys     Keys
	kind     Kind
	redis    redis.UniversalClient
	embedded *embedded // nil: a real Redis
	batchers []*batcher
	seed     maphash.Seed
	opened   time.Time
	ctx      context.Context // ends with Close
	cancel   context.CancelFunc
	running  sync.WaitGroup

	requests sync.Pool // of callers who wait; the client's own, as their timers and channels may be of a synctest bubble
	breaks   atomic.Uint64
	noFlags  atomic.Bool  // Redis, or one of them, does not know flags of scripts
	toldFull atomic.Int64 // when the log last said that Redis is full, since the client was opened; 0: never
	closing  sync.Once
	closeErr error

	mu      sync.Mutex
	onBreak []func()
}

// Open connects to Redis. It tries until ctx ends, at most Config.Timeout; an error of a
// Redis that can't be reached is ErrUnavailable, others are errors of the configuration.
func Open(ctx context.Context, cfg Config) (*Client, error) {
	cfg = cfg.defaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	c := &Client{cfg: cfg, seed: maphash.MakeSeed(), opened: time.Now(), requests: sync.Pool{New: awaitedRequest}}
	if err := c.dial(ctx); err != nil {
		return nil, err
	}
	c.ctx, c.cancel = context.WithCancel(context.WithoutCancel(ctx))
	c.start()
	return c, nil
}

// dial makes c.redis and waits for Redis's first answer.
func (c *Client) dial(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	address := Address{Kind: Standalone, Network: "tcp"}
	switch {
	case c.cfg.Dial != nil:
		address.Hosts = []string{"inside"}
	case c.cfg.URL == "":
		server, err := startEmbedded()
		if err != nil {
			return fmt.Errorf("start embedded redis: %w", err)
		}
		c.embedded = server
		address.Hosts, address.Password = []string{server.Addr()}, server.password
		c.cfg.Log.Warn("no redis given: using an embedded one; " +
			"it serves this node alone and forgets everything when the node stops")
	default:
		var err error
		if address, err = ParseURL(c.cfg.URL); err != nil {
			return err
		}
	}
	c.kind, c.redis = address.Kind, newClient(address, c.cfg)
	err := c.firstAnswer(ctx)
	if err == nil && c.kind == Standalone && c.embedded == nil && c.clusterEnabled(ctx) {
		_ = c.redis.Close()
		address.Kind = Cluster
		c.kind, c.redis = Cluster, newClient(address, c.cfg)
		err = c.firstAnswer(ctx)
	}
	sharded := false
	if err == nil {
		sharded, err = c.askSharded(ctx)
	}
	if err != nil {
		_ = c.redis.Close()
		c.embedded.stop()
		return fmt.Errorf("connect to redis: %w", err)
	}
	c.keys = NewKeys(c.cfg.Prefix, address.DB)
	c.keys.sharded = sharded
	c.warnOfEviction(ctx)
	return nil
}

// firstAnswer pings until Redis answers or ctx ends.
func (c *Client) firstAnswer(ctx context.Context) error {
	for failures := 1; ; failures++ {
		err := classify(c.redis.Ping(ctx).Err())
		if err == nil || !errors.Is(err, ErrUnavailable) {
			return err
		}
		if pause(ctx, Backoff(failures)); ctx.Err() != nil {
			return err
		}
	}
}

// Backoff is the pause before the next try after so many failures in a row: 50 ms, doubling to 1 s.
func Backoff(failures int) time.Duration {
	return min(retryMin<<min(failures-1, 10), retryMax)
}

// pause waits for about this time, or until ctx ends.
func pause(ctx context.Context, about time.Duration) {
	timer := time.NewTimer(about/2 + rand.N(about/2))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

func (c *Client) start() {
	if c.cfg.Batchers == 0 {
		c.cfg.Batchers = defaultBatchers
		if c.kind == Cluster {
			c.cfg.Batchers = clusterBatchers
		}
	}
	for range c.cfg.Batchers {
		w := newBatcher(c)
		c.batchers = append(c.batchers, w)
		c.running.Go(w.run)
	}
	if c.embedded == nil {
		c.running.Go(c.watchProcesses)
	}
}

// Close ends all connections and waits for all goroutines. Commands that still wait
// end with ErrUnavailable. No OnBreak function is called after it. Must not be called from one.
func (c *Client) Close() error {
	c.closing.Do(func() {
		c.cancel()
		for _, w := range c.batchers {
			w.close()
		}
		c.running.Wait()
		c.closeErr = c.redis.Close()
		c.embedded.stop()
	})
	return c.closeErr
}

// now is the time since the client was opened.
func (c *Client) now() time.Duration { return time.Since(c.opened) }

// Embedded reports whether this is the in-process Redis, for one node.
func (c *Client) Embedded() bool { return c.embedded != nil }

// Cluster reports whether Redis is a Cluster.
func (c *Client) Cluster() bool { return c.kind == Cluster }

// Timeout is Config.Timeout as it is in force.
func (c *Client) Timeout() time.Duration { return c.cfg.Timeout }

// WatchEvery is Config.WatchEvery as it is in force.
func (c *Client) WatchEvery() time.Duration { return c.cfg.WatchEvery }

// Keys returns the names of all keys and topics.
func (c *Client) Keys() Keys { return c.keys }

// GoRedis returns the client below, for rare commands and for pub/sub connections (it has its own
// connections, does not batch, and its errors are go-redis's own).
func (c *Client) GoRedis() redis.UniversalClient { return c.redis }

// Sharded reports whether this is a Cluster with sharded pub/sub: all topics but [Keys.AllTopic] go by it.
func (c *Client) Sharded() bool { return c.keys.sharded }

// Breaks counts the events that OnBreak tells of.
func (c *Client) Breaks() uint64 { return c.breaks.Load() }

// OnBreak registers fn, which is told whenever something may have been lost: a command ended as ErrUnknown, a pub/sub
// connection broke, it is back, or another Redis process answers than before (a restart or a failover, which may have
// lost acknowledged writes). fn runs on a goroutine of the client, or on the one that called [Client.ReportBreak], and
// must not block. Several may be registered, none removed.
func (c *Client) OnBreak(fn func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.onBreak = append(c.onBreak[:len(c.onBreak):len(c.onBreak)], fn)
}

// ReportBreak has OnBreak's functions told. It is for those who have pub/sub connections beside this client.
func (c *Client) ReportBreak() {
	c.breaks.Add(1)
	c.mu.Lock()
	fns := c.onBreak
	c.mu.Unlock()
	for _, fn := range fns {
		fn()
	}
}
