package stories

import (
	"fmt"
	"strings"

	"github.com/google/uuid"

	"rollcall/testkit"
	"rollcall/testkit/nodetest"
)

// functionStories are the rows of SPEC 1.3, for both kinds of handler.
var functionStories = []entry{
	{"ws_send", "false when no live node can hold that connection, else true; raises on something that is no UUID",
		(*story).wsSend},
	{"ws_close", "ws_close(connection_id, reason): as ws_send", (*story).wsClose},
	{"ws_broadcast", "ws_broadcast(message), ws_broadcast_room(channel, message): true", (*story).wsBroadcast},
	{"ws_count", "connections in the cluster, as of each node's last heartbeat", (*story).wsCount},
	{"ws_join", "ws_join(channel), ws_leave(channel): true; for the current connection, an error elsewhere",
		(*story).wsJoin},
	{"ws_clients", "ws_clients(), ws_clients_in(channel): arrays of connection ids, cluster-wide", (*story).wsClients},
	{"ws_list_presence", "array of {user_id, metas}, oldest user first; unique users; {user_id, metas} or nil",
		(*story).wsPresence},
	{"json", "one implementation under all names; arrays stay arrays through a round trip, also empty; encoding a function, a cycle or NaN raises", (*story).json},
	{"log", "structured log lines that name route and connection", (*story).log},
	{"crypto", "crypto.uuid, sha256, hmac_sha256, base64", (*story).crypto},
	{"store", "shared state in Redis under the app's own prefix; values are JSON; set(key, value, {ttl = ms, nx = true})",
		(*story).store},
	{"fetch", "http.fetch: {status, headers, body}, or nil, why; a host that is not on --http-allow: nil, why; waiting holds up no other connection",
		(*story).fetch},
	{"sandbox", "nothing else of os; no io, debug, load* of bytecode, no files, no processes", (*story).sandbox},
	{"wrong-types", "wrong types in every function: a clear error", (*story).wrongTypes},
	{"in-http", "Functions for both kinds, and for HTTP handlers", (*story).inHTTP},
}

func (s *story) json() {
	const code = `
		local out = {}
		local function add(v) out[#out + 1] = tostring(v) end
		for _, names in ipairs({ { "json_encode", "json_decode" }, { "json.encode", "json.decode" }, { "JSON.stringify", "JSON.parse" } }) do
			local find = require("lib.functions").find
			local encode, decode = find(names[1]), find(names[2])
			add(encode(decode('{"a":[],"o":{},"n":null,"l":[1,[2,{"x":[]}]],"s":"\\u00e9\\n\\"","t":true,"f":1.5,"big":9007199254740991}')) ==
				encode(decode(encode(decode('{"a":[],"o":{},"n":null,"l":[1,[2,{"x":[]}]],"s":"\\u00e9\\n\\"","t":true,"f":1.5,"big":9007199254740991}')))))
			add(encode(decode("[]")) .. encode(decode("{}")) .. encode({}) .. encode(json.array({})) .. encode(json.null) .. encode(decode("[null]")))
			add(decode("null") == json.null)
			local cycle = {}
			cycle.me = cycle
			for _, bad in ipairs({ print, 0 / 0, cycle, { [{}] = 1 } }) do
				add((pcall(encode, bad)))
			end
			for _, bad in ipairs({ "", "{", "[1,]", "nul", '{"a":1}}', '"\1"' }) do
				local ok, err = pcall(decode, bad)
				add(not ok and err:match("%d+") ~= nil)
			end
		end
		solidb.ws.send(table.concat(out, " "))`
	one := "true []{}{}[]null[null] true false false false false true true true true true true"
	s.run(1, code).Expect(strings.Join([]string{one, one, one}, " "), "closed 1000")
}

func (s *story) log() {
	for i, c := range s.both() {
		for _, level := range []string{"debug", "info", "warn", "error"} {
			c.Call("log."+level, "said by "+s.Name(), map[string]any{"n": 1, "list": []any{"x"}})
			if level == "debug" { // below the nodes' level
				continue
			}
			line := s.Logs[i].Await(s, "of log."+level, func(l nodetest.Line) bool {
				return l.Text("msg") == "said by "+s.Name() && l.Text("level") == strings.ToUpper(level)
			})
			s.same("connection", line.Text("connection"), s.id(c))
			s.same("route", line.Text("route"), []string{"/ws/do", "WS test/do"}[i])
			s.contains(nodetest.JSON(line), `"n":1`)
		}
	}
}

