package stories

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"rollcall/testkit"
	"rollcall/testkit/nodetest"
	"rollcall/testkit/tokentest"
)

// phoenixStories are the rows of docs/phoenix.md: clients of Phoenix on the wire.
var phoenixStories = []entry{
	{"frames", "array frames for vsn 2.0.x, object frames for 1.0.x or none; refs come back as they came",
		(*story).phoenixFrames},
	{"joins", "a second join ends the first; a join_ref that is not the join's is answered with nothing",
		(*story).phoenixJoins},
	{"answers", "a reply or an error; ok means published; a handler that raises ends the join, not the socket",
		(*story).phoenixAnswers},
	{"no-frames", "what is no frame closes the socket with 1002, text that is not UTF-8 with 1007; neighbours go on",
		(*story).phoenixNoFrames},
	{"binary", "binary pushes come in, and a string answers one in kind; Supabase's broadcasts", (*story).phoenixBinary},
	{"refused", "who may not come in is refused before the upgrade; phoenix is answered when it was offered",
		(*story).phoenixRefused},
	{"limits", "128 topics a socket; topics of 1 to 255 bytes; events too", (*story).phoenixLimits},
	{"claims", "the token's channels must allow the topic; access_token renews", (*story).phoenixClaims},
	{"leave", "the last event of a join; actions go out to others, then room and presence are released",
		(*story).phoenixLeave},
	{"state", "each join has its own state, which begins as the connect handler left it; timers are the join's",
		(*story).phoenixState},
	{"presence", "a state when it is asked for, then diffs by refs", (*story).phoenixPresence},
	{"each-user", "diff_users = 1: a diff for each user", (*story).phoenixEachUser},
	{"rooms", "one room, all kinds of client; nobody can forge the protocol", (*story).phoenixRooms},
	{"together", "a plain client, a script and a client of Phoenix in one room see each other come, speak and go",
		(*story).phoenixTogether},
	{"broadcast-from", "to all in the room but this client", (*story).broadcastFrom},
}

// phoenix connects a client of Phoenix with array frames; query is name and value in turn.
func (s *story) phoenix(node int, query ...string) *nodetest.Client {
	s.Helper()
	return s.on(node, "/phx/websocket"+queryOf(append([]string{"vsn", "2.0.0"}, query...)))
}

// joinTopic joins as joinRef, with what the handler is to return.
func (s *story) joinTopic(c *nodetest.Client, joinRef, topic, returns string) {
	s.Helper()
	c.Send(fmt.Sprintf(`[%q,%q,%q,"phx_join",{"returns":%s}]`, joinRef, joinRef, topic, returns))
	c.Expect(fmt.Sprintf(`[%q,%q,%q,"phx_reply",{"status":"ok","response":{}}]`, joinRef, joinRef, topic))
}

