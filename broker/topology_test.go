package broker

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"rollcall/redisconn"
	"rollcall/testkit"
	"rollcall/testkit/redistest"
)

// withoutGroups is a broker whose groups the test makes.
func withoutGroups(t *testing.T, cfg redisconn.Config) *Broker {
	t.Helper()
	c, err := redisconn.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	b := newBroker(Config{Redis: c})
	t.Cleanup(func() { b.Close(); _ = c.Close() })
	return b
}

// A master that became a replica takes subscriptions, but does not get all that is published: no connection is made to
// it.
func TestNoConnToAReplica(t *testing.T) {
	server := redistest.ClusterOf(t, redistest.Shape{Replicas: true})
	b := withoutGroups(t, redisconn.Config{URL: server.URL()})
	topic := b.keys.Topic("room")
	owner := server.Owner(redisconn.Slot(topic))
	for i, p := range server.Nodes()[:3] {
		if p != owner {
			continue
		}
		g := newGroup(b, "id")
		for at, want := range map[*redistest.Process]error{server.Nodes()[i+3]: errReplica, owner: nil} {
			c := g.newConnLocked(master{addr: at.Addr(), node: at.Client()}, topic)
			err := c.connect(t.Context())
			if err != want {
				t.Errorf("%s: %v, want %v", at.Addr(), err, want)
			}
			if err == nil {
				c.hangUp()
			}
		}
	}
}

// again is a receiver that counts Resubscribed.
type again struct{ n atomic.Int64 }

func (a *again) Receive(string) {}
func (a *again) Resubscribed()  { a.n.Add(1) }

// A topology that names another master, for longer than a moment, is believed against one that says nothing.
func TestStaleConnIsLeft(t *testing.T) {
	server := redistest.Cluster(t)
	b := withoutGroups(t, redisconn.Config{URL: server.URL(), WatchEvery: 200 * time.Millisecond})
	topic := b.keys.Topic("room")
	right, wrong := server.Owner(redisconn.Slot(topic)), server.Nodes()[0]
	if right == wrong {
		wrong = server.Nodes()[1]
	}
	var named atomic.Pointer[redistest.Process]
	named.Store(right)
	g := newGroup(b, "id")
	g.masterOf = func(context.Context, string) (master, error) {
		p := named.Load()
		return master{addr: p.Addr(), node: p.Client()}, nil
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan struct{})
	go func() { g.run(ctx); close(ended) }()
	defer func() { cancel(); <-ended }()

	subscribers := func() int64 {
		n, err := right.Client().PubSubShardNumSub(t.Context(), topic).Result()
		if err != nil {
			t.Fatal(err)
		}
		return n[topic]
	}
	r := new(again)
	g.attach(topic, r)
	testkit.Eventually(t, "subscribed", func() bool { return r.n.Load() == 1 && subscribers() == 1 })
	named.Store(wrong)
	testkit.Eventually(t, "the topic leaves", func() bool { return subscribers() == 0 })
	named.Store(right)
	testkit.Eventually(t, "the topic is back", func() bool { return r.n.Load() == 2 && subscribers() == 1 })
}
