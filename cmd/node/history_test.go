package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"rollcall/testkit"
	"rollcall/testkit/nodetest"
	"rollcall/testkit/redistest"
)

// historyApp keeps the last 1000 messages of one room.
func historyApp(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for file, text := range map[string]string{
		"config/routes.lua": `router_websocket("/ws", "room#room", { resume = true })
history("room", { size = 1000, ttl = 600 })`,
		"handlers/room.lua": `function room(event) return event.type == "connect" and { join = "room" } or nil end`,
	} {
		path := filepath.Join(dir, file)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// follower is a client that counts what it hears: 1, 2, 3, …
type follower struct {
	t    *testing.T
	name string
	at   string // its position
	last int
}

// take looks at a frame and fails the test if something is missing, or comes twice.
func (f *follower) take(text string) {
	f.t.Helper()
	var frame struct {
		Event, Position, Why string
		Data                 int
		Recovered            *bool
	}
	if err := json.Unmarshal([]byte(text), &frame); err != nil {
		f.t.Fatalf("%s got %s", f.name, text)
	}
	switch {
	case frame.Event == "message" && frame.Data != f.last+1:
		f.t.Fatalf("%s got %s after %d", f.name, text, f.last)
	case frame.Event == "message":
		f.last = frame.Data
	case frame.Event != "joined" || frame.Recovered != nil && !*frame.Recovered:
		f.t.Fatalf("%s got %s after %d", f.name, text, f.last)
	}
	f.at = frame.Position
}

// Promise 7 on real Redis: subscriptions break over and over, one client stays and others come and go between nodes;
// each gets every message once and in order.
func TestNothingIsLostWhileSubscriptionsBreak(t *testing.T) {
	const messages = 300
	for _, kind := range []struct {
		name  string
		start func(testing.TB) *redistest.Redis
	}{{"standalone", func(t testing.TB) *redistest.Redis { return redistest.Standalone(t) }},
		{"cluster", redistest.Cluster}} {
		t.Run(kind.name, func(t *testing.T) {
			redis, app := kind.start(t), historyApp(t)
			var nodes []*inProcess
			for range 2 {
				nodes = append(nodes, startHere(t, "--redis", redis.URL(), "--app", app, "--api-key", "key", "--drain", "0s"))
			}
			stays, comes := &follower{t: t, name: "who stays"}, &follower{t: t, name: "who comes and goes"}
			client := nodetest.Dial(t, nodes[0].addr, "/ws")
			stays.take(client.Next())
			comes.at = stays.at
			for i := 1; i <= messages; i++ {
				publishNumber(t, nodes[i%2].addr, i)
				if i%15 == 0 {
					breakSubscriptions(t, redis)
				}
				if i%40 == 0 {
					comes.visit(nodes[i/40%2].addr, i)
				}
			}
			for stays.last < messages {
				stays.take(client.Next())
			}
			comes.visit(nodes[0].addr, messages)
		})
	}
}

// visit connects with its position, hears all up to a number, and goes.
func (f *follower) visit(addr string, until int) {
	f.t.Helper()
	said, err := json.Marshal(map[string]string{"room": f.at})
	if err != nil {
		f.t.Fatal(err)
	}
	c := nodetest.Dial(f.t, addr, "/ws?resume="+url.QueryEscape(base64.RawURLEncoding.EncodeToString(said)))
	f.take(c.Next())
	for f.last < until {
		f.take(c.Next())
	}
	c.Drop()
}

// publishNumber broadcasts a number, again until Redis has it; its key makes it one.
func publishNumber(t *testing.T, addr string, n int) {
	t.Helper()
	testkit.Within(t, fmt.Sprint(n, " is published"), nodetest.Timeout, func() bool {
		status, _, _ := nodetest.Request(context.Background(), http.MethodPost, addr, "/_api/channels/room/broadcast",
			fmt.Sprintf(`{"message":%d}`, n), "X-API-Key: key", fmt.Sprint("Idempotency-Key: ", n))
		return status == http.StatusOK
	})
}

func breakSubscriptions(t *testing.T, redis *redistest.Redis) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for _, p := range redis.Nodes() {
		if err := p.Client().Do(ctx, "client", "kill", "type", "pubsub").Err(); err != nil {
			t.Fatal(err)
		}
	}
}