func (s *story) phoenixFrames() {
	room := "room:" + s.name("1")
	c := s.phoenix(0)
	c.Send(`[null,"1","phoenix","heartbeat",{}]`, `[1,2,"`+room+`","phx_join",{}]`)
	c.Expect(`[null,"1","phoenix","phx_reply",{"status":"ok","response":{}}]`,
		`[1,2,"`+room+`","phx_reply",{"status":"ok","response":{}}]`)
	// further elements are ignored; a reply names the join, also when the message did not
	c.Send(`[null,"x\u00e9",`+nodetest.JSON(room)+`,"tell",null,"more",{}]`,
		`[1,null,"`+room+`","x",{"returns":{"reply":[]}}]`,
		`[1,3.50,"`+room+`","x",{"returns":{"reply":"text"}}]`)
	s.contains(c.Next(), `[1,"x\u00e9","`+room+`","phx_reply",{"status":"ok","response":{`, `"payload":null`)
	c.Expect(`[1,null,"`+room+`","phx_reply",{"status":"ok","response":[]}]`,
		`[1,3.50,"`+room+`","phx_reply",{"status":"ok","response":"text"}]`)

	old := s.on(1, "/phx/websocket")
	old.Send(`{"topic":"phoenix","event":"heartbeat","payload":{},"ref":"9"}`,
		`{"ref":"1","payload":{"returns":{"track":{"user_id":"ann"}}},"event":"phx_join","topic":"`+room+`"}`)
	old.Expect(`{"topic":"phoenix","event":"phx_reply","payload":{"status":"ok","response":{}},"ref":"9"}`,
		`{"topic":"`+room+`","event":"phx_reply","payload":{"status":"ok","response":{}},"ref":"1"}`)
	s.contains(old.Next(), `{"topic":"`+room+`","event":"presence_state","payload":{"ann":{"metas":[{"phx_ref":`,
		`"ref":null}`)
	c.Send(`[1,4,"` + room + `","x",{"returns":{"broadcast_room":{"event":"said","payload":{"a":1}}}}]`)
	c.Expect(`[null,null,"` + room + `","said",{"a":1}]`)
	old.Expect(`{"topic":"` + room + `","event":"said","payload":{"a":1},"ref":null}`)
	old.Send(`{"topic":"` + room + `","event":"phx_leave","payload":{},"ref":"2","join_ref":null}`)
	old.Expect(`{"topic":"`+room+`","event":"phx_reply","payload":{"status":"ok","response":{}},"ref":"2"}`,
		`{"topic":"`+room+`","event":"phx_close","payload":{},"ref":null}`)
	if _, r, err := nodetest.TryDial(s, s.Addrs[0], "/phx/websocket?vsn=2.0.7"); err != nil {
		s.Errorf("vsn 2.0.7: %v %v", r, err)
	}
}

func (s *story) phoenixJoins() {
	room := "room:" + s.name("1")
	c := s.phoenix(0)
	watcher := s.events(1)
	watcher.Act(fmt.Sprintf(`{"join":%q}`, room))
	s.joinTopic(c, "1", room, `{}`)
	c.Send(`["1","2","` + room + `","x",{"state":{"fate":"` + room + `"}}]`)
	s.joinTopic2(c, room)
	s.contains(watcher.Next(), `"reason":"rejoined"`)
	c.Send(`["1","4","`+room+`","phx_leave",{}]`, `["1","5","`+room+`","tell",{}]`, `["2","6","`+room+`","phx_reply",{}]`,
		`["9","7","`+room+`x","phx_leave",{}]`, `[null,"8","`+room+`x","tell",{}]`, `["9","9","nowhere","phx_join",{}]`,
		`["9","10","phoenix","other",{}]`, `[null,"11","`+room+`","phx_leave",{}]`, `["2","12","`+room+`","tell",{}]`)
	c.Expect(`["9","7","`+room+`x","phx_reply",{"status":"ok","response":{}}]`,
		`[null,"8","`+room+`x","phx_reply",{"status":"error","response":{"reason":"unmatched topic"}}]`,
		`["9","9","nowhere","phx_reply",{"status":"error","response":{"reason":"unmatched topic"}}]`,
		`[null,"10","phoenix","phx_reply",{"status":"error","response":{"reason":"unmatched topic"}}]`,
		`["2","11","`+room+`","phx_reply",{"status":"ok","response":{}}]`, `["2","2","`+room+`","phx_close",{}]`,
		`[null,"12","`+room+`","phx_reply",{"status":"error","response":{"reason":"unmatched topic"}}]`)

	for topic, rest := range map[string]string{"room:exact": "", "room:exactly": "exactly", "room:": "",
		"room:long:x:y": "x:y"} {
		s.joinTopic(c, "3", topic, `{}`)
		c.Send(`["3","1","` + topic + `","tell",{}]`)
		s.contains(c.Next(), `"topic":"`+topic+`"`, `"rest":"`+rest+`"`)
	}
}

