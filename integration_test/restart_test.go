package integration_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"testing"
	"time"

	"rollcall/testkit"
	"rollcall/testkit/nodetest"
	"rollcall/testkit/redistest"
)

// restartGrace is --restart-grace of the nodes here; restartGone is SPEC 5.1's "`--restart-grace` + one heartbeat + 2
// s".
const (
	restartGrace = 2 * time.Second
	restartGone  = restartGrace + heartbeat + 2*time.Second
)

// roll ends a node with SIGTERM, and starts another in its place. The devices there that are to come back do so
// elsewhere.
func (c *cast) roll(node, elsewhere int, o nodetest.Options, back ...string) {
	c.t.Helper()
	c.nodes[node].Terminate()
	for _, user := range back {
		for _, d := range c.devices[user] {
			d.ExpectClosed(1012, "the node restarts; connect again")
		}
		c.devices[user] = nil
		c.enter(user, elsewhere)
	}
	if code := c.nodes[node].ExitCode(nodetest.Timeout); code != 0 {
		c.t.Errorf("exit code %d", code)
	}
	c.nodes[node] = nodetest.Start(c.t, o)
}

// SPEC 3, --restart-grace: "who is back on any node in that time was never away", though all nodes are replaced one
// after another.
func TestRollingRestart(t *testing.T) {
	t.Parallel()
	o := nodetest.Options{Redis: redistest.Standalone(t).URL(), App: app,
		Flags: with("--restart-grace", restartGrace.String())}
	c := &cast{t: t, nodes: nodetest.StartAll(t, 3, o), channel: "room", devices: map[string][]*nodetest.Client{}}
	watch := nodetest.Start(t, o)
	c.nodes = append(c.nodes, watch)
	c.watchFrom(3)
	for i := range 3 {
		for _, name := range []string{"a", "b"} {
			c.enter(fmt.Sprint(name, i), i)
		}
	}
	everyone := []string{"a0", "a1", "a2", "b0", "b1", "b2"}
	c.everyoneSees(everyone...)
	c.fence(c.watchers(), 3)
	for _, w := range c.watchers() {
		w.Forget()
	}
	c.roll(0, 1, o, "a0", "b0")
	c.roll(1, 2, o, "a1", "b1", "a0", "b0")
	c.roll(2, 0, o, everyone...)
	c.expectLists(restartGone, len(everyone), []int{0, 1, 2, 3}, everyone...)
	time.Sleep(restartGone) // that nobody leaves later cannot be waited for otherwise
	c.fence(c.watchers(), 3)
	c.expectTold("")
	c.expectLists(time.Second, len(everyone), []int{0, 1, 2, 3}, everyone...)
}

// SPEC 5.1: "those whom a planned restart sent away and who don't come back" leave "within `--restart-grace` + one
// heartbeat + 2 s", once; whoever did come back and then logs out leaves at once.
func TestRestartGraceIsOver(t *testing.T) {
	t.Parallel()
	o := nodetest.Options{Redis: redistest.Standalone(t).URL(), App: app,
		Flags: with("--restart-grace", restartGrace.String())}
	c := &cast{t: t, nodes: nodetest.StartAll(t, 2, o), channel: "room", devices: map[string][]*nodetest.Client{}}
	c.watchFrom(1)
	for _, user := range []string{"away1", "away2", "back"} {
		c.enter(user, 0)
	}
	c.enter("both", 0)
	c.enter("both", 1)
	c.everyoneSees("away1", "away2", "back", "both")
	c.fence(c.watchers(), 1)
	for _, w := range c.watchers() {
		w.Forget()
	}
	time.Sleep(lease) // a node reaps when it has held its own lease for so long
	began := time.Now()
	c.nodes[0].Terminate()
	c.devices["back"][0].ExpectClosed(1012, "the node restarts; connect again")
	back := c.enter("back", 1)
	if code := c.nodes[0].ExitCode(nodetest.Timeout); code != 0 {
		t.Errorf("exit code %d", code)
	}
	c.plain[0].AwaitUsersWithin(time.Second, c.channel, "away1", "away2", "back", "both")
	c.expectLists(restartGrace/2, 4, []int{1}, "away1", "away2", "back", "both")
	c.plain[0].AwaitUsersWithin(restartGone-time.Since(began), c.channel, "back", "both")
	if took := time.Since(began); took < restartGrace {
		t.Errorf("they left after %v", took)
	}
	back.Leave(1000, "")
	c.plain[0].AwaitUsersWithin(time.Second, c.channel, "both")
	c.fence(c.watchers(), 1)
	c.expectTold("leave away1, leave away2, leave back")
	c.expectCauses("away1=drained away2=drained back=closed")
}

