package integration_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"rollcall/testkit"
	"rollcall/testkit/nodetest"
	"rollcall/testkit/redistest"
)

// postScript registers a connection script.
func postScript(t *testing.T, n *nodetest.Node, path, code string) {
	t.Helper()
	status, answer, _ := nodetest.Request(context.Background(), http.MethodPost, n.Addr(), "/_api/custom/"+path, code,
		"X-API-Key: "+key)
	if status != http.StatusCreated {
		t.Fatalf("register %s: %d %s", path, status, answer)
	}
}

// recovers checks that after a fault of Redis everything is as it was: nobody was told anything, lists are whole, and
// new joins, leaves and broadcasts work.
func (c *cast) recovers(within time.Duration) {
	c.t.Helper()
	c.expectLists(within, 7, []int{0, 1, 2}, everybody...)
	for i, n := range c.nodes {
		testkit.Within(c.t, fmt.Sprintf("readiness of node %d", i), within,
			func() bool { return nodetest.Status(n.Addr(), "/readyz") == http.StatusOK })
	}
	c.fence(c.watchers(), 2)
	time.Sleep(lease + grace) // what was held back would be told now; that it is not cannot be waited for otherwise
	c.fence(c.watchers(), 0)
	c.expectTold("")
	c.stillConnected(append(c.watchers(), c.allDevices()...)...)
	c.enter("new", 1)
	c.everyoneSees(append([]string{"new"}, everybody...)...)
	c.devices["new"][0].Leave(1000, "")
	c.devices["on2"][0].Leave(1000, "")
	c.everyoneSees("both01", "on0", "on1", "two0")
	c.expectTold("join new, leave new, leave on2")
	c.plain[1].Act(fmt.Sprintf(`{"broadcast_channel":{"channel":%q,"message":"after the fault"}}`, c.channel))
	for _, w := range c.plain {
		w.Until("after the fault")
	}
	c.expectLists(within, 6, []int{0, 1, 2}, "both01", "on0", "on1", "two0")
	c.expectRedisTruth()
}

// expectRedisTruth waits until a node that has no replica of the channel, and so asks Redis, gives the same list.
func (c *cast) expectRedisTruth() {
	c.t.Helper()
	users, devices := listOf(c.t, c.nodes[0].Addr(), c.channel)
	fresh := nodetest.Start(c.t, nodetest.Options{Redis: c.redisURL, App: app, Flags: fast})
	c.nodes = append(c.nodes, fresh)
	c.expectLists(gone, devices, []int{len(c.nodes) - 1}, users...)
	c.nodes = c.nodes[:len(c.nodes)-1]
	fresh.Kill()
}

// SPEC 5.2: "Redis … wiped (FLUSHALL)"; "After a wipe nodes write back presence and the registered scripts they hold".
func TestWipedRedis(t *testing.T) {
	t.Parallel()
	redis := redistest.Standalone(t)
	c := assembleOn(t, redis)
	postScript(t, c.nodes[0], "w/kept", `solidb.ws.send("kept")`)
	path := "/api/custom/w/kept"
	for _, n := range c.nodes {
		testkit.Within(t, "the script", time.Second,
			func() bool { return nodetest.Status(n.Addr(), path) == http.StatusUpgradeRequired })
	}
	redis.FlushAll()
	c.recovers(gone)
	fresh := nodetest.Start(t, nodetest.Options{Redis: redis.URL(), App: app, Flags: fast})
	nodetest.Dial(t, fresh.Addr(), path).Expect("kept", "closed 1000")
}

// SPEC 5.2: "Redis restarted": with its data, or without; at once, or away for longer than the lease.
func TestRestartedRedis(t *testing.T) {
	for _, tt := range []struct {
		name string
		args []string
		away time.Duration
	}{
		{"without data", nil, 0},
		{"with data", []string{"--appendonly", "yes"}, 0},
		{"without data, after the leases ran out", nil, lease + grace + 500*time.Millisecond},
		{"with data, after the leases ran out", []string{"--appendonly", "yes"}, lease + grace + 500*time.Millisecond},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			redis := redistest.Standalone(t, tt.args...)
			c := assembleOn(t, redis)
			redis.Kill()
			time.Sleep(tt.away)
			redis.Restart()
			c.recovers(gone + time.Second)
		})
	}
}