// joinTopic2 joins a topic again, as "2".
func (s *story) joinTopic2(c *nodetest.Client, room string) {
	s.Helper()
	c.Send(`["2","3","` + room + `","phx_join",{}]`)
	c.Expect(`["1","1","`+room+`","phx_close",{}]`,
		`["2","3","`+room+`","phx_reply",{"status":"ok","response":{}}]`)
}

func (s *story) phoenixAnswers() {
	room := "room:" + s.name("1")
	c := s.phoenix(0)
	join := func(payload string) { c.Send(`["1","1","` + room + `","phx_join",` + payload + `]`) }
	reply := func(status, response string) {
		s.Helper()
		c.Expect(`["1","1","` + room + `","phx_reply",{"status":"` + status + `","response":` + response + `}]`)
	}
	join(`{"returns":{"error":"no","track":{"user_id":"ann"},"broadcast_room":"x"}}`)
	reply("error", `{"reason":"no"}`)
	join(`{"returns":{"error":{"code":7}}}`)
	reply("error", `{"code":7}`)
	join(`{"raise":true}`)
	reply("error", `{"reason":"join crashed"}`)
	join(`{"returns":{"join":"x"}}`)
	reply("error", `{"reason":"bad return value"}`)
	join(`{"returns":{"reply":1,"error":"two"}}`)
	reply("error", `{"reason":"bad return value"}`)
	join(`{"returns":{"reply":{"a":[]},"send":{"event":"hi","payload":{}},"broadcast_room":{"event":"here","payload":{}}}}`)
	reply("ok", `{"a":[]}`)
	c.Expect(`["1",null,"`+room+`","hi",{}]`, `[null,null,"`+room+`","here",{}]`)
	_, list := s.api("GET", 1, "/_api/channels/"+url.PathEscape(room)+"/presence", "")
	s.same("nobody is present", list, `{"users":[],"next":""}`)

	push := func(payload string) { c.Send(`["1","1","` + room + `","x",` + payload + `]`) }
	push(`{"returns":{"send":{"event":"phx_close","payload":{}}}}`)
	reply("error", `{"reason":"bad return value"}`)
	for _, returns := range []string{`{"leave":1}`, `{"untrack":"x"}`, `{"history":"x"}`, `{"leav":true}`,
		`{"track":{"user_id":"a","channel":"other"}}`, `{"broadcast_room":{"event":"presence_diff","payload":{}}}`} {
		push(`{"returns":` + returns + `}`)
		reply("error", `{"reason":"bad return value"}`)
	}
	push(`{"call":"ws_join"}`)
	s.contains(c.Next(), "joins topics by itself")
	push(`{"returns":{"track":{"user_id":"ann"}}}`)
	s.contains(c.Next(), `["1",null,"`+room+`","presence_state",{"ann":`)

	other := s.name("room")
	s.joinTopic(c, "5", "room:"+other, `{}`)
	for _, payload := range []string{`{"raise":true}`, `{"spin":true}`} {
		push(payload)
		c.Expect(`["1","1","` + room + `","phx_error",{"reason":"channel_crash"}]`)
		testkit.Eventually(s, "its presence is released", func() bool {
			_, list := s.api("GET", 1, "/_api/channels/"+url.PathEscape(room)+"/presence", "")
			return list == `{"users":[],"next":""}`
		})
		join(`{"returns":{"track":{"user_id":"ann"}}}`)
		reply("ok", `{}`)
		s.contains(c.Next(), `"presence_state",{"ann":`)
	}
	c.Send(`["5","6","room:` + other + `","x",{"returns":{"reply":"on"}}]`)
	c.Expect(`["5","6","room:` + other + `","phx_reply",{"status":"ok","response":"on"}]`)
	push(`{"returns":{"reply":"bye","leave":true}}`)
	reply("ok", `"bye"`)
	c.Expect(`["1","1","` + room + `","phx_close",{}]`)
	c.Send(`["5","7","room:` + other + `","x",{"returns":{"reply":"last","close":{"code":4001,"reason":"done"}}}]`)
	c.Expect(`["5","7","room:` + other + `","phx_reply",{"status":"ok","response":"last"}]`)
	c.ExpectClosed(4001, "done")
}

