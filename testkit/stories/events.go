package stories

import (
	"fmt"
	"net/http"
	"strings"

	"rollcall/testkit"
	"rollcall/testkit/nodetest"
)

// eventStories are the rows of SPEC 1.2 but for presence.
var eventStories = []entry{
	{"event", "The handler gets an event: the table of event fields", (*story).eventFields},
	{"state", "state: a table of the handler's own, kept for the connection's life", (*story).eventState},
	{"routes", "Static segments win over dynamic ones; path segments are percent-decoded; a trailing slash is another path", (*story).routes},
	{"join-leave", "leave, join: channel or array", (*story).joinLeave},
	{"order-in-a-table", "Actions of one return run one after another in the order of this table", (*story).orderInTable},
	{"order-of-an-array", "an array of action tables runs in the array's order", (*story).orderOfArray},
	{"send", "send: to this client only", (*story).sendAction},
	{"broadcast_room", "to all in the channel joined in this same return, else in the most recently joined one, sender included", (*story).broadcastRoom},
	{"broadcast_room-nowhere", "in no room: no effect, logged", (*story).broadcastNowhere},
	{"broadcast_channel", "to all in that channel", (*story).broadcastChannel},
	{"broadcast", "to every connection of the cluster", (*story).broadcastAll},
	{"broadcast-order", "Broadcasts are in the same order for all subscribers of a channel from one sender",
		(*story).broadcastOrder},
	{"values", "a string leaves as it is and anything else JSON-encoded; connection scripts get the value itself",
		(*story).values},
	{"close", "closes after the other actions; without a code: 1000", (*story).closeAction},
	{"refuse", "A connect handler that raises, or returns close, refuses the connection (close 1011, or the given code)",
		(*story).refuse},
	{"disconnect", "disconnect actions still go out, and rooms and presence are released after them", (*story).disconnect},
	{"nothing", "{} or nil: no action", (*story).noAction},
	{"invalid", "An unknown key or a wrong type: the connection stays, the error is logged with route, line and event",
		(*story).invalid},
	{"max_message", "{ max_message = 4096 }", (*story).maxMessage},
	{"origins", `{ origins = {"https://example.com"} }; Route origins replace the global list; same host is always allowed; null: 403`, (*story).origins},
	{"upgrade", "Unknown path: 404; a plain GET on a WebSocket route: 426", (*story).upgrade},
	{"binary", "binary = true beside it for a binary frame", (*story).binary},
}

func (s *story) eventFields() {
	c := s.on(1, "/ws/do/a%2Fb/%C3%A9?x=1&x=2&first="+strings.ReplaceAll(`{"send":"$type_$connection_id"}`, `"`, "%22"),
		"X-Two: a", "X-Two: b")
	c.Next()
	text := nodetest.JSON(c.Ask(map[string]any{"event": true}).Results[0])
	for want, got := range map[string]string{
		`"message"`:                             s.field(text, "type"),
		`{"room":"a/b","who":"é"}`:              s.field(text, "params"),
		`"2"`:                                   s.field(text, "query", "x"),
		`"a, b"`:                                s.field(text, "headers", "x-two"),
		nodetest.JSON(s.Addrs[1]):               s.field(text, "headers", "host"),
		`{"authenticated":false,"username":""}`: s.field(text, "user"),
		`"/ws/do/a/b/é"`:                        s.field(text, "path"),
		`"127.0.0.1"`:                           s.field(text, "remote_addr"),
		`{"events":1}`:                          s.field(text, "state"),
	} {
		s.same("field", got, want)
	}
	s.contains(s.field(text, "message"), `\"event\":true`)
}

func (s *story) eventState() {
	c, other := s.events(0), s.events(0)
	for i := range 5 {
		text := nodetest.JSON(c.Ask(map[string]any{"event": true}).Results[0])
		s.same("events", s.field(text, "state", "events"), i+1)
	}
	text := nodetest.JSON(other.Ask(map[string]any{"event": true}).Results[0])
	s.same("another connection's", s.field(text, "state", "events"), 1)
}

