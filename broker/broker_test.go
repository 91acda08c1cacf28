package broker_test

import (
	"log/slog"
	"testing"
	"time"

	"rollcall/broker"
	"rollcall/redisconn"
)

// recorder is a receiver that keeps what it gets.
type recorder struct {
	messages chan string
	again    chan struct{}
}

func newRecorder() *recorder {
	return &recorder{messages: make(chan string, 1<<16), again: make(chan struct{}, 1<<10)}
}

func (r *recorder) Receive(payload string) { r.messages <- payload }
func (r *recorder) Resubscribed()          { r.again <- struct{}{} }

func (r *recorder) want(t *testing.T, payload string) {
	t.Helper()
	select {
	case got := <-r.messages:
		if got != payload {
			t.Fatalf("received %q, want %q", got, payload)
		}
	case <-time.After(10 * time.Second):
		t.Fatalf("did not receive %q", payload)
	}
}

func (r *recorder) wantAgain(t testing.TB) {
	t.Helper()
	select {
	case <-r.again:
	case <-time.After(15 * time.Second):
		t.Fatal("Resubscribed was not called")
	}
}

// config is that of a node's connection to Redis and of its broker.
type config struct {
	URL, Prefix         string
	Batchers, Groups    int
	WatchEvery, Timeout time.Duration
	Redis               redisconn.Observer
	Observer            broker.Observer
	Log                 *slog.Logger
}

// node is a broker with its connection to Redis.
type node struct {
	*redisconn.Client
	*broker.Broker
}

func start(t testing.TB, cfg config) *node {
	t.Helper()
	c, err := redisconn.Open(t.Context(), redisconn.Config{URL: cfg.URL, Prefix: cfg.Prefix, Batchers: cfg.Batchers,
		WatchEvery: cfg.WatchEvery, Timeout: cfg.Timeout, Observer: cfg.Redis, Log: cfg.Log})
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	return &node{c, broker.New(broker.Config{Redis: c, Groups: cfg.Groups, Observer: cfg.Observer, Log: cfg.Log})}
}

func (n *node) Close() error {
	n.Broker.Close()
	return n.Client.Close()
}

func open(t testing.TB, cfg config) *node {
	t.Helper()
	n := start(t, cfg)
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return n
}

// subscribe attaches r once Redis has confirmed the topic, so that r is not told of that.
func (n *node) subscribe(t testing.TB, topic string, r broker.Receiver) {
	t.Helper()
	first := newRecorder()
	if !n.Attach(topic, first) {
		first.wantAgain(t)
	}
	if !n.Attach(topic, r) {
		t.Fatalf("%s is not confirmed for the second receiver", topic)
	}
	n.Unsubscribe(topic, first)
}

// SPEC 3: "None given: an embedded in-process Redis, for one node".
func TestEmbedded(t *testing.T) {
	b := open(t, config{})
	if !b.Embedded() || b.Cluster() {
		t.Fatalf("embedded %v, cluster %v; want true, false", b.Embedded(), b.Cluster())
	}
	r := newRecorder()
	b.subscribe(t, "topic", r)
	if err := b.Publish(t.Context(), "topic", []byte("hello")); err != nil {
		t.Fatal(err)
	}
	r.want(t, "hello")
	b.Unsubscribe("topic", r)

	if _, err := b.Do(t.Context(), "set", "key", "value", "px", 20); err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := b.Do(t.Context(), "get", "key"); err == redisconn.Nil {
			break // expired by the clock
		}
		time.Sleep(time.Millisecond)
	}
}
