package broker

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// group owns the topics that are spread to it and assigns each of them to one of its connections to Redis. With plain
// pub/sub there is one connection, which stands also without topics. With sharded pub/sub there is one for each master
// that serves one of its topics, and a plain one if it has a topic that is not sharded.
//
// Its goroutine (run) assigns topics and starts connections (assign.go). Each connection has two more: one
// writes and checks (conn.go), the reader receives and calls the receivers (reader.go).
type group struct {
	// static
	b        *Broker
	id       string                                                  // names the echo topics
	masterOf func(ctx context.Context, topic string) (master, error) // where a topic is to be asked for now
	now      func() time.Time
	jitter   float64       // 0.5 to 1: shortens the pauses, so that groups don't retry at one time
	wake     chan struct{} // a topic is unassigned; capacity 1

	// owned by run
	running sync.WaitGroup // the connections
	views   views

	mu           sync.Mutex
	idle         sync.Cond // on mu: a delivery is over and someone waits for that
	waiters      int       // how many wait for the end of a delivery
	topics       map[string]*topic
	conns        map[string]*conn // by the address of their master
	made         int              // connections so far
	failing      map[string]bool  // addresses where the last one could not connect
	unassigned   []*topic         // topics that wait for the end of their pause
	nextAssign   time.Time        // when run looks at unassigned next without being woken; zero: never
	failures     int              // plain pub/sub alone: connections in a row that got no answer
	plainRetryAt time.Time        // and when the next one is to be made

	// guarded by mu too; for Stats
	connected        int // connections that stand
	breaks, messages uint64
}

func newGroup(b *Broker, id string) *group {
	g := &group{
		b:        b,
		id:       id,
		masterOf: b.masterOf,
		now:      time.Now,
		jitter:   0.5 + rand.Float64()/2,
		wake:     make(chan struct{}, 1),
		topics:   make(map[string]*topic),
		conns:    make(map[string]*conn),
		failing:  make(map[string]bool),
	}
	g.idle.L = &g.mu
	g.notify()
	return g
}

// run assigns topics until the broker closes, and waits for the connections.
func (g *group) run(ctx context.Context) {
	defer g.running.Wait()
	retry := time.NewTimer(time.Hour)
	defer retry.Stop()
	var checkTopology <-chan time.Time
	if g.b.sharded {
		tick := time.NewTicker(g.b.redis.WatchEvery())
		defer tick.Stop()
		checkTopology = tick.C
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-g.wake:
		case <-retry.C:
		case <-checkTopology:
			g.checkTopology(ctx)
		}
		now := g.now()
		started, next := g.assign(ctx, now)
		for _, c := range started {
			g.running.Go(func() { c.run(ctx) })
		}
		if retry.Stop(); !next.IsZero() {
			g.b.rereadTopology(ctx)
			retry.Reset(next.Sub(now))
		}
	}
}

func (g *group) notify() { notify(g.wake) }

func notify(wake chan struct{}) {
	select {
	case wake <- struct{}{}:
	default:
	}
}