func (s *story) routes() {
	c := s.on(2, "/ws/do/static/me")
	c.Send("x")
	c.Expect("static me", "static me")
	for _, path := range []string{"/ws/do/", "/ws/do/one", "/ws/nothing"} {
		_, resp, err := nodetest.TryDial(s, s.Addrs[0], path)
		if err == nil || resp == nil || resp.StatusCode != http.StatusNotFound {
			s.Errorf("%s: %v, want 404", path, err)
		}
	}
}

func (s *story) joinLeave() {
	a, b, other := s.name("a"), s.name("b"), s.events(2)
	c := s.events(0)
	say := func(channel string) {
		other.Act(fmt.Sprintf(`{"broadcast_channel":{"channel":%q,"message":%q}}`, channel, "to "+channel))
	}
	all := func() {
		say(a)
		say(b)
		c.Act(`{}`)
	}
	fence := func(want ...string) {
		s.Helper()
		// Broadcasts of one channel are in order, those of two need not be: each is waited for.
		for _, w := range want {
			testkit.Within(s, w, nodetest.Timeout,
				func() bool { return strings.Contains(strings.Join(c.Pending(), "|"), w) })
		}
		got := map[string]bool{}
		for range c.Pending() {
			got[c.Next()] = true
		}
		if len(got) != len(want) {
			s.Fatalf("got %v, want %q", got, want)
		}
	}
	c.Act(fmt.Sprintf(`{"join":%q}`, a))
	all()
	fence("to " + a)
	c.Act(fmt.Sprintf(`{"join":[%q,%q]}`, a, b))
	all()
	fence("to "+a, "to "+b)
	c.Act(fmt.Sprintf(`{"leave":%q}`, a))
	all()
	fence("to " + b)
	c.Act(fmt.Sprintf(`{"leave":[%q,%q]}`, a, b))
	c.Act(fmt.Sprintf(`{"join":%q}`, b))
	all()
	fence("to " + b)
}

// frames sums up what a client got: presence frames by event, others as they are.
func frames(all []string) string {
	for i, text := range all {
		for _, event := range []string{"presence_state", "presence_diff"} {
			if strings.HasPrefix(text, `{"event":"`+event) {
				all[i] = event
			}
		}
	}
	return strings.Join(all, " ")
}

func (s *story) orderInTable() {
	old, ch := s.name("old"), s.name("new")
	c := s.events(1)
	c.Act(fmt.Sprintf(`[{"join":%q},{"track":{"channel":%q,"user_id":"u"}}]`, old, old))
	c.Expect(`{"event":"presence_state"…`) // of the old channel
	// In this order: leave, join, untrack, track, set_presence, send, send_presence, broadcast_room, broadcast_channel,
	// broadcast, close.
	c.Send(nodetest.JSON(map[string]any{"raw": map[string]any{
		"close": "bye", "broadcast_channel": map[string]any{"channel": ch,
			"message": "to the channel"}, "broadcast_room": "to the room",
		"send_presence": ch, "send": "sent", "set_presence": map[string]any{"channel": ch, "state": "busy"},
		"track": map[string]any{"channel": ch, "user_id": "u"}, "untrack": old, "join": ch, "leave": old,
	}}))
	got := c.ExpectClosed(1000, "bye")
	begin := frames(append([]string(nil), got...))
	if !strings.HasPrefix(begin, "presence_state ") ||
		strings.Index(begin, "sent") > strings.LastIndex(begin, "presence_state") {
		s.Errorf("frames: %s", begin)
	}
	// The second presence_state was sent after set_presence.
	last := ""
	for _, text := range got {
		if strings.HasPrefix(text, `{"event":"presence_state"`) {
			last = text
		}
	}
	s.contains(last, `"state":"busy"`)
}

func (s *story) orderOfArray() {
	c, ch := s.events(1), s.name("room")
	c.Act(fmt.Sprintf(`[{"send":"1"},{"join":%q},{"send":"2"},{"send_presence":%q},{"send":"3"},{"leave":%q,"send":"4"},{"join":%q},{"send":"5"}]`, ch, ch, ch, ch))
	var got []string
	for range 6 {
		got = append(got, c.Next())
	}
	s.same("frames", frames(got), "1 2 presence_state 3 4 5")
}

func (s *story) sendAction() {
	c, other := s.events(0), s.events(0)
	c.Act(`[{"send":"text"},{"send":{"a":[]}},{"send":7},{"send":[]},{"send":""}]`)
	c.Expect("text", `{"a":[]}`, "7", "[]", "")
	other.Act(`{}`)
	s.same("another client's frames", other.Pending(), []string{})
}

