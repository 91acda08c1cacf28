package browser_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	cdppage "github.com/chromedp/cdproto/page"

	"rollcall/testkit"
	"rollcall/testkit/nodetest"
)

// long bounds what takes as long as a lease, a wait of the client, or a busy machine.
const long = 40 * time.Second

// everywhere runs a scenario with the client in Chromium and in Node, each with a cluster of its own.
func everywhere(t *testing.T, scenario func(t *testing.T, c *cluster, p *peer)) {
	for name, begin := range map[string]func(*testing.T, string) *peer{"Chromium": inChromium, "Node": inNode} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := startCluster(t)
			scenario(t, c, begin(t, c.addr))
		})
	}
}

// watch connects Bob to a node, past the balancer.
func watch(t *testing.T, n *nodetest.Node) *nodetest.Client {
	t.Helper()
	b := nodetest.Dial(t, n.Addr(), "/ws/room/lobby?user=bob")
	testkit.Within(t, "a presence_state for Bob", nodetest.Timeout, func() bool {
		return strings.Contains(strings.Join(b.Pending(), ""), "presence_state")
	})
	return b
}

// told tells whether a client was told that somebody has come or gone.
func told(c *nodetest.Client, half, user string) bool {
	for _, text := range c.Pending() {
		var frame struct {
			Event   string
			Payload map[string]json.RawMessage
		}
		if json.Unmarshal([]byte(text), &frame) == nil && frame.Event == "presence_diff" &&
			strings.Contains(string(frame.Payload[half]), `"`+user+`"`) {
			return true
		}
	}
	return false
}

// comeIn connects Ada, and returns when she sees Bob.
func comeIn(t *testing.T, c *cluster, p *peer) {
	t.Helper()
	p.start(c.url("/ws/room/lobby?user=ada"), `{}`)
	p.await("herself and Bob", `c.status === "open" && room.users.has("ada") && room.users.has("bob")`, long)
}

// SPEC 12: "It comes back by the rules of docs/protocol.md", SPEC 5.2: a node killed; "A client that reconnects
// elsewhere before its dead node is reaped makes no leave and no join."
func TestClientNodeKilled(t *testing.T) {
	everywhere(t, func(t *testing.T, c *cluster, p *peer) {
		watch(t, c.nodes[0])
		comeIn(t, c, p)
		dead := get[int](p, "node")
		other := c.nodes[(dead+1)%3]
		bob := watch(t, other)
		c.nodes[dead].Kill()
		p.await("that the connection is lost", `log.some(({ status }) => status === "waiting")`, long)
		p.do(`(globalThis.outcome = [], ["one", "two", "three"].forEach((m) => c.send(m).then(() => outcome.push(m))), true)`)
		p.await("another node", fmt.Sprintf(`c.status === "open" && node !== %d`, dead), long)
		p.await("what was written meanwhile, in order and once", `got.join() === "one,two,three" && outcome.length === 3`, long)
		testkit.Within(t, "one device of Ada", long, func() bool { return devices(t, other.Addr(), "ada") == 1 })
		p.await("both people", `room.count === 2 && c.status === "open"`, long)
		if told(bob, "leaves", "ada") {
			t.Errorf("Bob was told that Ada has left: %q", bob.Pending())
		}
		if told := get[[]string](p, "told"); len(told) > 0 {
			t.Errorf("Ada was told %q", told)
		}
	})
}

// SPEC 12, SPEC 4: "1001 and 1012 going away and drain (reconnect, anywhere)"
func TestClientNodeDrained(t *testing.T) {
	everywhere(t, func(t *testing.T, c *cluster, p *peer) {
		watch(t, c.nodes[0])
		comeIn(t, c, p)
		old := get[int](p, "node")
		other := c.nodes[(old+1)%3]
		bob := watch(t, other)
		c.nodes[old].Terminate()
		p.await("another node", fmt.Sprintf(`c.status === "open" && node !== %d`, old), long)
		type entry struct {
			Status  string
			Code    int
			RetryIn float64
		}
		log := get[[]entry](p, "log")
		sent := false
		for _, e := range log {
			if e.Status == "waiting" && e.Code == 1012 {
				sent = true
				if e.RetryIn > 500 {
					t.Errorf("it waited %v ms", e.RetryIn)
				}
			}
		}
		if !sent {
			t.Errorf("it was not sent away with 1012: %v", log)
		}
		p.do(`(c.send("still here"), true)`)
		p.await("its message", `got.join() === "still here"`, long)
		p.await("both people", `room.count === 2`, long)
		if told(bob, "leaves", "ada") {
			t.Errorf("Bob was told that Ada has left: %q", bob.Pending())
		}
	})
}

