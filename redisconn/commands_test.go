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
	"rollcall/testkit/redistest"
)

// place is one Redis that the conformance suite runs on.
type place struct {
	redis *redistest.Redis
	cfg   redisconn.Config
}

func (p place) open(t testing.TB) *redisconn.Client { return open(t, p.cfg) }

// TestConformance is one suite for every kind of Redis: STYLE 21.
func TestConformance(t *testing.T) {
	tests := []struct {
		name string
		run  func(t *testing.T, p place)
	}{
		{"commands answer", testCommands},
		{"scripts run after the cache was emptied", testScriptFlush},
		{"submitted commands of one key keep their order", testSubmit},
		{"a batch answers each command", testBatch},
	}
	redistest.EveryKind(t, func(t *testing.T, r *redistest.Redis) {
		for i, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				test.run(t, place{redis: r, cfg: redisconn.Config{
					URL: r.URL(), Prefix: fmt.Sprintf("test%d", i), WatchEvery: 2 * time.Second,
				}})
			})
		}
	})
}

func testCommands(t *testing.T, p place) {
	b := p.open(t)
	ctx := t.Context()
	for _, test := range []struct {
		args []any
		want any
		err  string
	}{
		{[]any{"set", "k", "v"}, "OK", ""},
		{[]any{"get", "k"}, "v", ""},
		{[]any{"get", "none"}, nil, "redis: nil"},
		{[]any{"incr", "n"}, int64(1), ""},
		{[]any{"hset", "h", "a", 1}, int64(1), ""},
		{[]any{"hgetall", "h"}, []any{"a", "1"}, ""},
		{[]any{"hgetall", "k"}, nil, "WRONGTYPE"},
		{[]any{"del", "k", "k"}, int64(1), ""},
		{[]any{"nonsense", "k"}, nil, "ERR unknown command"},
	} {
		got, err := b.Do(ctx, test.args...)
		if fmt.Sprint(got) != fmt.Sprint(test.want) || (err == nil) != (test.err == "") || err != nil &&
			!strings.HasPrefix(err.Error(), test.err) {
			t.Errorf("%v: %v, %v; want %v, %q", test.args, got, err, test.want, test.err)
		}
		if errors.Is(err, redisconn.ErrUnavailable) {
			t.Errorf("%v: an answer counts as unavailable: %v", test.args, err)
		}
	}
	if _, err := b.Do(ctx, "get", "none"); err != redisconn.Nil {
		t.Errorf("no value: %v, want Nil", err)
	}
	if b.Breaks() != 0 {
		t.Errorf("%d breaks, want 0", b.Breaks())
	}
}

var addScript = redisconn.NewScript(`local n = redis.call('INCRBY', KEYS[1], ARGV[1]) return {KEYS[1], n}`)

// SPEC 5.2: "Redis restarted, wiped": the script cache is empty while nodes run.
func testScriptFlush(t *testing.T, p place) {
	b := p.open(t)
	ctx := t.Context()
	flush := func() {
		t.Helper()
		if p.redis.Mini() != nil {
			if err := p.redis.Client().ScriptFlush(ctx).Err(); err != nil {
				t.Fatal(err)
			}
		}
		for _, node := range p.redis.Nodes() {
			_ = node.Client().ScriptFlush(ctx).Err() // a replica refuses or follows
		}
	}
	total := 0
	for range 3 {
		flush()
		got, err := b.Run(ctx, addScript, []string{"alone"}, 1)
		if total++; err != nil || fmt.Sprint(got) != fmt.Sprintf("[alone %d]", total) {
			t.Fatalf("run: %v, %v", got, err)
		}
		flush()
		cmds := []redis.Cmder{
			addScript.Command(ctx, []string{"first"}, 1),
			redis.NewStringCmd(ctx, "get", "first"),
			addScript.Command(ctx, []string{"second"}, 1),
		}
		if err := b.Batch(ctx, cmds); err != nil {
			t.Fatal(err)
		}
		for i, name := range []string{0: "first", 2: "second"} {
			if cmd, ok := cmds[i].(*redis.Cmd); ok &&
				(cmd.Err() != nil || fmt.Sprint(cmd.Val()) != fmt.Sprintf("[%s %d]", name, total)) {
				t.Fatalf("batch: %v, %v", cmd.Val(), cmd.Err())
			}
		}
		flush()
		var all sync.WaitGroup
		for i := range 100 {
			all.Go(func() {
				if got, err := b.Run(ctx, addScript, []string{fmt.Sprint("many", i)}, 1); err != nil ||
					fmt.Sprint(got) != fmt.Sprintf("[many%d %d]", i, total) {
					t.Errorf("run %d: %v, %v", i, got, err)
				}
			})
		}
		all.Wait()
	}
}

func testSubmit(t *testing.T, p place) {
	b := p.open(t)
	const n = 1000
	var all sync.WaitGroup
	var results [n]*redis.Cmd
	for i := range n {
		results[i] = redis.NewCmd(t.Context(), "rpush", fmt.Sprint("list", i%10), i/10)
		all.Add(1)
		if err := b.Submit(results[i], func(err error) {
			if err != nil {
				t.Errorf("submit %d: %v", i, err)
			}
			all.Done()
		}); err != nil {
			t.Fatal(err)
		}
	}
	all.Wait()
	for i, cmd := range results {
		if cmd.Val() != int64(i/10+1) {
			t.Fatalf("command %d was number %v on its key, want %d", i, cmd.Val(), i/10+1)
		}
	}
}

func testBatch(t *testing.T, p place) {
	b := p.open(t)
	ctx := t.Context()
	var cmds []redis.Cmder
	for i := range 1200 {
		cmds = append(cmds, redis.NewStatusCmd(ctx, "set", fmt.Sprint("k", i), i))
	}
	wrong := redis.NewIntCmd(ctx, "llen", "k0")
	none := redis.NewStringCmd(ctx, "get", "none")
	last := redis.NewStringCmd(ctx, "get", "k1199")
	if err := b.Batch(ctx, append(cmds, wrong, none, last)); err != nil {
		t.Fatalf("batch: %v", err)
	}
	if err := wrong.Err(); err == nil || !strings.HasPrefix(err.Error(), "WRONGTYPE") {
		t.Errorf("wrong type: %v", err)
	}
	if err := none.Err(); err != redisconn.Nil {
		t.Errorf("no value: %v", err)
	}
	if got, err := last.Result(); err != nil || got != "1199" {
		t.Errorf("last: %q, %v", got, err)
	}
	if err := b.Batch(ctx, nil); err != nil {
		t.Errorf("empty batch: %v", err)
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if err := b.Batch(ended, []redis.Cmder{redis.NewStringCmd(ctx, "get", "k1")}); !errors.Is(err,
		redisconn.ErrUnavailable) {
		t.Errorf("batch with an ended ctx: %v", err)
	}
}
