package app

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/gorilla/websocket"

	"rollcall/hub"
	"rollcall/luavm"
	"rollcall/outbox"
	"rollcall/presence"
	"rollcall/testkit"
)

// handler is an app with one route, /ws/:room, whose handler has this body.
func handler(body string) map[string]string {
	return map[string]string{
		"config/routes.lua": `router_websocket("/ws/:room", "chat#chat")`,
		"handlers/chat.lua": "function chat(event)\n" + body + "\nend",
	}
}

func dev(c *Config) { c.Dev = true }

// chat joins the room of the path and passes messages on.
const chat = `
  if event.type == "connect" then return { join = event.params.room, send = "ready" } end
  if event.type == "message" then return { broadcast_room = event.message } end`

func TestBroadcastToTheRoom(t *testing.T) {
	n := startNode(t, handler(chat))
	a, b, other := n.dial("/ws/red"), n.dial("/ws/red"), n.dial("/ws/blue")
	for _, c := range []*client{a, b, other} {
		c.expect("ready")
	}
	a.say("hello")
	a.expect("hello")
	b.expect("hello")
	other.say("x")
	other.expect("x")
}

// SPEC 1.2, the table of event fields; SPEC 4: `{authenticated=false, username=""}` without a token.
func TestEventFields(t *testing.T) {
	n := startNode(t, handler(`if event.type == "disconnect" then return {broadcast = event} end return {send = event}`))
	watch := n.dial("/ws/watch")
	watch.next()
	c := n.dial("/ws/a%2Fb?x=1&x=2&y=z%20z", "X-Two: a", "X-Two: b")
	var e map[string]any
	read := func(text string) {
		t.Helper()
		e = nil
		check(t, json.Unmarshal([]byte(text), &e))
	}
	field := func(path ...string) string {
		var v any = e
		for _, p := range path {
			m, _ := v.(map[string]any)
			v = m[p]
		}
		b, err := json.Marshal(v)
		check(t, err)
		return string(b)
	}
	common := func() {
		t.Helper()
		for want, got := range map[string]string{
			`{"room":"a/b"}`:                        field("params"),
			`{"x":"2","y":"z z"}`:                   field("query"),
			`"a, b"`:                                field("headers", "x-two"),
			`"websocket"`:                           field("headers", "upgrade"),
			`{"authenticated":false,"username":""}`: field("user"),
			`"/ws/a/b"`:                             field("path"),
			`"127.0.0.1"`:                           field("remote_addr"),
			`{}`:                                    field("state"),
			`"` + strings.TrimPrefix(n.http.URL, "http://") + `"`: field("headers", "host"),
		} {
			if got != want {
				t.Errorf("field is %s, want %s", got, want)
			}
		}
		if _, err := uuid.Parse(strings.Trim(field("connection_id"), `"`)); err != nil {
			t.Errorf("connection_id %s is no UUID", field("connection_id"))
		}
	}
	read(c.next())
	common()
	if field("type") != `"connect"` || field("message") != "null" || field("code") != "null" {
		t.Errorf("connect: %v", e)
	}
	c.say("hi")
	read(c.next())
	common()
	if field("type") != `"message"` || field("message") != `"hi"` || field("binary") != "null" {
		t.Errorf("message: %v", e)
	}
	check(t, c.WriteMessage(websocket.BinaryMessage, []byte("b")))
	read(c.next())
	if field("message") != `"b"` || field("binary") != "true" {
		t.Errorf("binary: %v", e)
	}
	check(t, c.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(4321, "so long"),
		time.Now().Add(time.Second)))
	read(watch.next())
	common()
	if field("type") != `"disconnect"` || field("code") != "4321" || field("reason") != `"so long"` ||
		field("message") != "null" {
		t.Errorf("disconnect: %v", e)
	}
}

// SPEC 1.2: "A connect handler that raises, or returns close, refuses the connection (close 1011, or the given code)";
// SPEC 6: "A refused connect runs only its send; no disconnect event follows"; SPEC 4: 4403 without a code.
func TestRefusedConnect(t *testing.T) {
	tests := []struct {
		name, answer string
		want         []string
	}{
		{"raises", `error("no")`, []string{"closed 1011 handler error"}},
		{"raises a table", `error({code = 1})`, []string{"closed 1011 handler error"}},
		{"uses up its budget", `while true do end`, []string{"closed 1011 handler error"}},
		{"raises, with --dev", `error("no")`,
			[]string{`{"event":"error","message":"handlers/chat.lua:5: no","route":"/ws/:room","line":5}`,
				"closed 1011 handler error"}},
		{"reason", `return {close = "go away"}`, []string{"closed 4403 go away"}},
		{"empty reason", `return {close = ""}`, []string{"closed 4403"}},
		{"code", `return {close = {code = 4005, reason = "full"}}`, []string{"closed 4005 full"}},
		{"only send runs", `return {join = "r", track = {channel = "r", user_id = "u"}, send = "sorry", broadcast = "x", close = "no"}`, []string{"sorry", "closed 4403 no"}},
		{"sends of an array", `return {{send = "1"}, {close = "no"}, {send = "2"}}`, []string{"1", "2", "closed 4403 no"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := startNode(t, handler(`
  if event.params.room == "watch" then return {join = "watch", send = "watching"} end
  if event.type == "disconnect" then return {broadcast_channel = {channel = "watch", message = "disconnect event"}} end
  `+tt.answer), nodeOptions{config: func(c *Config) { c.Dev = strings.Contains(tt.name, "--dev") }})
			watch := n.dial("/ws/watch")
			watch.expect("watching")
			c := n.dial("/ws/x")
			c.expect(tt.want...)
			testkit.Eventually(t, "end of the connection", func() bool { return n.sockets.Len() == 1 })
			if got := n.get("/"); !strings.HasPrefix(got, "404") {
				t.Fatal(got)
			}
			check(t, n.hub.Broadcast(t.Context(), "watch", hubText("end"), ""))
			watch.expect("end")
			if users, err := n.hub.Presence(t.Context(), "r", ""); err != nil || len(users) != 0 {
				t.Fatalf("present: %v, %v", users, err)
			}
		})
	}
}

