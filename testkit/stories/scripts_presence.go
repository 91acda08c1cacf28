package stories

import (
	"fmt"
	"strings"
	"time"

	"rollcall/testkit"
	"rollcall/testkit/nodetest"
)

func (s *story) scriptJoin() {
	ch := s.name("room")
	c, watch := s.commander(0), s.commander(1)
	watch.Call("solidb.ws.channel.subscribe", ch)
	s.same("join", c.Call1("solidb.ws.presence.join", ch, map[string]any{"user_id": "u", "mood": "good"}), "true")
	s.same("does not subscribe", c.Call1("solidb.ws.channel.list"), "[]")
	s.same("event", s.field(watch.Next(), "event", "event_type"), `"join"`)
	first := c.Call1("solidb.ws.presence.list", ch)
	s.same("join again", c.Call1("solidb.ws.presence.join", ch, map[string]any{"user_id": "u", "mood": "better"}), "true")
	got := watch.Next()
	s.same("event", s.field(got, "event", "event_type"), `"update"`)
	s.same("user_info", s.field(got, "event", "user_info"), `{"mood":"better","user_id":"u"}`)
	second := c.Call1("solidb.ws.presence.list", ch)
	s.same("replaced, joined_at kept", strings.ReplaceAll(first, "good", "better"), second)
	s.same("a user_info that is no table raises",
		strings.Contains(c.CallError("solidb.ws.presence.join", ch, "u"), "user_info must be a table"), true)
}

func (s *story) scriptUser() {
	for _, tt := range []struct {
		info map[string]any
		want string
	}{
		{map[string]any{"user_id": "u", "id": "i"}, "u"},
		{map[string]any{"id": "i"}, "i"},
		{map[string]any{"user_id": "", "id": "i"}, "i"},
		{map[string]any{"user_id": 7}, "7"},
		{map[string]any{"id": 12345678901}, "12345678901"},
		{map[string]any{"user_id": "", "id": ""}, "the connection"},
		{map[string]any{"name": "n"}, "the connection"},
	} {
		ch := s.name("room")
		c, watch := s.commander(0), s.commander(1)
		watch.Call("solidb.ws.channel.subscribe", ch)
		c.Call("solidb.ws.presence.join", ch, tt.info)
		if tt.want == "the connection" {
			tt.want = s.id(c)
		}
		s.same("user of "+nodetest.JSON(tt.info), s.field(watch.Next(), "event", "user_id"), nodetest.JSON(tt.want))
		c.Drop()
		watch.Drop()
	}
}

func (s *story) scriptLeave() {
	ch := s.name("room")
	c, watch := s.commander(2), s.commander(1)
	watch.Call("solidb.ws.channel.subscribe", ch)
	s.same("not joined", c.Call1("solidb.ws.presence.leave", ch), "true")
	c.Call("solidb.ws.presence.join", ch, map[string]any{"user_id": "u"})
	s.same("joined", c.Call1("solidb.ws.presence.leave", ch), "true")
	s.same("list", c.Call1("solidb.ws.presence.list", ch), "[]")
	s.same("events", s.field(watch.Next(), "event", "event_type")+s.field(watch.Next(), "event", "event_type"),
		`"join""leave"`)
}

func (s *story) scriptList() {
	ch := s.name("room")
	var clients []*nodetest.Client
	s.same("empty", s.commander(0).Call1("solidb.ws.presence.list", ch), "[]")
	for i := range 6 {
		c := s.commander(i % 3)
		clients = append(clients, c)
		c.Call("solidb.ws.presence.join", ch, map[string]any{"user_id": fmt.Sprint("u", i%3), "n": i})
		s.contains(c.Call1("solidb.ws.presence.list", ch), fmt.Sprintf(`"n":%d`, i)) // its own write, at once
		time.Sleep(2 * time.Millisecond)                                             // joined_at differs
	}
	outside := s.commander(1) // neither joined nor subscribed
	for _, c := range append(clients, outside) {
		var list []struct {
			ConnectionID string `json:"connection_id"`
			UserInfo     struct{ N int }
			Info         struct{ N int } `json:"user_info"`
			JoinedAt     float64         `json:"joined_at"`
		}
		testkit.Within(s, "six connections", nodetest.Timeout, func() bool {
			list = nil
			s.decode(c.Call1("solidb.ws.presence.list", ch), &list)
			return len(list) == 6
		})
		for i, e := range list {
			if e.Info.N != i || e.ConnectionID != s.id(clients[i]) || i > 0 && e.JoinedAt < list[i-1].JoinedAt {
				s.Errorf("entry %d of the list is %+v", i, e)
			}
		}
	}
}

func (s *story) scriptEvents() {
	ch := s.name("room")
	joined, subscribed, neither, actor := s.commander(0), s.commander(1), s.commander(1), s.commander(2)
	joined.Call("solidb.ws.presence.join", ch, map[string]any{"user_id": "first"})
	subscribed.Call("solidb.ws.channel.subscribe", ch)
	actor.Call("solidb.ws.channel.subscribe", ch)
	actor.Call("solidb.ws.presence.join", ch, map[string]any{"user_id": "u", "v": 1})
	second := s.commander(0) // a second device of the same user: no event
	second.Call("solidb.ws.presence.join", ch, map[string]any{"user_id": "u"})
	actor.Call("solidb.ws.presence.join", ch, map[string]any{"user_id": "u", "v": 2})
	second.Call("solidb.ws.presence.leave", ch)
	actor.Call("solidb.ws.presence.leave", ch)
	want := []string{"join u", "update u", "leave u"}
	joined.AwaitPresence(ch, "events", nodetest.Timeout,
		func(p nodetest.Presence) bool { return len(p.Told) == len(want) })
	joined.Call("solidb.ws.presence.leave", ch)
	s.same("one that joined", joined.Presence(ch).Told, want)
	subscribed.AwaitPresence(ch, "events", nodetest.Timeout,
		func(p nodetest.Presence) bool { return len(p.Told) > len(want) })
	s.same("one that subscribed", subscribed.Presence(ch).Told, append(want, "leave first"))
	// The one who caused them hears of the others only; it has joined, so it hears its second device's leave not as a
	// leave.
	actor.AwaitPresence(ch, "the last leave", nodetest.Timeout,
		func(p nodetest.Presence) bool { return p.Count("leave first") == 1 })
	s.same("the one who caused them", actor.Presence(ch).Told, []string{"leave first"})
	s.same("neither", neither.Pending(), []string{})
}

func (s *story) scriptCleanup() {
	ch := s.name("room")
	watch := s.commander(1)
	watch.Call("solidb.ws.channel.subscribe", ch)
	for i, end := range []func(*nodetest.Client){
		func(c *nodetest.Client) { c.Leave(1000, "") },
		func(c *nodetest.Client) { c.Drop() },
		func(c *nodetest.Client) { c.Send(`{"call":"solidb.ws.close","args":[]}`) },
	} {
		c := s.commander(i)
		c.Call("solidb.ws.channel.subscribe", ch)
		c.Call("solidb.ws.presence.join", ch, map[string]any{"user_id": fmt.Sprint("u", i)})
		end(c)
		watch.AwaitPresence(ch, "the leave", nodetest.Timeout,
			func(p nodetest.Presence) bool { return p.Count(fmt.Sprint("leave u", i)) == 1 })
		testkit.Within(s, "no connection but the watcher's in the channel", nodetest.Timeout, func() bool {
			return watch.Call1("ws_clients_in", ch) == nodetest.JSON([]string{s.id(watch)})
		})
	}
	s.same("presence", watch.Call1("solidb.ws.presence.list", ch), "[]")
}
