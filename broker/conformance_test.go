package broker_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"rollcall/broker"
	"rollcall/redisconn"
	"rollcall/testkit/redistest"
)

// place is one Redis that the conformance suite runs on.
type place struct {
	redis *redistest.Redis
	cfg   config
}

func (p place) open(t testing.TB) *node { return open(t, p.cfg) }

// TestConformance is one suite for every kind of Redis: STYLE 21.
func TestConformance(t *testing.T) {
	tests := []struct {
		name string
		run  func(t *testing.T, p place)
	}{
		{"a confirmed subscriber receives every later message in order", testOrder},
		{"topics of one channel and of its presence scripts have one order", testScriptOrder},
		{"several receivers share a topic and a receiver counts once", testSharing},
		{"subscribe and unsubscribe of one topic may race", testChurn},
		{"a receiver has another goroutine unsubscribe it", testUnsubscribeFromReceiver},
		{"attach is told of the confirmation", testAttach},
		{"a publish without subscribers is no error", testNoSubscribers},
	}
	redistest.EveryKind(t, func(t *testing.T, r *redistest.Redis) {
		for i, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				test.run(t, place{redis: r, cfg: config{
					URL: r.URL(), Prefix: fmt.Sprintf("test%d", i), WatchEvery: 2 * time.Second,
				}})
			})
		}
	})
}

// SPEC 5.3: broadcasts are "in the same order for all subscribers of a channel from one sender".
func testOrder(t *testing.T, p place) {
	const topics, messages = 8, 200
	sender := p.open(t)
	var receivers [2][topics]*recorder
	for i := range receivers {
		b := p.open(t)
		for j := range topics {
			receivers[i][j] = newRecorder()
			b.subscribe(t, b.Keys().Topic(fmt.Sprint(j)), receivers[i][j])
		}
	}
	var senders sync.WaitGroup
	for j := range topics {
		senders.Go(func() {
			for n := range messages {
				if err := sender.Publish(t.Context(), sender.Keys().Topic(fmt.Sprint(j)), fmt.Append(nil, n)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	senders.Wait()
	for i := range receivers {
		for j := range topics {
			for n := range messages {
				receivers[i][j].want(t, fmt.Sprint(n))
			}
		}
	}
}

// DESIGN 2, t:{C}: "everything about one channel: broadcasts and presence changes, one order".
func testScriptOrder(t *testing.T, p place) {
	b, listener := p.open(t), p.open(t)
	script := redisconn.NewScript(`redis.call('INCR', KEYS[1]) redis.call(ARGV[3], ARGV[1], ARGV[2]) return 1`)
	for _, channel := range []string{"room", "{}", "a%b", "x{y}z"} {
		topic, head := b.Keys().Topic(channel), b.Keys().Head(channel)
		r := newRecorder()
		listener.subscribe(t, topic, r)
		for n := range 50 {
			if _, err := b.Run(t.Context(), script, []string{head}, topic, fmt.Sprint("script ", n),
				b.Keys().PublishCommand(topic)); err != nil {
				t.Fatal(err)
			}
			if err := b.Publish(t.Context(), topic, fmt.Append(nil, "broadcast ", n)); err != nil {
				t.Fatal(err)
			}
		}
		for n := range 50 {
			r.want(t, fmt.Sprint("script ", n))
			r.want(t, fmt.Sprint("broadcast ", n))
		}
	}
}

func testSharing(t *testing.T, p place) {
	b := p.open(t)
	one, two := newRecorder(), newRecorder()
	for _, r := range []*recorder{one, two, one} {
		b.subscribe(t, "topic", r)
	}
	publish := func(text string) {
		t.Helper()
		if err := b.Publish(t.Context(), "topic", []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	publish("both, once")
	one.want(t, "both, once")
	two.want(t, "both, once")
	b.Unsubscribe("topic", one)
	publish("two only")
	two.want(t, "two only")
	if len(one.messages) != 0 {
		t.Fatalf("an unsubscribed receiver got %q", <-one.messages)
	}
	b.Unsubscribe("topic", one) // twice is once
	b.Unsubscribe("nobody's topic", one)
	if len(one.again)+len(two.again) != 0 {
		t.Fatal("Resubscribed was called without a loss")
	}
}

// After a topic is confirmed the receiver hears, whatever other SUBSCRIBE and UNSUBSCRIBE of the topic are on their
// way.
func testChurn(t *testing.T, p place) {
	b := p.open(t)
	sender := p.open(t)
	rounds := 150
	var users sync.WaitGroup
	for u := range 4 {
		users.Go(func() {
			for n := range rounds {
				r := newRecorder()
				topic := fmt.Sprint("topic", n%2)
				if !b.Attach(topic, r) {
					<-r.again
				}
				text := fmt.Sprint(u, " ", n)
				if err := sender.Publish(t.Context(), topic, []byte(text)); err != nil {
					t.Error(err)
					return
				}
				for got := ""; got != text; {
					select {
					case got = <-r.messages:
					case <-time.After(10 * time.Second):
						t.Errorf("user %d round %d: subscribed, but nothing received", u, n)
						return
					}
				}
				b.Unsubscribe(topic, r)
				if n%10 == 0 {
					time.Sleep(broker.UnsubscribeDelay * time.Duration(u) / 3) // lets UNSUBSCRIBEs leave
				}
			}
		})
	}
	users.Wait()
}

// brief is a receiver that has enough after one message.
type brief struct {
	b     *node
	calls chan string
	over  sync.WaitGroup
}

func (r *brief) Receive(payload string) {
	r.over.Go(func() { r.b.Unsubscribe("topic", r) })
	r.calls <- payload
}

func (r *brief) Resubscribed() {}

// A receiver must not call Unsubscribe; it has another goroutine do so.
func testUnsubscribeFromReceiver(t *testing.T, p place) {
	b := p.open(t)
	last := newRecorder()
	r := &brief{b: b, calls: make(chan string, 10)}
	b.subscribe(t, "topic", r)
	b.subscribe(t, "topic", last)
	publish(t, b, "topic", "one")
	last.want(t, "one")
	r.over.Wait()
	publish(t, b, "topic", "two")
	last.want(t, "two")
	if len(r.calls) != 1 {
		t.Fatalf("%d calls, want 1", len(r.calls))
	}
}

func testAttach(t *testing.T, p place) {
	b := p.open(t)
	r := newRecorder()
	if b.Attach("attached", r) {
		t.Fatal("confirmed before Redis was asked")
	}
	r.wantAgain(t)
	if err := b.Publish(t.Context(), "attached", []byte("hello")); err != nil {
		t.Fatal(err)
	}
	r.want(t, "hello")
	second := newRecorder()
	if !b.Attach("attached", second) {
		t.Fatal("not confirmed, though another receiver's subscription is")
	}
}

// SPEC 1.1, broadcast: "true also with no subscribers".
func testNoSubscribers(t *testing.T, p place) {
	b := p.open(t)
	if err := b.Publish(t.Context(), "nobody", []byte("hello")); err != nil {
		t.Fatal(err)
	}
}
