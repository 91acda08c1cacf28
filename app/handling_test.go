package app

import (
	"fmt"
	"strings"
	"sync"
	"testing"
)

// SPEC 1.2: "state: a table of the handler's own, kept for the connection's life: what the handler sets there the next
// event sees."
func TestState(t *testing.T) {
	n := startNode(t, handler(`
  local s = event.state
  if event.type == "connect" then s.n = 0; s.list = {}; s.name = event.params.room; return {send = "ready"} end
  s.n = s.n + 1
  table.insert(s.list, event.message)
  return { send = s.name .. " " .. s.n .. " " .. table.concat(s.list, ",") }`))
	var clients []*client
	for i := range 8 {
		c := n.dial(fmt.Sprintf("/ws/c%d", i))
		c.expect("ready")
		clients = append(clients, c)
	}
	var done sync.WaitGroup
	for i, c := range clients {
		done.Go(func() {
			var list []string
			for j := range 30 {
				list = append(list, fmt.Sprint(j))
				c.say(fmt.Sprint(j))
				if got, want := c.next(), fmt.Sprintf("c%d %d %s", i, j+1, strings.Join(list, ",")); got != want {
					t.Errorf("got %s, want %s", got, want)
					return
				}
			}
		})
	}
	done.Wait()
}

func TestStateReplacedAndEmptied(t *testing.T) {
	n := startNode(t, handler(`
  if event.message == "set" then event.state = {a = {1, 2}, e = json.array({})} return {} end
  if event.message == "nil" then event.state = nil return {} end
  if event.message == "bad" then event.state.f = print event.state.g = 1 return {} end
  return {send = event.state}`))
	c := n.dial("/ws/x")
	c.expect("{}")
	c.say("set", "?")
	c.expect(`{"a":[1,2],"e":[]}`)
	c.say("nil", "?")
	c.expect("{}")
	c.say("bad", "?")
	c.expect(`{"g":1}`)
	n.logged("event.state holds functions")
}

// SPEC 1.4: "Two connections never see each other's globals; library tables are read-only."
func TestGlobalsStayWithTheirConnection(t *testing.T) {
	n := startNode(t, map[string]string{
		"config/routes.lua": `router_websocket("/ws", "chat#chat")`,
		"handlers/chat.lua": `
local calls = 0
seen = { n = 0 }
function chat(event)
  calls = calls + 1
  seen.n = seen.n + 1
  count = (count or 0) + 1
  return { send = calls .. " " .. seen.n .. " " .. count }
end`,
	}, nodeOptions{config: func(c *Config) { c.MaxVMs = 1 }})
	a, b := n.dial("/ws"), n.dial("/ws")
	a.expect("1 1 1")
	b.expect("1 1 1")
	a.say("x", "x")
	a.expect("2 2 2", "3 3 3")
	b.say("x")
	b.expect("2 2 2")
	n.dial("/ws").expect("1 1 1")
}

func TestLibraryTablesAreReadOnly(t *testing.T) {
	n := startNode(t, handler(`
  local out = {}
  for _, f in ipairs({
    function() string.len = nil end, function() json.null = 1 end, function() log.info = print end,
    function() store.get = nil end, function() rawset(store, "get", 1) end,
  }) do out[#out + 1] = tostring((pcall(f))) end
  return {send = table.concat(out, " ")}`))
	n.dial("/ws/a").expect("false false false false false")
}

// SPEC 1.2: "An unknown key or a wrong type: the connection stays, the error is logged with route, line and event, and
// counted; with --dev the client also gets {"event":"error", ...}"; SPEC 6: "carry message, route, line".
func TestHandlerErrors(t *testing.T) {
	tests := []struct {
		name, answer string
		line         int
		message      string
		reason       Reason
	}{
		{"unknown key", `return {sned = "x"}`, 3, `bad return value: unknown action \"sned\": did you mean \"send\"?`,
			ReasonActions},
		{"wrong type", `return {join = 5}`, 3, `bad return value: join: the channel must be a string, not the number 5`,
			ReasonActions},
		{"line of the return", "if event.message then\n\nreturn {\nsend = 'no',\ntrack = 1,\n}\nend", 5,
			`bad return value: track: must be a table`, ReasonActions},
		{"returned by a function", "return (function() local t = {join = 5}\nreturn t\nend)()", 4,
			`bad return value: join: the channel`, ReasonActions},
		{"nothing runs", `return {send = "no", track = 1}`, 3, `bad return value: track: must be a table`, ReasonActions},
		{"raises", "\nerror('oh')", 4, `handlers/chat.lua:4: oh`, "raised"},
		{"raises nil index", "local x\nreturn x.y", 4, `handlers/chat.lua:4: attempt to index`, "raised"},
		{"limits of a channel", `local c = {} for i = 1, 129 do c[i] = "c" .. i end return {join = c}`, 3,
			`join: a connection may be in 128 channels`, ReasonAction},
	}
	for _, tt := range tests {
		for _, mode := range []string{"dev", "production"} {
			t.Run(tt.name+" "+mode, func(t *testing.T) {
				n := startNode(t, handler("if event.message == 'ok' then return {send = 'ok'} end if event.type == 'message' then\n"+tt.answer+"\nend"),
					nodeOptions{config: func(c *Config) { c.Dev = mode == "dev" }})
				c := n.dial("/ws/x")
				c.say("go")
				if mode == "dev" {
					c.expectLike(`{"event":"error","message":"` + tt.message)
				}
				c.say("ok")
				c.expect("ok")
				f := n.seen.all()
				if len(f) != 1 || f[0].Reason != tt.reason || f[0].Kind != RunMessage || f[0].Route != "/ws/:room" ||
					f[0].Line != tt.line || f[0].File != "handlers/chat.lua" {
					t.Fatalf("failures %+v", f)
				}
				n.logged("kind=message route=/ws/:room")
			})
		}
	}
}

func TestErrorFrame(t *testing.T) {
	n := startNode(t, handler(`
  if event.type == "message" then error("oh") end`), nodeOptions{config: dev})
	c := n.dial("/ws/x")
	c.say("go")
	c.expect(`{"event":"error","message":"handlers/chat.lua:3: oh","route":"/ws/:room","line":3}`)
}

// A bad return of connect does not refuse: "the connection stays".
func TestBadReturnOfConnectStays(t *testing.T) {
	n := startNode(t, handler(`if event.type == "connect" then return {sned = 1} end return {send = "here"}`))
	c := n.dial("/ws/x")
	c.say("go")
	c.expect("here")
}

// SPEC 1.2: "set_presence … without tracking: no effect, logged", "broadcast_room … in no room: no effect, logged".
func TestActionsWithoutEffect(t *testing.T) {
	n := startNode(t, handler(`
  if event.message == "state" then return {set_presence = {channel = "c", state = "away"}, send = "1"} end
  if event.message == "room" then return {broadcast_room = "x", send = "2"} end`), nodeOptions{config: dev})
	c := n.dial("/ws/x")
	c.say("state", "room")
	c.expect("1", "2")
	n.logged("action without effect")
	n.logged("action=set_presence")
	n.logged("action=broadcast_room")
	if f := n.seen.all(); len(f) != 0 {
		t.Fatal(f)
	}
}
