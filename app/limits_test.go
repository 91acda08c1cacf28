package app

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"rollcall/luavm"
	"rollcall/testkit"
)

// SPEC 1.4: "passing one raises an error that names the line, closes that connection (1011) and touches nobody else".
func TestLimitsOfHandlers(t *testing.T) {
	quick, patient := luavm.Limits{Budget: 50 * time.Millisecond}, luavm.Limits{Budget: 10 * time.Second, Memory: 4 << 20}
	tests := []struct {
		name, body, reason string
		limits             luavm.Limits
	}{
		{"loop", `while true do end`, "budget", quick},
		{"loop in pcall", `while true do pcall(function() while true do end end) end`, "budget", quick},
		{"recursion", `local function f() return 1 + f() end return f()`, "depth", quick},
		{"doubling string", `local s = "x" while true do s = s .. s end`, "value", quick},
		{"string.rep", `return {send = string.rep("x", 1e9)}`, "value", quick},
		{"memory", `local t = {} for i = 1, 1e9 do t[i] = {} end`, "memory", patient},
		{"backtracking pattern", `return {send = string.find(string.rep("a", 60000), ".-.-.-b")}`, "budget", quick},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := startNode(t, handler(`if event.type == "message" and event.message ~= "ok" then
`+tt.body+`
end
if event.message == "ok" then return {send = "ok"} end`), nodeOptions{config: func(c *Config) { c.Limits = tt.limits }})
			bad, good := n.dial("/ws/x"), n.dial("/ws/x")
			bad.say("go")
			for range 3 {
				good.say("ok")
				good.expect("ok")
			}
			bad.expect("closed 1011 handler error")
			f := n.seen.all()
			if len(f) != 1 || string(f[0].Reason) != tt.reason || f[0].Line != 3 {
				t.Fatalf("failures %+v, want %s in line 3", f, tt.reason)
			}
			good.say("ok")
			good.expect("ok")
		})
	}
}

// SPEC 1.4: "a value-size limit"; SPEC 6: "Budget errors (time, stack, size) can't be caught by pcall". So it is for
// what the functions of the server and the actions encode, and for what comes from Redis.
func TestTooLongForTheServer(t *testing.T) {
	const big = `local big = {} for i = 1, 2000 do big[i] = string.rep("x", 1000) end
`
	t.Run("handler", func(t *testing.T) {
		for _, body := range []string{`return {send = big}`,
			`return {{send = "x"}, {broadcast_channel = {channel = "c", message = big}}}`,
			`return {track = {channel = "c", user_id = "u", big = big}}`} {
			n := startNode(t, handler(`if event.type == "message" then `+big+body+` end`))
			c := n.dial("/ws/x")
			c.say("go")
			c.expect("closed 1011 handler error")
			testkit.Eventually(t, "failure", func() bool { return len(n.seen.all()) == 1 })
			if f := n.seen.all()[0]; f.Reason != "value" || f.Line == 0 || f.File == "" {
				t.Errorf("%s: %+v", body, f)
			}
		}
	})
	for call, reason := range map[string]string{
		`solidb.ws.send, big`:                       "value",
		`solidb.ws.channel.broadcast, "c", big`:     "value",
		`solidb.ws.presence.join, "c", {big = big}`: "value",
		`ws_broadcast, big`:                         "value",
		`ws_broadcast_room, "c", big`:               "value",
		`ws_send, solidb.ws.id, big`:                "value",
		`store.set, "k", big`:                       "value",
		`store.hset, "k", "f", big`:                 "value",
		`store.hgetall, "texts"`:                    "memory",
		`store.hgetall, "tables"`:                   "memory",
	} {
		t.Run(call, func(t *testing.T) {
			n := startNode(t, scriptApp(big+`solidb.ws.send("ready")
solidb.ws.recv()
pcall(`+call+`)
solidb.ws.send("caught")`), nodeOptions{config: func(c *Config) { c.Limits = luavm.Limits{Budget: 20 * time.Second} }})
			c := n.lua("")
			c.expect("ready")
			if strings.HasPrefix(call, "store.hgetall") {
				for i := range 40 {
					f, long := fmt.Sprint("f", i), strings.Repeat("[],", 200_000)
					check(t, n.redis.Client().HSet(t.Context(), n.storeKey("texts"), f, `"`+long+`"`).Err())
					check(t, n.redis.Client().HSet(t.Context(), n.storeKey("tables"), f, `[`+long+`0]`).Err())
				}
			}
			c.say("go")
			c.expect("closed 1011 script error")
			testkit.Eventually(t, "failure", func() bool { return len(n.seen.all()) == 1 })
			if f := n.seen.all()[0]; string(f.Reason) != reason || f.Line != 4 {
				t.Errorf("%+v", f)
			}
		})
	}
}

