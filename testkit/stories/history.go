package stories

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"rollcall/testkit/nodetest"
)

// historyStories are the rows of SPEC 7. The test app keeps the last 5 messages of channels that begin with "kept:".
var historyStories = []entry{
	{"positions", "a string `<ms>-<seq>`, given by Redis to each message of such a channel, rising by one in seq; it is the same for all", (*story).historyPositions},
	{"missed", "each join is answered, then the n messages missed, then live ones, in one order, none twice", (*story).historyMissed},
	{"again", "Joining again is answered again, with nothing replayed", (*story).historyAgain},
	{"refused", "recovered = false with why: too_many, fork, unknown", (*story).historyRefused},
	{"transient", "not kept: No position; order in the channel is kept", (*story).historyTransient},
	{"plain", "Plain routes of both seeds see no change", (*story).historyPlain},
	{"resume", "?resume= with base64url JSON {channel: position}; handlers see it as event.resume", (*story).historyResume},
	{"resume-bad", "at most 64 channels and 4 KiB; beyond, or not readable: as if absent, and logged", (*story).historyResumeBad},
	{"action", "history = {channel, limit, before}: to this client, oldest first", (*story).historyAction},
	{"function", "ws_history: both ends exclusive; after since the oldest, else the newest; nil, why", (*story).historyFunction},
	{"scripts", "msg.position; channel.subscribe(name, {since = P}) gives true, {recovered, missed, why}", (*story).historyScripts},
	{"api", "GET gives {messages,position}; 410 with why, 404 when none is kept; DELETE empties it (positions go on); POST answers position", (*story).historyAPI},
	{"api-once", "with an idempotency key its repetition makes none twice", (*story).historyOnce},
	{"bad", "positions of every wrong kind, limits past their bounds", (*story).historyBad},
	{"large", "messages of --max-message; 1 MiB a channel, the oldest go first", (*story).historyLarge},
}

// kept is a channel of which the last 5 messages are kept.
func (s *story) kept() string { return "kept:" + s.name("room") }

// resuming connects to a route with resume = true.
func (s *story) resuming(node int, query ...string) *nodetest.Client {
	s.Helper()
	return s.on(node, "/ws/resume"+queryOf(query))
}

// positions is the parameter for where a client was.
func positions(at ...string) string {
	m := map[string]string{}
	for i := 0; i+1 < len(at); i += 2 {
		m[at[i]] = at[i+1]
	}
	return base64.RawURLEncoding.EncodeToString([]byte(nodetest.JSON(m)))
}

// joins joins a channel and gives the answer to it.
func (s *story) joins(c *nodetest.Client, channel string, since ...string) string {
	s.Helper()
	join := map[string]any{"channel": channel}
	if len(since) > 0 {
		join["since"] = since[0]
	}
	c.Act(nodetest.JSON(map[string]any{"join": join}))
	frame := c.Next()
	if s.field(frame, "event") != `"joined"` || s.field(frame, "channel") != nodetest.JSON(channel) {
		s.Fatalf("the join was answered with %s", frame)
	}
	return frame
}

// at is the position of a frame.
func (s *story) at(frame string) string {
	s.Helper()
	return strings.Trim(s.field(frame, "position"), `"`)
}

// says lets a client broadcast in a channel.
func (s *story) says(c *nodetest.Client, channel string, messages ...any) {
	s.Helper()
	for _, m := range messages {
		c.Act(nodetest.JSON(map[string]any{"broadcast_channel": map[string]any{"channel": channel, "message": m}}))
	}
}

// hears takes the next frame, which must be a message of these data, and gives its position.
func (s *story) hears(c *nodetest.Client, channel string, data any) string {
	s.Helper()
	frame := c.Next()
	if s.field(frame, "event") != `"message"` || s.field(frame, "channel") != nodetest.JSON(channel) ||
		s.field(frame, "data") != nodetest.JSON(data) {
		s.Fatalf("got %s, want the message %v", frame, data)
	}
	return s.at(frame)
}

// seq is the second part of a position.
func seq(position string) string {
	_, seq, _ := strings.Cut(position, "-")
	return seq
}