// SPEC 12: "Token: the function is asked before each attempt"
func TestClientTokenExpires(t *testing.T) {
	everywhere(t, func(t *testing.T, c *cluster, p *peer) {
		tokens := []string{c.issuer.Token("ada", 2*time.Second, nil), c.issuer.Token("ada", time.Hour, nil)}
		p.do("(globalThis.tokens = " + nodetest.JSON(tokens) + ", true)")
		p.start(c.url("/ws/private"), `{ token: async () => tokens.shift() }`)
		p.await("another connection, with the other token",
			`c.status === "open" && tokens.length === 0 && log.some(({ code }) => code === 4401)`, long)
		// A route that wants a token and gets none: the browser tells only that it did not open.
		p.do(`(c.close(), true)`)
		p.start(c.url("/ws/private"), `{ token: () => null }`)
		p.await("waits", `log.filter(({ status }) => status === "waiting").length >= 3`, long)
		if n := get[int](p, `log.filter(({ code }) => code !== undefined && code !== 1006).length`); n > 0 {
			t.Errorf("other codes: %s", get[json.RawMessage](p, "log"))
		}
	})
}

// "server that refuses for ever (attempts must thin out)": by 404, and by a handler that raises.
func TestClientIsRefused(t *testing.T) {
	everywhere(t, func(t *testing.T, c *cluster, p *peer) {
		for path, most := range map[string]int{"/ws/none": 6, "/ws/raise": 4} {
			p.start(c.url(path), `{}`)
			p.do(`(globalThis.began = performance.now(), true)`)
			p.await("ten seconds later", `performance.now() - began > 10000`, long)
			waits := get[[]float64](p, `log.filter(({ status }) => status === "waiting").map(({ retryIn }) => retryIn)`)
			if len(waits) < 3 || len(waits) > most {
				t.Errorf("%s: waits in ten seconds: %v", path, waits)
			}
			for i := 1; i < len(waits); i++ {
				if waits[i] < waits[i-1] {
					t.Errorf("%s: the waits do not grow: %v", path, waits)
				}
			}
			p.do(`(c.close(), true)`)
		}
	})
}

// "offline for a minute", and "1,000 messages written offline and one more". The minute itself passes in the client's
// own tests; here no balancer answers until all is written, and the browser says what browsers say then.
func TestClientOffline(t *testing.T) {
	everywhere(t, func(t *testing.T, c *cluster, p *peer) {
		front := c.front(t)
		bob := watch(t, c.nodes[0])
		p.start("ws://"+front.Addr()+"/ws/room/lobby?user=ada", `{}`)
		p.await("both people", `c.status === "open" && room.count === 2`, long)
		if p.page != nil {
			front.Drop() // half-open: nothing tells the browser, but its network
			p.do(`dispatchEvent(new Event("offline"))`)
		} else {
			front.Refuse()
		}
		p.await("that it is lost", `c.status !== "open"`, long)
		p.do(`(globalThis.outcome = { sent: 0, refused: [] },
			Array.from({ length: 1001 }, (_, i) => c.send("m" + i).then(() => outcome.sent++, () => outcome.refused.push(i))), true)`)
		p.await("the one too many, refused", `outcome.refused.join() === "1000"`, long)
		p.await("some attempts in vain", `log.filter(({ status }) => status === "waiting").length >= 2`, long)
		front.Resume()
		if p.page != nil {
			p.do(`dispatchEvent(new Event("online"))`)
		}
		p.await("open again", `c.status === "open"`, long)
		began := time.Now()
		p.await("all of them", `got.length === 1000 && outcome.sent === 1000`, 2*long)
		if took := time.Since(began); took < 18*time.Second {
			t.Errorf("a thousand messages in %v are more than 50 a second", took)
		}
		if !get[bool](p, `got.every((m, i) => m === "m" + i)`) {
			t.Error("they are not in order")
		}
		said := 0
		for _, text := range bob.Pending() {
			if strings.Contains(text, `"said"`) {
				said++
			}
		}
		if said != 1000 {
			t.Errorf("Bob has heard %d messages", said)
		}
	})
}