func (s *story) phoenixNoFrames() {
	room := "room:" + s.name("1")
	neighbour := s.phoenix(0)
	s.joinTopic(neighbour, "1", room, `{}`)
	for _, frame := range []string{``, `{`, `[]`, `{}`, `[1,2,3,4]`, `["1","1","` + room + `","phx_join"]`,
		`["1","1","` + room + `","phx_join",{}`, `["1","1","` + room + `","phx_join",{}]]`, `["1","1",5,"phx_join",{}]`,
		`["1","1","` + room + `",null,{}]`, `[{},"1","` + room + `","x",{}]`, `["1",true,"` + room + `","x",{}]`,
		`["1","` + strings.Repeat("x", 300) + `","` + room + `","x",{}]`, `["1","1","` + room + `","x",{},]`, `null`,
		`{"topic":"` + room + `","event":"phx_join","payload":{},"ref":"1"}`} {
		c := s.phoenix(0)
		s.joinTopic(c, "1", room, `{}`)
		c.Send(frame)
		c.ExpectClosed(1002, "not a frame of Phoenix")
	}
	for frame, code := range map[string]int{"": 1002, "\x04": 1002, "\x00\x01\x01": 1002, "\x00\x01\x01\x01\x0911t": 1002,
		"\x00\x00\x00\x01\x00\xff": 1007, "\x03\x00\x00\x01\x01\x00\x01tx{": 1002, "\x03\x00\x00\x01\x01\x00\x01tx\"\xff\"": 1007,
		"\x03\x00\x00\x01": 1002} {
		c := s.phoenix(0)
		c.SendBinary(frame)
		c.ExpectClosed(code, map[int]string{1002: "not a frame of Phoenix", 1007: "a text is not UTF-8"}[code])
	}
	for _, frame := range []string{`[]`, `{"topic":"t","event":"e","payload":{}}`, `{"topic":1,"event":"e","payload":{},"ref":1}`,
		`[null,"1","phoenix","heartbeat",{}]`} {
		c := s.on(1, "/phx/websocket?vsn=1.0.0")
		c.Send(frame)
		c.ExpectClosed(1002, "not a frame of Phoenix")
	}
	c := s.on(1, "/phx/websocket")
	c.SendBinary("\x00\x01\x01\x01\x0111tx")
	c.ExpectClosed(1002, "not a frame of Phoenix")
	neighbour.Send(`["1","2","` + room + `","x",{"returns":{"reply":"on"}}]`)
	neighbour.Expect(`["1","2","` + room + `","phx_reply",{"status":"ok","response":"on"}]`)
}

func (s *story) phoenixBinary() {
	room := "room:" + s.name("1")
	c := s.phoenix(0)
	s.joinTopic(c, "1", room, `{}`)
	head := func(kind byte, texts ...string) string {
		b := []byte{kind}
		for _, t := range texts {
			b = append(b, byte(len(t)))
		}
		return string(b)
	}
	c.SendBinary(head(0, "1", "2", room, "raw") + "12" + room + "raw\x00\xff\x80")
	s.same("the reply", c.Next(), "binary "+head(1, "1", "2", room, "ok")+"12"+room+"ok\x00\xff\x80")
	c.SendBinary(head(3, "1", "3", room, "shout", "") + "\x01" + "13" + room + `shout{"a":[1]}`)
	c.Send(`["1","4","` + room + `","tell",{}]`)
	s.contains(c.Next(), `["1","4",`) // a broadcast event gets no reply of this app
}

