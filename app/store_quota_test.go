package app

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"rollcall/redisconn"
	"rollcall/testkit"
	"rollcall/testkit/redistest"
)

// quotaOf configures a server with a quota.
func quotaOf(t testing.TB, keys, bytes int64) func(*Config) {
	return func(c *Config) {
		c.StoreQuota = NewStoreQuota(StoreQuotaConfig{Redis: c.Redis, Keys: c.Keys, App: c.App.Name, MaxKeys: keys,
			MaxBytes: bytes, Log: slog.New(slog.DiscardHandler)})
		t.Cleanup(c.StoreQuota.Close)
	}
}

// SPEC 3, --store-quota: "keys and bytes of store for the app (beyond: it raises)": each at and over, and room again
// after deleting and after expiry.
func TestStoreQuota(t *testing.T) {
	t.Run("keys", func(t *testing.T) {
		n := startNode(t, map[string]string{"scripts/db/x.get.lua": `
local function full(...) local ok, err = pcall(...) return not ok and string.match(err, "the store is full: it may hold 3 keys %(%-%-store%-quota%)") ~= nil end
store.set("a", 1) store.incr("b") store.hset("c", "f", 1)
local out = { full(store.set, "d", 1), full(store.incr, "d"), full(store.hset, "d", "f", 1), store.get("d") == nil }
store.set("a", 2) store.incr("b") store.hset("c", "g", 2)
store.delete("a") store.set("d", 1)
out[5] = full(store.set, "a", 1)
store.hdel("c", "f") store.hdel("c", "g") store.set("a", 1)
out[6] = full(store.set, "c", 1)
out[7] = store.set("a", 1, {nx = true}) == false
return out`}, nodeOptions{config: quotaOf(t, 3, 0)})
		if got := n.get("/api/custom/db/x"); got != "200 [true,true,true,true,true,true,true]" {
			t.Error(got)
		}
	})
	t.Run("bytes", func(t *testing.T) {
		r := redistest.Mini(t)
		n := startNode(t, map[string]string{
			"config/routes.lua": `router_get("/try/:key/:size", "h#try") router_get("/expire/:key", "h#expire")`,
			"handlers/h.lua": `function try(r)
  local ok, err = pcall(store.set, r.params.key, string.rep("x", tonumber(r.params.size) - 2)) -- two quotes
  return ok and "stored" or err end
function expire(r) store.expire(r.params.key, 60000) return "ok" end`}, nodeOptions{redis: r, config: func(c *Config) {
			quotaOf(t, 0, int64(3*len(c.Keys.Store(c.App.Name, "a"))+300))(c)
		}})
		for i, step := range []struct{ path, want string }{
			{"/try/a/100", "200 stored"}, {"/try/b/100", "200 stored"},
			{"/try/c/101", "the store is full: it may hold"}, {"/try/c/100", "200 stored"}, // to the byte
			{"/try/a/101", "bytes (--store-quota)"}, {"/try/a/99", "200 stored"}, {"/try/b/101", "200 stored"}, {"/try/b/102",
				"the store is full"},
			{"/expire/c", "200 ok"}, {"/try/b/102", "the store is full"},
		} {
			if got := n.get(step.path); !strings.Contains(got, step.want) {
				t.Fatalf("step %d, %s: %q, want %q", i, step.path, got, step.want)
			}
		}
		r.Mini().SetTime(time.Now().Add(2 * time.Minute))
		r.Mini().FastForward(2 * time.Minute)
		if got := n.get("/try/b/200"); got != "200 stored" {
			t.Errorf("after one has expired: %q", got)
		}
	})
}

// stock is a store and its quota without a server.
type stock struct {
	t *testing.T
	r *redistest.Redis
	b *redisconn.Client
	q *StoreQuota
}

func newStock(t *testing.T, r *redistest.Redis, keys, bytes int64) *stock {
	t.Helper()
	b, err := redisconn.Open(t.Context(), redisconn.Config{URL: r.URL(), Log: slog.New(slog.DiscardHandler)})
	check(t, err)
	s := &stock{t, r, b, NewStoreQuota(
		StoreQuotaConfig{Redis: b, Keys: b.Keys(), App: "my*app", MaxKeys: keys, MaxBytes: bytes,
			Log: slog.New(slog.DiscardHandler)})}
	t.Cleanup(func() { s.q.Close(); _ = b.Close() })
	return s
}

func (s *stock) key(name string) string { return s.b.Keys().Store("my*app", name) }

// truth is what the store holds: keys, and bytes.
func (s *stock) truth() (keys, bytes int64) {
	s.t.Helper()
	ctx, c := context.Background(), s.r.Client()
	all, err := c.Keys(ctx, "rollcall:store:my\\*app:*").Result()
	check(s.t, err)
	for _, key := range all {
		bytes += int64(len(key))
		if kind := c.Type(ctx, key).Val(); kind == "string" {
			bytes += c.StrLen(ctx, key).Val()
			continue
		}
		for field, value := range c.HGetAll(ctx, key).Val() {
			bytes += int64(len(field) + len(value))
		}
	}
	return int64(len(all)), bytes
}

func (s *stock) counted() (keys, bytes int64) {
	s.t.Helper()
	counts := s.q.counts()
	keys = s.r.Client().HLen(context.Background(), counts[0]).Val()
	bytes, _ = strconv.ParseInt(s.r.Client().Get(context.Background(), counts[2]).Val(), 10, 64)
	return keys, bytes
}