func (s *story) broadcastRoom() {
	a, b := s.name("a"), s.name("b")
	c := s.events(0)
	inA, inB := s.events(1), s.events(2)
	inA.Act(fmt.Sprintf(`{"join":%q}`, a))
	inB.Act(fmt.Sprintf(`{"join":%q}`, b))
	c.Act(fmt.Sprintf(`{"join":%q,"broadcast_room":"1 to a"}`, a))
	c.Act(fmt.Sprintf(`{"join":[%q],"broadcast_room":"2 to b"}`, b))
	c.Act(`{"broadcast_room":"3 to b"}`)
	c.Act(fmt.Sprintf(`{"broadcast_room":{"channel":%q,"message":"4 to a"}}`, a))
	c.Act(`{"broadcast_room":{"channel":"a","message":"5 a message of its own","more":1}}`)
	own := `{"channel":"a","message":"5 a message of its own","more":1}`
	got := map[string]bool{}
	for range 5 {
		got[c.Next()] = true
	}
	s.same("the sender is included", got["1 to a"] && got["2 to b"] && got["3 to b"] && got["4 to a"] && got[own], true)
	c.Act(fmt.Sprintf(`{"leave":%q,"broadcast_room":"6 to a again"}`, b))
	c.Expect("6 to a again")
	inA.Expect("1 to a", "4 to a", "6 to a again")
	inB.Expect("2 to b", "3 to b", own)
}

func (s *story) broadcastNowhere() {
	c := s.events(0)
	c.Act(`{"broadcast_room":"nowhere","send":"goes on"}`)
	c.Expect("goes on")
	s.Logs[0].Await(s, "about the broadcast without a room", func(l nodetest.Line) bool {
		return l.Is("action without effect", "action", "broadcast_room", "route", "/ws/do")
	})
}

func (s *story) broadcastChannel() {
	ch := s.name("room")
	c, in := s.events(0), s.events(1)
	in.Act(fmt.Sprintf(`{"join":%q}`, ch))
	c.Act(fmt.Sprintf(`{"broadcast_channel":{"channel":%q,"message":{"n":1}}}`, ch)) // not in it itself
	in.Expect(`{"n":1}`)
	s.same("who is not in it", c.Pending(), []string{})
}

func (s *story) broadcastAll() {
	all := []*nodetest.Client{s.events(0), s.events(1), s.events(2), s.run(1, `solidb.ws.send("ready") solidb.ws.recv()`)}
	for _, c := range all[:3] {
		c.Act(`{}`)
	}
	all[3].Expect("ready")
	all[0].Act(`{"broadcast":{"to":"all"}}`)
	for _, c := range all {
		c.Expect(`{"to":"all"}`)
	}
	all[2].Act(`{"broadcast":"text"}`)
	for _, c := range all {
		c.Expect("text")
	}
}

func (s *story) broadcastOrder() {
	ch := s.name("room")
	var in []*nodetest.Client
	for node := range s.Addrs {
		c := s.events(node)
		c.Act(fmt.Sprintf(`{"join":%q}`, ch))
		in = append(in, c)
	}
	senders := []*nodetest.Client{s.events(0), s.events(1)}
	const n = 50
	for i := range n {
		for j, c := range senders {
			c.Send(fmt.Sprintf(`{"raw":{"broadcast_channel":{"channel":%q,"message":"%d %d"}}}`, ch, j, i))
		}
	}
	var reference []string
	for k, c := range in {
		var got []string
		next := [2]int{}
		for range 2 * n {
			text := c.Next()
			got = append(got, text)
			var j, i int
			if _, err := fmt.Sscanf(text, "%d %d", &j, &i); err != nil || next[j] != i {
				s.Fatalf("client %d: %s after %v", k, text, got)
			}
			next[j]++
		}
		if k == 0 {
			reference = got
		}
		s.same("one order for all of the channel", got, reference)
	}
}

