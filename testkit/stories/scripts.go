package stories

import (
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"rollcall/testkit"
	"rollcall/testkit/nodetest"
)

// scriptStories are the rows of SPEC 1.1's table of functions.
var scriptStories = []entry{
	{"send", "solidb.ws.send: sends a text frame; a table is JSON-encoded; raises once the connection is closed or the value can't be encoded", (*story).send},
	{"send_binary", "solidb.ws.send_binary: sends a binary frame", (*story).sendBinary},
	{"recv", "solidb.ws.recv: the next client message; waits without limit; channel and presence events stay queued",
		(*story).recv},
	{"recv-closed", "recv: string, or nil when closed; close: later recv gives nil", (*story).recvClosed},
	{"recv_any", "whichever comes first of a client message, a broadcast, a presence event", (*story).recvAny},
	{"recv_any-timeout", `nil, "timeout"; recv_any(0) polls; a binary client message comes as msg, "ws", "binary"`,
		(*story).recvAnyTimeout},
	{"recv_any-closed", `What was received before the close is delivered before nil, "closed"`, (*story).recvAnyClosed},
	{"close", "closes gracefully (1000 by default)", (*story).closeCodes},
	{"end", "It ends the connection when it returns", (*story).scriptEnds},
	{"id", "solidb.ws.id: this connection's id; a UUID string, unique in the cluster", (*story).scriptID},
	{"subscribe", "when it returns, every later broadcast reaches this connection; twice is once", (*story).subscribe},
	{"unsubscribe", "true also when not subscribed", (*story).unsubscribe},
	{"broadcast", "to every subscriber in the cluster, the sender included if subscribed; data is any JSON value",
		(*story).broadcast},
	{"list", "array of names in subscription order", (*story).channelList},
	{"presence-join", "adds this connection; does not subscribe. Joining again replaces user_info (an update, not a second join)", (*story).scriptJoin},
	{"presence-user", "The user is user_info.user_id, else user_info.id, else the connection itself (empty strings count as absent; numbers become strings)", (*story).scriptUser},
	{"presence-leave", "true also when not joined", (*story).scriptLeave},
	{"presence-list", "all connections in the cluster, oldest first; reads your own writes; encodes as [] when empty",
		(*story).scriptList},
	{"presence-events", "Presence events reach every connection that is subscribed or has joined, except the connection that caused them", (*story).scriptEvents},
	{"cleanup", "Everything is cleaned up when the connection closes", (*story).scriptCleanup},
	{"overflow", "a script that lets its event queue run over is closed (1013)", (*story).overflow},
	{"raise", "A script that raises: logged and counted with path, version and line; the client is closed with 1011",
		(*story).scriptRaises},
}

func (s *story) send() {
	c := s.run(1, `
		solidb.ws.send("text")
		solidb.ws.send({ a = { 1, 2 }, empty = json.array({}) })
		solidb.ws.send(12)
		solidb.ws.send(true)
		solidb.ws.send(tostring(pcall(solidb.ws.send, { f = print })))
		solidb.ws.send(tostring(pcall(solidb.ws.send, 0 / 0)))
		solidb.ws.send(select("#", solidb.ws.send("last")))
		solidb.ws.close()
		store.set("after close", { pcall(solidb.ws.send, "too late") })`)
	c.Expect("text")
	first := c.Next()
	s.same("a table", s.field(first, "a")+s.field(first, "empty"), "[1,2][]")
	c.Expect("12", "true", "false", "false", "last", "0", "closed 1000")
	other := s.commander(2)
	testkit.Within(s, "what send after close did", nodetest.Timeout, func() bool {
		return strings.Contains(other.Call1("store.get", "after close"), "the connection is closed")
	})
	other.Call("store.delete", "after close")
}

func (s *story) sendBinary() {
	c := s.run(0, `solidb.ws.send_binary("\0\1\255")`)
	c.Expect("binary \x00\x01\xff", "closed 1000")
}