// SPEC 5.2: "pub/sub connection cut"; SPEC 5.1: "each client is told every change once".
func TestPubSubConnectionsKilled(t *testing.T) {
	t.Parallel()
	redis := redistest.Standalone(t)
	c := assembleOn(t, redis)
	var want []string
	for i := range 6 {
		user := fmt.Sprint("u", i)
		kill := func() {
			if err := redis.Client().Do(context.Background(), "CLIENT", "KILL", "TYPE", "pubsub").Err(); err != nil {
				t.Fatal(err)
			}
		}
		kill()
		d := c.enter(user, i%3)
		for _, w := range c.plain {
			w.AwaitPresence(c.channel, "join of "+user, gone,
				func(p nodetest.Presence) bool { return p.Count("join "+user) == 1 })
		}
		if i%2 == 0 {
			kill()
			d.Leave(1000, "")
			for _, w := range c.plain {
				w.AwaitPresence(c.channel, "leave of "+user, gone,
					func(p nodetest.Presence) bool { return p.Count("leave "+user) == 1 })
			}
		}
	}
	for i := range 6 {
		want = append(want, fmt.Sprint("join u", i))
	}
	want = append(want, "leave u0", "leave u2", "leave u4")
	c.fence(c.watchers(), 0)
	c.expectTold(strings.Join(want, ", "))
}

// call is one call of a function that is under way.
type call struct {
	path, function string
	args           []any
	client         *nodetest.Client
	id             int
}