// SPEC 1.4 for connection scripts.
func TestLimitsOfScripts(t *testing.T) {
	for name, code := range map[string]string{
		"budget": `while true do pcall(function() while true do end end) end`,
		"depth":  `local function f() return 1 + f() end f()`,
		"value":  `local s = "x" while true do s = s .. s end`,
	} {
		t.Run(name, func(t *testing.T) {
			n := startNode(t, withWatch(scriptApp(code)),
				nodeOptions{config: func(c *Config) { c.Limits = luavm.Limits{Budget: 50 * time.Millisecond} }})
			watch := n.watch("c")
			n.lua("").expect("closed 1011 script error")
			testkit.Eventually(t, "failure", func() bool { return len(n.seen.all()) == 1 })
			if f := n.seen.all()[0]; string(f.Reason) != name || f.Line != 1 {
				t.Fatalf("%+v", f)
			}
			check(t, n.hub.Broadcast(t.Context(), "c", hubText("alive"), ""))
			watch.expect("alive")
		})
	}
}

// TestScriptMemory: SPEC 3, `--script-memory`: "Lua of all connections of a node together (beyond: the largest is
// ended, 1011)". One that waits is ended, too, and one whose handlers keep much in globals.
func TestScriptMemory(t *testing.T) {
	files := scriptApp(`local keep = {}
solidb.ws.send("ready")
while true do
  local n = solidb.ws.recv()
  if n == nil then break end
  for i = 1, tonumber(n) do keep[i] = string.rep("x", 1000) .. i end
  solidb.ws.send("kept " .. n)
end`)
	files["config/routes.lua"] = `router_websocket("/ws/:room", "keep#keep")`
	files["handlers/keep.lua"] = `function keep(event)
if event.type == "message" then
  data = {}
  for i = 1, tonumber(event.message) do data[i] = string.rep("x", 1000) .. i end
  return {send = "kept " .. event.message}
end
end`
	ceiling := luavm.NewCeiling(9 << 20)
	n := startNode(t, files, nodeOptions{config: func(c *Config) { c.Memory = ceiling }})
	small, large, more := n.lua(""), n.lua(""), n.lua("")
	for _, c := range []*client{small, large, more} {
		c.expect("ready")
	}
	small.say("500")
	small.expect("kept 500")
	large.say("4000")
	large.expect("kept 4000")
	more.say("2000")
	more.expect("kept 2000")
	n.dial("/ws/x").say("2500") // it runs over here
	large.expect("closed 1011 script error")
	testkit.Eventually(t, "failure", func() bool { return len(n.seen.all()) == 1 })
	if f := n.seen.all()[0]; f.Reason != "memory" || !strings.Contains(f.Message, "together") {
		t.Errorf("%+v", f)
	}
	small.say("600")
	small.expect("kept 600")

	handler := n.dial("/ws/y") // some 2.8, 2.2 and 0.6 MB are taken
	handler.say("3000")
	handler.expect("kept 3000")
	small.say("2000")
	handler.expect("closed 1011 handler error")
	small.expect("kept 2000")
	testkit.Eventually(t, "second failure", func() bool { return len(n.seen.all()) == 2 })
	more.say("1")
	more.expect("kept 1")
}

// TestPanicInATurn: SPEC 1.4: an error "closes that connection (1011) and touches nobody else". A panic of ours is the
// same, and the worker in which it came is thrown away.
func TestPanicInATurn(t *testing.T) {
	files := handler(`if event.type == "message" then return {send = "ok"} end`)
	files["config/routes.lua"] += "\n" + `router_websocket("/bad", "chat#chat")`
	n := startNode(t, files)
	n.server.App().routes[1].index = 99
	good := n.dial("/ws/x")
	for i := range 4 {
		if i > 0 {
			n.dial("/bad").expect("closed 1011 handler error")
		}
		good.say("a")
		good.expect("ok")
	}
	for _, f := range n.seen.all() {
		if f.Reason != "panic" || !strings.Contains(f.Message, "internal error") {
			t.Errorf("%+v", f)
		}
	}
	if len(n.seen.all()) != 3 {
		t.Errorf("%d failures", len(n.seen.all()))
	}
}
