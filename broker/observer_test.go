package broker_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/broker"
	"rollcall/integration_test/redistest"
)

// watcher is an Observer.
type watcher struct {
	mu                sync.Mutex
	commands, batches int
	publishes, echoes int
	longest           time.Duration // of echoes
	failures          map[broker.Failure]int
}

func (w *watcher) Batched(commands int, took time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.commands, w.batches = w.commands+commands, w.batches+1
}
func (w *watcher) Failed(why broker.Failure) { w.mu.Lock(); w.failures[why]++; w.mu.Unlock() }
func (w *watcher) Published(time.Duration)   { w.mu.Lock(); w.publishes++; w.mu.Unlock() }
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

func observed(t *testing.T, cfg broker.Config) (*broker.Broker, *watcher) {
	t.Helper()
	w := &watcher{failures: map[broker.Failure]int{}}
	cfg.Observer = w
	return open(t, cfg), w
}

// What goes well: commands, publishes, messages and echoes.
func TestObserver(t *testing.T) {
	r := redistest.Mini(t)
	b, w := observed(t, fast(r.URL()))
	sub := subscribed(t, b, "topic")
	began := time.Now()
	for i := range 5 {
		if err := b.Publish(t.Context(), "topic", fmt.Append(nil, i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.PublishMany(t.Context(), []broker.Message{{Topic: "topic", Payload: []byte("5")}, {Topic: "topic", Payload: []byte("6")}}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Do(t.Context(), "get", "none"); err != broker.Nil {
		t.Fatal(err)
	}
	eventually(t, "the messages", func() bool { return b.Stats().Messages >= 7 })
	eventually(t, "echoes of both connections", w.seen(func() bool { return w.echoes >= 4 }))
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.publishes != 6 || w.commands < 8 || w.batches < 2 || w.batches > w.commands || len(w.failures) != 0 {
		t.Errorf("%d publishes, %d commands in %d batches, failures %v", w.publishes, w.commands, w.batches, w.failures)
	}
	if w.longest <= 0 || w.longest > time.Since(began) {
		t.Errorf("an echo took %v", w.longest)
	}
	if s := b.Stats(); s.Links != 2 || s.Topics != 1 || s.Breaks != 0 || s.Queue != 0 {
		t.Errorf("%+v", s)
	}
	b.Unsubscribe("topic", sub)
	eventually(t, "no topics", func() bool { return b.Stats().Topics == 0 })
}

// Each way in which a command has no success has its own label, and a lost subscription is counted.
func TestObserverOfFailures(t *testing.T) {
	r := redistest.Mini(t)
	p := redistest.NewProxy(t, r.Addr())
	b, w := observed(t, broker.Config{URL: p.URL(), WatchEvery: 50 * time.Millisecond, Timeout: 300 * time.Millisecond})
	eventually(t, "both connections", func() bool { return b.Stats().Links == 2 })
	if _, err := b.Do(t.Context(), "nonsense"); err == nil {
		t.Fatal("Redis knows nonsense")
	}
	script := broker.NewScript(`return redis.error_reply("no")`)
	if _, err := b.Run(t.Context(), script, []string{"k"}); err == nil {
		t.Fatal("the script has success")
	}
	w.mu.Lock()
	if want := map[broker.Failure]int{broker.Refused: 2}; !maps.Equal(w.failures, want) {
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
	eventually(t, "a timeout and an unknown outcome", w.seen(func() bool { return w.failures[broker.Timeout] == 1 && w.failures[broker.Unknown] > 0 }))
	p.Refuse()
	eventually(t, "broken subscriptions", func() bool { s := b.Stats(); return s.Breaks >= 2 && s.Links == 0 })
	p.Resume()
	eventually(t, "both connections again", func() bool { return b.Stats().Links == 2 })

	b, w = observed(t, fast(r.URL()))
	r.Kill()
	eventually(t, "that nobody listens", func() bool {
		_, err := b.Do(t.Context(), "ping")
		return errors.Is(err, broker.ErrUnavailable) && !errors.Is(err, broker.ErrUnknown)
	})
	eventually(t, "that it is told", w.seen(func() bool { return w.failures[broker.Unavailable] > 0 }))
}

// SPEC 5.5, "Bounded queues everywhere": the queue to Redis is one, and shows.
func TestObserverOfOverload(t *testing.T) {
	r := redistest.Mini(t)
	p := redistest.NewProxy(t, r.Addr())
	b, w := observed(t, broker.Config{URL: p.URL(), Timeout: 5 * time.Second})
	p.Hold()
	refused := 0
	for range 1<<16 + 2000 {
		if b.Submit(redis.NewCmd(t.Context(), "ping"), func(error) {}) != nil {
			refused++
		}
	}
	w.mu.Lock()
	if refused == 0 || w.failures[broker.Overloaded] != refused {
		t.Errorf("%d refused, and told %v", refused, w.failures)
	}
	w.mu.Unlock()
	if q := b.Stats().Queue; q < 1<<16 {
		t.Errorf("%d wait", q)
	}
	p.Resume()
	eventually(t, "an empty queue", func() bool { return b.Stats().Queue == 0 })
}

// The queue to Redis is bounded by what its commands carry, too, however few they are; one alone may be of any size.
func TestOverloadByBytes(t *testing.T) {
	r := redistest.Mini(t)
	p := redistest.NewProxy(t, r.Addr())
	b, w := observed(t, broker.Config{URL: p.URL(), Timeout: 10 * time.Second, WatchEvery: time.Hour})
	p.Hold()
	const size = 1 << 20
	large, refused := strings.Repeat("x", size), 0
	for range 100 {
		if err := b.Submit(redis.NewCmd(t.Context(), "publish", "t", large), func(error) {}); err != nil {
			if !errors.Is(err, broker.ErrOverloaded) || !errors.Is(err, broker.ErrUnavailable) || errors.Is(err, broker.ErrUnknown) {
				t.Fatal(err)
			}
			refused++
		}
	}
	s := b.Stats()
	if s.Bytes > 64<<20 || s.Bytes < 60<<20 || s.Queue > 64 || refused < 30 {
		t.Errorf("%d commands of %d bytes wait, %d were refused", s.Queue, s.Bytes, refused)
	}
	w.mu.Lock()
	if w.failures[broker.Overloaded] != refused {
		t.Errorf("told %v", w.failures)
	}
	w.mu.Unlock()
	p.Resume()
	eventually(t, "an empty queue", func() bool { s := b.Stats(); return s.Queue == 0 && s.Bytes == 0 })
	if _, err := b.Do(t.Context(), "set", "k", strings.Repeat("x", 65<<20)); err != nil {
		t.Errorf("one that is larger than the queue: %v", err)
	}
}

// A caller who finds nothing under way sends by itself; what comes meanwhile goes together as soon as its answer is there.
func TestFirstCallerSends(t *testing.T) {
	r := redistest.Mini(t)
	p := redistest.NewProxy(t, r.Addr())
	b, w := observed(t, broker.Config{URL: p.URL(), WatchEvery: time.Hour})
	if _, err := b.Do(t.Context(), "set", "k", "v"); err != nil {
		t.Fatal(err)
	}
	w.mu.Lock()
	commands, batches := w.commands, w.batches
	w.mu.Unlock()
	p.Hold()
	const callers = 50
	errs := make(chan error, callers)
	call := func() { _, err := b.Do(t.Context(), "get", "k"); errs <- err }
	go call()
	time.Sleep(20 * time.Millisecond) // it waits for its answer
	for range callers - 1 {
		go call()
	}
	eventually(t, "the others wait", func() bool { return b.Stats().Queue == callers-1 })
	p.Resume()
	for range callers {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.commands-commands != callers || w.batches-batches != 2 {
		t.Errorf("%d commands in %d pipelines, want %d in 2", w.commands-commands, w.batches-batches, callers)
	}
}

// A caller with a deadline has the error at its deadline, and those after it their answers.
func TestDeadlineOfACaller(t *testing.T) {
	r := redistest.Mini(t)
	p := redistest.NewProxy(t, r.Addr())
	b := open(t, broker.Config{URL: p.URL(), WatchEvery: time.Hour})
	p.Hold()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	began := time.Now()
	_, err := b.Do(ctx, "get", "k")
	if !errors.Is(err, broker.ErrUnknown) || time.Since(began) > 2*time.Second {
		t.Errorf("after %v: %v", time.Since(began), err)
	}
	p.Resume()
	if _, err := b.Do(t.Context(), "set", "k", "v"); err != nil {
		t.Error(err)
	}
}

// Commands that come densely from many who do not wait for each other share pipelines, and all are carried out.
func TestDenseCommandsShare(t *testing.T) {
	b, w := observed(t, fast(redistest.Mini(t).URL()))
	const senders, each = 8, 500
	var all, done sync.WaitGroup
	for i := range senders {
		all.Go(func() {
			tick := time.NewTicker(2 * time.Millisecond)
			defer tick.Stop()
			time.Sleep(time.Duration(i) * 2 * time.Millisecond / senders)
			for range each {
				<-tick.C
				done.Add(1)
				go func() {
					defer done.Done()
					if _, err := b.Do(context.Background(), "incr", "n"); err != nil {
						t.Error(err)
					}
				}()
			}
		})
	}
	all.Wait()
	done.Wait()
	w.mu.Lock()
	commands, batches := w.commands, w.batches
	w.mu.Unlock()
	if mean := float64(commands) / float64(batches); mean < 3 {
		t.Errorf("%d commands in %d pipelines", commands, batches)
	}
	if n, err := b.Do(t.Context(), "get", "n"); err != nil || n != fmt.Sprint(senders*each) {
		t.Errorf("%v carried out, %v", n, err)
	}
}