func (s *story) values() {
	ch := s.name("room")
	plain, script, sender := s.events(1), s.commander(2), s.events(0)
	plain.Act(fmt.Sprintf(`{"join":%q}`, ch))
	script.Call("solidb.ws.channel.subscribe", ch)
	for _, v := range []any{"text", `"quoted"`, "7", 7, true, map[string]any{"a": []any{}}, []any{1, "2"}} {
		sender.Act(nodetest.JSON(map[string]any{"broadcast_channel": map[string]any{"channel": ch, "message": v}}))
		want, isText := v.(string)
		if !isText {
			want = nodetest.JSON(v)
		}
		plain.Expect(want)
		got := script.Next()
		s.same("a script's data", s.field(got, "event", "data"), nodetest.JSON(v))
		s.same("its sender", s.field(got, "event", "sender_id"), nodetest.JSON(s.id(sender)))
	}
}

func (s *story) closeAction() {
	for actions, want := range map[string]string{
		`{"close":"bye","send":"first"}`:                         "closed 1000 bye",
		`{"close":{"code":4321,"reason":"own"},"send":"first"}`:  "closed 4321 own",
		`[{"close":"bye"},{"send":"first"}]`:                     "closed 1000 bye",
		`[{"close":{"code":1000,"reason":""}},{"send":"first"}]`: "closed 1000",
		`{"close":{"code":4999,"reason":"` + strings.Repeat("r", 123) + `"},"send":"first"}`: "closed 4999 " +
			strings.Repeat("r", 123),
	} {
		c := s.events(0)
		c.Send(`{"raw":` + actions + `}`)
		c.Expect("first", want)
	}
}

func (s *story) disconnect() {
	ch := s.name("room")
	watch := s.events(1)
	watch.Act(fmt.Sprintf(`{"join":%q}`, ch))
	first := fmt.Sprintf(`{"join":%q,"track":{"channel":%q,"user_id":"u"}}`, ch, ch)
	last := `{"send":"to nobody","broadcast_room":"$connection_id went with $code: $reason"}`
	c := s.events(0, "first", first, "last", last)
	watch.AwaitUsers(ch, "u")
	id := s.id(c)
	c.Leave(4321, "so long")
	got := []string{watch.Next(), watch.Next(), watch.Next()}
	s.same("frames", frames(append([]string(nil), got...)), "presence_diff "+id+" went with 4321: so long presence_diff")
	s.contains(got[2], `"joins":{},"leaves":{"u":`)
	watch.CheckPresence()
	c = s.events(2, "first", first, "last", last)
	watch.Next()
	id = s.id(c)
	c.Drop()
	watch.Expect(id + " went with 1006: ")
	watch.Expect(`{"event":"presence_diff","channel":` + nodetest.JSON(ch) +
		`,"payload":{"joins":{},"leaves":{"u":{"metas":[…`)
}

func (s *story) noAction() {
	c := s.events(0, "first", `{}`)
	c.Send(`{"raw":null}`, `{"raw":{}}`, `{"raw":[]}`)
	c.Act(`{}`)
	s.same("frames", c.Pending(), []string{})
}

func (s *story) invalid() {
	c := s.events(1)
	for _, raw := range []string{`{"nonsense":1}`, `"text"`, `{"join":7}`,
		`{"join":"x","send":"must not run","unknown":true}`, `{"track":{"channel":"x"}}`, `[{"send":"must not run"},5]`} {
		c.Send(`{"raw":` + raw + `}`)
	}
	c.Act(`{}`)
	s.same("frames", c.Pending(), []string{})
	line := s.Logs[1].Await(s, "about the unknown action", func(l nodetest.Line) bool {
		return l.Is("handler failed", "kind", "message", "route", "/ws/do") &&
			strings.Contains(l.Text("error"), `unknown action "nonsense"`)
	})
	if line.Text("line") == "0" || line.Text("line") == "" {
		s.Errorf("the log line names no line: %v", line)
	}
}

func (s *story) maxMessage() {
	c := s.on(0, "/ws/small")
	c.Send(`{"raw":{"send":"` + strings.Repeat("x", 900) + `"}}`)
	c.Expect("x…")
	c.Send(strings.Repeat("x", 1001))
	c.Expect("closed 1009…")
}

func (s *story) binary() {
	c := s.events(2)
	c.SendBinary("\x00\xff\xfe")
	c.Expect(`{"binary":true,"size":3}`)
}