func (s *stock) compare(when string) {
	s.t.Helper()
	keys, bytes := s.truth()
	if k, b := s.counted(); k != keys || b != bytes {
		s.t.Fatalf("%s: %d keys of %d bytes are counted, there are %d of %d", when, k, b, keys, bytes)
	}
}

// The count is right after each write, whatever is written, refused, removed and has expired, on miniredis and on
// Redis.
func TestStoreQuotaCounts(t *testing.T) {
	for name, start := range map[string]func(testing.TB) *redistest.Redis{
		"mini": redistest.Mini, "standalone": func(t testing.TB) *redistest.Redis { return redistest.Standalone(t) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := start(t)
			const maxKeys, maxBytes = 8, 600
			s := newStock(t, r, maxKeys, maxBytes)
			now := time.Now()
			if r.Mini() != nil {
				r.Mini().SetTime(now)
			}
			rnd := rand.New(rand.NewPCG(1, 2))
			refused, expired := 0, 0
			for i := range 600 {
				key, field, value := s.key(fmt.Sprint("k", rnd.IntN(12))), fmt.Sprint("f", rnd.IntN(3)), strings.Repeat("v",
					rnd.IntN(60))
				command := [][]any{
					{"SET", key, value}, {"SET", key, value, "NX"}, {"SET", key, value, "PX", 1}, {"SET", key, value, "PX",
						60000}, {"SET", key, "7"},
					{"INCRBY", key, rnd.IntN(1 << 30)}, {"HSET", key, field, value}, {"HSET", key, field, value}, {"HDEL", key,
						field}, {"DEL", key}, {"PEXPIRE", key, 1}, {"PEXPIRE", key, 60000},
				}[rnd.IntN(12)]
				what := fmt.Sprintf("step %d, %.60v", i, command)
				_, err := s.q.write(t.Context(), command)
				switch {
				case err == nil, err == redisconn.Nil:
				case strings.Contains(err.Error(), "the store is full"):
					refused++
				case !strings.Contains(err.Error(), "WRONGTYPE") && !strings.Contains(err.Error(), "not an integer"):
					t.Fatalf("%s: %v", what, err)
				}
				if command[len(command)-1] == 1 && command[0] != "INCRBY" { // it may have been told to expire
					expired++
					if r.Mini() != nil {
						now = now.Add(2 * time.Millisecond)
						r.Mini().SetTime(now)
						r.Mini().FastForward(2 * time.Millisecond)
					}
					testkit.Eventually(t, "it has expired", func() bool {
						left := r.Client().PTTL(t.Context(), key).Val()
						return left < 0 || left > time.Second
					})
				}
				if _, err := s.q.write(t.Context(), []any{"SET", s.key("k0"), "", "NX"}); err != nil && err != redisconn.Nil &&
					!strings.Contains(err.Error(), "full") {
					t.Fatal(err)
				}
				s.compare(what)
				if keys, bytes := s.counted(); keys > maxKeys || bytes > maxBytes+20 { // digits of a number grow unasked
					t.Fatalf("%s: %d keys, %d bytes", what, keys, bytes)
				}
			}
			if refused < 20 || expired < 20 {
				t.Errorf("only %d were refused, %d expired", refused, expired)
			}
		})
	}
}

// However much has expired: it makes room for the next write at once.
func TestStoreQuotaAfterManyExpired(t *testing.T) {
	r := redistest.Mini(t)
	now := time.Now()
	r.Mini().SetTime(now)
	s := newStock(t, r, 500, 0)
	for i := range 500 {
		if _, err := s.q.write(t.Context(), []any{"SET", s.key(fmt.Sprint("k", i)), "v", "PX", 1000}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.q.write(t.Context(), []any{"SET", s.key("more"), "v"}); err == nil {
		t.Error("a key more was taken")
	}
	r.Mini().SetTime(now.Add(2 * time.Second))
	r.Mini().FastForward(2 * time.Second)
	for i := range 500 {
		if _, err := s.q.write(t.Context(), []any{"SET", s.key(fmt.Sprint("n", i)), "v"}); err != nil {
			t.Fatalf("key %d: %v", i, err)
		}
	}
	s.compare("after 500 have expired")
}

// What was written before there was a quota is counted at the start; what went behind its back, with the next look.
func TestStoreQuotaOfWhatIsThere(t *testing.T) {
	r := redistest.Mini(t)
	c := r.Client()
	for i := range 700 {
		check(t, c.Set(t.Context(), fmt.Sprint("rollcall:store:my*app:s", i), "value", 0).Err())
	}
	check(t, c.HSet(t.Context(), "rollcall:store:my*app:h", "f", "1", "g", "2").Err())
	check(t, c.Set(t.Context(), "rollcall:store:myapp:x", "of another app", 0).Err())
	check(t, c.Set(t.Context(), "rollcall:store:my*app2:x", "of another app", 0).Err())
	s := newStock(t, r, 0, 0)
	testkit.Eventually(t, "all are counted", func() bool { keys, _ := s.counted(); return keys == 701 })
	s.compare("at the start")
	check(t, c.Del(t.Context(), s.key("s1"), s.key("h")).Err())
	check(t, c.Set(t.Context(), s.key("s2"), "a longer value", 0).Err())
	check(t, c.Set(t.Context(), s.key("new"), "value", time.Hour).Err())
	check(t, s.q.Count(t.Context()))
	s.compare("after another look")
	if other := newStock(t, r, 0, 0); other.q.countOnce(t.Context()) != nil {
		t.Error("another node's look, so soon, fails")
	}
}
