package app

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"rollcall/testkit"

	"github.com/gorilla/websocket"
)

// scriptApp is an app with one connection script, at /api/custom/db/x.
func scriptApp(code string) map[string]string {
	return map[string]string{"scripts/db/x.ws.lua": code}
}

const scriptPath = "/api/custom/db/x"

// lua connects to the script of scriptApp.
func (n *testNode) lua(query string) *client { n.t.Helper(); return n.dial(scriptPath + query) }

// SPEC 1.1, the table of functions.
func TestScriptSendAndReceive(t *testing.T) {
	n := startNode(t, scriptApp(`
local ws = solidb.ws
ws.send("id " .. ws.id)
while true do
  local msg = ws.recv()
  if msg == nil then break end
  if msg == "table" then ws.send({a = {1, 2}, b = json.null, c = {}, d = json.array({})})
  elseif msg == "number" then ws.send(12)
  elseif msg == "binary" then ws.send_binary("\1\255")
  elseif msg == "nothing" then ws.send(tostring(ws.nothing))
  else ws.send("got " .. msg) end
end`))
	c := n.lua("")
	id := strings.TrimPrefix(c.expectLike("id "), "id ")
	if ids, err := n.hub.Clients(t.Context()); err != nil || len(ids) != 1 || ids[0] != id {
		t.Fatalf("clients %v, %v; the script says %s", ids, err, id)
	}
	c.say("hello", "table", "number", "binary", "nothing")
	c.expect("got hello", `{"a":[1,2],"b":null,"c":{},"d":[]}`, "12", "binary \x01\xff", "nil")
	check(t, c.WriteMessage(websocket.BinaryMessage, []byte("bin")))
	c.expect("got bin")
}

// SPEC 1.4: "Two connections never see each other's globals", nor what the other has made of a module.
func TestScriptsShareNothing(t *testing.T) {
	files := scriptApp(`
n = (n or 0) + 1
solidb.ws.send(n .. " " .. require("counter").add())
solidb.ws.recv()`)
	files["lib/counter.lua"] = `local n = 0 return {add = function() n = n + 1 return n end}`
	node := startNode(t, files)
	for range 3 {
		node.lua("").expect("1 1")
	}
	c := node.lua("")
	c.expect("1 1")
	c.leave(1000)
	testkit.Eventually(t, "the end of one", func() bool { return node.sockets.Len() == 3 })
	node.lua("").expect("1 1")
}

// SPEC 1.1: recv_any.
func TestScriptRecvAny(t *testing.T) {
	n := startNode(t, withWatch(scriptApp(`
local ws = solidb.ws
ws.send(json.encode({ws.recv_any(0)}))
local none, why = ws.recv_any(20)
ws.send(tostring(none) .. " " .. why)
ws.channel.subscribe("c")
ws.send("ready")
while true do
  local msg, kind, binary = ws.recv_any()
  if msg == nil then ws_broadcast_room("end", kind) break end
  if type(msg) == "table" then msg.timestamp = math.floor(msg.timestamp / 1e11) end
  ws.send({msg, kind, binary})
end`)))
	c := n.lua("")
	c.expect(`{"2":"timeout"}`, "nil timeout", "ready")
	watch := n.watch("end")
	c.say("hello")
	c.expect(`["hello","ws"]`)
	check(t, c.WriteMessage(websocket.BinaryMessage, []byte("bin")))
	c.expect(`["bin","ws","binary"]`)
	check(t, n.hub.Broadcast(t.Context(), "c", hubText("text"), ""))
	c.expect(`[{"channel":"c","timestamp":` + thisDecade + `,"data":"text"},"channel"]`)
	check(t, n.hub.Broadcast(t.Context(), "c", hubJSON(`{"a":[1,{}]}`), "some-id"))
	c.expect(`[{"channel":"c","timestamp":` + thisDecade + `,"data":{"a":[1,{}]},"sender_id":"some-id"},"channel"]`)
	c.leave(1000)
	watch.expect("closed")
}

// thisDecade is the time in units of 1e11 ms, for timestamps.
var thisDecade = fmt.Sprint(time.Now().UnixMilli() / 1e11)

// watch is a client of an event handler's route that hears one channel.
func (n *testNode) watch(channel string) *client {
	n.t.Helper()
	c := n.dial("/watch/" + channel)
	c.expect("watching")
	return c
}

// withWatch adds the route of watch.
func withWatch(files map[string]string) map[string]string {
	files["config/routes.lua"] = `router_websocket("/watch/:channel", "watch#watch")`
	files["handlers/watch.lua"] = `function watch(e) if e.type == "connect" then return {join = e.params.channel, send = "watching"} end end`
	return files
}

