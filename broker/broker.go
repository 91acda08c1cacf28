package broker

import (
	"context"
	"hash/maphash"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"rollcall/redisconn"
)

// Config says how topics are subscribed to.
type Config struct {
	// Redis is where commands go, and whose pub/sub connections these are. They are bounded by its Timeout, and each is
	// checked once in its WatchEvery; one that stays silent for two of them is replaced. Required.
	Redis *redisconn.Client
	// Groups is the number of groups that topics are spread over: of pub/sub connections, in a Cluster
	// with sharded pub/sub of connections to each master. Default 2.
	Groups int
	// Observer is told how long messages take. Default: nobody.
	Observer Observer
	// Log takes the few lines the broker has to say. Default: none.
	Log *slog.Logger
}

// defaults returns c with every zero value replaced.
func (c Config) defaults() Config {
	if c.Groups == 0 {
		c.Groups = 2
	}
	if c.Observer == nil {
		c.Observer = noObserver{}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// Observer is told how long messages take, for metrics. Its methods are called from many goroutines and must not block.
type Observer interface {
	// Published is called after each Publish and PublishMany, also a failed one.
	Published(took time.Duration)
	// Echoed is called when a message that this broker published to itself came back over one of its subscriptions.
	Echoed(took time.Duration)
}

// noObserver is the Observer of a Broker that was given none.
type noObserver struct{}

func (noObserver) Published(time.Duration) {}
func (noObserver) Echoed(time.Duration)    {}

// Broker is one node's topics. Safe for concurrent use.
type Broker struct {
	// static after New
	cfg     Config
	redis   *redisconn.Client
	keys    redisconn.Keys
	sharded bool // a Cluster with sharded pub/sub: topics but AllTopic go by it
	groups  []*group
	seed    maphash.Seed
	opened  time.Time
	ctx     context.Context // ends with Close
	cancel  context.CancelFunc
	running sync.WaitGroup

	echoes atomic.Uint64 // the last echo's number
}

// New starts a broker. It does not wait for its connections.
func New(cfg Config) *Broker {
	b := newBroker(cfg)
	id := uuid.NewString()
	for i := range b.cfg.Groups {
		g := newGroup(b, id+":"+strconv.Itoa(i))
		b.groups = append(b.groups, g)
		b.running.Go(func() { g.run(b.ctx) })
	}
	return b
}

// newBroker makes a broker without groups.
func newBroker(cfg Config) *Broker {
	b := &Broker{cfg: cfg.defaults(), redis: cfg.Redis, seed: maphash.MakeSeed(), opened: time.Now()}
	b.keys, b.sharded = cfg.Redis.Keys(), cfg.Redis.Sharded()
	b.ctx, b.cancel = context.WithCancel(context.Background())
	return b
}

// Close ends all subscriptions and waits for all goroutines. No receiver is called after it. It must not be called
// from one. The Redis client is closed after it, by its owner.
func (b *Broker) Close() {
	b.cancel()
	b.running.Wait()
}

// now is the time since the broker was opened.
func (b *Broker) now() time.Duration { return time.Since(b.opened) }

// Stats is how a broker is at one moment, and what it has counted.
type Stats struct {
	Topics   int    // known to the pub/sub connections
	Conns    int    // pub/sub connections that stand
	Breaks   uint64 // pub/sub connections that were lost
	Messages uint64 // received from subscriptions, those without a receiver too
}

// Stats asks all groups.
func (b *Broker) Stats() (s Stats) {
	for _, g := range b.groups {
		g.mu.Lock()
		s.Topics += len(g.topics)
		s.Messages += g.messages
		s.Breaks += g.breaks
		s.Conns += g.connected
		g.mu.Unlock()
	}
	return s
}