func (s *story) phoenixRefused() {
	for query, status := range map[string]int{"vsn=3.0.0": 403, "vsn=2": 403, "refuse=error": 403, "refuse=close": 403,
		"refuse=raise": 500, "refuse=wrong": 500, "token=x": 401} {
		_, r, err := nodetest.TryDial(s, s.Addrs[0], "/phx/websocket?"+query)
		if err == nil || r == nil || r.StatusCode != status {
			s.Errorf("%s: %v %v, want %d", query, r, err, status)
		}
	}
	for path, status := range map[string]int{"/phx/websocket": 426, "/phx": 404, "/phx/longpoll": 404} {
		got, _, _ := s.call("GET", 0, path, "")
		s.same(path, got, status)
	}
	token := s.Issuer.Token("ann", time.Hour, tokentest.Claims{"channels": []string{"room:ann"}})
	secret := "base64url.bearer.phx." + base64.RawStdEncoding.EncodeToString([]byte(token))
	for offered, answered := range map[string]string{
		"phoenix": "phoenix", "phoenix, " + secret: "phoenix", "chat, phoenix": "phoenix",
		"chat": "", "rollcall, " + token: ""} {
		_, r, err := nodetest.TryDial(s, s.Addrs[0], "/phx/websocket", "Sec-WebSocket-Protocol: "+offered)
		if err != nil || r.Header.Get("Sec-WebSocket-Protocol") != answered {
			s.Errorf("%.30s: answered %q, %v", offered, r.Header.Get("Sec-WebSocket-Protocol"), err)
		}
	}
	c, _, err := nodetest.TryDial(s, s.Addrs[0], "/phx-claims/websocket?vsn=2.0.0",
		"Sec-WebSocket-Protocol: phoenix, "+secret)
	if err != nil {
		s.Fatal(err)
	}
	s.joinTopic(c, "1", "room:ann", `{}`) // as her token says
}

func (s *story) phoenixLimits() {
	c := s.phoenix(2)
	for i := range 128 {
		s.joinTopic(c, "1", fmt.Sprint("room:", i), `{}`)
	}
	c.Send(`["2","2","room:128","phx_join",{}]`)
	c.Expect(`["2","2","room:128","phx_reply",{"status":"error","response":{"reason":"too many channels joined"}}]`)
	c.Send(`["1","3","room:0","phx_leave",{}]`)
	c.Until(`["1","1","room:0","phx_close",{}]`)
	s.joinTopic(c, "2", "room:128", `{}`)
	c.Send(`["1","4","room:1","`+strings.Repeat("x", 256)+`",{}]`, `["1","5","room:1","",{}]`)
	for _, ref := range []string{"4", "5"} {
		c.Expect(`["1","` + ref + `","room:1","phx_reply",{"status":"error","response":{"reason":"bad event"}}]`)
	}
	long := s.phoenix(2)
	for _, topic := range []string{"room:" + strings.Repeat("x", 251), `room:\u0000`} {
		long.Send(`["1","1","` + topic + `","phx_join",{}]`)
		long.Expect(`["1","1","` + topic + `","phx_reply",{"status":"error","response":{"reason":"unmatched topic"}}]`)
	}
	s.joinTopic(long, "1", "room:"+strings.Repeat("x", 250), `{}`)
}

func (s *story) phoenixClaims() {
	token := s.Issuer.Token("ann", time.Hour, tokentest.Claims{"channels": []string{"room:mine"}})
	nobody := s.on(0, "/phx-claims/websocket?vsn=2.0.0")
	nobody.Send(`["1","1","room:mine","phx_join",{}]`)
	nobody.Expect(`["1","1","room:mine","phx_reply",{"status":"error","response":{"reason":"denied"}}]`)
	c := s.on(0, "/phx-claims/websocket?vsn=2.0.0&token="+token)
	c.Send(`["1","1","room:other","phx_join",{}]`)
	c.Expect(`["1","1","room:other","phx_reply",{"status":"error","response":{"reason":"denied"}}]`)
	s.joinTopic(c, "1", "room:mine", `{}`)
	c.Send(`["1","2","room:mine","x",{"returns":{"reply":"ok","broadcast_channel":{"channel":"room:other","message":"x"}}}]`)
	c.Expect(`["1","2","room:mine","phx_reply",{"status":"error","response":{"reason":"denied"}}]`)
	fresh := s.Issuer.Token("ann", time.Hour, tokentest.Claims{"channels": []string{"room:*"}})
	c.Send(`["1","3","room:mine","access_token",{"access_token":"none"}]`)
	s.contains(c.Next(), `["1","3","room:mine","phx_reply",{"status":"error","response":{"reason":`)
	c.Send(`["1","4","room:mine","access_token",{"access_token":"` + fresh + `"}]`)
	c.Expect(`["1","4","room:mine","phx_reply",{"status":"ok","response":{}}]`)
	s.joinTopic(c, "1", "room:other", `{}`)
}

