package redisconn_test

import (
	"context"
	"errors"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/redisconn"
	"rollcall/testkit"
	"rollcall/testkit/redistest"
)

// watcher is an Observer.
type watcher struct {
	mu                sync.Mutex
	commands, batches int
	failures          map[redisconn.Failure]int
}

func (w *watcher) Batched(commands int, took time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.commands, w.batches = w.commands+commands, w.batches+1
}

func (w *watcher) Failed(why redisconn.Failure) { w.mu.Lock(); w.failures[why]++; w.mu.Unlock() }

func (w *watcher) seen(ok func() bool) func() bool {
	return func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return ok()
	}
}

func observed(t *testing.T, cfg redisconn.Config) (*redisconn.Client, *watcher) {
	t.Helper()
	w := &watcher{failures: map[redisconn.Failure]int{}}
	cfg.Observer = w
	return open(t, cfg), w
}

// What goes well: commands.
func TestObserver(t *testing.T) {
	b, w := observed(t, redisconn.Config{URL: redistest.Mini(t).URL(), WatchEvery: time.Hour})
	for range 5 {
		if _, err := b.Do(t.Context(), "incr", "n"); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Batch(t.Context(),
		[]redis.Cmder{redis.NewIntCmd(t.Context(), "incr", "n"), redis.NewIntCmd(t.Context(), "incr", "n")}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Do(t.Context(), "get", "none"); err != redisconn.Nil {
		t.Fatal(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.commands != 8 || w.batches != 7 || len(w.failures) != 0 {
		t.Errorf("%d commands in %d batches, failures %v", w.commands, w.batches, w.failures)
	}
	if s := b.Stats(); s.Queue != 0 || s.Bytes != 0 {
		t.Errorf("%+v", s)
	}
}

// Each way in which a command has no success has its own label.
func TestObserverOfFailures(t *testing.T) {
	r := redistest.Mini(t)
	p := redistest.NewProxy(t, r.Addr())
	b, w := observed(t, redisconn.Config{URL: p.URL(), WatchEvery: 50 * time.Millisecond, Timeout: 300 * time.Millisecond})
	if _, err := b.Do(t.Context(), "nonsense"); err == nil {
		t.Fatal("Redis knows nonsense")
	}
	script := redisconn.NewScript(`return redis.error_reply("no")`)
	if _, err := b.Run(t.Context(), script, []string{"k"}); err == nil {
		t.Fatal("the script has success")
	}
	w.mu.Lock()
	if want := map[redisconn.Failure]int{redisconn.Refused: 2}; !maps.Equal(w.failures, want) {
		t.Errorf("%v, want %v", w.failures, want)
	}
	w.mu.Unlock()

	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.Do(gone, "ping"); err == nil {
		t.Fatal("a caller who has gone has success")
	}

	p.Hold()
	hasty, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond) // leaves before the pipeline is given up
	defer cancel()
	if _, err := b.Do(hasty, "ping"); err == nil {
		t.Fatal("success over a held connection")
	}
	testkit.Eventually(t, "a timeout and an unknown outcome",
		w.seen(func() bool { return w.failures[redisconn.Timeout] == 1 && w.failures[redisconn.Unknown] > 0 }))
	p.Resume()

	b, w = observed(t, fast(r.URL()))
	r.Kill()
	testkit.Eventually(t, "that nobody listens", func() bool {
		_, err := b.Do(t.Context(), "ping")
		return errors.Is(err, redisconn.ErrUnavailable) && !errors.Is(err, redisconn.ErrUnknown)
	})
	testkit.Eventually(t, "that it is told", w.seen(func() bool { return w.failures[redisconn.Unavailable] > 0 }))
}
