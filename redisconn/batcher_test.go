package redisconn_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/redisconn"
	"rollcall/testkit"
	"rollcall/testkit/redistest"
)

// SPEC 5.5, "Bounded queues everywhere": the queue to Redis is one, and shows.
func TestObserverOfOverload(t *testing.T) {
	r := redistest.Mini(t)
	p := redistest.NewProxy(t, r.Addr())
	b, w := observed(t, redisconn.Config{URL: p.URL(), Timeout: 5 * time.Second})
	p.Hold()
	refused := 0
	for range 1<<16 + 2000 {
		if b.Submit(redis.NewCmd(t.Context(), "ping"), func(error) {}) != nil {
			refused++
		}
	}
	w.mu.Lock()
	if refused == 0 || w.failures[redisconn.Overloaded] != refused {
		t.Errorf("%d refused, and told %v", refused, w.failures)
	}
	w.mu.Unlock()
	if q := b.Stats().Queue; q < 1<<16 {
		t.Errorf("%d wait", q)
	}
	p.Resume()
	testkit.Eventually(t, "an empty queue", func() bool { return b.Stats().Queue == 0 })
}

// The queue to Redis is bounded by what its commands carry, too, however few they are; one alone may be of any size.
func TestOverloadByBytes(t *testing.T) {
	r := redistest.Mini(t)
	p := redistest.NewProxy(t, r.Addr())
	b, w := observed(t, redisconn.Config{URL: p.URL(), Timeout: 10 * time.Second, WatchEvery: time.Hour})
	p.Hold()
	const size = 1 << 20
	large, refused := strings.Repeat("x", size), 0
	for n := 0; refused < 40 && n < 1000; n++ { // some are on their way already, in the system's buffers
		if err := b.Submit(redis.NewCmd(t.Context(), "publish", "t", large), func(error) {}); err != nil {
			if !errors.Is(err, redisconn.ErrOverloaded) || !errors.Is(err, redisconn.ErrUnavailable) ||
				errors.Is(err, redisconn.ErrUnknown) {
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
	if w.failures[redisconn.Overloaded] != refused {
		t.Errorf("told %v", w.failures)
	}
	w.mu.Unlock()
	p.Resume()
	testkit.Eventually(t, "an empty queue", func() bool { s := b.Stats(); return s.Queue == 0 && s.Bytes == 0 })
	if _, err := b.Do(t.Context(), "set", "k", strings.Repeat("x", 65<<20)); err != nil {
		t.Errorf("one that is larger than the queue: %v", err)
	}
}

// A caller who finds nothing under way sends by itself; what comes meanwhile goes together as soon as its answer is
// there.
func TestFirstCallerSends(t *testing.T) {
	r := redistest.Mini(t)
	p := redistest.NewProxy(t, r.Addr())
	b, w := observed(t, redisconn.Config{URL: p.URL(), WatchEvery: time.Hour})
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
	testkit.Eventually(t, "the others wait", func() bool { return b.Stats().Queue == callers-1 })
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
	b := open(t, redisconn.Config{URL: p.URL(), WatchEvery: time.Hour})
	p.Hold()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	began := time.Now()
	_, err := b.Do(ctx, "get", "k")
	if !errors.Is(err, redisconn.ErrUnknown) || time.Since(began) > 2*time.Second {
		t.Errorf("after %v: %v", time.Since(began), err)
	}
	p.Resume()
	if _, err := b.Do(t.Context(), "set", "k", "v"); err != nil {
		t.Error(err)
	}
}

// Some that wait together wait for no more, so that ten senders who wait for their answers do not wait for nobody.
func TestEnoughCommandsDoNotWait(t *testing.T) {
	cfg := fast(redistest.Mini(t).URL())
	cfg.Gather, cfg.WatchEvery = time.Hour, time.Hour
	b := open(t, cfg)
	if _, err := b.Do(t.Context(), "incr", "n"); err != nil { // the one that may begin
		t.Fatal(err)
	}
	for i := 0; i < 100 && !t.Failed(); i++ {
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				if _, err := b.Do(t.Context(), "incr", "n"); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
	}
}

// Commands that come densely from many who do not wait for each other share pipelines, and all are carried out.
func TestDenseCommandsShare(t *testing.T) {
	cfg := fast(redistest.Mini(t).URL())
	cfg.Gather = 5 * time.Millisecond
	b, w := observed(t, cfg)
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
	if mean := float64(commands) / float64(batches); mean < 2.5 {
		t.Errorf("%d commands in %d pipelines", commands, batches)
	}
	if n, err := b.Do(t.Context(), "get", "n"); err != nil || n != fmt.Sprint(senders*each) {
		t.Errorf("%v carried out, %v", n, err)
	}
}