// SPEC 12: "Resume sends the positions of the 64 channels heard last", SPEC 7: what was missed comes before what is
// new; what can't be had is told.
func TestClientResumes(t *testing.T) {
	everywhere(t, func(t *testing.T, c *cluster, p *peer) {
		front := c.front(t)
		bob := watch(t, c.nodes[0])
		p.start("ws://"+front.Addr()+"/ws/kept/lobby?user=ada", `{ resume: true }`)
		p.await("both people", `c.status === "open" && room.count === 2`, long)
		bob.Send("one")
		p.await("what Bob says", `got.join() === "one"`, long)
		away := func(messages ...string) {
			t.Helper()
			front.Refuse()
			p.await("that it is lost", `c.status !== "open"`, long)
			bob.Send(messages...)
			last := messages[len(messages)-1]
			testkit.Within(t, "Bob hears himself", long, func() bool {
				return strings.Contains(strings.Join(bob.Pending(), ""), `"text":"`+last+`"`)
			})
			front.Resume()
			p.do(`(c.reconnect(), true)`)
			p.await("open again", `c.status === "open" && room.count === 2`, long)
		}
		away("two", "three", "four")
		p.await("what was missed", `late.length === 3`, long)
		bob.Send("five")
		p.await("what was missed, and then what is new", `late.join() === "two,three,four" && got.join() === "one,five"`, long)

		// More than the hundred that are kept.
		var many []string
		for i := range 101 {
			many = append(many, fmt.Sprint("m", i))
		}
		away(many...)
		p.await("that something is lost", `lost.length === 1`, long)
		bob.Send("six")
		p.await("what is new", `got.at(-1) === "six"`, long)
		if got := get[string](p, `JSON.stringify([lost, late.length, got])`); got !=
			`[[{"channel":"room:lobby","why":"too_many"}],3,["one","five","six"]]` {
			t.Errorf("at the end: %s", got)
		}
	})
}

// SPEC 12: "Fallback (`fallback: "sse"`): when three attempts in a row could not open a WebSocket, the same URL by
// EventSource; it then only hears, and `send` rejects."
func TestClientFallsBack(t *testing.T) {
	c := startCluster(t)
	p := inChromium(t, c.addr)
	front := c.front(t)
	bob := watch(t, c.nodes[0])
	p.start("ws://"+front.Addr()+"/sse/only/lobby?user=ada", `{ resume: true, fallback: "sse" }`) // no WebSocket is there
	p.await("both people", `c.status === "open" && room.count === 2`, long)
	p.do(`(c.send("x").then(() => globalThis.rejected = false, () => globalThis.rejected = true), true)`)
	p.await("that send rejects", `rejected === true`, long)
	bob.Send("one")
	p.await("what Bob says", `got.join() === "one"`, long)
	front.Refuse()
	p.await("that it is lost", `c.status !== "open"`, long)
	bob.Send("two", "three")
	testkit.Within(t, "Bob hears himself", long, func() bool {
		return strings.Contains(strings.Join(bob.Pending(), ""), `"text":"three"`)
	})
	front.Resume()
	p.await("what was missed", `late.join() === "two,three"`, 2*long)
	bob.Send("four")
	p.await("what is new", `got.join() === "one,four" && lost.length === 0 && room.count === 2`, long)
	p.do(`(c.close(), true)`)
}

// A tab that is frozen and thawed ends with what is true, whether its connection has lived or not.
func TestClientTabFrozen(t *testing.T) {
	c := startCluster(t)
	p := inChromium(t, c.addr)
	bob := watch(t, c.nodes[0])
	comeIn(t, c, p)
	state := func(s cdppage.SetWebLifecycleStateState) {
		t.Helper()
		p.page.run("freeze or thaw", command(cdppage.SetWebLifecycleState, cdppage.SetWebLifecycleStateParams{State: s}))
	}
	// A page that counts as looked at is never frozen.
	p.page.run("be behind", command(emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{}))
	state(cdppage.SetWebLifecycleStateStateFrozen)
	eve := nodetest.Dial(t, c.nodes[1].Addr(), "/ws/room/lobby?user=eve")
	eve.Send("hello")
	testkit.Within(t, "Eve at Bob's", long, func() bool { return told(bob, "joins", "eve") })
	bob.Leave(1000, "")
	began := time.Now()
	testkit.Within(t, "more than two pings", long, func() bool { return time.Since(began) > 4*time.Second })
	if told := get[[]string](p, "told"); len(told) > 0 {
		t.Errorf("while it was frozen the tab was told %q", told)
	}
	state(cdppage.SetWebLifecycleStateStateActive)
	p.await("Ada and Eve", `c.status === "open" && [...room.users.keys()].sort().join() === "ada,eve"`, long)
	p.await("who has come and gone, once each", `[...told].sort().join() === "join eve,leave bob"`, long)
	p.do(`(c.send("thawed"), true)`)
	p.await("its message", `got.includes("thawed")`, long)
}
