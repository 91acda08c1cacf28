package integration_test

import (
	"fmt"
	"testing"
	"time"

	"rollcall/testkit"
	"rollcall/testkit/nodetest"
	"rollcall/testkit/redistest"
)

// SPEC 5.1: "A killed node's users leave within lease + grace + one heartbeat + 1 s"; SPEC 1.1: "leave when the last
// one exits".
func TestKilledNode(t *testing.T) {
	t.Parallel()
	c := assembleOn(t, redistest.Standalone(t))
	idOf := func(user string) string {
		event, _ := c.devices[user][0].Ask(map[string]any{"event": true}).Results[0].(map[string]any)
		return fmt.Sprint(event["connection_id"])
	}
	dead, alive := idOf("on0"), idOf("on2")
	killed := time.Now()
	c.nodes[0].Kill()
	for _, w := range c.plain[1:] {
		w.AwaitUsersWithin(gone-time.Since(killed), c.channel, "both01", "on1", "on2")
	}
	c.expectLists(gone-time.Since(killed), 3, []int{1, 2}, "both01", "on1", "on2")
	// SPEC 1.3, ws_send: "false when no live node can hold that connection, else true".
	for _, tt := range []struct{ function, id, want string }{{"ws_send", dead, "false"}, {"ws_close", dead, "false"},
		{"ws_send", alive, "true"}} {
		testkit.Within(t, tt.function+" says "+tt.want, gone,
			func() bool { return c.plain[1].Call1(tt.function, tt.id, "x") == tt.want })
	}
	c.fence(c.watchers(1, 2), 1)
	c.expectTold("leave on0, leave two0", 1, 2)
	c.expectCauses("on0=node_lost two0=node_lost", 1, 2)
	// Its last device goes now: one leave, the first.
	c.devices["both01"][1].Leave(1000, "")
	c.fence(c.watchers(1, 2), 2)
	c.expectTold("leave both01, leave on0, leave two0", 1, 2)
}

// SPEC 5.1: "(10 s with the defaults)".
func TestKilledNodeWithDefaults(t *testing.T) {
	t.Parallel()
	redis := redistest.Standalone(t)
	c := assemble(t, nodetest.StartAll(t, 3, nodetest.Options{Redis: redis.URL(), App: app}))
	killed := time.Now()
	c.nodes[0].Kill()
	for _, w := range c.plain[1:] {
		w.AwaitUsersWithin(10*time.Second-time.Since(killed), c.channel, "both01", "on1", "on2")
	}
	c.expectLists(10*time.Second-time.Since(killed), 3, []int{1, 2}, "both01", "on1", "on2")
	c.fence(c.watchers(1, 2), 1)
	c.expectTold("leave on0, leave two0", 1, 2)
}

// SPEC 5.2: "A client that reconnects elsewhere before its dead node is reaped makes no leave and no join."
func TestReconnectBeforeReaping(t *testing.T) {
	t.Parallel()
	c := assembleOn(t, redistest.Standalone(t))
	c.nodes[0].Kill()
	c.enter("on0", 1)
	c.enter("two0", 2)
	c.expectLists(gone, 5, []int{1, 2}, everybody...) // on0, two0, on1, on2, both01: one device each
	c.fence(c.watchers(1, 2), 1)
	c.expectTold("", 1, 2)
}

// SPEC 5.2: "frozen and thawed (SIGSTOP longer than the lease, then SIGCONT; its clients stay connected and end with
// the right view)"; SPEC 5.4: "nothing a dead or fenced node still had in flight can bring a user back".
func TestFrozenNode(t *testing.T) {
	t.Parallel()
	c := assembleOn(t, redistest.Standalone(t))
	own := append(c.watchers(0), c.devices["on0"][0], c.devices["two0"][0], c.devices["two0"][1], c.devices["both01"][0])
	// These wait in the frozen node's sockets: they are dealt with after the thaw.
	c.nodes[0].Freeze()
	own[2].Send(fmt.Sprintf(`{"raw":{"set_presence":{"channel":%q,"state":"away"}}}`, c.channel))
	for _, w := range c.plain[1:] {
		w.AwaitUsersWithin(gone, c.channel, "both01", "on1", "on2")
	}
	c.devices["on1"][0].Leave(1000, "")
	c.enter("late", 2)
	c.plain[1].AwaitUsers(c.channel, "both01", "late", "on2")
	c.devices["two0"][1].Drop() // its node does not know
	time.Sleep(100 * time.Millisecond)
	c.nodes[0].Thaw()
	want := []string{"both01", "late", "on0", "on2", "two0"}
	for _, w := range c.plain {
		w.AwaitUsersWithin(gone, c.channel, want...)
	}
	c.expectLists(gone, 6, []int{0, 1, 2}, want...) // late, on0, on2, one of two0, two of both01
	c.fence(c.watchers(), 1)
	c.stillConnected(own[:4]...)
	c.stillConnected(own[5])
	own[2].Act(`{}`)
	c.plain[2].AwaitPresence(c.channel, "the state set while frozen", nodetest.Timeout, func(p nodetest.Presence) bool {
		return len(p.Users["on0"]) == 1 && p.Users["on0"][0].State == "away"
	})
	// The others were told that the frozen node's users left, and that they are back.
	for _, w := range c.watchers(1, 2) {
		p := w.Presence(c.channel)
		for _, user := range []string{"on0", "two0"} {
			if p.Count("leave "+user) != 1 || p.Count("join "+user) != 1 {
				t.Errorf("told of %s: %v", user, p.Told)
			}
		}
	}
	for i, w := range c.watchers() {
		p := w.Presence(c.channel)
		if p.Count("leave on1") != 1 || p.Count("join late") != 1 ||
			p.Count("leave on2")+p.Count("leave both01")+p.Count("leave late") != 0 {
			t.Errorf("watcher %d was told %v", i, p.Told)
		}
		for _, user := range []string{"on0", "two0"} {
			if p.Count("leave "+user) != p.Count("join "+user) || p.Count("leave "+user) > 1 {
				t.Errorf("watcher %d was told of %s: %v", i, user, p.Told)
			}
		}
		w.CheckPresence()
	}
}