func (s *story) phoenixLeave() {
	room, fate := "room:"+s.name("1"), s.name("fate")
	watcher := s.events(1)
	watcher.Act(fmt.Sprintf(`{"join":%q}`, fate))
	for _, end := range []struct{ how, want string }{
		{"leave", `{"left":"` + room + `","reason":"left"}`}, {"removed", `{"left":"` + room + `","reason":"removed"}`},
		{"close", `{"code":4000,"left":"` + room + `","reason":"closed","text":"gone"}`},
	} {
		c := s.phoenix(0)
		s.joinTopic(c, "1", room, `{}`)
		returns := `{"track":{"user_id":"ann"}}`
		if end.how == "removed" {
			returns = `{"leave":true}`
		}
		c.Send(`["1","2","` + room + `","x",{"state":{"fate":"` + fate + `"},"returns":` + returns + `}]`)
		switch end.how {
		case "leave":
			c.Send(`["1","3","` + room + `","phx_leave",{}]`)
		case "close":
			c.Leave(4000, "gone")
		}
		var got, want any
		s.same("parse", errors(json.Unmarshal([]byte(watcher.Next()), &got), json.Unmarshal([]byte(end.want), &want)), "[]")
		s.same(end.how, got, want)
		testkit.Eventually(s, "its presence is released", func() bool {
			_, list := s.api("GET", 2, "/_api/channels/"+url.PathEscape(room)+"/presence", "")
			return list == `{"users":[],"next":""}`
		})
	}
}

func errors(errs ...error) (wrong []string) {
	for _, err := range errs {
		if err != nil {
			wrong = append(wrong, err.Error())
		}
	}
	return slices.Compact(wrong)
}

func (s *story) phoenixState() {
	a, b := "room:"+s.name("a"), "room:"+s.name("b")
	c := s.phoenix(0, "who", "ann")
	s.joinTopic(c, "1", a, `{}`)
	s.joinTopic(c, "2", b, `{}`)
	c.Send(`["1","3","`+a+`","x",{"state":{"n":1},"returns":{"after":{"name":"t","ms":100,"data":[1]}}}]`,
		`["2","4","`+b+`","x",{"returns":{"after":{"name":"t","ms":200}}}]`,
		`["1","5","`+a+`","tell",{}]`, `["2","6","`+b+`","tell",{}]`)
	s.contains(c.Next(), `"n":1`, `"who":"ann"`)
	if text := c.Next(); !strings.Contains(text, `"state":{"who":"ann"}`) {
		s.Errorf("the other join has %s", text)
	}
	timer := func(joinRef, topic, rest string) {
		s.Helper()
		var f []any
		text := c.Next()
		if err := json.Unmarshal([]byte(text), &f); err != nil || len(f) != 5 {
			s.Fatal(text)
		}
		s.same("timer", nodetest.JSON(f), `["`+joinRef+`",null,"`+topic+`","timer",{`+rest+`"name":"t","topic":"`+topic+`"}]`)
	}
	timer("1", a, `"data":[1],`)
	timer("2", b, "")
	c.Send(`["1","7","`+a+`","x",{"returns":{"after":{"name":"late","ms":150}}}]`, `["1","8","`+a+`","phx_leave",{}]`,
		`["2","9","`+b+`","x",{"returns":{"after":{"name":"t","ms":300}}}]`)
	c.Expect(`["1","8","`+a+`","phx_reply",{"status":"ok","response":{}}]`, `["1","1","`+a+`","phx_close",{}]`)
	timer("2", b, "") // and none of the topic that was left
}

