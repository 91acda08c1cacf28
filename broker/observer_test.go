package broker_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"rollcall/broker"
	"rollcall/testkit"
	"rollcall/testkit/redistest"
)

// watcher is an Observer.
type watcher struct {
	mu                sync.Mutex
	publishes, echoes int
	longest           time.Duration // of echoes
}

func (w *watcher) Published(time.Duration) { w.mu.Lock(); w.publishes++; w.mu.Unlock() }

func (w *watcher) Echoed(took time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.echoes, w.longest = w.echoes+1, max(w.longest, took)
}

func (w *watcher) seen(ok func() bool) func() bool {
	return func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return ok()
	}
}

// What goes well: publishes, messages and echoes.
func TestObserver(t *testing.T) {
	r := redistest.Mini(t)
	cfg, w := fast(r.URL()), &watcher{}
	cfg.Observer = w
	b := open(t, cfg)
	sub := subscribed(t, b, "topic")
	began := time.Now()
	for i := range 5 {
		if err := b.Publish(t.Context(), "topic", fmt.Append(nil, i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.PublishMany(t.Context(),
		[]broker.Message{{Topic: "topic", Payload: []byte("5")}, {Topic: "topic", Payload: []byte("6")}}); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, "the messages", func() bool { return b.Broker.Stats().Messages >= 7 })
	testkit.Eventually(t, "echoes of both connections", w.seen(func() bool { return w.echoes >= 4 }))
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.publishes != 6 {
		t.Errorf("%d publishes", w.publishes)
	}
	if w.longest <= 0 || w.longest > time.Since(began) {
		t.Errorf("an echo took %v", w.longest)
	}
	if s := b.Broker.Stats(); s.Conns != 2 || s.Topics != 1 || s.Breaks != 0 {
		t.Errorf("%+v", s)
	}
	b.Unsubscribe("topic", sub)
	testkit.Eventually(t, "no topics", func() bool { return b.Broker.Stats().Topics == 0 })
}

// A lost subscription is counted.
func TestBreaksAreCounted(t *testing.T) {
	r := redistest.Mini(t)
	p := redistest.NewProxy(t, r.Addr())
	b := open(t, config{URL: p.URL(), WatchEvery: 50 * time.Millisecond, Timeout: 300 * time.Millisecond})
	testkit.Eventually(t, "both connections", func() bool { return b.Broker.Stats().Conns == 2 })
	p.Refuse()
	testkit.Eventually(t, "broken subscriptions",
		func() bool { s := b.Broker.Stats(); return s.Breaks >= 2 && s.Conns == 0 })
	p.Resume()
	testkit.Eventually(t, "both connections again", func() bool { return b.Broker.Stats().Conns == 2 })
}
