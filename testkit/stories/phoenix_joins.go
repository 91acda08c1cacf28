package stories

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"time"

	"rollcall/testkit"
	"rollcall/testkit/nodetest"
	"rollcall/testkit/tokentest"
)

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
		s.sameJSON(watcher.Next(), end.want)
		testkit.Eventually(s, "its presence is released", func() bool {
			_, list := s.api("GET", 2, "/_api/channels/"+url.PathEscape(room)+"/presence", "")
			return list == `{"users":[],"next":""}`
		})
	}
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