func (s *story) recv() {
	ch := s.name("room")
	c := s.on(1, s.script(fmt.Sprintf(`
		solidb.ws.channel.subscribe(%q)
		solidb.ws.send("ready")
		solidb.ws.send("recv " .. solidb.ws.recv())
		local event, kind = solidb.ws.recv_any()
		solidb.ws.send(kind .. " " .. event.data)
		event, kind = solidb.ws.recv_any()
		solidb.ws.send(kind .. " " .. event.event_type .. " " .. event.user_id)`, ch)))
	c.Expect("ready")
	other := s.commander(2)
	other.Call("solidb.ws.channel.broadcast", ch, "first")
	other.Call("solidb.ws.presence.join", ch, map[string]any{"user_id": "u"})
	other.Call("solidb.ws.channel.subscribe", ch) // its topic has been passed by what came before
	c.Send("message")
	c.Expect("recv message", "channel first", "presence join u", "closed 1000")
}

func (s *story) recvClosed() {
	key := s.name("key")
	c := s.run(0, fmt.Sprintf(`
		local first = solidb.ws.recv()
		local second = solidb.ws.recv()
		store.set(%q, { first, tostring(second), select("#", solidb.ws.recv()) })`, key))
	c.Send("message")
	c.Leave(1000, "")
	s.stored(key, `["message","nil",1]`)
	c = s.run(2, fmt.Sprintf(`
		solidb.ws.close(4000, "enough")
		store.set(%q, tostring(solidb.ws.recv()))`, key))
	c.Expect("closed 4000 enough")
	s.stored(key, `"nil"`)
}

// stored waits until a key of store has this value, read on another node, and removes it.
func (s *story) stored(key, want string) {
	s.Helper()
	c := s.commander(1)
	got := ""
	defer func() {
		if s.Failed() {
			s.Logf("stored is %s", got)
		}
	}()
	testkit.Within(s, "stored "+want, nodetest.Timeout, func() bool {
		got = c.Call1("store.get", key)
		return got == want
	})
	c.Call("store.delete", key)
}

func (s *story) recvAny() {
	ch := s.name("room")
	c, other := s.commander(0), s.commander(2)
	c.Call("solidb.ws.channel.subscribe", ch)
	other.Call("solidb.ws.channel.broadcast", ch, map[string]any{"n": 1})
	got := c.Next()
	s.same("type", s.field(got, "type"), `"channel"`)
	s.same("channel", s.field(got, "event", "channel"), nodetest.JSON(ch))
	s.same("data", s.field(got, "event", "data"), `{"n":1}`)
	s.same("sender_id", s.field(got, "event", "sender_id"), nodetest.JSON(s.id(other)))
	s.aboutNow(got, "event", "timestamp")
	before := time.Now()
	other.Call("solidb.ws.presence.join", ch, map[string]any{"user_id": "u", "name": "U"})
	got = c.Next()
	s.same("type", s.field(got, "type"), `"presence"`)
	for name, want := range map[string]string{"event_type": `"join"`, "channel": nodetest.JSON(ch),
		"user_info":     `{"name":"U","user_id":"u"}`,
		"connection_id": nodetest.JSON(s.id(other)), "user_id": `"u"`} {
		s.same(name, s.field(got, "event", name), want)
	}
	s.aboutNow(got, "event", "timestamp")
	if waited := time.Since(before); waited > 2*time.Second {
		s.Errorf("a presence event took %v", waited)
	}
}

// aboutNow checks a time in ms.
func (s *story) aboutNow(text string, path ...string) {
	s.Helper()
	var ms float64
	s.decode(s.field(text, path...), &ms)
	if ago := time.Since(time.UnixMilli(int64(ms))); ago < -2*time.Second || ago > time.Minute {
		s.Errorf("the time %v is %v ago", ms, ago)
	}
}