// SPEC 5.2: a node "frozen and thawed" for less than the lease: nobody is told anything.
func TestBrieflyFrozenNode(t *testing.T) {
	t.Parallel()
	c := assembleOn(t, redistest.Standalone(t))
	c.nodes[0].Freeze()
	time.Sleep(lease / 2)
	c.nodes[0].Thaw()
	c.fence(c.watchers(), 0)
	time.Sleep(gone) // that nothing happens cannot be waited for otherwise
	c.fence(c.watchers(), 1)
	c.expectTold("")
	c.expectLists(gone, 7, []int{0, 1, 2}, everybody...)
}

// SPEC 5.2: a node "cut off from Redis and back". Its connections to Redis are half-open meanwhile, longer than the
// lease.
func TestCutOffNode(t *testing.T) {
	t.Parallel()
	redis := redistest.Standalone(t)
	proxy := redistest.NewProxy(t, redis.Addr())
	o := nodetest.Options{Redis: proxy.URL(), App: app, Flags: fast}
	nodes := []*nodetest.Node{nodetest.Start(t, o)}
	o.Redis = redis.URL()
	c := assemble(t, append(nodes, nodetest.StartAll(t, 2, o)...))
	proxy.Drop()
	for _, w := range c.plain[1:] {
		w.AwaitUsersWithin(gone, c.channel, "both01", "on1", "on2")
	}
	// Meanwhile, on the node that is cut off: people come and go, and its list answers.
	newcomer := c.enter("new0", 0)
	c.devices["two0"][0].Leave(1000, "")
	c.devices["two0"][1].Leave(1000, "")
	users, _ := listOf(t, c.nodes[0].Addr(), c.channel)
	if len(users) < 3 {
		t.Errorf("the list of the node that is cut off is %v", users)
	}
	proxy.Cut()
	proxy.Resume()
	want := []string{"both01", "new0", "on0", "on1", "on2"}
	for _, w := range c.plain {
		w.AwaitUsersWithin(gone+5*time.Second, c.channel, want...) // until the node has noticed that its connections are dead
	}
	c.expectLists(gone, 6, []int{0, 1, 2}, want...)
	c.fence(c.watchers(), 1)
	c.stillConnected(append(c.watchers(0), newcomer, c.devices["on0"][0], c.devices["both01"][0])...)
	c.expectTold("join new0, join on0, leave on0, leave two0", 1, 2)
	for _, w := range c.watchers(0) {
		if p := w.Presence(c.channel); p.Count("leave two0") != 1 || p.Count("join new0") != 1 ||
			p.Count("leave both01")+p.Count("leave on1")+p.Count("leave on2") != 0 {
			t.Errorf("a watcher on the node that was cut off was told %v", p.Told)
		}
	}
}

// SPEC 5.1: "All nodes dead and one started: lists show what Redis holds until it is reaped, at most 2 x lease + 2 s."
func TestAllKilledAndOneStarted(t *testing.T) {
	t.Parallel()
	redis := redistest.Standalone(t)
	c := assembleOn(t, redis)
	for _, n := range c.nodes {
		n.Kill()
	}
	began := time.Now()
	c.nodes = append(c.nodes, nodetest.Start(t, nodetest.Options{Redis: redis.URL(), App: app, Flags: fast}))
	users, devices := listOf(t, c.nodes[3].Addr(), c.channel)
	if got := fmt.Sprint(users, devices); got != fmt.Sprint(everybody, 7) {
		t.Errorf("before anything is reaped the list is %s", got)
	}
	c.watchFrom(3)
	back := c.enter("on0", 3)
	within := 2*lease + 2*time.Second
	c.plain[3].AwaitUsersWithin(within-time.Since(began), c.channel, "on0")
	c.expectLists(within-time.Since(began), 1, []int{3}, "on0")
	c.fence(c.watchers(3), 3)
	c.expectTold("leave both01, leave on1, leave on2, leave two0", 3)
	c.stillConnected(back)
}