// byRefs are the metas of a half of a presence frame, by user: "ref:state", and the refs before.
type byRefs map[string]struct {
	Metas []struct {
		Ref   string `json:"phx_ref"`
		Prev  string `json:"phx_ref_prev"`
		State string `json:"state"`
		Conn  string `json:"connection_id"`
	} `json:"metas"`
}

// presenceOf reads [join_ref,null,topic,event,payload]; both halves of a diff must be there.
func (s *story) presenceOf(c *nodetest.Client, joinRef, topic, event string) (state, joins, leaves byRefs) {
	s.Helper()
	text := c.Next()
	var f []json.RawMessage
	if err := json.Unmarshal([]byte(text), &f); err != nil || len(f) != 5 || string(f[0]) != `"`+joinRef+`"` ||
		string(f[1]) != "null" || string(f[2]) != `"`+topic+`"` || string(f[3]) != `"`+event+`"` {
		s.Fatalf("got %s, want %s for %s", text, event, joinRef)
	}
	if event == "presence_state" {
		s.same("parse", errors(json.Unmarshal(f[4], &state)), "[]")
		return state, nil, nil
	}
	var diff struct{ Joins, Leaves byRefs }
	s.same("parse", errors(json.Unmarshal(f[4], &diff)), "[]")
	if diff.Joins == nil || diff.Leaves == nil {
		s.Fatalf("a half is missing: %s", text)
	}
	return nil, diff.Joins, diff.Leaves
}

