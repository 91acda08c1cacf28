package integration_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"rollcall/testkit"
	"rollcall/testkit/nodetest"
	"rollcall/testkit/redistest"
)

// SPEC 3: --drain: "time over which clients are sent away (close 1012) after SIGTERM; exits 0 as soon as all are gone";
// SPEC 2: "Not ready while draining".
func TestDrain(t *testing.T) {
	t.Parallel()
	const drain, clients = 2 * time.Second, 10
	redis := redistest.Standalone(t)
	nodes := nodetest.StartAll(t, 2,
		nodetest.Options{Redis: redis.URL(), App: app, Flags: []string{"--drain", drain.String(), "--restart-grace", "0"}})
	c := &cast{t: t, nodes: nodes, channel: "room", devices: map[string][]*nodetest.Client{}}
	c.watchFrom(0)
	c.watchFrom(1)
	users := []string{"stays"}
	c.enter("stays", 1)
	for i := range clients {
		user := fmt.Sprintf("u%02d", i)
		users = append(users, user)
		c.enter(user, 0)
	}
	c.plain[1].AwaitUsers(c.channel, users...)
	c.forget()

	began := time.Now()
	nodes[0].Terminate()
	testkit.Within(t, "/readyz answers 503 at once", 500*time.Millisecond, func() bool {
		return nodetest.Status(nodes[0].Addr(), "/readyz") == http.StatusServiceUnavailable
	})
	if _, resp, err := nodetest.TryDial(t, nodes[0].Addr(), "/ws/do"); err == nil || resp == nil ||
		resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
		t.Errorf("a new client on a node that drains: %v, want 503 with Retry-After", err)
	}
	if got := nodetest.Metric(t, nodes[0], `rollcall_upgrades_refused_total{reason="draining"}`); got != 1 {
		t.Errorf("the metric is %v", got)
	}
	if nodetest.Status(nodes[0].Addr(), "/healthz") != http.StatusOK {
		t.Error("a node that drains is healthy")
	}
	var closed []time.Duration
	for len(closed) < clients { // the leaves, as the other node tells them
		n := len(closed) + 1
		c.plain[1].AwaitPresence(c.channel, "leaves", drain+2*time.Second,
			func(p nodetest.Presence) bool { return len(p.Names()) <= len(users)-n })
		closed = append(closed, time.Since(began))
	}
	for _, user := range users[1:] {
		for _, text := range c.devices[user][0].ExpectClosed(1012, "the node restarts; connect again") {
			if !strings.HasPrefix(text, `{"event":"presence_`) {
				t.Errorf("%s got %s", user, text)
			}
		}
	}
	if code := nodes[0].ExitCode(drain + 2*time.Second - time.Since(began)); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if closed[clients/2] > drain*4/5 || closed[clients-1] < drain/2 {
		t.Errorf("of %v, they went after %v", drain, closed)
	}
	c.plain[1].AwaitUsersWithin(time.Second, c.channel, "stays")
	c.fence(c.watchers(1), 1)
	want := "leave " + strings.Join(users[1:], ", leave ")
	c.expectTold(want, 1)
}

// SPEC 3: "exits 0 as soon as all are gone"; their presence has left at once, not when the lease is over.
func TestDrainEndsWhenAllAreGone(t *testing.T) {
	t.Parallel()
	redis := redistest.Standalone(t)
	nodes := nodetest.StartAll(t, 2,
		nodetest.Options{Redis: redis.URL(), App: app,
			Flags: []string{"--drain", "1m", "--lease-ttl", "30s", "--restart-grace", "0"}})
	c := &cast{t: t, nodes: nodes, channel: "room", devices: map[string][]*nodetest.Client{}}
	c.watchFrom(1)
	c.enter("u", 0)
	c.plain[0].AwaitUsers(c.channel, "u")
	began := time.Now()
	nodes[0].Terminate()
	c.devices["u"][0].ExpectClosed(1012, "the node restarts; connect again")
	c.plain[0].AwaitUsersWithin(2*time.Second, c.channel)
	if code := nodes[0].ExitCode(5 * time.Second); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
	// The other's clients would be sent away over a minute; but they go by themselves.
	nodes[1].Terminate()
	testkit.Within(t, "it drains", time.Second,
		func() bool { return nodetest.Status(nodes[1].Addr(), "/readyz") == http.StatusServiceUnavailable })
	for _, w := range c.watchers() {
		w.Drop()
	}
	if code := nodes[1].ExitCode(5 * time.Second); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// SPEC 3: --ping: "two unanswered: dead. Time in which the node did not run does not count".
func TestPings(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t, nodetest.Options{Redis: redistest.Standalone(t).URL(), App: app,
		Flags: append(fast[:len(fast):len(fast)], "--ping", "300ms")})
	c := &cast{t: t, nodes: []*nodetest.Node{n}, channel: "room", devices: map[string][]*nodetest.Client{}}
	c.watchFrom(0)
	c.enter("alive", 0)
	dead := silent(t, n.Addr(), "/ws/do")
	if err := dead.WriteMessage(1, []byte(`{"raw":{"track":{"channel":"room","user_id":"dead"}}}`)); err != nil {
		t.Fatal(err)
	}
	c.plain[0].AwaitUsers("room", "alive", "dead")
	c.plain[0].AwaitUsersWithin(3*time.Second, "room", "alive")
	n.Freeze()
	time.Sleep(1500 * time.Millisecond)
	n.Thaw()
	time.Sleep(700 * time.Millisecond) // two pings; that nothing happens cannot be waited for otherwise
	c.stillConnected(append(c.watchers(), c.devices["alive"][0])...)
	c.devices["alive"][0].Act(`{}`)
}

// A node that starts while Redis is away waits for it, and ends when it is told to.
func TestStartWithoutRedis(t *testing.T) {
	t.Parallel()
	redis := redistest.Standalone(t)
	redis.Stop()
	o := nodetest.Options{Redis: redis.URL(), App: app, Flags: fast}
	waits := func(l nodetest.Line) bool { return l.Is("waiting for Redis") }
	first, second := nodetest.Launch(t, o), nodetest.Launch(t, o)
	first.Log.Await(t, "that it waits", waits)
	second.Log.Await(t, "that it waits", waits)
	first.Terminate()
	if code := first.ExitCode(5 * time.Second); code != 0 {
		t.Errorf("exit code %d", code)
	}
	redis.Restart()
	second.AwaitReady()
}
