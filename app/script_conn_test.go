package app

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"rollcall/luavm"
	"rollcall/testkit"
)

func TestScriptEndClosesWith1000(t *testing.T) {
	n := startNode(t, scriptApp(`solidb.ws.send("bye")`))
	n.lua("").expect("bye", "closed 1000")
}

// SPEC 1.1: "What was received before the close is delivered before nil, closed"; "a send after the client has gone
// ends the script without being counted as an error" (SPEC 6).
func TestScriptAfterTheClientHasGone(t *testing.T) {
	n := startNode(t, withWatch(scriptApp(`
local ws = solidb.ws
ws.send("ready")
store.set("wait", 1)
while store.get("wait") do end
local got = {}
while true do
  local msg, why = ws.recv_any()
  if msg == nil then got[#got + 1] = why break end
  got[#got + 1] = msg
end
got[#got + 1] = tostring(ws.recv())
got[#got + 1] = tostring(pcall(ws.send, "x"))
got[#got + 1] = tostring(pcall(ws.channel.subscribe, "c"))
got[#got + 1] = tostring(pcall(ws_join, "c"))
got[#got + 1] = tostring(pcall(ws.channel.unsubscribe, "c"))
got[#got + 1] = tostring(pcall(ws.presence.leave, "c"))
ws.channel.broadcast("end", table.concat(got, ","))
ws.send("nobody")
ws.channel.broadcast("end", "not reached")`)), nodeOptions{config: func(c *Config) { c.Limits = luavm.Limits{Budget: 2 * time.Second} }})
	watch := n.watch("end")
	c := n.lua("")
	c.expect("ready")
	c.say("1", "2", "3")
	check(t, c.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(1000, ""), time.Now().Add(time.Second)))
	testkit.Eventually(t, "end of the connection", func() bool { return n.sockets.Len() == 1 })
	check(t, n.redis.Client().Del(t.Context(), n.storeKey("wait")).Err())
	watch.expect("1,2,3,closed,nil,false,false,false,true,true")
	n.server.running.Wait()
	if f := n.seen.all(); len(f) != 0 {
		t.Fatalf("counted as an error: %v", f)
	}
}

// A script that goes on asking for messages after the close is ended by its time budget.
func TestScriptThatNeverEnds(t *testing.T) {
	n := startNode(t, scriptApp(`while true do solidb.ws.recv() end`),
		nodeOptions{config: func(c *Config) { c.Limits = luavm.Limits{Budget: 30 * time.Millisecond} }})
	n.lua("").leave(1000)
	testkit.Eventually(t, "failure", func() bool { return len(n.seen.all()) == 1 })
	if f := n.seen.all()[0]; f.Reason != "budget" || f.Line != 1 {
		t.Fatalf("%+v", f)
	}
}

// Server.Close ends scripts whose connection is closed and that only wait for Redis again and again.
func TestServerCloseEndsScripts(t *testing.T) {
	n := startNode(t, scriptApp(`solidb.ws.send("ready") while true do store.get("x") end`))
	n.lua("").expect("ready")
	n.sockets.Close()
	n.server.Close() // hangs if the script does not end
}

// SPEC 1.1: close([code [, reason]]): "closes gracefully (1000 by default); later recv gives nil".
func TestScriptClose(t *testing.T) {
	for _, tt := range []struct{ args, want string }{
		{``, "closed 1000"}, {`4000`, "closed 4000"}, {`4001, "why"`, "closed 4001 why"}, {`nil, "why"`, "closed 1000 why"},
	} {
		t.Run(tt.args, func(t *testing.T) {
			n := startNode(t, withWatch(scriptApp(`
local ws = solidb.ws
ws.recv()
ws.send("last")
ws.close(`+tt.args+`)
ws.channel.broadcast("end", tostring(ws.recv()) .. " " .. tostring(select(2, ws.recv_any())) .. " " .. tostring(pcall(ws.send, "x")))`)))
			watch := n.watch("end")
			c := n.lua("")
			c.say("1", "2", "3")
			c.expect("last", tt.want)
			watch.expect("nil closed false")
		})
	}
}

// SPEC 1.1: "Everything is cleaned up when the connection closes."
func TestScriptCleansUp(t *testing.T) {
	n := startNode(t, scriptApp(`
solidb.ws.channel.subscribe("c")
solidb.ws.presence.join("c", {user_id = "ann"})
solidb.ws.send("ready")
solidb.ws.recv()`))
	c := n.lua("")
	c.expect("ready")
	if users, err := n.hub.Presence(t.Context(), "c", ""); err != nil || len(users) != 1 {
		t.Fatal(users, err)
	}
	c.leave(1000)
	n.awaitEmpty("c")
}