// SPEC 5.3: "While Redis can't be reached, broadcasts and store raise within 3 s; join, track and their like succeed
// and are written when it is back; lists answer from the replica."
func TestRedisAway(t *testing.T) {
	for name, fault := range map[string]struct{ away, back func(*redistest.Redis) }{
		"stopped": {(*redistest.Redis).Stop, (*redistest.Redis).Restart},
		"frozen":  {(*redistest.Redis).Pause, (*redistest.Redis).Resume},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			redis := redistest.Standalone(t)
			c := assembleOn(t, redis)
			event := nodetest.Dial(t, c.nodes[0].Addr(), "/ws/do")
			script := nodetest.Dial(t, c.nodes[1].Addr(), "/api/custom/test/do")
			event.Act(`{}`)
			script.Call("solidb.ws.channel.list")
			raising := []*call{ // each on a connection of its own, all at once
				{path: "/ws/do", function: "ws_broadcast_room", args: []any{c.channel, "x"}}, {path: "/ws/do",
					function: "ws_broadcast", args: []any{"x"}},
				{path: "/ws/do", function: "store.set", args: []any{"k", 1}}, {path: "/ws/do", function: "store.get",
					args: []any{"k"}},
				{path: "/ws/do", function: "store.hgetall", args: []any{"k"}}, {path: "/api/custom/test/do", function: "store.incr",
					args: []any{"k"}},
				{path: "/api/custom/test/do", function: "solidb.ws.channel.broadcast", args: []any{c.channel, "x"}},
			}
			for i, call := range raising {
				call.client = nodetest.Dial(t, c.nodes[i%3].Addr(), call.path)
				call.client.Ask(map[string]any{"call": "json.encode", "args": []any{1}})
			}
			fault.away(redis)
			began := time.Now()
			for _, call := range raising {
				call.id = call.client.Begin(map[string]any{"call": call.function, "args": call.args})
			}
			for _, call := range raising {
				if got := call.client.Await(call.id).Error; !strings.Contains(strings.ToLower(got), "redis") {
					t.Errorf("%s raised %q", call.function, got)
				}
			}
			// the rest: to start and to answer, on a busy machine
			if took := time.Since(began); took > 3*time.Second+500*time.Millisecond {
				t.Errorf("they raised after %v", took)
			}
			began = time.Now()
			status, answer, head := nodetest.Request(context.Background(), http.MethodPost, c.nodes[0].Addr(),
				"/_api/channels/"+c.channel+"/broadcast", `{"message":"x"}`, "X-API-Key: "+key, "Content-Type: application/json")
			if took := time.Since(began); status != http.StatusServiceUnavailable ||
				head.Get("Content-Type") != "application/problem+json" || took > 3*time.Second+500*time.Millisecond {
				t.Errorf("a broadcast by the API: %d %s after %v", status, answer, took)
			}
			event.Act(fmt.Sprintf(`{"join":%q,"track":{"channel":%q,"user_id":"late"}}`, c.channel, c.channel))
			script.Call("solidb.ws.presence.join", c.channel, map[string]any{"user_id": "script"})
			script.Call("solidb.ws.channel.subscribe", "another room")
			c.devices["on2"][0].Leave(1000, "")
			c.devices["on0"][0].Act(fmt.Sprintf(`{"set_presence":{"channel":%q,"state":"away"}}`, c.channel))
			c.devices["on1"][0].Act(fmt.Sprintf(`{"untrack":%q}`, c.channel))
			for i, n := range c.nodes {
				began := time.Now()
				users, _ := listOf(t, n.Addr(), c.channel)
				took := time.Since(began)
				// who changed meanwhile
				users = slices.DeleteFunc(users,
					func(u string) bool { return slices.Contains([]string{"late", "script", "on1", "on2"}, u) })
				if !slices.Equal(users, []string{"both01", "on0", "two0"}) || took > time.Second {
					t.Errorf("while Redis is away the list of node %d is %v after %v", i, users, took)
				}
			}
			if list := script.Call1("solidb.ws.presence.list", c.channel); !strings.Contains(list, `"two0"`) {
				t.Errorf("while Redis is away the script's list is %s", list)
			}
			if status := nodetest.Status(c.nodes[0].Addr(), "/healthz"); status != http.StatusOK {
				t.Errorf("/healthz answers %d", status)
			}
			testkit.Within(t, "nodes are not ready", gone,
				func() bool { return nodetest.Status(c.nodes[0].Addr(), "/readyz") == http.StatusServiceUnavailable })
			fault.back(redis)
			want := []string{"both01", "late", "on0", "script", "two0"}
			for _, w := range c.plain {
				w.AwaitUsersWithin(gone+3*time.Second, c.channel, want...)
			}
			c.expectLists(gone, 7, []int{0, 1, 2}, want...)
			for _, n := range c.nodes {
				testkit.Within(t, "the new state in its list", gone, func() bool {
					return strings.Contains(nodetest.JSON(callHTTP(t, n.Addr(), "ws_get_presence", c.channel, "on0").Results),
						`"state":"away"`)
				})
			}
			c.fence(c.watchers(), 1)
			c.expectTold("join late, join script, leave on1, leave on2, update on0")
			event.AwaitUsers(c.channel, want...)
			event.CheckPresence()
			testkit.Within(t, "what was subscribed meanwhile gets broadcasts", gone, func() bool {
				c.script[2].Call("solidb.ws.channel.broadcast", "another room", "heard")
				return strings.Contains(strings.Join(script.Pending(), ""), "heard")
			})
			if got := event.Call1("store.set", "k", 1); got != "true" {
				t.Errorf("store.set gives %s", got)
			}
			c.expectRedisTruth()
		})
	}
}

// SPEC 5.2: "Redis … failed over to a replica".
func TestSentinelFailover(t *testing.T) {
	t.Parallel()
	redis := redistest.Sentinel(t)
	c := assembleOn(t, redis)
	old := redis.Master()
	old.Kill()
	testkit.Within(t, "another master", 20*time.Second, func() bool { return redis.Master() != old })
	c.recovers(gone + 5*time.Second) // until Sentinel has told
}

