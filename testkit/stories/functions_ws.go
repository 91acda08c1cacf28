package stories

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"rollcall/testkit"
	"rollcall/testkit/nodetest"
	"rollcall/testkit/roster"
)

// both are a connection of each kind, on nodes 0 and 1.
func (s *story) both() []*nodetest.Client {
	s.Helper()
	return []*nodetest.Client{s.events(0), s.commander(1)}
}

// noConnection is a well-formed id that no node can have made.
const noConnection = "00000000-0000-8000-8000-000000000000"

func (s *story) wsSend() {
	event, script := s.events(2), s.run(2, `solidb.ws.send(solidb.ws.id) solidb.ws.recv()`)
	ids := []string{s.id(event), script.Next()}
	for _, c := range s.both() {
		for i, to := range []*nodetest.Client{event, script} {
			s.same("ws_send", c.Call1("ws_send", ids[i], "text"), "true")
			s.same("ws_send", c.Call1("ws_send", strings.ToUpper(ids[i]), map[string]any{"a": []any{}}), "true")
			to.Expect("text", `{"a":[]}`)
		}
		s.same("to itself", c.Call1("ws_send", s.id(c), "me"), "true")
		c.Expect("me")
		s.same("to nobody", c.Call1("ws_send", noConnection, "x"), "false")
		s.contains(c.CallError("ws_send", "no uuid", "x"), "ws_send", "UUID")
	}
	gone := s.events(0)
	id := s.id(gone)
	gone.Leave(1000, "")
	testkit.Within(s, "false for a connection of the own node that has gone", nodetest.Timeout, func() bool {
		return s.events(0).Call1("ws_send", id, "x") == "false"
	})
}

func (s *story) wsClose() {
	for _, c := range s.both() {
		for _, to := range []*nodetest.Client{s.events(2), s.commander(2)} {
			s.same("ws_close", c.Call1("ws_close", s.id(to), "go away"), "true")
			to.Expect("closed 1000 go away")
		}
		s.same("to nobody", c.Call1("ws_close", noConnection, "x"), "false")
		s.contains(c.CallError("ws_close", "", "x"), "ws_close", "UUID")
	}
}

func (s *story) wsBroadcast() {
	ch := s.name("room")
	for _, c := range s.both() {
		event, script, out := s.events(2), s.commander(0), s.events(0)
		out.Act(`{}`)
		event.Act(fmt.Sprintf(`{"join":%q}`, ch))
		script.Call("solidb.ws.channel.subscribe", ch)
		s.same("ws_broadcast_room", c.Call1("ws_broadcast_room", ch, "room"), "true")
		event.Expect("room")
		s.same("data", s.field(script.Next(), "event", "data"), `"room"`)
		s.same("ws_broadcast", c.Call1("ws_broadcast", map[string]any{"all": true}), "true")
		for _, o := range []*nodetest.Client{event, script, out, c} {
			o.Expect(`{"all":true}`)
			o.Drop()
		}
	}
}

func (s *story) wsCount() {
	c := s.events(0)
	var before int
	settled := func() bool { // those of earlier stories have gone
		n := before
		s.decode(c.Call1("ws_count"), &before)
		var ids []string
		s.decode(c.Call1("ws_clients"), &ids)
		return n == before && n == len(ids)
	}
	testkit.Within(s, "a count that stands", nodetest.Timeout, settled)
	for i := range 6 {
		s.events(i % 3)
	}
	for node := range s.Addrs {
		o := s.events(node)
		before++
		testkit.Within(s, "six more connections", 2*time.Second, func() bool { // "as of each node's last heartbeat"
			return o.Call1("ws_count") == fmt.Sprint(before+6)
		})
	}
}

func (s *story) wsJoin() {
	for _, c := range s.both() {
		ch := s.name("room")
		s.same("ws_join", c.Call1("ws_join", ch), "true")
		s.events(2).Call("ws_broadcast_room", ch, "x")
		s.contains(c.Next(), "x")
		s.same("ws_leave", c.Call1("ws_leave", ch), "true")
		s.same("ws_leave again", c.Call1("ws_leave", ch), "true")
		s.same("ws_clients_in", c.Call1("ws_clients_in", ch), "[]")
	}
	for _, function := range []string{"ws_join", "ws_leave"} {
		for _, path := range []string{"/call", "/api/custom/test/call"} {
			_, body := s.api("POST", 0, path, fmt.Sprintf(`{"call":%q,"args":["x"]}`, function),
				"Content-Type: application/json")
			s.contains(body, "no current connection")
		}
	}
}

func (s *story) wsClients() {
	ch := s.name("room")
	var in []string
	for node := range s.Addrs {
		c, script := s.events(node), s.commander(node)
		c.Call("ws_join", ch)
		script.Call("solidb.ws.channel.subscribe", ch)
		in = append(in, s.id(c), s.id(script))
	}
	out := s.events(1)
	outID := s.id(out) // its node has answered: it is in the lists
	for _, c := range append(s.both(), out) {
		var got []string
		s.decode(c.Call1("ws_clients_in", ch), &got)
		slices.Sort(got)
		slices.Sort(in)
		s.same("ws_clients_in", got, in)
		got = nil
		s.decode(c.Call1("ws_clients"), &got)
		for _, id := range append(in, outID) {
			if !slices.Contains(got, id) {
				s.Errorf("ws_clients lacks %s", id)
			}
		}
		s.same("an empty channel", c.Call1("ws_clients_in", s.name("empty")), "[]")
	}
}

func (s *story) wsPresence() {
	ch := s.name("room")
	for i, user := range []string{"z", "a", "m", "a"} {
		s.tracked(i%3, ch, user)
		time.Sleep(2 * time.Millisecond) // the order is that of the times
	}
	for _, c := range s.both() {
		var list []struct {
			UserID string `json:"user_id"`
			Metas  []roster.Meta
		}
		s.decode(c.Call1("ws_list_presence", ch), &list)
		var got []string
		for _, u := range list {
			got = append(got, fmt.Sprint(u.UserID, len(u.Metas)))
		}
		s.same("oldest user first", got, []string{"z1", "a2", "m1"})
		s.same("unique users", c.Call1("ws_presence_count", ch), "3")
		one := c.Call1("ws_get_presence", ch, "a")
		s.same("user_id", s.field(one, "user_id"), `"a"`)
		s.contains(one, `"phx_ref"`, `"online_at"`, `"state":"online"`)
		s.same("nobody", c.Call1("ws_get_presence", ch, "nobody"), "null")
		s.same("an empty list", c.Call1("ws_list_presence", s.name("empty")), "[]")
		s.same("none", c.Call1("ws_presence_count", s.name("empty")), "0")
	}
}
