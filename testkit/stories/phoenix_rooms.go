package stories

import (
	"fmt"
	"net/url"
	"slices"

	"rollcall/testkit/nodetest"
)

func (s *story) phoenixRooms() {
	room := "room:" + s.name("1")
	quoted := nodetest.JSON(room)
	c := s.phoenix(0)
	s.joinTopic(c, "1", room, `{"track":{"user_id":"ann"}}`)
	s.presenceOf(c, "1", room, "presence_state")
	plain, script := s.events(1), s.commander(2)
	plain.Act(fmt.Sprintf(`{"join":%q}`, room))
	script.Call("solidb.ws.channel.subscribe", room)
	c.Send(`["1","2",` + quoted + `,"x",{"returns":{"broadcast_room":{"payload":{"n":[]},"event":"said"}}}]`)
	c.Expect(`[null,null,` + quoted + `,"said",{"n":[]}]`)
	plain.Expect(`{"event":"said","payload":{"n":[]}}`)
	s.contains(script.Next(), `"data":{"event":"said","payload":{"n":[]}}`)

	say := func(message, want string) {
		s.Helper()
		plain.Send(`{"raw":{"broadcast_room":` + message + `}}`)
		c.Expect(`[null,null,` + quoted + `,` + want + `]`)
		plain.Next()
		script.Next()
	}
	say(`{"event":"note","payload":{"x":1}}`, `"note",{"x":1}`)
	say(`{"event":"note","payload":{"x":1},"more":1}`, `"message",{"event":"note","payload":{"x":1},"more":1}`)
	say(`{"event":"note","payload":[1]}`, `"message",{"event":"note","payload":[1]}`)
	say(`[1,{"a":null}]`, `"message",{"data":[1,{"a":null}]}`)
	say(`"just \"text\""`, `"message",{"data":"just \"text\""}`)
	say(`"{ \"event\": \"note\",\n \"payload\" : { \"x\": [ 1 ] } }"`, `"note",{"x":[1]}`)
	for _, event := range []string{"phx_close", "phx_reply", "phx_anything", "presence_state", "presence_diff"} {
		say(`{"event":"`+event+`","payload":{"x":1}}`, `"message",{"event":"`+event+`","payload":{"x":1}}`)
	}
	for message, want := range map[string]string{`{"event":"news","payload":{}}`: `"news",{}`,
		`5`: `"message",{"data":5}`} {
		status, answer := s.api("POST", 1, "/_api/channels/"+url.PathEscape(room)+"/broadcast", `{"message":`+message+`}`)
		if status/100 != 2 {
			s.Fatal(status, answer)
		}
		c.Expect(`[null,null,` + quoted + `,` + want + `]`)
	}
	c.Send(`["1","3",` + quoted + `,"tell",{}]`)
	c.Next()
	_, list := s.api("GET", 1, "/_api/channels/"+url.PathEscape(room)+"/connections", "")
	s.contains(list, `"route":"/phx"`)
	var found struct {
		Connections []struct{ ID, Route string }
	}
	s.decode(list, &found)
	for _, conn := range found.Connections {
		if conn.Route != "/phx" {
			continue
		}
		s.api("POST", 2, "/_api/connections/"+conn.ID+"/send", `{"message":{"event":"to you","payload":{}}}`)
		c.Expect(`[null,null,"rollcall","to you",{}]`)
		s.api("DELETE", 2, "/_api/connections/"+conn.ID+"?reason=bye", "")
	}
	c.ExpectClosed(1000, "bye")
}

