package broker_test

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"rollcall/redisconn"
	"rollcall/testkit"
	"rollcall/testkit/redistest"
)

// fast finds out about faults soon.
func fast(url string) config {
	return config{URL: url, WatchEvery: 100 * time.Millisecond, Timeout: time.Second}
}

var addScript = redisconn.NewScript(`return redis.call('INCRBY', KEYS[1], ARGV[1])`)

func subscribed(t *testing.T, b *node, topic string) *recorder {
	t.Helper()
	r := newRecorder()
	b.subscribe(t, topic, r)
	return r
}

func publish(t *testing.T, b *node, topic, text string) {
	t.Helper()
	testkit.Eventually(t, "publish "+text, func() bool { return b.Publish(t.Context(), topic, []byte(text)) == nil })
}

// SPEC 5.2: "Redis restarted". SPEC 5.3: "broadcasts and store raise within 3 s".
func TestRestart(t *testing.T) {
	for name, start := range map[string]func(testing.TB) *redistest.Redis{
		"mini":       redistest.Mini,
		"standalone": func(t testing.TB) *redistest.Redis { return redistest.Standalone(t) },
		"cluster":    redistest.Cluster,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := start(t)
			b := open(t, fast(r.URL()))
			var told atomic.Int64
			b.OnBreak(func() { told.Add(1) })
			var topics []*recorder
			for i := range 10 {
				topics = append(topics, subscribed(t, b, fmt.Sprint("topic", i)))
			}
			if _, err := b.Run(t.Context(), addScript, []string{"n"}, 1); err != nil {
				t.Fatal(err)
			}
			r.Kill()
			began := time.Now()
			err := b.Publish(t.Context(), "topic0", []byte("lost"))
			if !errors.Is(err, redisconn.ErrUnavailable) {
				t.Fatalf("publish without redis: %v, want ErrUnavailable", err)
			}
			if waited := time.Since(began); waited > 3*time.Second {
				t.Fatalf("publish took %v to fail", waited)
			}
			late, brief := newRecorder(), newRecorder()
			if b.Attach("late", late) || b.Attach("brief", brief) {
				t.Fatal("confirmed without redis")
			}
			b.Unsubscribe("brief", brief)
			r.Restart()
			for i, r := range topics {
				r.wantAgain(t)
				publish(t, b, fmt.Sprint("topic", i), "back")
				r.want(t, "back")
			}
			if _, err := b.Run(t.Context(), addScript, []string{"n"}, 1); err != nil {
				t.Fatalf("script after a restart: %v", err)
			}
			late.wantAgain(t)
			publish(t, b, "late", "heard")
			late.want(t, "heard")
			publish(t, b, "brief", "unheard")
			publish(t, b, "topic0", "end")
			topics[0].want(t, "end")
			if len(brief.messages)+len(brief.again) != 0 {
				t.Fatal("a receiver that left before Redis was back was called")
			}
			if told.Load() == 0 || b.Breaks() == 0 {
				t.Fatalf("OnBreak told %d times, Breaks %d", told.Load(), b.Breaks())
			}
		})
	}
}

// SPEC 5.2: "pub/sub connection cut". Cut here are both: pub/sub and commands.
func TestCut(t *testing.T) {
	server := redistest.Standalone(t)
	proxy := redistest.NewProxy(t, server.Addr())
	b, other := open(t, fast(proxy.URL())), open(t, fast(server.URL()))
	r := subscribed(t, b, "topic")
	for i := range 5 {
		proxy.Cut()
		r.wantAgain(t)
		text := fmt.Sprint("message ", i)
		publish(t, other, "topic", text)
		r.want(t, text)
	}
}

// DESIGN 4: "A half-open connection is noticed by nothing".
func TestHalfOpen(t *testing.T) {
	server := redistest.Standalone(t)
	proxy := redistest.NewProxy(t, server.Addr())
	b, other := open(t, fast(proxy.URL())), open(t, fast(server.URL()))
	r := subscribed(t, b, "topic")
	proxy.Drop()
	if _, err := b.Do(t.Context(), "incr", "n"); !errors.Is(err, redisconn.ErrUnknown) ||
		!errors.Is(err, redisconn.ErrUnavailable) {
		t.Fatalf("command into the void: %v, want ErrUnknown", err)
	}
	publish(t, other, "topic", "missed")
	proxy.Resume()
	r.wantAgain(t)
	publish(t, other, "topic", "heard")
	r.want(t, "heard")
	testkit.Eventually(t, "commands work again",
		func() bool { _, err := b.Do(t.Context(), "get", "x"); return err == redisconn.Nil })
	// The connection was dead with the message in it: one break at least for the command and the subscription.
	if b.Breaks() < 2 {
		t.Fatalf("%d breaks", b.Breaks())
	}
}

