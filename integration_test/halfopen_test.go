package integration_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"rollcall/testkit"
	"rollcall/testkit/nodetest"
	"rollcall/testkit/redistest"
)

// SPEC 2: "Ready means: the lease is held, the app is loaded, and a message sent through Redis came back over this
// node's own subscription in the last heartbeats": a wedged pub/sub turns /readyz red within three heartbeats, and
// green after it mends. SPEC 5.1: after any fault "every view is exact again in that time too".
func TestHalfOpenRedis(t *testing.T) {
	const (
		three   = 3 * heartbeat
		watched = 3 * time.Second // until the broker gives up a connection that only looks alive
		busy    = 700 * time.Millisecond
	)
	flags := with("--lease-ttl", "20s") // so long that nobody counts as dead meanwhile
	for _, tt := range []struct {
		name   string
		wedge  func(*redistest.Proxy)
		least  time.Duration // /readyz is red not before, and
		most   time.Duration // not later than this
		speaks bool          // the node's broadcasts still reach others
	}{
		{"subscriptions", (*redistest.Proxy).DropSubscriptions, heartbeat, three, true},
		{"all connections", (*redistest.Proxy).Drop, heartbeat, three, false},
		{"what the node sends", (*redistest.Proxy).DropRequests, heartbeat, three, false},
		// Messages still come until the connection, which takes no new subscription any more, is given up.
		{"what it sends on subscriptions", (*redistest.Proxy).DropRequestsOfSubscriptions, heartbeat, watched + three, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			redis := redistest.Standalone(t)
			proxy := redistest.NewProxy(t, redis.Addr())
			wedged := nodetest.Start(t, nodetest.Options{Redis: proxy.URL(), App: app, Flags: flags})
			sound := nodetest.Start(t, nodetest.Options{Redis: redis.URL(), App: app, Flags: flags})
			c := &cast{t: t, nodes: []*nodetest.Node{wedged, sound}, channel: "room", devices: map[string][]*nodetest.Client{},
				redisURL: redis.URL()}
			c.watchFrom(0)
			c.watchFrom(1)
			c.enter("a", 0)
			c.enter("b", 1)
			c.everyoneSees("a", "b")
			c.forget()
			ready := func(n *nodetest.Node) bool { return nodetest.Status(n.Addr(), "/readyz") == http.StatusOK }
			if !ready(wedged) || !ready(sound) {
				t.Fatal("a node is not ready before the fault")
			}
			tt.wedge(proxy)
			began := time.Now()
			testkit.Within(t, "/readyz turns red", tt.most+busy, func() bool { return !ready(wedged) })
			if took := time.Since(began); took < tt.least {
				t.Errorf("it was red after %v", took)
			} else {
				t.Logf("red after %v", took)
			}
			if !ready(sound) {
				t.Error("the other node is not ready")
			}
			if status := nodetest.Status(wedged.Addr(), "/healthz"); status != http.StatusOK {
				t.Errorf("/healthz answers %d", status)
			}
			if tt.speaks {
				c.plain[0].Act(`{"broadcast_channel":{"channel":"room","message":"to the others"}}`)
				c.plain[1].Until("to the others")
			}
			c.enter("meanwhile", 1) // the wedged node cannot know
			proxy.Resume()
			testkit.Within(t, "/readyz turns green", gone+watched, func() bool { return ready(wedged) })
			c.plain[0].AwaitUsersWithin(gone+watched, c.channel, "a", "b", "meanwhile")
			for i := range 20 { // one that was subscribed before, one that subscribes now
				fresh := nodetest.Dial(t, wedged.Addr(), "/ws/do")
				fresh.Act(fmt.Sprintf(`{"join":"fresh %d"}`, i))
				c.plain[1].Act(fmt.Sprintf(`{"broadcast_channel":{"channel":"fresh %d","message":"hello"}}`, i))
				fresh.Expect("hello")
				fresh.Drop()
			}
			c.plain[1].Act(`{"broadcast_channel":{"channel":"room","message":"after"}}`)
			c.plain[0].Until("after")
			c.expectLists(gone, 3, []int{0, 1}, "a", "b", "meanwhile")
			c.fence(c.watchers(), 1)
			c.expectTold("join meanwhile")
			c.expectRedisTruth()
		})
	}
}

// A subscription that the network has forgotten never mends by itself: the node makes another one.
func TestForgottenSubscription(t *testing.T) {
	t.Parallel()
	redis := redistest.Standalone(t)
	proxy := redistest.NewProxy(t, redis.Addr())
	n := nodetest.Start(t, nodetest.Options{Redis: proxy.URL(), App: app, Flags: fast})
	event, script := nodetest.Dial(t, n.Addr(), "/ws/do"), nodetest.Dial(t, n.Addr(), "/api/custom/test/do")
	event.Act(`{"join":"room","track":{"channel":"room","user_id":"event"}}`)
	script.Call("solidb.ws.presence.join", "room", map[string]any{"user_id": "script"})
	event.AwaitUsers("room", "event", "script")
	testkit.Within(t, "both subscriptions stand", nodetest.Timeout, func() bool { return proxy.Forget() == 2 })
	testkit.Within(t, "broadcasts come back", gone+3*time.Second, func() bool {
		script.Call("solidb.ws.channel.broadcast", "room", "heard")
		for _, text := range event.Pending() {
			if text == "heard" {
				return true
			}
		}
		return false
	})
	testkit.Within(t, "/readyz is green", gone+3*time.Second,
		func() bool { return nodetest.Status(n.Addr(), "/readyz") == http.StatusOK })
	script.Call("solidb.ws.presence.leave", "room")
	event.AwaitUsersWithin(gone, "room", "event")
	event.CheckPresence()
}
