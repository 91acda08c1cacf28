package redisconn_test

import (
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/redisconn"
	"rollcall/testkit/nodetest"
	"rollcall/testkit/redistest"
)

// setMemory sets maxmemory of all processes; no memory is less than what an empty Redis takes.
func setMemory(t *testing.T, r *redistest.Redis, max string) {
	t.Helper()
	for _, p := range r.Nodes() {
		for name, value := range map[string]string{"maxmemory-policy": "noeviction", "maxmemory": max} {
			if err := p.Client().ConfigSet(t.Context(), name, value).Err(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// A script with flags is the same script everywhere: on a Redis that knows flags and on one that does not (miniredis),
// alone, in a batch, queued, and after Redis forgot it.
func TestAllowOOM(t *testing.T) {
	redistest.EveryKind(t, func(t *testing.T, r *redistest.Redis) {
		b := open(t, redisconn.Config{URL: r.URL(), WatchEvery: time.Hour})
		plain := redisconn.NewScript(`return redis.call('INCRBY', KEYS[1], ARGV[1])`)
		script := plain.AllowOOM()
		if script.String() != plain.String() {
			t.Errorf("flags give it another name: %s, %s", script, plain)
		}
		want := int64(0)
		for range 3 {
			got, err := b.Run(t.Context(), script, []string{"n"}, 1)
			if want++; err != nil || got != want {
				t.Fatalf("alone: %v, %v, want %d", got, err, want)
			}
			batch := []redis.Cmder{script.Command(t.Context(), []string{"n"}, 1), redis.NewCmd(t.Context(), "set", "x", "1"),
				plain.Command(t.Context(), []string{"n"}, 1)}
			if err := b.Batch(t.Context(), batch); err != nil {
				t.Fatal(err)
			}
			want += 2
			for _, cmd := range batch {
				if cmd.Err() != nil {
					t.Errorf("in a batch: %v", cmd)
				}
			}
			done := make(chan error, 1)
			if err := b.Submit(script.Command(t.Context(), []string{"n"}, 1), func(err error) { done <- err }); err != nil {
				t.Fatal(err)
			}
			if err := <-done; err != nil {
				t.Errorf("queued: %v", err)
			}
			want++
			if r.Mini() == nil {
				for _, p := range r.Nodes() {
					_ = p.Client().ScriptFlush(t.Context()).Err() // a replica may refuse
				}
			}
		}
		broken := redisconn.NewScript(`this is no Lua`).AllowOOM()
		if _, err := b.Run(t.Context(), broken, []string{"n"}); err == nil {
			t.Error("a script that does not compile has run")
		}
	})
}

// A full Redis refuses what takes memory, with an error of its own, and runs the scripts that a lease needs.
func TestFull(t *testing.T) {
	redistest.EveryKind(t, func(t *testing.T, r *redistest.Redis) {
		if r.Mini() != nil {
			t.Skip("miniredis is never full")
		}
		log := &nodetest.Log{}
		b, o := observed(t, redisconn.Config{URL: r.URL(), WatchEvery: time.Hour,
			Log: slog.New(slog.NewJSONHandler(log, nil))})
		write := redisconn.NewScript(`redis.call('SET', KEYS[1], ARGV[1]) return 1`)
		lease := write.AllowOOM()
		setMemory(t, r, "1mb")
		for range 2 {
			if got, err := b.Run(t.Context(), lease, []string{"k"}, "v"); err != nil || got != int64(1) {
				t.Fatalf("a script that may: %v, %v", got, err)
			}
			_, byCommand := b.Do(t.Context(), "set", "k", "v")
			_, byScript := b.Run(t.Context(), write, []string{"k"}, "v")
			batched := b.Batch(t.Context(), []redis.Cmder{write.Command(t.Context(), []string{"k"}, "v")})
			for what, err := range map[string]error{"a command": byCommand, "a script": byScript, "a batch": batched} {
				if !errors.Is(err, redisconn.ErrFull) || !errors.Is(err, redisconn.ErrUnavailable) ||
					errors.Is(err, redisconn.ErrUnknown) {
					t.Errorf("%s: %v, want that Redis is full, and no doubt about the outcome", what, err)
				}
			}
		}
		if _, err := b.Do(t.Context(), "publish", b.Keys().Topic("c"), "still"); err != nil {
			t.Errorf("a message: %v", err)
		}
		o.mu.Lock()
		if o.failures[redisconn.Full] != 6 || len(o.failures) != 1 {
			t.Errorf("the observer heard of %v", o.failures)
		}
		o.mu.Unlock()
		said := 0
		for _, line := range log.Lines() {
			if line.Text("level") == "ERROR" {
				said++
			}
		}
		if said != 1 {
			t.Errorf("%d lines in the log:\n%s", said, log.Text())
		}
		setMemory(t, r, "0")
		if _, err := b.Do(t.Context(), "set", "k", "v"); err != nil {
			t.Errorf("with room again: %v", err)
		}
	})
}