func (s *story) crypto() {
	for _, c := range s.both() {
		var id string
		s.decode(c.Call1("crypto.uuid"), &id)
		if _, err := uuid.Parse(id); err != nil {
			s.Error(err)
		}
		s.same("sha256", c.Call1("crypto.sha256", "abc"),
			`"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"`)
		s.same("hmac_sha256", c.Call1("crypto.hmac_sha256", "key", "The quick brown fox jumps over the lazy dog"),
			`"f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8"`)
		s.same("base64_encode", c.Call1("crypto.base64_encode", "a?>"), `"YT8+"`)
		s.same("base64_decode", c.Call1("crypto.base64_decode", "YT8+"), nodetest.JSON("a?>"))
		s.same("base64_decode of something else", nodetest.JSON(c.Call("crypto.base64_decode", "!")), `[null,"not base64"]`)
	}
}

func (s *story) store() {
	key := s.name("key")
	all := append(s.both(), s.events(2))
	for i, c := range all {
		other := all[(i+1)%len(all)]
		s.same("get of nothing", c.Call1("store.get", key), "null")
		for _, v := range []any{"text", 1.5, true, map[string]any{"a": []any{}}, []any{}, []any{nil, "x"}} {
			s.same("set", c.Call1("store.set", key, v), "true")
			s.same("get elsewhere", other.Call1("store.get", key), nodetest.JSON(v))
		}
		s.same("nx", other.Call1("store.set", key, "no", map[string]any{"nx": true}), "false")
		s.same("delete", other.Call1("store.delete", key), "true")
		s.same("delete again", c.Call1("store.delete", key), "false")
		s.same("nx", other.Call1("store.set", key, 5, map[string]any{"nx": true, "ttl": 60000}), "true")
		s.same("incr", c.Call1("store.incr", key), "6")
		s.same("incr by", other.Call1("store.incr", key, -4), "2")
		s.same("expire", c.Call1("store.expire", key, 60), "true")
		testkit.Within(s, "it expires", nodetest.Timeout,
			func() bool { return other.Call1("store.get", key) == "null" })
		s.same("expire of nothing", c.Call1("store.expire", key, 60), "false")
		s.same("set with ttl", c.Call1("store.set", key, "x", map[string]any{"ttl": 50}), "true")
		testkit.Within(s, "it expires", nodetest.Timeout,
			func() bool { return other.Call1("store.get", key) == "null" })
		s.same("hset", c.Call1("store.hset", key, "f", map[string]any{"n": 1}), "true")
		s.same("hset", c.Call1("store.hset", key, "g", []any{}), "true")
		s.same("hget", other.Call1("store.hget", key, "f"), `{"n":1}`)
		s.same("hget of nothing", other.Call1("store.hget", key, "none"), "null")
		s.same("hgetall", other.Call1("store.hgetall", key), `{"f":{"n":1},"g":[]}`)
		s.same("hdel", c.Call1("store.hdel", key, "f"), "true")
		s.same("hdel again", c.Call1("store.hdel", key, "f"), "false")
		s.same("delete", c.Call1("store.delete", key), "true")
		s.same("hgetall of nothing", c.Call1("store.hgetall", key), "{}")
	}
}

func (s *story) sandbox() {
	c := s.run(0, `
		local bad = {}
		for _, name in ipairs({ "io", "debug", "load", "loadstring", "loadfile", "dofile", "package", "module", "collectgarbage", "newproxy", "os.execute", "os.exit",
				"os.getenv", "os.remove", "os.rename", "os.tmpname", "os.setlocale", "string.dump" }) do
			local ok, v = pcall(require("lib.functions").find, name)
			if ok and v ~= nil then bad[#bad + 1] = name end
		end
		for name in pairs(os) do
			if name ~= "time" and name ~= "date" and name ~= "clock" then bad[#bad + 1] = "os." .. name end
		end
		for _, name in ipairs({ "os.time", "os.date", "os.clock", "string.format", "table.concat", "math.floor", "coroutine.wrap", "pcall", "error", "require" }) do
			if require("lib.functions").find(name) == nil then bad[#bad + 1] = "missing " .. name end
		end
		for _, name in ipairs({ "../config/routes", "/etc/passwd", "lib/../../x", "os", "io" }) do
			if pcall(require, name) then bad[#bad + 1] = "require " .. name end
		end
		for name, f in pairs({ ["solidb.ws"] = solidb.ws, store = store, json = json, string = string, ["_G"] = {} }) do
			if name ~= "_G" and pcall(function() f.get = 1 end) then bad[#bad + 1] = name .. " can be written" end
		end
		solidb.ws.send("bad: " .. table.concat(bad, ", "))`)
	c.Expect("bad: ", "closed 1000")
}

