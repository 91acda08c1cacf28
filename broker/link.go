package broker

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// lazyAfter is how long an UNSUBSCRIBE waits for others, and for a change of mind.
	lazyAfter = 50 * time.Millisecond
	// perCommand bounds the topics of one SUBSCRIBE: Redis keeps all its answers in
	// one output buffer until the command is done.
	perCommand = 1000

	retryMin = 50 * time.Millisecond
	retryMax = time.Second
)

// link is one pub/sub connection to Redis and the topics that are spread to it.
//
//	         connected, all topics asked again
//	DOWN ───────────────────────────────────────▶ UP
//	 ▲                                             │
//	 └─────────────────────────────────────────────┘
//	    read or write error · no answer for two watch intervals ·
//	    an echo missing for two
//
// Its goroutine (run) makes the connection, writes to it and watches it; the reader's
// (read) lives as long as one connection and calls the receivers.
type link struct {
	b    *Broker
	id   string        // names the watch topic
	wake chan struct{} // something is in asked or dropped; capacity 1

	// answered counts Redis's answers to what was asked on this connection; echoed and sent are
	// numbers of echoes that came back and that Redis confirmed to have published.
	answered atomic.Uint64
	echoed   atomic.Uint64
	sent     atomic.Uint64

	mu      sync.Mutex
	idle    sync.Cond // on mu: a delivery is over and someone waits for that
	topics  map[string]*topic
	asked   []*topic // may need a SUBSCRIBE
	dropped []*topic // may need an UNSUBSCRIBE
	watch   string   // this connection's watch topic
	// the reader's present delivery: its topic (nil: none), its number, and how many wait for its end
	delivering *topic
	deliveries uint64
	waiters    int

	// guarded by mu too; for Stats
	up               bool
	breaks, messages uint64
}

func newLink(b *Broker, id string) *link {
	l := &link{
		b:      b,
		id:     id,
		wake:   make(chan struct{}, 1),
		topics: make(map[string]*topic),
	}
	l.idle.L = &l.mu
	return l
}

// run keeps one connection after another until the broker closes.
func (l *link) run(ctx context.Context) {
	failures := 0
	for attempt := 0; ctx.Err() == nil; attempt++ {
		conn, err := l.connect(ctx, attempt)
		if err != nil {
			if failures == 0 {
				l.b.cfg.Log.Warn("redis subscription connection failed", "error", err)
			}
			failures++
			pause(ctx, failures)
			continue
		}
		if attempt > 0 {
			l.b.cfg.Log.Info("redis subscription connection is back")
			l.b.broke()
		}
		failures = 0
		l.stands(true)
		err = l.serve(ctx, conn)
		l.stands(false)
		if ctx.Err() == nil {
			l.b.cfg.Log.Warn("redis subscription connection broke", "error", err)
			l.b.broke()
		}
	}
}

// pause waits before the next try: 50 ms, doubling to 1 s, with jitter.
func pause(ctx context.Context, failures int) {
	wait := min(retryMin<<min(failures-1, 10), retryMax)
	wait = wait/2 + rand.N(wait/2)
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// connection is one life of a link's connection.
type connection struct {
	ps  *redis.PubSub
	ctx context.Context // sealed: nothing dials under it
	end chan error      // the reader's last word; capacity 1
}

// connect dials, starts the reader and asks for the watch topic and all wanted topics.
// The watch topic has another name each time: in a Cluster its slot chooses the node.
func (l *link) connect(ctx context.Context, attempt int) (*connection, error) {
	watch := l.b.keys.watchTopic(l.id + ":" + strconv.Itoa(attempt))
	names := l.restart(watch)

	dialCtx, cancel := context.WithTimeout(ctx, l.b.cfg.Timeout)
	defer cancel()
	c := &connection{ps: l.b.client.Subscribe(dialCtx), ctx: sealed(ctx), end: make(chan error, 1)}
	if err := c.ps.Subscribe(dialCtx, watch); err != nil {
		_ = c.ps.Close()
		return nil, fmt.Errorf("subscribe: %w", err)
	}
	go func() { c.end <- l.read(c) }()
	if err := c.send(subscribe, names); err != nil {
		l.hangUp(c)
		return nil, err
	}
	return c, nil
}

// restart forgets the old connection and returns the topics to ask for on the new one.
func (l *link) restart(watch string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.watch = watch
	l.asked, l.dropped = nil, nil
	names := make([]string, 0, len(l.topics))
	for name, t := range l.topics {
		if !t.wanted() {
			delete(l.topics, name)
			continue
		}
		t.sub = subscription{}.sent(subscribe)
		names = append(names, name)
	}
	return names
}

// hangUp closes the connection and waits for its reader.
func (l *link) hangUp(c *connection) {
	_ = c.ps.Close()
	<-c.end
}

// send writes one SUBSCRIBE or UNSUBSCRIBE for each perCommand topics.
func (c *connection) send(o order, names []string) error {
	for len(names) > 0 {
		n := min(len(names), perCommand)
		var err error
		if o == subscribe {
			err = c.ps.Subscribe(c.ctx, names[:n]...)
		} else {
			err = c.ps.Unsubscribe(c.ctx, names[:n]...)
		}
		if err != nil {
			return fmt.Errorf("write to pub/sub connection: %w", err)
		}
		names = names[n:]
	}
	return nil
}

// serve writes and watches until the connection breaks or is found dead. It returns why.
func (l *link) serve(ctx context.Context, c *connection) (err error) {
	tick := time.NewTicker(l.b.cfg.WatchEvery)
	defer tick.Stop()
	lazy := time.NewTimer(lazyAfter)
	lazy.Stop()
	defer lazy.Stop()
	look := l.newLookout()
	for {
		select {
		case <-ctx.Done():
			l.hangUp(c)
			return ctx.Err()
		case err := <-c.end:
			_ = c.ps.Close()
			return err
		case <-l.wake:
			var drops bool
			if drops, err = l.sendAsked(c); drops {
				lazy.Reset(lazyAfter)
			}
		case <-lazy.C:
			err = c.send(unsubscribe, l.take(&l.dropped, unsubscribe))
		case now := <-tick.C:
			if err = look.check(now, l.answered.Load(), l.sent.Load(), l.echoed.Load()); err == nil {
				err = l.probe(c)
			}
		}
		if err != nil {
			l.hangUp(c)
			return err
		}
	}
}

// sendAsked subscribes to what was asked for since the last time; drops: some
// topics wait to be unsubscribed.
func (l *link) sendAsked(c *connection) (drops bool, err error) {
	names := l.take(&l.asked, subscribe)
	l.mu.Lock()
	drops = len(l.dropped) > 0
	l.mu.Unlock()
	return drops, c.send(subscribe, names)
}

// take empties list and returns the names for which o is what is due now,
// noting it as sent: its answer may come before the write has returned.
func (l *link) take(list *[]*topic, o order) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	names := make([]string, 0, len(*list))
	for _, t := range *list {
		if l.topics[t.name] == t && t.sub.next(t.wanted()) == o {
			t.sub = t.sub.sent(o)
			names = append(names, t.name)
		}
	}
	*list = nil
	return names
}

func (l *link) nudge() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}
