package integration_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"rollcall/testkit"
	"rollcall/testkit/nodetest"
	"rollcall/testkit/redistest"
)

// with adds flags to those of fast nodes.
func with(flags ...string) []string { return append(fast[:len(fast):len(fast)], flags...) }

// SPEC 3: --presence-linger: "how long a connection that dropped without a close handshake, or closed with 1001 (a page
// reload), stays present; 1000 and untrack leave at once".
func TestPresenceLinger(t *testing.T) {
	t.Parallel()
	const linger = 1500 * time.Millisecond
	nodes := nodetest.StartAll(t, 2,
		nodetest.Options{Redis: redistest.Standalone(t).URL(), App: app, Flags: with("--presence-linger", linger.String())})
	c := &cast{t: t, nodes: nodes, channel: "room", devices: map[string][]*nodetest.Client{}}
	c.watchFrom(0)
	c.watchFrom(1)
	for _, user := range []string{"left", "untracked", "dropped", "reloaded", "back"} {
		c.enter(user, 0)
	}
	script := nodetest.Dial(t, nodes[0].Addr(), "/api/custom/test/do")
	script.Call("solidb.ws.presence.join", "room", map[string]any{"user_id": "scripted"})
	c.everyoneSees("left", "untracked", "dropped", "reloaded", "back", "scripted")
	c.forget()
	began := time.Now()
	c.devices["left"][0].Leave(1000, "")
	c.devices["untracked"][0].Act(`{"untrack":"room"}`)
	c.devices["dropped"][0].Drop()
	c.devices["reloaded"][0].Leave(1001, "")
	c.devices["back"][0].Drop()
	script.Drop()
	for _, w := range c.plain {
		w.AwaitUsersWithin(linger-time.Since(began), "room", "dropped", "reloaded", "back", "scripted")
	}
	c.enter("back", 1) // within the time, on another node
	for _, w := range c.plain {
		w.AwaitUsersWithin(linger+2*time.Second, "room", "back")
	}
	if took := time.Since(began); took < linger {
		t.Errorf("all had left after %v", took)
	}
	c.fence(c.watchers(), 0)
	c.expectTold("leave dropped, leave left, leave reloaded, leave scripted, leave untracked")
	c.expectCauses("dropped=lost left=closed reloaded=closed scripted=lost untracked=untracked")
	c.expectLists(gone, 1, []int{0, 1}, "back")
}

// SPEC 3: --presence-window: "diff coalescing"; SPEC 1.2: "0 turns it off".
func TestPresenceWindow(t *testing.T) {
	t.Parallel()
	redis := redistest.Standalone(t)
	off := nodetest.Start(t, nodetest.Options{Redis: redis.URL(), App: app, Flags: with("--presence-window", "0")})
	long := nodetest.Start(t, nodetest.Options{Redis: redis.URL(), App: app, Flags: with("--presence-window", "1s")})
	c := &cast{t: t, nodes: []*nodetest.Node{off, long}, channel: "room", devices: map[string][]*nodetest.Client{}}
	c.watchFrom(0)
	c.watchFrom(1)
	d := nodetest.Dial(t, off.Addr(), "/ws/do")
	d.Act(`[{"track":{"channel":"room","user_id":"brief"}},{"untrack":"room"},{"track":{"channel":"room","user_id":"u"}}]`)
	for _, w := range c.plain {
		w.AwaitUsers("room", "u")
	}
	// "The window is for frames: scripts get every join and leave."
	for i, want := range []string{"join brief, join u, leave brief", "join u", "join brief, join u, leave brief",
		"join brief, join u, leave brief"} {
		w := []*nodetest.Client{c.plain[0], c.plain[1], c.script[0], c.script[1]}[i]
		w.AwaitPresence("room", want, nodetest.Timeout, func(p nodetest.Presence) bool { return p.Count("join u") == 1 })
		if got := c.told(w); got != want {
			t.Errorf("watcher %d was told %s, want %s", i, got, want)
		}
		w.CheckPresence()
	}
}

