package integration_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"rollcall/testkit"
	"rollcall/testkit/nodetest"
	"rollcall/testkit/redistest"
)

// A Redis that has reached its maxmemory costs nobody a lease: who is there stays, leaves are told, a killed node's
// users go, broadcasts pass, and who was there is written again when a lease was given up. Joins and store raise and
// say why.
func TestFullRedis(t *testing.T) {
	t.Parallel()
	redis := redistest.Standalone(t, "--maxmemory-policy", "noeviction")
	c := assembleOn(t, redis)
	room := func(max string) {
		t.Helper()
		if err := redis.Client().ConfigSet(t.Context(), "maxmemory", max).Err(); err != nil {
			t.Fatal(err)
		}
	}
	room("1mb") // less than what an empty one takes
	time.Sleep(2 * (lease + grace))
	c.expectTold("") // that nobody goes cannot be waited for otherwise
	c.expectLists(gone, 7, []int{0, 1, 2}, everybody...)

	late := nodetest.Dial(t, c.nodes[0].Addr(), "/api/custom/test/do")
	info := map[string]any{"user_id": "late"}
	if text := late.CallError("solidb.ws.presence.join", c.channel, info); !strings.Contains(text, "redis is full") {
		t.Errorf("presence.join: %q", text)
	}
	c.devices["on1"][0].Leave(1000, "")
	c.everyoneSees("both01", "on0", "on2", "two0")
	c.plain[1].Act(fmt.Sprintf(`{"broadcast_channel":{"channel":%q,"message":"while it is full"}}`, c.channel))
	for _, w := range c.plain {
		w.Until("while it is full")
	}
	if text := c.plain[0].CallError("store.set", "key", "value"); !strings.Contains(text, "full") {
		t.Errorf("store.set: %q", text)
	}
	if got := nodetest.Metric(t, c.nodes[0], `rollcall_redis_command_errors_total{reason="full"}`); got == 0 {
		t.Error("the metrics do not say that it is full")
	}
	c.nodes[0].Log.Await(t, "that Redis is full",
		func(l nodetest.Line) bool { return strings.Contains(l.Text("msg"), "redis is full") })
	c.nodes[2].Kill()
	c.plain, c.script = c.plain[:2], c.script[:2]
	for _, w := range c.plain {
		w.AwaitUsersWithin(gone, c.channel, "both01", "on0", "two0")
	}
	c.expectTold("leave on1, leave on2")
	for _, n := range c.nodes[:2] {
		if got := nodetest.Metric(t, n, `rollcall_incarnations_total`); got != 1 {
			t.Errorf("a node took %v leases", got)
		}
	}

	if err := redis.Client().ClientKillByFilter(t.Context(), "TYPE", "pubsub").Err(); err != nil {
		t.Fatal(err)
	}
	testkit.Within(t, "a new lease", gone,
		func() bool { return nodetest.Metric(t, c.nodes[0], `rollcall_incarnations_total`) > 1 })
	time.Sleep(lease + grace + 2*heartbeat) // until what the old one left is reaped
	c.expectLists(gone, 5, []int{0, 1}, "both01", "on0", "two0")
	c.expectTold("leave on1, leave on2")

	room("0")
	late.Call("solidb.ws.presence.join", c.channel, info)
	c.everyoneSees("both01", "late", "on0", "two0")
	c.expectTold("join late, leave on1, leave on2")
	c.stillConnected(append(c.watchers(), late)...)
	c.plain[0].Call("store.set", "key", "value")
}