// A connection that is silent is given up, whatever else works.
func TestSilent(t *testing.T) {
	server := redistest.Standalone(t)
	proxy := redistest.NewProxy(t, server.Addr())
	cfg, log := fast(proxy.URL()), new(testkit.Log)
	cfg.Log = slog.New(slog.NewTextHandler(log, nil))
	b := open(t, cfg)
	r := subscribed(t, b, "topic")
	proxy.Drop()
	testkit.Eventually(t, "the silence is noticed", func() bool { return strings.Contains(log.String(), "no answer") })
	proxy.Resume()
	r.wantAgain(t)
}

// A subscription of which only one way is dead is made again too: messages come, but it takes no SUBSCRIBE any more.
func TestMute(t *testing.T) {
	server := redistest.Standalone(t)
	proxy := redistest.NewProxy(t, server.Addr())
	b := open(t, fast(proxy.URL()))
	r := subscribed(t, b, "topic")
	proxy.DropRequestsOfSubscriptions()
	publish(t, b, "topic", "still heard")
	r.want(t, "still heard")
	before := b.Breaks()
	testkit.Eventually(t, "it is given up", func() bool { return b.Breaks() > before })
	proxy.Resume()
	r.wantAgain(t)
	late := subscribed(t, b, "late")
	publish(t, b, "late", "heard")
	late.want(t, "heard")
}

// A subscription that the network has forgotten never mends; a new one takes its place, and commands notice nothing.
func TestForgotten(t *testing.T) {
	server := redistest.Standalone(t)
	proxy := redistest.NewProxy(t, server.Addr())
	cfg := fast(proxy.URL())
	cfg.Groups = 1
	b := open(t, cfg)
	r := subscribed(t, b, "topic")
	if n := proxy.Forget(); n != 1 {
		t.Fatalf("%d subscriptions were forgotten", n)
	}
	if _, err := b.Do(t.Context(), "incr", "n"); err != nil {
		t.Error(err)
	}
	r.wantAgain(t)
	publish(t, b, "topic", "heard")
	r.want(t, "heard")
}

// One broken connection is made again once, by the group and not by go-redis too.
func TestOneDialForOneBreak(t *testing.T) {
	server := redistest.Standalone(t)
	proxy := redistest.NewProxy(t, server.Addr())
	b := open(t, config{URL: proxy.URL(), WatchEvery: time.Hour, Groups: 1})
	r := subscribed(t, b, "topic")
	before := proxy.Count()
	for range 5 {
		proxy.Cut()
		r.wantAgain(t)
	}
	if n := proxy.Count() - before; n != 5 {
		t.Fatalf("%d connections made for 5 that broke", n)
	}
}

// A failover behind one address: the pub/sub connection stays open to the old server and answers
// pings, while everything is published on the new one. Only the echo tells.
func TestDeaf(t *testing.T) {
	old, current := redistest.Standalone(t), redistest.Standalone(t)
	proxy := redistest.NewProxy(t, old.Addr())
	b := open(t, fast(proxy.URL()))
	r := subscribed(t, b, "topic")
	proxy.Retarget(current.Addr())
	if err := old.Client().Do(t.Context(), "client", "kill", "type", "normal", "skipme", "yes").Err(); err != nil {
		t.Fatal(err)
	}
	r.wantAgain(t)
	if err := current.Client().Publish(t.Context(), "topic", "heard").Err(); err != nil {
		t.Fatal(err)
	}
	r.want(t, "heard")
}

// probing publishes, from within Resubscribed, by way of another broker: what is published from there on must arrive.
type probing struct {
	*recorder
	publish func()
}

func (p *probing) Resubscribed() {
	p.publish()
	p.recorder.Resubscribed()
}

func TestResubscribedIsNeverEarly(t *testing.T) {
	server := redistest.Standalone(t)
	proxy := redistest.NewProxy(t, server.Addr())
	b := open(t, fast(proxy.URL()))
	n := 0
	p := &probing{recorder: newRecorder()}
	p.publish = func() {
		n++
		if err := server.Client().Publish(t.Context(), "topic", fmt.Sprint(n)).Err(); err != nil {
			t.Error(err)
		}
	}
	b.subscribe(t, "topic", p)
	for i := range 20 {
		proxy.Cut()
		p.wantAgain(t)
		p.want(t, fmt.Sprint(i+1))
	}
}

// A receiver that is taken back before Redis has answered is told nothing; when it comes again it is.
func TestUnsubscribeBeforeTheAnswer(t *testing.T) {
	server := redistest.Standalone(t)
	proxy := redistest.NewProxy(t, server.Addr())
	b := open(t, config{URL: proxy.URL(), WatchEvery: time.Hour, Groups: 1})
	before := subscribed(t, b, "before")
	proxy.Hold()
	r := newRecorder()
	if b.Attach("topic", r) {
		t.Fatal("confirmed, though nothing comes from Redis")
	}
	b.Unsubscribe("topic", r)
	proxy.Resume()
	publish(t, b, "topic", "unheard")
	publish(t, b, "before", "heard")
	before.want(t, "heard")
	if len(r.messages)+len(r.again) != 0 {
		t.Error("it was told after it had been taken back")
	}
	if !b.Attach("topic", r) {
		r.wantAgain(t)
	}
	publish(t, b, "topic", "now")
	r.want(t, "now")
}
