package stories

import (
	"encoding/base64"
	"fmt"
	"strings"
	"time"

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
