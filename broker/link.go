package broker

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// link owns the topics that are spread to it and brings each of them into a lane, which is one connection to Redis.
// With plain pub/sub there is one lane, which stands also without topics. With sharded pub/sub there is one for each
// master that serves one of its topics, and a plain one if it has a topic that is not sharded.
//
//	         given to the lane of its slot's master
//	ASTRAY ───────────────────────────────────────▶ IN A LANE
//	  ▲                                                 │
//	  └─────────────────────────────────────────────────┘
//	    the lane's connection ended · the slot left the
//	    master, or was never there
//
// Its goroutine (run) brings topics into lanes and starts lanes (home.go). Each lane has two more: one
// writes and watches (lane.go), the reader receives and calls the receivers (deliver.go).
type link struct {
	// static
	b     *Broker
	id    string                                                 // names the watch topics
	place func(ctx context.Context, topic string) (place, error) // where a topic is to be asked for now
	now   func() time.Time
	eager float64       // 0.5 to 1: shortens the pauses, so that links don't retry at one time
	wake  chan struct{} // a topic went astray; capacity 1

	// owned by run
	running sync.WaitGroup // the lanes
	views   views

	mu       sync.Mutex
	idle     sync.Cond // on mu: a delivery is over and someone waits for that
	waiters  int       // how many wait for the end of a delivery
	topics   map[string]*topic
	lanes    map[string]*lane // by the address of their place
	made     int              // lanes so far
	failing  map[string]bool  // addresses where the last lane could not connect
	astray   []*topic         // no lane: they wait for the end of their pause
	nextHome time.Time        // when run looks at astray next without being woken; zero: never
	failures int              // plain pub/sub alone: lanes in a row that got no answer
	plainAt  time.Time        // and when the next one is to be made

	// guarded by mu too; for Stats
	standing         int // lanes that are connected
	breaks, messages uint64
}

func newLink(b *Broker, id string) *link {
	l := &link{
		b:       b,
		id:      id,
		place:   b.place,
		now:     time.Now,
		eager:   0.5 + rand.Float64()/2,
		wake:    make(chan struct{}, 1),
		topics:  make(map[string]*topic),
		lanes:   make(map[string]*lane),
		failing: make(map[string]bool),
	}
	l.idle.L = &l.mu
	l.nudge()
	return l
}

// run brings topics into lanes until the broker closes, and waits for the lanes.
func (l *link) run(ctx context.Context) {
	defer l.running.Wait()
	retry := time.NewTimer(time.Hour)
	defer retry.Stop()
	var compare <-chan time.Time
	if l.b.sharded {
		tick := time.NewTicker(l.b.cfg.WatchEvery)
		defer tick.Stop()
		compare = tick.C
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.wake:
		case <-retry.C:
		case <-compare:
			l.compare(ctx)
		}
		now := l.now()
		started, next := l.home(ctx, now)
		for _, ln := range started {
			l.running.Go(func() { ln.run(ctx) })
		}
		if retry.Stop(); !next.IsZero() {
			l.b.rereadTopology(ctx)
			retry.Reset(next.Sub(now))
		}
	}
}

func (l *link) nudge() { nudge(l.wake) }

func nudge(wake chan struct{}) {
	select {
	case wake <- struct{}{}:
	default:
	}
}