// SPEC 3: "several hosts: Cluster".
func TestRedisCluster(t *testing.T) {
	t.Parallel()
	redis := redistest.Cluster(t)
	c := assembleOn(t, redis)
	for i := range 12 { // channels of all three masters
		channel := fmt.Sprint("c", i)
		from, to := c.plain[i%3], c.plain[(i+1)%3]
		to.Act(fmt.Sprintf(`{"join":%q}`, channel))
		from.Act(fmt.Sprintf(`{"track":{"channel":%q,"user_id":"u"}}`, channel))
		to.AwaitUsers(channel, "u")
		from.Act(fmt.Sprintf(`{"broadcast_channel":{"channel":%q,"message":"in %s"}}`, channel, channel))
		to.Until("in " + channel)
		if got := from.Call1("store.set", channel, i); got != "true" {
			t.Errorf("store.set gives %s", got)
		}
	}
	redis.FlushAll()
	c.expectLists(gone, 7, []int{0, 1, 2}, everybody...)
	c.fence(c.watchers(), 2)
	c.expectTold("")
	c.nodes[0].Kill()
	for _, w := range c.plain[1:] {
		w.AwaitUsersWithin(gone, c.channel, "both01", "on1", "on2")
	}
	c.fence(c.watchers(1, 2), 1)
	c.expectTold("leave on0, leave two0", 1, 2)
}

// SPEC 3: --redis with a password; a wrong one is bad configuration, and is told without it.
func TestRedisPassword(t *testing.T) {
	t.Parallel()
	redis := redistest.Standalone(t, "--requirepass", "s3cret")
	n := nodetest.Start(t, nodetest.Options{Redis: "redis://:s3cret@" + redis.Addr(), App: app, Flags: fast})
	if strings.Contains(n.Log.Text(), "s3cret") {
		t.Error("the log has the password in it")
	}
	for _, url := range []string{"redis://:s3cret-no@" + redis.Addr(), "redis://" + redis.Addr()} {
		code, _, stderr := nodetest.Command(t, nil, "serve", "--app", app, "--listen", "127.0.0.1:0", "--redis", url)
		last := stderr[strings.LastIndexByte(strings.TrimSpace(stderr), '\n')+1:]
		if code != 2 || !strings.Contains(last, "--redis") || strings.Contains(stderr, "s3cret") {
			t.Errorf("%s: exit code %d: %s", strings.ReplaceAll(url, "s3cret", "…"), code, stderr)
		}
	}
}

// SPEC 5.6: "an idle connection causes no Redis traffic; heartbeats cost by node, not by connection".
func TestIdleConnectionsCostRedisNothing(t *testing.T) {
	t.Parallel()
	redis := redistest.Standalone(t)
	n := nodetest.Start(t, nodetest.Options{Redis: redis.URL(), App: app, Flags: fast})
	commands := func() (total int) {
		t.Helper()
		const each = 4 * heartbeat
		count := func() int {
			info, err := redis.Client().Info(context.Background(), "stats").Result()
			if err != nil {
				t.Fatal(err)
			}
			_, rest, _ := strings.Cut(info, "total_commands_processed:")
			n, err := strconv.Atoi(strings.TrimSpace(strings.SplitN(rest, "\n", 2)[0]))
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		before := count()
		time.Sleep(each)
		return count() - before
	}
	alone := commands()
	for i := range 200 {
		path := []string{"/ws/do", "/api/custom/test/do"}[i%2]
		c := nodetest.Dial(t, n.Addr(), path)
		if i%2 == 0 {
			c.Act(fmt.Sprintf(`{"join":"r%d","track":{"channel":"r%d","user_id":"u"}}`, i%20, i%20))
		} else {
			c.Call("solidb.ws.presence.join", fmt.Sprint("r", i%20), map[string]any{"user_id": fmt.Sprint(i)})
		}
	}
	if crowded := commands(); crowded > alone+alone/2+10 {
		t.Errorf("in four heartbeats Redis had %d commands with 200 idle connections, %d without", crowded, alone)
	}
}
