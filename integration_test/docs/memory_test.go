package docs_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	"rollcall/testkit"
	"rollcall/testkit/nodetest"
	"rollcall/testkit/redistest"
)

// docs/operating.md says what a channel whose users have all left costs in Redis, and for how long.
func TestMemoryOfDeadChannels(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(root, "docs", "operating.md"))
	if err != nil {
		t.Fatal(err)
	}
	said := regexp.MustCompile("(\\d+) bytes by `MEMORY USAGE`").FindSubmatch(page)
	if said == nil {
		t.Fatal("the page says nothing of it")
	}
	want, err := strconv.ParseInt(string(said[1]), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	redis := redistest.Standalone(t)
	n := nodetest.Start(t, nodetest.Options{Redis: redis.URL(), App: filepath.Join(root, "examples", "rooms")})
	const room = "90eb681c-e656-8973-1676-11d35023e78a"
	c := nodetest.Dial(t, n.Addr(), "/ws/room/"+room+"?user=ada")
	c.Next()
	c.Leave(1000, "")
	key := fmt.Sprintf("rollcall:p:{room:%s}", room)
	var ttl time.Duration
	testkit.Within(t, "that the channel is to be forgotten", nodetest.Timeout, func() bool {
		ttl, err = redis.Client().PTTL(t.Context(), key).Result()
		return err == nil && ttl > 0
	})
	if ttl > 24*time.Hour || ttl < 23*time.Hour {
		t.Errorf("it is forgotten after %v, not a day", ttl)
	}
	got, err := redis.Client().MemoryUsage(t.Context(), key).Result()
	if err != nil || got < want*8/10 || got > want*12/10 {
		t.Errorf("it takes %d bytes (%v), the page says %d", got, err, want)
	}
}