// SPEC 1.1: recv: "channel and presence events stay queued".
func TestScriptRecvLeavesEvents(t *testing.T) {
	n := startNode(t, withWatch(scriptApp(`
local ws = solidb.ws
ws.channel.subscribe("c")
ws.send("ready")
ws.send(ws.recv())
ws.send(ws.recv_any(0).data) -- SPEC 6: "recv_any(0) polls"
ws.send(ws.recv())`)))
	c := n.lua("")
	c.expect("ready")
	watch := n.watch("c")
	for _, text := range []string{"first", "second"} {
		check(t, n.hub.Broadcast(t.Context(), "c", hubText(text), ""))
	}
	watch.expect("first", "second") // so the script has "first" in its queue
	c.say("1", "2")
	c.expect("1", "first", "2", "closed 1000")
}

// SPEC 1.1: channel.*
func TestScriptChannels(t *testing.T) {
	n := startNode(t, scriptApp(`
local ch = solidb.ws.channel
local out = {}
local function add(v) out[#out + 1] = v end
add(ch.list())
add(ch.subscribe("b")) add(ch.subscribe("a")) add(ch.subscribe("b"))
add(ch.list())
add(ch.unsubscribe("b")) add(ch.unsubscribe("nowhere"))
add(ch.list())
add(ch.broadcast("nobody", {x = 1}))
add(ch.broadcast("a", json.null))
local e, kind = solidb.ws.recv_any()
add(kind) add(e.data == json.null) add(e.sender_id == solidb.ws.id)
add(select(2, solidb.ws.recv_any(20)))
solidb.ws.send(out)`))
	n.lua("").expect(`[[],true,true,true,["b","a"],true,true,["a"],true,true,"channel",true,true,"timeout"]`)
}

// SPEC 1.1: presence.*, and its events.
func TestScriptPresence(t *testing.T) {
	n := startNode(t, scriptApp(`
local ws = solidb.ws
local name = request.query.name
if name == "watch" then
  ws.channel.subscribe("c")
  ws.send(ws.presence.list("c"))
  while true do
    local e, kind = ws.recv_any()
    if not e then break end
    if kind == "presence" then ws.send({e.event_type, e.channel, e.user_id, e.user_info, e.connection_id == ws.id, e.timestamp > 1e12}) end
  end
  return
end
ws.presence.join("c", {user_id = name, n = 1})
local list = ws.presence.list("c")
ws.send({#list, list[1].user_info, list[1].connection_id == ws.id, list[1].joined_at > 1e12})
ws.recv()
ws.presence.join("c", {user_id = name, n = 2})
ws.send(ws.presence.list("c")[1].user_info)
ws.recv()
ws.send({ws.presence.leave("c"), ws.presence.leave("c"), select(2, ws.recv_any(20))})
ws.send(ws.presence.list("c"))
ws.recv()`))
	watch := n.lua("?name=watch")
	watch.expect("[]")
	c := n.lua("?name=ann")
	c.expect(`[1,{"n":1,"user_id":"ann"},true,true]`)
	watch.expect(`["join","c","ann",{"n":1,"user_id":"ann"},false,true]`)
	c.say("go")
	c.expect(`{"n":2,"user_id":"ann"}`)
	watch.expect(`["update","c","ann",{"n":2,"user_id":"ann"},false,true]`)
	c.say("go")
	c.expect(`[true,true,"timeout"]`, "[]")
	watch.expect(`["leave","c","ann",{"n":2,"user_id":"ann"},false,true]`)
}

// SPEC 1.1: "The user of presence.join is user_info.user_id, else user_info.id, else the connection itself (empty
// strings count as absent; numbers are accepted and become strings)."
func TestScriptPresenceUser(t *testing.T) {
	n := startNode(t, scriptApp(`
local ws = solidb.ws
local function user(info)
  ws.presence.join("c", info)
  local u = ws_list_presence("c")
  local id = u[1].user_id
  ws.presence.leave("c")
  return id == ws.id and "me" or id
end
ws.send({user({user_id = "a", id = "b"}), user({id = "b"}), user({user_id = "", id = "b"}), user({user_id = 7}), user({id = ""}), user({}), user({user_id = json.null})})`))
	n.lua("").expect(`["a","b","b","7","me","me","me"]`)
}