func (s *story) historyPositions() {
	room := s.kept()
	a, b, other := s.resuming(0), s.resuming(1), s.events(2)
	began := s.at(s.joins(a, room))
	s.same("a channel without messages", seq(began), "0")
	s.same("where it is on another node", s.at(s.joins(b, room)), began)
	for i, data := range []any{"text", map[string]any{"a": []any{1, "ü<>\""}}, "", 7, nil, true} {
		s.says(other, room, data)
		at := s.hears(a, room, data)
		s.same("seq", seq(at), i+1)
		s.same("on another node", s.hears(b, room, data), at)
	}
}

func (s *story) historyMissed() {
	room := s.kept()
	other, c := s.events(2), s.resuming(0)
	began := s.at(s.joins(c, room))
	s.says(other, room, 1)
	first := s.hears(c, room, 1)
	c.Leave(1000, "")
	s.says(other, room, 2, 3)
	for node := range s.Addrs {
		back := s.resuming(node)
		answer := s.joins(back, room, first)
		s.same("the answer", s.field(answer, "recovered")+s.field(answer, "missed")+s.at(answer), "true2"+first)
		s.same("why", s.field(answer, "why"), "nothing")
		s.hears(back, room, 2)
		s.hears(back, room, 3)
		s.says(other, room, "live")
		live := s.hears(back, room, "live")
		now := s.resuming(node)
		answer = s.joins(now, room)
		s.same("one who begins now", s.at(answer)+s.field(answer, "recovered")+s.field(answer, "missed"),
			live+"nothingnothing")
		none := s.resuming(node)
		answer = s.joins(none, room, live)
		s.same("who missed nothing", s.field(answer, "recovered")+s.field(answer, "missed"), "true0")
		if node == 0 { // 4 of 5 are held
			answer = s.joins(s.resuming(node), room, began)
			s.same("from the beginning", s.field(answer, "missed"), "4")
		}
		s.says(other, room, 2, 3)
		first = live
	}
}

func (s *story) historyAgain() {
	room := s.kept()
	c, other := s.resuming(0), s.events(1)
	s.joins(c, room)
	s.says(other, room, 1)
	first := s.hears(c, room, 1)
	s.says(other, room, 2)
	second := s.hears(c, room, 2)
	answer := s.joins(c, room, first)
	s.same("joined again", s.at(answer)+s.field(answer, "recovered"), second+"nothing")
	c.Act(fmt.Sprintf(`{"leave":%q}`, room))
	s.says(other, room, 3)
	answer = s.joins(c, room, second)
	s.same("after leaving", s.field(answer, "missed"), "1")
	s.hears(c, room, 3)
	for function, args := range map[string][]any{"ws_join": {room}} {
		s.same(function, c.Call1(function, args...), "true")
		s.contains(c.Next(), `"event":"joined"`)
	}
}

func (s *story) historyRefused() {
	room := s.kept()
	c, other := s.resuming(0), s.events(1)
	began := s.at(s.joins(c, room))
	var at []string
	for i := range 7 {
		s.says(other, room, i)
		at = append(at, s.hears(c, room, i))
	}
	forged := "1" + at[6]
	for since, why := range map[string]string{began: "too_many", at[0]: "too_many", "1-6": "fork", forged: "fork",
		"1700000000000-99": "unknown", "nonsense": "unknown", "": "unknown", "1-6 ": "unknown",
		strings.Repeat("9", 5000): "unknown"} {
		for node := range s.Addrs {
			back := s.resuming(node)
			answer := s.joins(back, room, since)
			s.same(fmt.Sprintf("after %.40q", since),
				s.field(answer, "recovered")+s.field(answer, "why")+s.field(answer, "missed"), `false"`+why+`"nothing`)
			s.same("its position", s.at(answer), at[6])
			back.Leave(1000, "")
		}
	}
	for _, bad := range []string{`{"channel":%q,"since":7}`, `{"channel":%q,"since":{}}`, `{"channel":%q,"after":"1-1"}`} {
		c.Send(fmt.Sprintf(`{"actions":{"join":`+bad+`}}`, room))
		s.says(c, room, "fence")
		s.hears(c, room, "fence") // and nothing before it
	}
	null := s.resuming(1)
	null.Act(fmt.Sprintf(`{"join":{"channel":%q,"since":null}}`, room))
	s.same("null is none", s.field(null.Next(), "recovered"), "nothing")
}

