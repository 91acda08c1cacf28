package broker_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/redisconn"
	"rollcall/testkit/redistest"
)

// slow is a receiver whose call lasts as long as the test wants.
type slow struct {
	entered chan string
	release chan struct{}
}

func (s *slow) Receive(payload string) {
	s.entered <- payload
	<-s.release
}

func (s *slow) Resubscribed() {}

// "Unsubscribe: after it returns r.Receive is not called again".
func TestUnsubscribeWaitsForTheCall(t *testing.T) {
	server := redistest.Mini(t)
	b := open(t, config{URL: server.URL(), Groups: 1})
	s := &slow{entered: make(chan string, 10), release: make(chan struct{})}
	b.subscribe(t, "topic", s)
	other := subscribed(t, b, "other")
	publish(t, b, "topic", "one")
	publish(t, b, "topic", "two")
	<-s.entered
	b.Unsubscribe("other", other) // does not wait: another topic's call is running
	done := make(chan struct{})
	go func() {
		b.Unsubscribe("topic", s)
		close(done)
	}()
	select {
	case <-done:
		t.Fatal("Unsubscribe returned during a call")
	case <-time.After(50 * time.Millisecond):
	}
	close(s.release)
	<-done
	last := subscribed(t, b, "last")
	publish(t, b, "last", "end")
	last.want(t, "end")
	if len(s.entered) != 0 {
		t.Fatalf("called with %q after Unsubscribe", <-s.entered)
	}
}

// Close ends every wait. TestMain sees whether a goroutine is left.
func TestClose(t *testing.T) {
	server := redistest.Standalone(t)
	proxy := redistest.NewProxy(t, server.Addr())
	b := start(t, config{URL: proxy.URL(), WatchEvery: time.Hour, Timeout: time.Second, Batchers: 1})
	proxy.Hold()
	var all sync.WaitGroup
	expect := func(name string, err error) {
		if !errors.Is(err, redisconn.ErrUnavailable) {
			t.Errorf("%s: %v, want ErrUnavailable", name, err)
		}
	}
	for range 10 {
		all.Go(func() { _, err := b.Do(t.Context(), "incr", "n"); expect("do", err) })
		all.Go(func() { b.Attach("topic", newRecorder()) })
	}
	submitted := make(chan error, 1)
	time.Sleep(20 * time.Millisecond)
	if err := b.Submit(redis.NewCmd(t.Context(), "incr", "n"), func(err error) { submitted <- err }); err != nil {
		t.Fatal(err)
	}
	time.Sleep(20 * time.Millisecond)
	began := time.Now()
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("Close took %v", took)
	}
	all.Wait()
	expect("submit", <-submitted)
	if err := b.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	for name, err := range map[string]error{
		"do":      second(b.Do(t.Context(), "get", "k")),
		"publish": b.Publish(t.Context(), "topic", nil),
		"batch":   b.Batch(t.Context(), []redis.Cmder{redis.NewStringCmd(t.Context(), "get", "k")}),
		"submit":  b.Submit(redis.NewCmd(t.Context(), "get", "k"), func(error) { t.Error("done called") }),
	} {
		if !errors.Is(err, redisconn.ErrClosed) || !errors.Is(err, redisconn.ErrUnavailable) ||
			errors.Is(err, redisconn.ErrUnknown) {
			t.Errorf("%s after Close: %v, want ErrClosed", name, err)
		}
	}
	r := newRecorder()
	if b.Attach("late", r) {
		t.Error("a topic is confirmed after Close")
	}
	b.Unsubscribe("late", r)
}

func second(_ any, err error) error { return err }
