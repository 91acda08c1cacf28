package stories

import (
	"fmt"
	"net/url"
	"slices"

	"rollcall/testkit/nodetest"
)

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