// Wrong types in every function raise errors that name function and argument.
func TestScriptBadArguments(t *testing.T) {
	tests := []struct{ call, want string }{
		{`ws.send()`, "solidb.ws.send: data must not be nil"},
		{`ws.send(print)`, "solidb.ws.send: data: "},
		{`ws.send({0/0})`, "solidb.ws.send: data: "},
		{`ws.send("\255")`, "solidb.ws.send: data: the string is not UTF-8"},
		{`ws.send({m = "\255"})`, "solidb.ws.send: data: a string in it is not UTF-8"},
		{`ws.send({["\255"] = 1})`, "solidb.ws.send: data: a string in it is not UTF-8"},
		{`ws.send({{"a", {"b\255"}}})`, "solidb.ws.send: data: a string in it is not UTF-8"},
		{`ws.channel.broadcast("c", {m = "\255"})`, "solidb.ws.channel.broadcast: data: a string in it is not UTF-8"},
		{`ws.presence.join("c", {m = "\255"})`, "solidb.ws.presence.join: user_info: a string in it is not UTF-8"},
		{`ws.close(1000, "\255")`, "solidb.ws.close: reason: the string is not UTF-8"},
		{`ws_send(ws.id, {m = "\255"})`, "ws_send: message: a string in it is not UTF-8"},
		{`ws_close(ws.id, "\255")`, "ws_close: reason: the string is not UTF-8"},
		{`ws_broadcast({m = "\255"})`, "ws_broadcast: message: a string in it is not UTF-8"},
		{`ws_broadcast_room("c", {m = "\255"})`, "ws_broadcast_room: message: a string in it is not UTF-8"},
		{`store.set("k", {m = "\255"})`, "store.set: value: a string in it is not UTF-8"},
		{`store.hset("k", "f", "\255")`, "store.hset: value: a string in it is not UTF-8"},
		{`ws.send_binary({})`, "solidb.ws.send_binary: data must be a string, not a table"},
		{`ws.recv_any("x")`, `solidb.ws.recv_any: timeout_ms must be a number from 0, not the string "x"`},
		{`ws.recv_any(-1)`, "solidb.ws.recv_any: timeout_ms must be a number from 0, not the number -1"},
		{`ws.recv_any(0/0)`, "solidb.ws.recv_any: timeout_ms must be"},
		{`ws.close("x")`, "solidb.ws.close: code must be a whole number"},
		{`ws.close(1006)`, "solidb.ws.close: 1006 is no close code"},
		{`ws.close(1000, {})`, "solidb.ws.close: reason must be a string, not a table"},
		{`ws.channel.subscribe()`, "solidb.ws.channel.subscribe: the channel must be a string, not nil"},
		{`ws.channel.subscribe(("c"):rep(256))`, "solidb.ws.channel.subscribe: a channel name must be 1 to 255 bytes"},
		{`ws.channel.unsubscribe(1)`, "solidb.ws.channel.unsubscribe: the channel must be a string"},
		{`ws.channel.broadcast("", "x")`, "solidb.ws.channel.broadcast: a channel name must be"},
		{`ws.channel.broadcast("c")`, "solidb.ws.channel.broadcast: data must not be nil"},
		{`ws.presence.join("c")`, "solidb.ws.presence.join: user_info must be a table, not nil"},
		{`ws.presence.join("c", "ann")`, `solidb.ws.presence.join: user_info must be a table, not the string "ann"`},
		{`ws.presence.join("c", {1, 2})`, "solidb.ws.presence.join: user_info must have names as keys"},
		{`ws.presence.join("c", {user_id = {}})`,
			"solidb.ws.presence.join: user_info.user_id: user_id must be a string or a number, not a table"},
		{`ws.presence.join("c", {user_id = ("u"):rep(256)})`, "user_id must be 1 to 255 bytes"},
		{`ws.presence.join("c", {x = ("x"):rep(5000)})`, "metadata of one connection is larger than 4096 bytes"},
		{`ws.presence.join("c", {x = print})`, "solidb.ws.presence.join: user_info: "},
		{`ws.presence.leave({})`, "solidb.ws.presence.leave: the channel must be a string"},
		{`ws.presence.list()`, "solidb.ws.presence.list: the channel must be a string, not nil"},
		{`ws.id = 1`, "read-only"},
		{`ws_send(1, "x")`, "ws_send: connection_id must be a string, not the number 1"},
		{`ws_send("x", "x")`, "ws_send: not a connection id (a UUID)"},
		{`ws_send(ws.id)`, "ws_send: message must not be nil"},
		{`ws_close({})`, "ws_close: connection_id must be a string"},
		{`ws_close("x")`, "ws_close: not a connection id"},
		{`ws_close(ws.id, 4)`, "ws_close: reason must be a string"},
		{`ws_broadcast()`, "ws_broadcast: message must not be nil"},
		{`ws_broadcast_room(1, "x")`, "ws_broadcast_room: the channel must be a string"},
		{`ws_join({})`, "ws_join: the channel must be a string"},
		{`ws_leave()`, "ws_leave: the channel must be a string"},
		{`ws_clients_in()`, "ws_clients_in: the channel must be a string"},
		{`ws_list_presence(1)`, "ws_list_presence: the channel must be a string"},
		{`ws_presence_count(1)`, "ws_presence_count: the channel must be a string"},
		{`ws_get_presence("c")`, "ws_get_presence: user_id must be a string or a number, not nil"},
		{`log.info(1)`, "log.info: msg must be a string"},
		{`log.info("x", "y")`, "log.info: fields must be a table"},
		{`store.get()`, "store.get: key must be a string, not nil"},
		{`store.get("")`, "store.get: key must have 1 to 1024 bytes"},
		{`store.set("k")`, "store.set: value must not be nil"},
		{`store.set("k", print)`, "store.set: value: "},
		{`store.set("k", 1, 5)`, "store.set: options must be a table"},
		{`store.set("k", 1, {ttl = "x"})`,
			`store.set: ttl must be a whole number of milliseconds above 0, not the string "x"`},
		{`store.set("k", 1, {nx = 1})`, "store.set: nx must be true or false"},
		{`store.set("k", 1, {ex = 1})`, `store.set: unknown option "ex"`},
		{`store.incr("k", 0.5)`, "store.incr: by must be a whole number"},
		{`store.expire("k")`, "store.expire: ttl must be a whole number"},
		{`store.hget("k")`, "store.hget: field must be a string"},
		{`store.hset("k", "f")`, "store.hset: value must not be nil"},
		{`store.hdel("k", 1)`, "store.hdel: field must be a string"},
		{`require("nothing")`, "module 'nothing' not found (looked for handlers/nothing.lua, lib/nothing.lua)"},
		{`require("../../etc/passwd")`, "not found"},
		{`json.decode("{")`, "position"},
	}
	n := startNode(t, scriptApp(`
local ws = solidb.ws
local calls = {
`+func() string {
		var b strings.Builder
		for _, tt := range tests {
			b.WriteString("function() " + strings.Replace("local _ = "+tt.call, "local _ = ws.id = 1", "ws.id = 1", 1) +
				" end,\n")
		}
		return b.String()
	}()+`}
for i, f in ipairs(calls) do
  local ok, err = pcall(f)
  ws.send(tostring(ok) .. " " .. tostring(err))
end`))
	c := n.lua("")
	for i, tt := range tests {
		got := c.next()
		place := fmt.Sprintf("false scripts/db/x.ws.lua:%d: ", 4+i)
		if !strings.HasPrefix(got, place) || !strings.Contains(got, tt.want) {
			t.Errorf("%s: got %s, want %s…%s", tt.call, got, place, tt.want)
		}
	}
}