// SPEC 1.2: "disconnect actions still go out, and rooms and presence are released after them."
func TestDisconnectActions(t *testing.T) {
	n := startNode(t, handler(`
  if event.type == "connect" then return {join = "r", send = "ready"} end
  if event.type == "disconnect" then return {send = "nobody hears", broadcast_room = "left with " .. event.code} end`))
	a, b := n.dial("/ws/a"), n.dial("/ws/b")
	a.expect("ready")
	b.expect("ready")
	a.leave(1000)
	b.expect("left with 1000")
	if f := n.seen.all(); len(f) > 0 {
		t.Fatalf("a send to the client that left is no failure: %v", f)
	}
	c := n.dial("/ws/c")
	c.expect("ready")
	_ = c.UnderlyingConn().Close()
	b.expect("left with 1006")
}

// "… and presence are released after them": the handler of a disconnect still finds its own user, whatever it does it
// leaves none.
func TestDisconnectReleasesPresence(t *testing.T) {
	for name, last := range map[string]string{
		"returns":       `return {broadcast_channel = {channel = "watch", message = tostring(ws_presence_count("r"))}}`,
		"raises":        `ws_broadcast_room("watch", tostring(ws_presence_count("r"))) error("no")`,
		"tracks, joins": `return {track = {channel = "r", user_id = "ghost"}, join = "other", broadcast_channel = {channel = "watch", message = tostring(ws_presence_count("r"))}}`,
	} {
		t.Run(name, func(t *testing.T) {
			n := startNode(t, handler(`
  if event.params.room == "watch" then return {join = "watch", send = "watching"} end
  if event.type == "connect" then return {join = "r", track = {channel = "r", user_id = "u"}, send = "ready"} end
  if event.type == "disconnect" then `+last+` end`))
			watch := n.dial("/ws/watch")
			watch.expect("watching")
			c := n.dial("/ws/x")
			c.expectLike(`{"event":"presence_state"`)
			c.expect("ready")
			c.leave(1000)
			watch.expect("1")
			n.awaitEmpty("r")
			n.awaitEmpty("other")
		})
	}
}

// SPEC 1.2: "close: closes after the other actions"; SPEC 6: "A handler's close without a code: 1000."
func TestCloseAction(t *testing.T) {
	n := startNode(t, handler(`
  if event.message == "reason" then return {close = "enough", send = "bye"} end
  if event.message == "code" then return {close = {code = 4001, reason = "enough"}} end`))
	c := n.dial("/ws/x")
	c.say("reason")
	c.expect("bye", "closed 1000 enough")
	c = n.dial("/ws/x")
	c.say("code")
	c.expect("closed 4001 enough")
}

// SPEC 6: "Events of one connection run one at a time, in order."
func TestEventsOfAConnectionKeepOrder(t *testing.T) {
	n := startNode(t, handler(`
  if event.type == "connect" then return end
  event.state.n = (event.state.n or 0) + 1
  if event.state.n % 10 == 0 then ws_count(); store.get("x") end
  return {send = event.state.n .. " " .. event.message}`))
	c := n.dial("/ws/x")
	for i := range 100 {
		c.say(fmt.Sprint(i))
	}
	for i := range 100 {
		c.expect(fmt.Sprintf("%d %d", i+1, i))
	}
}

// A handler that waits does not hold up those of other connections, also when they are more than the VMs that may run.
func TestSlowHandlersHoldUpNobody(t *testing.T) {
	n := startNode(t, handler(`
  if event.message == "slow" then while not store.get("go") do end return {send = "done"} end
  if event.message == "quick" then return {send = "quick"} end`),
		nodeOptions{config: func(c *Config) { c.Limits = luavm.Limits{Budget: 5 * time.Second} }})
	var slow []*client
	for range 12 {
		c := n.dial("/ws/x")
		c.say("slow")
		slow = append(slow, c)
	}
	quick := n.dial("/ws/x")
	quick.say("quick")
	quick.expect("quick")
	check(t, n.redis.Client().Set(t.Context(), n.storeKey("go"), "true", 0).Err())
	for _, c := range slow {
		c.expect("done")
	}
	if size := n.server.current.Load().pools["handlers/chat.lua"].size(); size > 64 {
		t.Fatalf("%d VMs", size)
	}
}

