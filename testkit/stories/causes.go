package stories

import (
	"fmt"
	"time"

	"rollcall/testkit/nodetest"
	"rollcall/testkit/tokentest"
)

// causes lets users of both kinds leave in each way that a node sees, and asks a script on another node why they did.
// Nodes that drain or die are in integration_test.
func (s *story) causes() {
	ch := "room:" + s.name("1")
	watch := s.commander(1)
	watch.Call("solidb.ws.channel.subscribe", ch)
	want := map[string]string{}
	event := func(user, cause, path string, header ...string) *nodetest.Client {
		want[user] = cause
		c := s.on(0, path, header...)
		c.Act(fmt.Sprintf(`{"track":{"channel":%q,"user_id":%q}}`, ch, user))
		return c
	}
	path := s.script(fmt.Sprintf(`
local ch, ws = %q, solidb.ws
ws.presence.join(ch, { user_id = request.query.user })
ws.send("ready")
local how = ws.recv()
if how == "raise" then error("no") end
if how == "close" then ws.close(4001) end
if how == "leave" then ws.presence.leave(ch) end
if how == "deaf" then ws.channel.subscribe(ch) ws.send("deaf") end
if how ~= "end" then ws.recv() end`, ch))
	script := func(user, cause string, does ...string) *nodetest.Client {
		want[user] = cause
		c := s.on(2, path+queryOf([]string{"user", user}))
		c.Expect("ready")
		c.Send(does...)
		return c
	}
	topic := func(user, cause string) *nodetest.Client {
		want[user] = cause
		c := s.phoenix(2)
		s.joinTopic(c, "1", ch, `{}`)
		c.Send(`["1","2","` + ch + `","x",{"returns":{"reply":"ok","track":{"user_id":"` + user + `"}}}]`)
		c.Until(`["1","2","` + ch + `","phx_reply",{"status":"ok","response":"ok"}]`)
		return c
	}
	token, until := s.soon("expired", nil) // the others go meanwhile
	expired := event("expired", "expired", "/ws/do", tokentest.Bearer(token))

	event("client", "closed", "/ws/do").Leave(1000, "")
	event("reload", "closed", "/ws/do").Leave(1001, "")
	event("own code", "closed", "/ws/do").Leave(4007, "")
	event("handler", "closed", "/ws/do").Send(`{"actions":{"close":{"code":4000,"reason":"enough"}}}`)
	script("script", "closed", "end")
	script("script's close", "closed", "close")
	event("dropped", "lost", "/ws/do").Drop()
	script("script dropped", "lost").Drop()

	event("untracked", "untracked", "/ws/do").Act(fmt.Sprintf(`{"untrack":%q}`, ch))
	other := event("somebody", "untracked", "/ws/do")
	other.Act(fmt.Sprintf(`{"track":{"channel":%q,"user_id":"somebody else"}}`, ch))
	script("presence.leave", "untracked", "leave")

	topic("topic left", "untracked").Send(`["1","3","` + ch + `","phx_leave",{}]`)
	topic("topic removed", "untracked").Send(`["1","3","` + ch + `","x",{"returns":{"leave":true}}]`)
	topic("socket closed", "closed").Leave(1000, "")

	byAPI := event("by the API", "kicked", "/ws/do")
	if status, answer := s.api("DELETE", 2, "/_api/connections/"+s.id(byAPI)+"?reason=out", ""); status != 204 {
		s.Fatalf("DELETE: %d %s", status, answer)
	}
	s.same("ws_close", watch.Call1("ws_close", s.id(event("by another", "kicked", "/ws/do")), "out"), "true")

	script("raises", "error", "raise")
	topic("topic crashed", "error").Send(`["1","3","` + ch + `","x",{"raise":true}]`)
	topic("no frame of Phoenix", "error").Send("{}")
	event("not UTF-8", "error", "/ws/do").Send("\xff")
	big := event("too big", "error", "/ws/small")
	big.SendBinary(string(make([]byte, 2000)))
	script("deaf", "slow", "deaf").Expect("deaf")
	s.run(0, fmt.Sprintf(`for i = 1, 1100 do solidb.ws.channel.broadcast(%q, i) end`, ch)).Expect("closed 1000")
	s.expires(expired, until)

	watch.AwaitPresence(ch, fmt.Sprintf("%d leaves", len(want)), nodetest.Timeout,
		func(p nodetest.Presence) bool { return len(p.Causes) == len(want) })
	s.same("causes", watch.Presence(ch).Causes, want)
}

// ends closes connections of both kinds, and reads what the log says of them.
func (s *story) ends() {
	token := s.Issuer.Token("ann", time.Hour, nil)
	const script = "/api/custom/test/do"
	for path, route := range map[string]string{"/ws/do/room7/ann": "/ws/do/:room/:who", script: script} {
		c := s.on(0, path, tokentest.Bearer(token))
		id := s.id(c)
		c.Leave(4001, "bye")
		line := s.Logs[0].Await(s, "of the end",
			func(l nodetest.Line) bool { return l.Is("connection closed", "connection", id) })
		for field, want := range map[string]string{"level": "INFO", "user": "ann", "route": route, "address": "127.0.0.1",
			"code": "4001", "reason": "bye", "cause": "closed"} {
			s.same(field+" of "+route, line.Text(field), want)
		}
		if n, ok := line["seconds"].(float64); !ok || n < 0 || n > 60 {
			s.Errorf("seconds are %v", line["seconds"])
		}
	}
}