// "… when the connection closes": not when the script, which may go on for some seconds, ends.
func TestScriptCleansUpBeforeItEnds(t *testing.T) {
	n := startNode(t, scriptApp(`
solidb.ws.channel.subscribe("c")
solidb.ws.presence.join("c", {user_id = "ann"})
store.set("wait", 1)
solidb.ws.send("ready")
while store.get("wait") do end
store.set("over", 1)`), nodeOptions{config: func(c *Config) { c.Limits = luavm.Limits{Budget: 2 * time.Second} }})
	c := n.lua("")
	c.expect("ready")
	c.leave(1000)
	n.awaitEmpty("c")
	over := func() bool { return n.redis.Client().Exists(t.Context(), n.storeKey("over")).Val() == 1 }
	if over() {
		t.Fatal("the script has ended")
	}
	check(t, n.redis.Client().Del(t.Context(), n.storeKey("wait")).Err())
	testkit.Eventually(t, "the script ends", over)
}

// SPEC 1.1: "A script that raises: logged and counted with path, version and line; the client is closed with 1011 (with
// --dev it first gets the text Lua Error: ...)."
func TestScriptRaises(t *testing.T) {
	for _, mode := range []string{"dev", "production"} {
		t.Run(mode, func(t *testing.T) {
			n := startNode(t, scriptApp("\nerror('oh')"), nodeOptions{config: func(c *Config) { c.Dev = mode == "dev" }})
			c := n.lua("")
			if mode == "dev" {
				c.expect("Lua Error: scripts/db/x.ws.lua:2: oh")
			}
			c.expect("closed 1011 script error")
			testkit.Eventually(t, "failure", func() bool { return len(n.seen.all()) == 1 })
			f := n.seen.all()[0]
			if f.Route != "WS db/x" || f.Line != 2 || f.File != "scripts/db/x.ws.lua" || f.Reason != "raised" ||
				f.Kind != RunScript {
				t.Fatalf("%+v", f)
			}
			n.logged(`route="WS db/x" reason=raised file=scripts/db/x.ws.lua line=2`)
		})
	}
}

// SPEC 1.1: "A script's event queue is bounded …; a script that lets it run over is closed (1013). Client messages
// beyond it wait in the socket."
func TestScriptOverflow(t *testing.T) {
	n := startNode(t, scriptApp(`
solidb.ws.channel.subscribe("c")
solidb.ws.send("ready")
solidb.ws.recv()`), nodeOptions{config: func(c *Config) { c.Events = 10 }})
	c := n.lua("")
	c.expect("ready")
	for i := range 11 {
		check(t, n.hub.Broadcast(t.Context(), "c", hubText(fmt.Sprint(i)), ""))
	}
	c.expect("closed 1013 event queue full")
	testkit.Eventually(t, "failure", func() bool { return len(n.seen.all()) == 1 })
	if f := n.seen.all()[0]; f.Reason != ReasonOverflow || f.Kind != RunScript {
		t.Fatalf("%+v", f)
	}
}

// SPEC 1.1: "A script's event queue is bounded (1,024 by default)".
func TestScriptOverflowByDefault(t *testing.T) {
	n := startNode(t, withWatch(scriptApp(`
solidb.ws.channel.subscribe("c")
solidb.ws.send("ready")
solidb.ws.recv()
local n = 0
while solidb.ws.recv_any(0) do n = n + 1 end
solidb.ws.send("had " .. n)
solidb.ws.recv()`)))
	c := n.lua("")
	c.expect("ready")
	watch := n.watch("c")
	send := func(times int) {
		for i := range times {
			check(t, n.hub.Broadcast(t.Context(), "c", hubText(fmt.Sprint(i)), ""))
			watch.expect(fmt.Sprint(i)) // which has come later than the script and hears after it
		}
	}
	send(1024)
	c.say("go")
	c.expect("had 1024")
	send(1025)
	c.expect("closed 1013 event queue full")
}

func TestScriptClientMessagesWaitInTheSocket(t *testing.T) {
	n := startNode(t, scriptApp(`
local ws = solidb.ws
ws.send("ready")
while not store.get("go") do end
local n = 0
while true do
  local msg = ws.recv()
  n = n + 1
  if msg == "end" then break end
end
ws.send("received " .. n)`), nodeOptions{config: func(c *Config) { c.Limits = luavm.Limits{Budget: 5 * time.Second} }})
	c := n.lua("")
	c.expect("ready")
	big := strings.Repeat("x", 60<<10)
	sent := make(chan error, 1)
	go func() {
		for range 200 { // 12 MB: far more than is kept for a script
			if err := c.WriteMessage(websocket.TextMessage, []byte(big)); err != nil {
				sent <- err
				return
			}
		}
		sent <- c.WriteMessage(websocket.TextMessage, []byte("end"))
	}()
	select {
	case err := <-sent:
		t.Fatalf("all was taken before the script received anything (%v)", err)
	case <-time.After(300 * time.Millisecond):
	}
	check(t, n.redis.Client().Set(t.Context(), n.storeKey("go"), "true", 0).Err())
	check(t, <-sent)
	c.expect("received 201", "closed 1000")
}