func (s *story) wrongTypes() {
	no, fn := map[string]any{}, map[string]any{"$fn": 1}
	long := map[string]any{"$repeat": "x", "times": 256}
	type call struct {
		function string
		args     []any
		says     string
	}
	calls := []call{
		{"ws_send", nil, "connection_id"}, {"ws_send", []any{7, "x"}, "connection_id"}, {"ws_send", []any{no, "x"},
			"connection_id"}, {"ws_send", []any{noConnection}, "message"},
		{"ws_send", []any{noConnection, fn}, "function"}, {"ws_close", []any{no}, "connection_id"}, {"ws_close",
			[]any{noConnection, no}, "reason"},
		{"ws_broadcast", nil, "message"}, {"ws_broadcast", []any{fn}, "function"}, {"ws_broadcast_room", []any{"x"},
			"message"},
		{"ws_get_presence", []any{"x"}, "user_id"}, {"ws_get_presence", []any{"x", no}, "user_id"}, {"ws_get_presence",
			[]any{"x", long}, "255"},
		{"json.encode", []any{fn}, "function"}, {"json.decode", []any{no}, "string"}, {"json.decode", nil, ""}, {"json.array",
			[]any{"x"}, "table"},
		{"crypto.sha256", []any{no}, "string"}, {"crypto.hmac_sha256", []any{"x"}, ""}, {"crypto.base64_decode", []any{no},
			"string"},
		{"store.get", nil, "key"}, {"store.get", []any{""}, "key"}, {"store.set", []any{"k"}, "value"}, {"store.set",
			[]any{"k", fn}, "function"},
		{"store.set", []any{"k", 1, "x"}, "options"}, {"store.set", []any{"k", 1, map[string]any{"ttl": -1}},
			"ttl"}, {"store.set", []any{"k", 1, map[string]any{"ttl": "x"}}, "ttl"},
		{"store.set", []any{"k", 1, map[string]any{"px": 1}}, "px"}, {"store.set", []any{"k", 1, map[string]any{"nx": 1}},
			"nx"}, {"store.incr", []any{"k", "x"}, "by"},
		{"store.expire", []any{"k"}, "ttl"}, {"store.expire", []any{"k", -1}, "ttl"}, {"store.hget", []any{"k"},
			"field"}, {"store.hset", []any{"k", "f"}, "value"}, {"store.hdel", []any{"k"}, "field"},
		{"log.info", []any{"x", "fields"}, "fields"},
	}
	for _, function := range []string{"ws_join", "ws_leave", "ws_clients_in", "ws_list_presence", "ws_presence_count",
		"ws_broadcast_room", "ws_get_presence"} {
		for _, channel := range []any{nil, 7, no, "", long, "a\nb", "a\x7fb"} {
			calls = append(calls, call{function, []any{channel, "u"}, "channel"})
		}
	}
	script := []call{
		{"solidb.ws.send", nil, "data"}, {"solidb.ws.send", []any{fn}, "function"}, {"solidb.ws.send_binary", []any{no},
			"data"}, {"solidb.ws.recv_any", []any{"x"}, "timeout_ms"},
		{"solidb.ws.recv_any", []any{-1}, "timeout_ms"}, {"solidb.ws.close", []any{"x"}, "code"}, {"solidb.ws.close",
			[]any{1005}, "1005"}, {"solidb.ws.close", []any{7}, "7"},
		{"solidb.ws.close", []any{4000, no}, "reason"}, {"solidb.ws.channel.broadcast", []any{"x"},
			"data"}, {"solidb.ws.channel.broadcast", []any{"x", fn}, "function"},
		{"solidb.ws.presence.join", []any{"x"}, "user_info"}, {"solidb.ws.presence.join", []any{"x", "u"},
			"user_info"}, {"solidb.ws.presence.join", []any{"x", map[string]any{"user_id": no}}, "user_id"},
		{"solidb.ws.presence.join", []any{"x", map[string]any{"user_id": strings.Repeat("u", 256)}},
			"255"}, {"solidb.ws.presence.join", []any{"x", map[string]any{"user_id": "a\nb"}}, "control"},
		{"solidb.ws.presence.join", []any{"x", map[string]any{"v": strings.Repeat("v", 5000)}}, "4096"},
	}
	for _, function := range []string{"channel.subscribe", "channel.unsubscribe", "channel.broadcast", "presence.join",
		"presence.leave", "presence.list"} {
		for _, channel := range []any{nil, 7, no, "", strings.Repeat("x", 256), "a\x00b", "\u0085"} {
			script = append(script, call{"solidb.ws." + function, []any{channel, map[string]any{}}, "channel"})
		}
	}
	for i, c := range s.both() {
		list := calls
		if i == 1 {
			list = append(list, script...)
		}
		for _, tt := range list {
			got := c.CallError(tt.function, tt.args...)
			if !strings.Contains(got, tt.says) ||
				!strings.Contains(got, tt.function[strings.LastIndexByte(tt.function, '.')+1:]) &&
					!strings.HasPrefix(tt.function, "json.") && !strings.HasPrefix(tt.function, "crypto.") {
				s.Errorf("%s%.80s raised %q, which does not name the function and %q", tt.function, nodetest.JSON(tt.args), got,
					tt.says)
			}
		}
		s.same("the connection goes on", c.Call1("crypto.base64_encode", ""), `""`)
	}
}