// SPEC 1.3: request in scripts.
func TestScriptRequest(t *testing.T) {
	n := startNode(t, map[string]string{"scripts/db/rooms/[room].ws.lua": `solidb.ws.send(request)`})
	var got struct {
		Method, Path, Body string
		Query, Params      map[string]string
		Headers            map[string]string
		User               map[string]any
		Remote             string `json:"remote_addr"`
		WS                 bool   `json:"is_websocket"`
	}
	text := n.dial("/api/custom/db/rooms/red?a=b", "X-One: 1").next()
	check(t, json.Unmarshal([]byte(text), &got))
	if got.Method != "GET" || got.Path != "/api/custom/db/rooms/red" || got.Query["a"] != "b" ||
		got.Params["room"] != "red" ||
		got.Headers["x-one"] != "1" || got.User["authenticated"] != false || got.Remote != "127.0.0.1" || !got.WS {
		t.Fatal(text)
	}
}

// A handshake on a path without a script, and a plain GET on one.
func TestScriptPaths(t *testing.T) {
	n := startNode(t, scriptApp(`solidb.ws.recv()`))
	if _, resp, err := n.tryDial("/api/custom/db/y"); err == nil || resp.StatusCode != 404 {
		t.Fatal(resp)
	}
	if got := n.get(scriptPath); !strings.HasPrefix(got, "426 ") {
		t.Fatal(got)
	}
	if got := n.get("/api/custom"); !strings.HasPrefix(got, "404 ") {
		t.Fatal(got)
	}
	if _, resp, err := n.tryDial(scriptPath, "Origin: https://evil.example"); err == nil || resp.StatusCode != 403 {
		t.Fatal(resp)
	}
}