// SPEC 1.2: `{ max_message = 4096 }`; SPEC 4: 1009 too big.
func TestMaxMessageOfARoute(t *testing.T) {
	n := startNode(t, map[string]string{
		"config/routes.lua": `router_websocket("/ws", "chat#chat", {max_message = 10})`,
		"handlers/chat.lua": `function chat(event) return {send = event.message} end`,
	})
	c := n.dial("/ws")
	c.say("0123456789")
	c.expect("0123456789")
	c.say("0123456789x")
	c.expectLike("closed 1009")
}

// SPEC 1.2: "Presence frames to clients of event handlers" (what they hold is the hub's to test).
func TestTrackSendsFrames(t *testing.T) {
	n := startNode(t, handler(`
  if event.type == "connect" then return {join = "r", track = {channel = "r", user_id = event.query.user, name = "N"}} end
  if event.message == "away" then return {set_presence = {channel = "r", state = "away"}} end
  if event.message == "out" then return {untrack = "r"} end
  if event.message == "who" then return {send_presence = "r"} end`))
	a := n.dial("/ws/x?user=ann")
	a.expectLike(`{"event":"presence_state","channel":"r","payload":{"ann":{"metas":[{"phx_ref":`)
	b := n.dial("/ws/x?user=bob")
	b.expectLike(`"bob":{"metas":[`)
	a.expectLike(`{"event":"presence_diff","channel":"r","payload":{"joins":{"bob":{"metas":[`)
	b.say("away")
	a.expectLike(`"state":"away"`)
	b.expectLike(`"state":"away"`)
	b.say("who")
	b.expectLike(`{"event":"presence_state","channel":"r"`)
	b.say("out")
	a.expectLike(`"leaves":{"bob"`)
}

// SPEC 3: --presence-linger is for connections that "dropped without a close handshake, or closed with 1001 (a page
// reload)", --restart-grace for those "that the node itself sent away to come back (1012, 1001)".
func TestEnding(t *testing.T) {
	tests := []struct {
		name string
		info outbox.CloseInfo
		want hub.Ending
		why  presence.Cause
	}{
		{"client closed", outbox.CloseInfo{Code: 1000, Clean: true, ByPeer: true, Why: outbox.WhyPeer}, hub.Closed, "closed"},
		{"page reload", outbox.CloseInfo{Code: 1001, Clean: true, ByPeer: true, Why: outbox.WhyPeer}, hub.Dropped, "closed"},
		{"dropped", outbox.CloseInfo{Code: 1006, ByPeer: true, Why: outbox.WhyDropped}, hub.Dropped, "lost"},
		{"dead", outbox.CloseInfo{Code: 1006, ByPeer: true, Why: outbox.WhyDead}, hub.Dropped, "lost"},
		{"handler closed", outbox.CloseInfo{Code: 1000, Clean: true, Why: outbox.WhyServer}, hub.Closed, "closed"},
		{"sent away by its handler", outbox.CloseInfo{Code: 1012, Why: outbox.WhyServer}, hub.SentAway, "closed"},
		{"kicked", outbox.CloseInfo{Code: 1000, Why: outbox.WhyKicked}, hub.Closed, "kicked"},
		{"token over", outbox.CloseInfo{Code: 4401, Why: outbox.WhyExpired}, hub.Closed, "expired"},
		{"slow", outbox.CloseInfo{Code: 1013, Why: outbox.WhySlow}, hub.Closed, "slow"},
		{"handler failed", outbox.CloseInfo{Code: 1011, Why: outbox.WhyFailed}, hub.Closed, "error"},
		{"panic", outbox.CloseInfo{Code: 1011, Why: outbox.WhyPanic}, hub.Closed, "error"},
		{"too many messages", outbox.CloseInfo{Code: 1008, Why: outbox.WhyRate}, hub.Closed, "error"},
		{"too big", outbox.CloseInfo{Code: 1009, Why: outbox.WhyTooBig}, hub.Closed, "error"},
		{"malformed", outbox.CloseInfo{Code: 1002, Why: outbox.WhyProtocol}, hub.Closed, "error"},
		{"no UTF-8", outbox.CloseInfo{Code: 1007, Why: outbox.WhyBadText}, hub.Closed, "error"},
		{"drained", outbox.CloseInfo{Code: 1012, Clean: true, Why: outbox.WhyDrained}, hub.SentAway, "drained"},
		{"drained, and it did not answer", outbox.CloseInfo{Code: 1012, Why: outbox.WhyDrained}, hub.SentAway, "drained"},
		{"cut at the node's end", outbox.CloseInfo{Code: 1001, Why: outbox.WhyShutdown}, hub.SentAway, "drained"},
	}
	for _, tt := range tests {
		if got, why := ending(tt.info); got != tt.want || why != tt.why {
			t.Errorf("%s: %v, %s", tt.name, got, why)
		}
	}
}