func (s *story) recvAnyTimeout() {
	c := s.run(1, `
		local msg, why = solidb.ws.recv_any(0)
		solidb.ws.send(tostring(msg) .. " " .. why)
		solidb.ws.recv()
		msg, why = solidb.ws.recv_any(150)
		solidb.ws.send(tostring(msg) .. " " .. why)
		solidb.ws.send(json.encode({ solidb.ws.recv_any() }))
		local data, kind, binary = solidb.ws.recv_any(5000)
		solidb.ws.send(#data .. " " .. kind .. " " .. binary)`)
	c.Expect("nil timeout")
	began := time.Now()
	c.Send("wait")
	c.Expect("nil timeout")
	s.same("the timeout is in ms", time.Since(began) >= 150*time.Millisecond, true)
	c.Send("late")
	c.Expect(`["late","ws"]`)
	c.SendBinary("\x00\x01")
	c.Expect("2 ws binary", "closed 1000")
}

func (s *story) recvAnyClosed() {
	ch, key := s.name("room"), s.name("key")
	c := s.run(2, fmt.Sprintf(`
		solidb.ws.channel.subscribe(%q)
		solidb.ws.send("ready")
		while not store.get(%q) do end
		local got = {}
		repeat
			local msg, kind = solidb.ws.recv_any()
			got[#got + 1] = kind == "closed" and tostring(msg) .. " closed" or kind == "ws" and msg or msg.data
		until msg == nil
		store.set(%q, got)`, ch, key+" go", key))
	c.Expect("ready")
	other, fence := s.commander(0), s.commander(2)
	fence.Call("solidb.ws.channel.subscribe", ch)
	other.Call("solidb.ws.channel.broadcast", ch, "event")
	fence.Next() // on the same node: the script's event is in its queue
	c.Send("one", "two")
	c.Leave(1000, "")
	other.Call("store.set", key+" go", true)
	s.stored(key, `["event","one","two","nil closed"]`)
	other.Call("store.delete", key+" go")
}

func (s *story) closeCodes() {
	for call, want := range map[string]string{`close()`: "closed 1000", `close(4005)`: "closed 4005",
		`close(4005, "why")`: "closed 4005 why"} {
		c := s.run(1, "solidb.ws.send('first') solidb.ws."+call)
		c.Expect("first", want)
	}
}

func (s *story) scriptEnds() {
	s.run(2, `solidb.ws.send("bye")`).Expect("bye", "closed 1000")
}

func (s *story) scriptID() {
	seen := map[string]bool{}
	for node := range s.Addrs {
		id := s.id(s.commander(node))
		if _, err := uuid.Parse(id); err != nil || seen[id] {
			s.Errorf("id %q: %v, seen: %v", id, err, seen[id])
		}
		seen[id] = true
	}
}

func (s *story) subscribe() {
	ch := s.name("room")
	c := s.commander(0)
	s.same("subscribe", c.Call1("solidb.ws.channel.subscribe", ch), "true")
	s.same("subscribe again", c.Call1("solidb.ws.channel.subscribe", ch), "true")
	// "Every later broadcast": at once, from another node, also when this node has just subscribed for the first time.
	for i := range 20 {
		late, other := s.commander(i%3), s.commander((i+1)%3)
		each := fmt.Sprintf("%s %d", ch, i)
		late.Call("solidb.ws.channel.subscribe", each)
		other.Call("solidb.ws.channel.broadcast", each, i)
		s.same("data", s.field(late.Next(), "event", "data"), i)
		late.Drop()
		other.Drop()
	}
	other := s.commander(1)
	other.Call("solidb.ws.channel.broadcast", ch, "one")
	other.Call("solidb.ws.channel.broadcast", ch, "two")
	s.same("first", s.field(c.Next(), "event", "data"), `"one"`)
	s.same("second, not the first again", s.field(c.Next(), "event", "data"), `"two"`)
}