// SPEC 3: --trusted-proxies: "networks whose X-Forwarded-For and Forwarded are believed"; --allowed-origins: "* allows
// every one"; SPEC 1.2: "Route origins replace the global list".
func TestProxiesAndOrigins(t *testing.T) {
	t.Parallel()
	redis := redistest.Standalone(t)
	start := func(flags ...string) string {
		return nodetest.Start(t, nodetest.Options{Redis: redis.URL(), App: app, Flags: with(flags...)}).Addr()
	}
	plain, trusting := start("--allowed-origins", "https://one.example,https://two.example"), start("--trusted-proxies",
		"127.0.0.0/8,::1/128", "--allowed-origins", "*")
	for _, tt := range []struct{ addr, header, want string }{
		{plain, "X-Forwarded-For: 192.0.2.7", "127.0.0.1"},
		{trusting, "X-Forwarded-For: 192.0.2.7", "192.0.2.7"},
		{trusting, "X-Forwarded-For: 203.0.113.9, 192.0.2.7, 127.0.0.5", "192.0.2.7"},
		{trusting, `Forwarded: for="[2001:db8::1]:4711"`, "2001:db8::1"},
		{trusting, "X-Other: 1", "127.0.0.1"},
	} {
		for _, path := range []string{"/ws/do", "/api/custom/test/do"} {
			c := nodetest.Dial(t, tt.addr, path, tt.header)
			ask := map[string]any{"event": true, "request": true}
			event, _ := c.Ask(ask).Results[0].(map[string]any)
			if event["remote_addr"] != tt.want {
				t.Errorf("%s with %s: remote_addr is %v, want %s", path, tt.header, event["remote_addr"], tt.want)
			}
		}
		for _, path := range []string{"/echo/x", "/api/custom/test/request"} {
			_, answer, _ := nodetest.Request(t.Context(), "GET", tt.addr, path, "", tt.header)
			var got struct {
				Request struct {
					RemoteAddr string `json:"remote_addr"`
				}
			}
			if err := json.Unmarshal([]byte(answer), &got); err != nil || got.Request.RemoteAddr != tt.want {
				t.Errorf("%s with %s: %v, %s", path, tt.header, err, answer)
			}
		}
	}
	for _, tt := range []struct {
		addr, path, origin string
		want               int
	}{
		{plain, "/ws/do", "https://one.example", 0}, {plain, "/ws/do", "https://two.example", 0}, {plain, "/ws/do",
			"https://three.example", 403}, {plain, "/api/custom/test/do", "https://one.example", 0},
		{plain, "/ws/origins", "https://one.example", 403}, {plain, "/ws/origins", "https://good.example", 0},
		{trusting, "/ws/do", "https://any.example", 0}, {trusting, "/ws/origins", "https://any.example", 403}, {trusting,
			"/ws/origins", "https://good.example", 0},
	} {
		_, resp, err := nodetest.TryDial(t, tt.addr, tt.path, "Origin: "+tt.origin)
		got := 0
		if err != nil && resp != nil {
			got = resp.StatusCode
		}
		if got != tt.want {
			t.Errorf("%s with origin %s: %d, want %d", tt.path, tt.origin, got, tt.want)
		}
	}
}

// SPEC 3: --redis-prefix: two clusters on one Redis know nothing of each other.
func TestRedisPrefix(t *testing.T) {
	t.Parallel()
	redis := redistest.Standalone(t)
	var cs []*nodetest.Client
	for _, prefix := range []string{"one", "two"} {
		n := nodetest.Start(t, nodetest.Options{Redis: redis.URL(), App: app, Flags: with("--redis-prefix", prefix)})
		c := nodetest.Dial(t, n.Addr(), "/ws/do")
		c.Act(fmt.Sprintf(`{"join":"room","track":{"channel":"room","user_id":%q}}`, prefix))
		c.AwaitUsers("room", prefix)
		c.Next()
		c.Call("store.set", "key", prefix)
		cs = append(cs, c)
	}
	for i, c := range cs {
		c.Act(`{"broadcast_room":"room","broadcast":"all"}`)
		for range 2 { // they travel by two topics
			if got := c.Next(); got != "room" && got != "all" {
				t.Errorf("got %s", got)
			}
		}
		if got, want := c.Call1("store.get", "key"), nodetest.JSON([]string{"one", "two"}[i]); got != want {
			t.Errorf("store has %s, want %s", got, want)
		}
		if got := c.Call1("ws_count"); got != "1" {
			t.Errorf("ws_count is %s", got)
		}
		c.Act(`{}`)
		if p := c.Pending(); len(p) > 0 {
			t.Errorf("got %q", p)
		}
	}
}

// SPEC 3: --redis: "None given: an embedded in-process Redis, for one node, and a log line that says so".
func TestEmbeddedRedis(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t, nodetest.Options{App: app, Flags: fast})
	n.Log.Await(t, "about the embedded Redis",
		func(l nodetest.Line) bool { return strings.Contains(strings.ToLower(l.Text("msg")), "embedded") })
	c := &cast{t: t, nodes: []*nodetest.Node{n}, channel: "room", devices: map[string][]*nodetest.Client{}}
	c.watchFrom(0)
	c.enter("u", 0)
	c.everyoneSees("u")
	c.fence(c.watchers(), 0)
	d := c.devices["u"][0]
	d.Call("store.set", "key", 1, map[string]any{"ttl": 50})
	testkit.Within(t, "it expires", nodetest.Timeout, func() bool { return d.Call1("store.get", "key") == "null" })
}

// SPEC 3: --app: "reloaded on change with --dev"; SPEC 6: "File changes are live with --dev".
func TestReloadWithDev(t *testing.T) {
	t.Parallel()
	dir := copyApp(t)
	n := nodetest.Start(t, nodetest.Options{App: dir, Flags: []string{"--dev"}})
	old := nodetest.Dial(t, n.Addr(), "/ws/do/static/me")
	old.Expect("static me")
	edit(t, dir+"/handlers/act.lua", `"static "`, `"edited "`)
	edit(t, dir+"/scripts/test/items/[id]/live.ws.lua", `"live "`, `"edited "`)
	testkit.Within(t, "the new handler", nodetest.Timeout, func() bool {
		return nodetest.Dial(t, n.Addr(), "/ws/do/static/me").Next() == "edited me"
	})
	testkit.Within(t, "the new script", nodetest.Timeout, func() bool {
		return nodetest.Dial(t, n.Addr(), "/api/custom/test/items/1/live").Next() == "edited 1"
	})
	// An app with errors is not taken; the old one stays.
	edit(t, dir+"/handlers/act.lua", "function static(event)", "function static(event")
	n.Log.Await(t, "that the app was not loaded", func(l nodetest.Line) bool {
		return l.Text("level") == "ERROR" && strings.Contains(nodetest.JSON(l), "handlers/act.lua")
	})
	nodetest.Dial(t, n.Addr(), "/ws/do/static/me").Expect("edited me")
	if status := nodetest.Status(n.Addr(), "/readyz"); status != http.StatusOK {
		t.Errorf("/readyz answers %d", status)
	}
}