func (s *story) phoenixPresence() {
	room := "room:" + s.name("1")
	w := s.phoenix(0)
	s.joinTopic(w, "w", room, `{}`) // never asks, and hears nothing of presence
	silent := s.phoenix(0)
	s.joinTopic(silent, "s", room, `{}`)
	w.Send(`["w","1","` + room + `","x",{"returns":{"send_presence":true}}]`)
	if state, _, _ := s.presenceOf(w, "w", room, "presence_state"); state == nil || len(state) != 0 {
		s.Fatalf("an empty channel has %v", state)
	}
	plain := s.events(1)
	plain.Act(fmt.Sprintf(`{"join":%q}`, room))

	a := s.phoenix(2)
	s.joinTopic(a, "a", room, `{"track":{"user_id":"ann","state":"here"}}`)
	state, _, _ := s.presenceOf(a, "a", room, "presence_state")
	_, joins, leaves := s.presenceOf(w, "w", room, "presence_diff")
	ref := joins["ann"].Metas[0].Ref
	if len(leaves) != 0 || state["ann"].Metas[0].Ref != ref || joins["ann"].Metas[0].State != "here" ||
		joins["ann"].Metas[0].Prev != "" {
		s.Fatalf("joins %v leaves %v state %v", joins, leaves, state)
	}
	frame := plain.Next()
	tracking, _, _ := strings.Cut(ref, ".")
	s.contains(frame, `"phx_ref":"`+tracking+`"`)

	// an update is a new ref in joins, and the old one in leaves; also for the one who caused it
	a.Send(`["a","2","` + room + `","x",{"returns":{"set_presence":{"state":"away"}}}]`)
	for joinRef, c := range map[string]*nodetest.Client{"w": w, "a": a} {
		_, joins, leaves = s.presenceOf(c, joinRef, room, "presence_diff")
		if m := joins["ann"].Metas; len(m) != 1 || m[0].State != "away" || m[0].Prev != ref || m[0].Ref == ref ||
			len(leaves["ann"].Metas) != 1 || leaves["ann"].Metas[0].Ref != ref || leaves["ann"].Metas[0].State != "here" {
			s.Fatalf("joins %v leaves %v", joins, leaves)
		}
	}
	s.contains(plain.Next(), `"joins":{"ann":`, `"phx_ref":"`+tracking+`"`, `"leaves":{}`)
	// content that comes back has its old ref
	a.Send(`["a","3","` + room + `","x",{"returns":{"set_presence":{"state":"here"}}}]`)
	s.presenceOf(a, "a", room, "presence_diff")
	if _, joins, _ = s.presenceOf(w, "w", room, "presence_diff"); joins["ann"].Metas[0].Ref != ref {
		s.Fatalf("content that came back has %v, not %s", joins, ref)
	}
	plain.Next()

	// a second device is one ref in joins, its end one in leaves; plain clients see no change of users
	b := s.events(0)
	b.Act(fmt.Sprintf(`{"join":%q,"track":{"channel":%q,"user_id":"ann"}}`, room, room))
	_, joins, leaves = s.presenceOf(w, "w", room, "presence_diff")
	if len(joins["ann"].Metas) != 1 || len(leaves) != 0 {
		s.Fatalf("joins %v leaves %v", joins, leaves)
	}
	second := joins["ann"].Metas[0].Ref
	s.presenceOf(a, "a", room, "presence_diff") // before the end of it, which would cancel it out
	b.Leave(1000, "")
	_, joins, leaves = s.presenceOf(w, "w", room, "presence_diff")
	if len(joins) != 0 || len(leaves["ann"].Metas) != 1 || leaves["ann"].Metas[0].Ref != second {
		s.Fatalf("joins %v leaves %v", joins, leaves)
	}
	s.presenceOf(a, "a", room, "presence_diff")

	// a join that comes again hears nothing until it asks, and then a new ref
	a.Send(`["a2","a2","` + room + `","phx_join",{}]`)
	a.Expect(`["a","a","`+room+`","phx_close",{}]`, `["a2","a2","`+room+`","phx_reply",{"status":"ok","response":{}}]`)
	_, _, leaves = s.presenceOf(w, "w", room, "presence_diff")
	if len(leaves["ann"].Metas) != 1 {
		s.Fatalf("leaves %v", leaves)
	}
	s.contains(plain.Next(), `"leaves":{"ann":`)
	a.Send(`["a2","4","` + room + `","x",{"returns":{"track":{"user_id":"ann"}}}]`)
	state, _, _ = s.presenceOf(a, "a2", room, "presence_state")
	if m := state["ann"].Metas; len(m) != 1 || strings.HasPrefix(m[0].Ref, tracking) {
		s.Fatalf("state %v after %s", state, tracking)
	}
	silent.Send(`["s","9","` + room + `","x",{"returns":{"reply":"nothing came"}}]`)
	silent.Expect(`["s","9","` + room + `","phx_reply",{"status":"ok","response":"nothing came"}]`)
}

func (s *story) phoenixEachUser() {
	room := "each:" + s.name("1")
	c := s.phoenix(0)
	s.joinTopic(c, "1", room, `{"send_presence":true}`)
	s.presenceOf(c, "1", room, "presence_state")
	both := s.events(1)
	both.Act(fmt.Sprintf(`{"track":{"channel":%q,"user_id":"ann"}}`, room))
	other := s.events(1)
	other.Act(fmt.Sprintf(`{"track":{"channel":%q,"user_id":"bob"}}`, room))
	seen := []string{}
	for range 2 {
		_, joins, _ := s.presenceOf(c, "1", room, "presence_diff")
		if len(joins) != 1 {
			s.Fatalf("a diff of %d users", len(joins))
		}
		for user := range joins {
			seen = append(seen, user)
		}
	}
	slices.Sort(seen)
	s.same("users", seen, "[ann bob]")
}

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
	s.same("parse", errors(json.Unmarshal([]byte(list), &found)), "[]")
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