// phoenixTogether lets a plain client, a script and a client of Phoenix, each on a node of its own, meet in one room.
func (s *story) phoenixTogether() {
	room := "room:" + s.name("1")
	quoted := nodetest.JSON(room)
	plain, script, phx := s.events(0), s.commander(1), s.phoenix(2)
	all := []*nodetest.Client{plain, script, phx}
	script.Call("solidb.ws.channel.subscribe", room)
	plain.Act(fmt.Sprintf(`{"join":%[1]s,"track":{"channel":%[1]s,"user_id":"plain"}}`, quoted))
	s.joinTopic(phx, "1", room, `{"track":{"user_id":"phoenix"}}`)
	script.Call("solidb.ws.presence.join", room, map[string]any{"user_id": "script"})
	plain.AwaitUsers(room, "plain", "script", "phoenix")
	phx.AwaitUsers(room, "plain", "script", "phoenix")
	s.toldJust(script, room, "join plain", "join phoenix")
	for node := range s.Addrs {
		_, list := s.api("GET", node, "/_api/channels/"+url.PathEscape(room)+"/presence", "")
		s.contains(list, `"user_id":"plain"`, `"user_id":"script"`, `"user_id":"phoenix"`)
	}

	say := map[string]func(text string){
		"plain": func(text string) { plain.Act(`{"broadcast_room":` + text + `}`) },
		"script": func(text string) {
			var value any
			s.decode(text, &value)
			script.Call("solidb.ws.channel.broadcast", room, value)
		},
		"phoenix": func(text string) {
			phx.Send(`["1","2",` + quoted + `,"x",{"returns":{"broadcast_room":` + text + `}}]`)
		},
	}
	for from, say := range say {
		payload := fmt.Sprintf(`{"from":%q}`, from)
		text := `{"event":"said","payload":` + payload + `}`
		say(text)
		plain.Until(text)
		phx.Until(`[null,null,` + quoted + `,"said",` + payload + `]`)
		for s.field(script.Next(), "event", "data") != text {
		}
	}

	// They go, one after another.
	for _, c := range all {
		c.Forget()
	}
	phx.Send(`["1","3",` + quoted + `,"phx_leave",{}]`)
	phx.Expect(`["1","3",`+quoted+`,"phx_reply",{"status":"ok","response":{}}]`, `["1","1",`+quoted+`,"phx_close",{}]`)
	s.toldJust(plain, room, "leave phoenix")
	s.toldJust(script, room, "leave phoenix")
	s.joinTopic(phx, "4", room, `{"send_presence":true}`)
	phx.AwaitUsers(room, "plain", "script")
	phx.Forget()
	script.Call("solidb.ws.presence.leave", room)
	s.toldJust(plain, room, "leave phoenix", "leave script")
	s.toldJust(phx, room, "leave script")
	plain.Leave(1000, "")
	s.toldJust(phx, room, "leave script", "leave plain")
	s.toldJust(script, room, "leave phoenix", "leave plain")
	for _, c := range all {
		c.CheckPresence()
	}
}

// toldJust waits until a client has been told of so many changes of users, which must be these.
func (s *story) toldJust(c *nodetest.Client, room string, want ...string) {
	s.Helper()
	p := c.AwaitPresence(room, fmt.Sprint(want), nodetest.Timeout,
		func(p nodetest.Presence) bool { return len(p.Told) >= len(want) })
	if !slices.Equal(p.Told, want) {
		s.Fatalf("told %q, want %q", p.Told, want)
	}
}

func (s *story) broadcastFrom() {
	room := "room:" + s.name("1")
	quoted := nodetest.JSON(room)
	a, b, resuming := s.events(0), s.events(1), s.on(0, "/ws/resume")
	p, q := s.phoenix(0), s.phoenix(2)
	for _, c := range []*nodetest.Client{a, b, resuming} {
		c.Act(`{"join":` + quoted + `}`)
	}
	s.joinTopic(p, "1", room, `{}`)
	s.joinTopic(q, "1", room, `{}`)
	a.Act(`{"broadcast_from":{"event":"said","payload":{}}}`)
	a.Act(`{"broadcast_from":{"channel":` + quoted + `,"message":"again"}}`)
	p.Expect(`[null,null,`+quoted+`,"said",{}]`, `[null,null,`+quoted+`,"message",{"data":"again"}]`)
	p.Send(`["1","2",` + quoted + `,"x",{"returns":{"broadcast_from":{"event":"last","payload":{}},"reply":{}}}]`)
	said, again, last := `{"event":"said","payload":{}}`, "again", `{"event":"last","payload":{}}`
	b.Expect(said, again, last)
	resuming.Expect(said, again, last)
	a.Expect(last)
	q.Expect(`[null,null,`+quoted+`,"said",{}]`, `[null,null,`+quoted+`,"message",{"data":"again"}]`,
		`[null,null,`+quoted+`,"last",{}]`)
	p.Expect(`["1","2",` + quoted + `,"phx_reply",{"status":"ok","response":{}}]`)

	kept := "kept:" + s.name("1")
	for _, c := range []*nodetest.Client{a, resuming} {
		c.Act(`{"join":` + nodetest.JSON(kept) + `}`)
	}
	s.contains(resuming.Next(), `"event":"joined"`)
	resuming.Act(`{"broadcast_from":"not mine"}`)
	resuming.Act(`{"broadcast_room":"mine"}`)
	a.Expect("not mine", "mine")
	s.contains(resuming.Next(), `"data":"mine"`)
}