func (s *story) historyTransient() {
	room := s.kept()
	c, script, other := s.resuming(0), s.commander(1), s.commander(2)
	first := s.at(s.joins(c, room))
	s.same("subscribe", script.Call1("solidb.ws.channel.subscribe", room), "true")
	options := map[string]any{"transient": true}
	other.Call("ws_broadcast_room", room, "one")
	other.Call("ws_broadcast_room", room, "typing", options)
	other.Call("solidb.ws.channel.broadcast", room, "cursor", options)
	other.Call("solidb.ws.channel.broadcast", room, "two", map[string]any{"transient": false})
	c.Send(nodetest.JSON(map[string]any{"own": map[string]any{"broadcast_room": map[string]any{"channel": room,
		"message": "own", "transient": true}}}))
	c.Act(`{}`)
	s.same("the API", s.field(s.posted(room, `{"message":"api","transient":true}`), "position"), "nothing")
	at := s.hears(c, room, "one")
	s.same("transient", s.hears(c, room, "typing")+s.hears(c, room, "cursor"), "nothingnothing")
	two := s.hears(c, room, "two")
	s.same("their seqs", seq(at)+seq(two), "12")
	s.same("transient", s.hears(c, room, "own")+s.hears(c, room, "api"), "nothingnothing")
	for _, want := range []string{"1", "nothing", "nothing", "2", "nothing", "nothing"} {
		at := strings.Trim(s.field(script.Next(), "event", "position"), `"`)
		s.same("for a script", at[strings.LastIndexByte(at, '-')+1:], want)
	}
	back := s.resuming(2)
	answer := s.joins(back, room, first)
	s.same("missed", s.field(answer, "missed"), "2")
	s.hears(back, room, "one")
	s.hears(back, room, "two")
	s.contains(other.CallError("ws_broadcast_room", room, "x", map[string]any{"transient": 1}), "transient")
	s.contains(other.CallError("ws_broadcast_room", room, "x", map[string]any{"kept": true}), "kept")
}

// posted broadcasts over the API.
func (s *story) posted(channel, body string, header ...string) string {
	s.Helper()
	status, answer := s.apiPost(0, "/_api/channels/"+url.PathEscape(channel)+"/broadcast", body, header...)
	s.same("status", status, http.StatusOK)
	return answer
}

func (s *story) historyPlain() {
	room, other := s.kept(), s.name("not kept")
	c, r := s.events(0), s.resuming(1)
	c.Act(fmt.Sprintf(`{"join":[%q,%q]}`, room, other))
	r.Act(fmt.Sprintf(`{"join":[%q]}`, other))
	s.says(s.events(2), room, "text", map[string]any{"a": 1})
	c.Expect("text", `{"a":1}`)
	s.says(s.events(2), other, "text", map[string]any{"a": 1})
	c.Expect("text", `{"a":1}`)
	r.Expect("text", `{"a":1}`)
}

func (s *story) historyAction() {
	room, sender := s.kept(), s.events(1)
	c := s.events(0)
	id := s.id(sender)
	s.says(sender, room, "a", map[string]any{"b": 1}, "c")
	s.posted(room, `{"message":"d"}`)
	c.Act(fmt.Sprintf(`{"history":%q}`, room))
	frame := c.Next()
	s.same("event", s.field(frame, "event")+s.field(frame, "channel"), `"history"`+nodetest.JSON(room))
	var h struct {
		Messages []struct {
			Position  string
			Data      any
			Timestamp int64
			SenderID  *string `json:"sender_id"`
		}
		Position string
	}
	s.decode(frame, &h)
	s.same("the messages", len(h.Messages), 4)
	for i, want := range []any{"a", map[string]any{"b": 1}, "c", "d"} {
		m := h.Messages[i]
		s.same("data", nodetest.JSON(m.Data), nodetest.JSON(want))
		s.same("seq and timestamp", m.Position, fmt.Sprint(m.Timestamp, "-", i+1))
		if by := i == 3; by != (m.SenderID == nil) || !by && *m.SenderID != id {
			s.Errorf("%v was sent by %v", want, m.SenderID)
		}
	}
	s.same("position", h.Position, h.Messages[3].Position)
	c.Act(fmt.Sprintf(`{"history":{"channel":%q,"limit":2,"before":%q}}`, room, h.Messages[3].Position))
	s.decode(c.Next(), &h)
	s.same("before the last", fmt.Sprint(len(h.Messages), h.Messages[0].Data, h.Messages[1].Data), "2 map[b:1]c")
	empty := s.kept()
	c.Act(fmt.Sprintf(`{"history":%q}`, empty))
	s.contains(c.Next(), `"messages":[]`, `-0"`)
	c.Act(fmt.Sprintf(`{"history":%q}`, s.name("not kept"))) // an error that is logged
	s.Logs[0].Await(s, "that it has no history",
		func(l nodetest.Line) bool { return strings.Contains(l.Text("error"), "no history") })
}