// SPEC 3, --presence-linger: "It keeps a user, not a device": who logs out or is kicked after a reload leaves at once,
// whichever node saw the reload, and however often the page was loaded.
func TestLingerKeepsAUserNotADevice(t *testing.T) {
	t.Parallel()
	o := nodetest.Options{Redis: redistest.Standalone(t).URL(), App: app, Flags: with("--presence-linger", "1m")}
	c := &cast{t: t, nodes: nodetest.StartAll(t, 2, o), channel: "room", devices: map[string][]*nodetest.Client{}}
	c.watchFrom(0)
	reload := func(user string, node int) *nodetest.Client {
		for _, d := range c.devices[user] {
			d.Leave(1001, "")
		}
		c.devices[user] = nil
		return c.enter(user, node)
	}
	for _, user := range []string{"out", "kicked", "often"} {
		c.enter(user, 0)
	}
	c.everyoneSees("kicked", "often", "out")
	for i := range 8 {
		reload("often", i%2)
	}
	out, kicked := reload("out", 1), reload("kicked", 1)
	c.expectLists(time.Second, 3, []int{0, 1}, "kicked", "often", "out")
	out.Leave(1000, "")
	event, _ := kicked.Ask(map[string]any{"event": true}).Results[0].(map[string]any)
	id := fmt.Sprint(event["connection_id"])
	if status, answer, _ := nodetest.Request(context.Background(), http.MethodDelete, c.nodes[0].Addr(),
		"/_api/connections/"+id, "", "X-API-Key: "+key); status >= 300 {
		t.Fatalf("kick: %d %s", status, answer)
	}
	c.plain[0].AwaitUsersWithin(2*time.Second, c.channel, "often")
	c.devices["often"][0].Leave(1000, "")
	c.plain[0].AwaitUsersWithin(2*time.Second, c.channel)
	c.fence(c.watchers(), 0)
	c.expectTold("join kicked, join often, join out, leave kicked, leave often, leave out")
	c.expectCauses("kicked=kicked often=closed out=closed")
}

// SPEC 3, --drain: it "exits 0 … at the latest 2 s after it, also while Redis hangs, a request hangs or a script runs".
func TestExitTime(t *testing.T) {
	t.Parallel()
	// the last: to end a process on a busy machine
	const drain, latest = 500 * time.Millisecond, 2500*time.Millisecond + 2*time.Second
	hang := func(n *nodetest.Node, how ...string) {
		conn := silent(t, n.Addr(), how[0])
		if err := conn.WriteMessage(1, []byte(how[1])); err != nil {
			t.Fatal(err)
		}
	}
	for name, begin := range map[string]func(t *testing.T, n *nodetest.Node, r *redistest.Redis){
		"Redis hangs": func(_ *testing.T, n *nodetest.Node, r *redistest.Redis) {
			hang(n, "/ws/do", `{"raw":{"track":{"channel":"room","user_id":"u"}}}`)
			r.Pause()
		},
		"a handler waits for Redis": func(_ *testing.T, n *nodetest.Node, r *redistest.Redis) {
			r.Pause()
			hang(n, "/ws/do", `{"call":"store.get","args":["k"]}`)
		},
		"a script does not end": func(t *testing.T, n *nodetest.Node, _ *redistest.Redis) {
			postScript(t, n, "d/deaf", `solidb.ws.send("ready") while true do pcall(solidb.ws.recv_any) end`)
			testkit.Within(t, "the script", time.Second,
				func() bool { return nodetest.Status(n.Addr(), "/api/custom/d/deaf") == http.StatusUpgradeRequired })
			nodetest.Dial(t, n.Addr(), "/api/custom/d/deaf").Expect("ready")
		},
		"clients do not answer": func(t *testing.T, n *nodetest.Node, _ *redistest.Redis) {
			for range 3 {
				silent(t, n.Addr(), "/ws/do")
			}
		},
		"a request hangs": func(t *testing.T, n *nodetest.Node, _ *redistest.Redis) {
			conn, err := net.Dial("tcp", n.Addr())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = conn.Close() })
			if _, err := fmt.Fprintf(conn,
				"POST /call HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := redistest.Standalone(t)
			n := nodetest.Start(t, nodetest.Options{Redis: r.URL(), App: app, Flags: with("--drain", drain.String())})
			begin(t, n, r)
			began := time.Now()
			n.Terminate()
			if code := n.ExitCode(nodetest.Timeout); code != 0 {
				t.Errorf("exit code %d", code)
			}
			if took := time.Since(began); took > latest {
				t.Errorf("it ended after %v", took)
			}
			r.Resume()
		})
	}
}

// SPEC 3, --drain: with --dev and without --drain it ends within a second, whoever is connected, and a node that is
// started meanwhile gets the port.
func TestDevEndsAtOnce(t *testing.T) {
	t.Parallel()
	o := nodetest.Options{Redis: redistest.Standalone(t).URL(), App: app, Flags: []string{"--dev"}}
	n := nodetest.Start(t, o)
	for range 3 {
		silent(t, n.Addr(), "/ws/do") // they never answer the close frame
	}
	o.Flags = append(o.Flags, "--listen", n.Addr())
	began := time.Now()
	n.Terminate()
	next := nodetest.Launch(t, o)
	if code := n.ExitCode(nodetest.Timeout); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if took := time.Since(began); took > 3*time.Second { // a second, and a busy machine
		t.Errorf("it ended after %v", took)
	}
	next.AwaitReady()
}