func (s *story) inHTTP() {
	ch := s.name("room")
	in := s.events(2)
	in.Act(fmt.Sprintf(`{"join":%q}`, ch))
	script := s.commander(1)
	script.Call("solidb.ws.channel.subscribe", ch)
	s.tracked(1, ch, "u")
	in.AwaitUsers(ch, "u")
	script.Next()
	id := s.id(in)
	for _, path := range []string{"/call", "/api/custom/test/call"} {
		call := func(function string, args ...any) string {
			s.Helper()
			body := nodetest.JSON(map[string]any{"call": function, "args": append([]any{}, args...)})
			status, answer := s.api("POST", 0, path, body, "Content-Type: application/json")
			if status != 200 {
				s.Fatalf("%s: %d %s", function, status, answer)
			}
			var r nodetest.Reply
			s.decode(answer, &r)
			if r.Error != "" || len(r.Results) != 1 {
				s.Fatalf("%s%v: %s", function, args, answer)
			}
			return nodetest.JSON(r.Results[0])
		}
		s.same("ws_send", call("ws_send", id, "from HTTP"), "true")
		in.Until("from HTTP")
		s.same("ws_broadcast_room", call("ws_broadcast_room", ch, "room"), "true")
		in.Until("room")
		if got := script.Next(); s.field(got, "event", "data") != `"room"` ||
			s.field(got, "event", "sender_id") != "nothing" {
			s.Errorf("a script got %s; sender_id is nil when sent by HTTP", got)
		}
		s.same("ws_presence_count", call("ws_presence_count", ch), "1")
		s.contains(call("ws_list_presence", ch), `"user_id":"u"`)
		s.contains(call("ws_get_presence", ch, "u"), `"user_id":"u"`)
		s.contains(call("ws_clients_in", ch), id)
		s.contains(call("ws_clients"), id)
		testkit.Within(s, "ws_count", nodetest.Timeout, func() bool {
			var n int
			s.decode(call("ws_count"), &n)
			return n >= 3
		})
		s.same("ws_broadcast", call("ws_broadcast", "all"), "true")
		in.Until("all")
		script.Expect("all")
		s.same("store", call("store.incr", s.name("n")), "1")
		s.same("ws_close", call("ws_close", noConnection, ""), "false")
		call("crypto.uuid")
	}
}
