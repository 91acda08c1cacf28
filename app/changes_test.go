package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rollcall/testkit"
	"rollcall/testkit/redistest"
)

func TestAfterFollowsTheMarks(t *testing.T) {
	all := []change{{"1", "2", "a"}, {"2", "3", "b"}, {"3", "4", "a"}, {"7", "8", "c"}}
	for rev, want := range map[string]struct {
		fields []string
		now    string
	}{
		"1": {[]string{"a", "b", "a"}, "4"},
		"3": {[]string{"a"}, "4"},
		"4": {nil, "4"},
		"5": {nil, "5"},
		"7": {[]string{"c"}, "8"},
	} {
		if fields, now := after(rev, all); !slices.Equal(fields, want.fields) || now != want.now {
			t.Errorf("from %s: %v to %s", rev, fields, now)
		}
	}
}

// counted counts how often all of the registry is read.
type counted struct {
	Redis
	all atomic.Int64
}

func (c *counted) Do(ctx context.Context, args ...any) (any, error) {
	if args[0] == "HGETALL" {
		c.all.Add(1)
	}
	return c.Redis.Do(ctx, args...)
}

// A change makes nodes read the one script that has changed.
func TestScriptsReadOneAtATime(t *testing.T) {
	eachRedis(t, func(t *testing.T, redis *redistest.Redis) {
		n := startNode(t, empty, nodeOptions{redis: redis})
		n.put("before", "WS", "return 0")
		var redises [2]*counted
		var nodes [2]*Scripts
		for i := range nodes {
			redises[i] = &counted{Redis: n.client}
			s, err := OpenScripts(t.Context(),
				ScriptsConfig{Redis: redises[i], Broker: n.broker, Keys: n.client.Keys(), Every: time.Hour, Log: n.server.cfg.Log})
			check(t, err)
			t.Cleanup(s.Close)
			nodes[i] = s
		}
		for i := range 30 {
			_, err := nodes[0].Put(t.Context(), "db", fmt.Sprint("x", i%20), "WS", fmt.Sprint("return ", i))
			check(t, err)
		}
		check(t, nodes[0].Delete(t.Context(), "db", "x3", "WS"))
		testkit.Eventually(t, "the last script at the other node", func() bool {
			set := nodes[1].now.Load()
			i := slices.IndexFunc(set.scripts, func(s *script) bool { return s.name.Path == "x9" })
			return len(set.scripts) == 20 && i >= 0 && set.records[set.scripts[i].name.field()].Code == "return 29"
		})
		for i, r := range redises {
			if got := r.all.Load(); got > 3 { // once at the start, and when a subscription was made again
				t.Errorf("node %d read all scripts %d times for 31 changes", i, got)
			}
		}
	})
}

// A registry has so many scripts at most, also while many are registered at once, and after a wipe of Redis.
func TestScriptsAreBounded(t *testing.T) {
	eachRedis(t, func(t *testing.T, redis *redistest.Redis) {
		one := startNode(t, empty, nodeOptions{redis: redis})
		const free = 5
		key, values := one.client.Keys().Scripts(), []any{fieldRev, "of a node that did not count"}
		for i := range MaxScripts - free {
			name := ScriptName{"db", fmt.Sprint("old", i), "WS"}
			text, err := encodePayload(name, "return")
			check(t, err)
			values = append(values, name.field(), "1 + "+text)
		}
		check(t, redis.Client().HSet(t.Context(), key, values...).Err())
		two := startNode(t, empty, nodeOptions{redis: redis})
		var done sync.WaitGroup
		var put, full atomic.Int64
		for i := range 4 * free {
			n := []*testNode{one, two}[i%2]
			done.Go(func() {
				switch _, err := n.scripts.Put(t.Context(), "db", fmt.Sprint("new", i), "WS", "return"); {
				case err == nil:
					put.Add(1)
				case errors.Is(err, ErrFull):
					full.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		done.Wait()
		if put.Load() != free || full.Load() != 3*free {
			t.Fatalf("%d were registered and %d refused", put.Load(), full.Load())
		}
		one.put("old1", "WS", "return 2") // replacing is no one more
		check(t, one.scripts.Delete(t.Context(), "db", "old2", "WS"))
		one.put("another", "WS", "return")
		refused := func() bool {
			_, err := one.scripts.Put(t.Context(), "db", "late", "WS", "return")
			return errors.Is(err, ErrFull)
		}
		if !refused() {
			t.Fatal("one more is taken")
		}
		testkit.Eventually(t, "all scripts here", func() bool { return len(one.scripts.now.Load().scripts) == MaxScripts })
		check(t, redis.Client().Del(t.Context(), key).Err())
		testkit.Within(t, "all scripts back", time.Minute, func() bool {
			rev, err := redis.Client().HGet(t.Context(), key, fieldRev).Result()
			return err == nil && strings.HasSuffix(rev, fmt.Sprint(" ", MaxScripts))
		})
		if !refused() {
			t.Fatal("after a wipe one more is taken")
		}
	})
}