func (s *story) unsubscribe() {
	ch, fence := s.name("room"), s.name("fence")
	c, other := s.commander(0), s.commander(1)
	s.same("not subscribed", c.Call1("solidb.ws.channel.unsubscribe", ch), "true")
	c.Call("solidb.ws.channel.subscribe", ch)
	c.Call("solidb.ws.channel.subscribe", fence)
	s.same("subscribed", c.Call1("solidb.ws.channel.unsubscribe", ch), "true")
	other.Call("solidb.ws.channel.broadcast", ch, "unheard")
	other.Call("solidb.ws.channel.broadcast", fence, "heard")
	s.same("only the fence", s.field(c.Next(), "event", "data"), `"heard"`)
	s.same("list", c.Call1("solidb.ws.channel.list"), nodetest.JSON([]string{fence}))
}

func (s *story) broadcast() {
	ch := s.name("room")
	sender, near, far := s.commander(0), s.commander(0), s.commander(2)
	s.same("no subscribers", sender.Call1("solidb.ws.channel.broadcast", s.name("empty"), "x"), "true")
	near.Call("solidb.ws.channel.subscribe", ch)
	far.Call("solidb.ws.channel.subscribe", ch)
	values := []any{"text", `{"looks":"like JSON"}`, "", 12.5, true, false,
		map[string]any{"a": []any{1.0, nil, map[string]any{}}}, []any{}, []any{"x"}}
	for _, v := range values {
		s.same("broadcast", sender.Call1("solidb.ws.channel.broadcast", ch, v), "true")
	}
	for _, c := range []*nodetest.Client{near, far} {
		for _, v := range values {
			got := c.Next()
			s.same("data", s.field(got, "event", "data"), nodetest.JSON(v))
			s.same("sender", s.field(got, "event", "sender_id"), nodetest.JSON(s.id(sender)))
		}
	}
	if p := sender.Pending(); len(p) > 0 {
		s.Errorf("the sender is not subscribed, and got %q", p)
	}
	sender.Call("solidb.ws.channel.subscribe", ch)
	sender.Call("solidb.ws.channel.broadcast", ch, "mine too")
	s.same("the sender's own", s.field(sender.Next(), "event", "data"), `"mine too"`)
}

func (s *story) channelList() {
	c := s.commander(1)
	s.same("none", c.Call1("solidb.ws.channel.list"), "[]")
	names := []string{s.name("z"), s.name("a"), s.name("m")}
	for _, name := range names {
		c.Call("solidb.ws.channel.subscribe", name)
	}
	s.same("in the order of subscription", c.Call1("solidb.ws.channel.list"), nodetest.JSON(names))
}

func (s *story) overflow() {
	ch := s.name("room")
	deaf := s.run(0, fmt.Sprintf(`solidb.ws.channel.subscribe(%q) solidb.ws.send("ready") solidb.ws.recv()`, ch))
	deaf.Expect("ready")
	other := s.commander(0)
	flood := s.run(1, fmt.Sprintf(`for i = 1, 1100 do solidb.ws.channel.broadcast(%q, i) end`, ch))
	deaf.Expect("closed 1013…")
	flood.Expect("closed 1000")
	s.same("another connection goes on", other.Call1("solidb.ws.channel.list"), "[]")
}

func (s *story) scriptRaises() {
	path := s.script("\n\nlocal x = nil\nreturn x.field -- line 4")
	s.on(1, path).Expect("closed 1011…")
	route := "WS " + strings.TrimPrefix(path, "/api/custom/")
	line := s.Logs[1].Await(s, "of the script's failure",
		func(l nodetest.Line) bool { return l.Is("handler failed", "route", route) })
	s.same("line", line.Text("line"), "4")
	if v := line["version"]; v == nil {
		s.Errorf("the log line has no version: %v", line)
	}
	s.contains(line.Text("error"), "attempt to index")
}