func (s *story) historyFunction() {
	room := s.kept()
	sender := s.events(1)
	s.says(sender, room, 1, 2, 3, 4, 5, 6)
	for _, c := range append(s.both(), s.events(2)) {
		results := c.Call("ws_history", room)
		s.same("two results", len(results), 2)
		all := nodetest.JSON(results[0])
		var ms []struct{ Position string }
		s.decode(all, &ms)
		s.same("newest", len(ms), 5)
		s.same("position", results[1], ms[4].Position)
		data := func(options map[string]any) string {
			s.Helper()
			r := c.Call("ws_history", room, options)
			if r[0] == nil {
				return fmt.Sprint("nil ", r[1])
			}
			var ms []struct{ Data any }
			s.decode(nodetest.JSON(r[0]), &ms)
			out := ""
			for _, m := range ms {
				out += fmt.Sprint(m.Data)
			}
			return out
		}
		for _, tt := range []struct {
			options map[string]any
			want    string
		}{
			{map[string]any{"limit": 2}, "56"}, {map[string]any{"limit": 2, "reverse": true}, "65"},
			{map[string]any{"since": ms[1].Position}, "456"},
			{map[string]any{"since": ms[1].Position, "limit": 1}, "4"},
			{map[string]any{"since": ms[1].Position, "before": ms[4].Position, "reverse": true}, "54"},
			{map[string]any{"before": ms[2].Position}, "23"},
			{map[string]any{"since": ms[4].Position}, ""},
			{map[string]any{"since": "1-4"}, "nil fork"}, {map[string]any{"since": "1-99"}, "nil unknown"},
			{map[string]any{"since": "what"}, "nil unknown"}, {map[string]any{"since": "1-0"}, "nil too_many"},
		} {
			s.same(nodetest.JSON(tt.options), data(tt.options), tt.want)
		}
		s.contains(c.CallError("ws_history", s.name("not kept")), "ws_history", "no history")
		for _, bad := range []map[string]any{{"limit": 0}, {"limit": 1001}, {"limit": 1.5}, {"limit": "1"}, {"since": 7},
			{"before": map[string]any{}}, {"reverse": 1}, {"after": "1-1"}} {
			s.contains(c.CallError("ws_history", room, bad), "ws_history")
		}
		s.contains(c.CallError("ws_history"), "channel")
		s.contains(c.CallError("ws_history", room, "x"), "options")
	}
}

func (s *story) historyScripts() {
	room := s.kept()
	sender := s.events(1)
	script := s.commander(0)
	s.same("subscribe", nodetest.JSON(script.Call("solidb.ws.channel.subscribe", room)), "[true]")
	s.says(sender, room, 1)
	first := strings.Trim(s.field(script.Next(), "event", "position"), `"`)
	s.same("position", seq(first), "1")
	s.says(sender, room, 2, map[string]any{"x": 3})
	for node := range s.Addrs {
		back := s.commander(node)
		s.same("subscribe", nodetest.JSON(back.Call("solidb.ws.channel.subscribe", room, map[string]any{"since": first})),
			`[true,{"missed":2,"recovered":true}]`)
		got := back.Next()
		s.same("the first missed", s.field(got, "type")+s.field(got, "event", "data"), `"channel"2`)
		got = back.Next()
		s.same("the second", s.field(got, "event", "data")+seq(strings.Trim(s.field(got, "event", "position"), `"`)),
			`{"x":3}3`)
		wrong := s.commander(node)
		s.same("subscribe", nodetest.JSON(wrong.Call("solidb.ws.channel.subscribe", room, map[string]any{"since": "1-1"})),
			`[true,{"recovered":false,"why":"fork"}]`)
		for _, bad := range []any{"x", map[string]any{"since": 1}, map[string]any{"before": "1-1"}} {
			s.contains(wrong.CallError("solidb.ws.channel.subscribe", room, bad), "subscribe")
		}
	}
	other := s.name("not kept")
	s.same("without a history", nodetest.JSON(script.Call("solidb.ws.channel.subscribe", other,
		map[string]any{"since": "1-1"})), "[true]")
}
