package redisconn_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/redisconn"
	"rollcall/testkit"
	"rollcall/testkit/redistest"
)

// The outcomes of a command whose caller can't wait.
func TestOutcomes(t *testing.T) {
	server := redistest.Standalone(t)
	proxy := redistest.NewProxy(t, server.Addr())
	b := open(t, redisconn.Config{URL: proxy.URL(), WatchEvery: time.Hour, Timeout: 500 * time.Millisecond, Batchers: 1})
	ctx := t.Context()

	ended, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := b.Do(ended, "incr", "n"); !errors.Is(err, redisconn.ErrUnavailable) ||
		errors.Is(err, redisconn.ErrUnknown) || !errors.Is(err, context.Canceled) {
		t.Errorf("ended before: %v", err)
	}

	proxy.Hold()
	first := make(chan error, 1)
	short, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	go func() {
		_, err := b.Do(short, "incr", "n")
		first <- err
	}()
	if err := <-first; !errors.Is(err, redisconn.ErrUnknown) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("on its way: %v, want ErrUnknown", err)
	}
	// The one batcher is busy with it: this one waits behind, and is never sent.
	queued, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	if _, err := b.Do(queued, "incr", "other"); !errors.Is(err, redisconn.ErrUnavailable) ||
		errors.Is(err, redisconn.ErrUnknown) {
		t.Errorf("queued: %v, want not sent", err)
	}
	proxy.Resume()
	testkit.Eventually(t, "the first arrives late",
		func() bool { got, err := b.Do(ctx, "get", "n"); return err == nil && got == "1" })
	if _, err := b.Do(ctx, "get", "other"); err != redisconn.Nil {
		t.Errorf("the queued command was sent: %v", err)
	}

	proxy.Refuse()
	testkit.Eventually(t, "a refused connection is known to have done nothing", func() bool {
		_, err := b.Do(ctx, "incr", "n")
		return errors.Is(err, redisconn.ErrUnavailable)
	})
	server.Kill()
	proxy.Resume()
	direct := open2(t, redisconn.Config{URL: server.URL(), Timeout: 300 * time.Millisecond})
	if !errors.Is(direct, redisconn.ErrUnavailable) || errors.Is(direct, redisconn.ErrUnknown) {
		t.Errorf("open without redis: %v", direct)
	}
}

// Answers by which Redis refuses to serve count as unavailable, with the outcome known.
func TestRefusals(t *testing.T) {
	server := redistest.Mini(t)
	b := open(t, redisconn.Config{URL: server.URL(), WatchEvery: time.Hour})
	for _, answer := range []string{
		"LOADING Redis is loading the dataset in memory",
		"READONLY You can't write against a read only replica.",
		"CLUSTERDOWN Hash slot not served",
		"MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
		"TRYAGAIN Multiple keys request during rehashing of slot",
		"NOREPLICAS Not enough good replicas to write.",
		"BUSY Redis is busy running a script.",
		"MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.",
		"OOM command not allowed when used memory > 'maxmemory'.",
		"ERR max number of clients reached",
	} {
		server.Mini().SetError(answer)
		if _, err := b.Do(t.Context(), "incr", "n"); !errors.Is(err, redisconn.ErrUnavailable) ||
			errors.Is(err, redisconn.ErrUnknown) {
			t.Errorf("%q: %v, want unavailable with a known outcome", answer, err)
		}
	}
	for _, answer := range []string{"MOVED 1 127.0.0.1:1", "ASK 1 127.0.0.1:1"} { // redirected, and then lost, perhaps
		server.Mini().SetError(answer)
		if _, err := b.Do(t.Context(), "incr", "n"); !errors.Is(err, redisconn.ErrUnknown) {
			t.Errorf("%q: %v, want an unknown outcome", answer, err)
		}
	}
	server.Mini().SetError("ERR something else")
	if _, err := b.Do(t.Context(), "incr", "n"); err == nil || errors.Is(err, redisconn.ErrUnavailable) {
		t.Errorf("another answer: %v", err)
	}
	server.Mini().SetError("")
	if got, err := b.Do(t.Context(), "incr", "n"); err != nil || got != int64(1) {
		t.Errorf("incr: %v, %v: a refused command was carried out", got, err)
	}
}

// DESIGN 4: "go-redis runs a script again after a lost reply". Here nothing runs twice.
func TestNothingRunsTwice(t *testing.T) {
	for name, start := range map[string]func(testing.TB) *redistest.Redis{
		"standalone": func(t testing.TB) *redistest.Redis { return redistest.Standalone(t) },
		"cluster":    redistest.Cluster,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := start(t)
			b := open(t, redisconn.Config{URL: server.URL(), WatchEvery: time.Hour})
			ctx := t.Context()
			if _, err := b.Do(ctx, "set", "n", 0); err != nil {
				t.Fatal(err)
			}
			for i, run := range []func() error{
				func() error { _, err := b.Do(ctx, "incr", "n"); return err },
				func() error { _, err := b.Run(ctx, addScript, []string{"n"}, 1); return err },
				func() error { return b.Batch(ctx, []redis.Cmder{redis.NewIntCmd(ctx, "incr", "n")}) },
			} {
				// The write is held back by the server, its connection dies meanwhile: no answer can come.
				for _, node := range server.Nodes() {
					if err := node.Client().Do(ctx, "client", "pause", 60_000, "write").Err(); err != nil {
						t.Fatal(err)
					}
				}
				done := make(chan error, 1)
				go func() { done <- run() }()
				testkit.Eventually(t, "the command is held back", func() bool {
					for _, node := range server.Nodes() {
						info, err := node.Client().Info(ctx, "clients").Result()
						if err == nil && redistest.Field(info, "blocked_clients") == "1" {
							return true
						}
					}
					return false
				})
				for _, node := range server.Nodes() {
					if err := node.Client().Do(ctx, "client", "kill", "type", "normal", "skipme", "yes").Err(); err != nil {
						t.Fatal(err)
					}
				}
				for _, node := range server.Nodes() {
					if err := node.Client().Do(ctx, "client", "unpause").Err(); err != nil {
						t.Fatal(err)
					}
				}
				if err := <-done; !errors.Is(err, redisconn.ErrUnknown) {
					t.Fatalf("run %d: %v, want ErrUnknown", i, err)
				}
				if got, err := b.Do(ctx, "get", "n"); err != nil || got != "0" {
					t.Fatalf("run %d: n is %v, %v; want 0: the command was sent again", i, got, err)
				}
			}
			if b.Breaks() == 0 {
				t.Fatal("no break was told")
			}
		})
	}
}
