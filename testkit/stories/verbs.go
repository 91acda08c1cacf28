package stories

import (
	"encoding/json"
	"fmt"
	"strings"

	"rollcall/testkit/nodetest"
)

func (s *story) verbs() {
	joins, tracks, says, sees := s.name("joins"), s.name("tracks"), s.name("says"), s.name("sees")
	header := s.tokenFor(map[string]any{"join": []string{joins + "*"}, "track": []string{tracks},
		"publish": []string{says},
		"watch":   []string{sees}})
	c, witness := s.on(0, "/ws/claims", header), s.events(1)
	witness.Act(fmt.Sprintf(`{"join":[%q,%q,%q]}`, joins, tracks, says))
	refused := func(raw, channel string) {
		s.Helper()
		c.Send(`{"raw":` + raw + `}`)
		s.contains(s.eventError(c), fmt.Sprintf(`channel \"%s\" is not allowed by the token`, channel))
	}
	for _, ch := range []string{tracks, says, sees} {
		refused(fmt.Sprintf(`{"join":%q}`, ch), ch)
		s.contains(c.CallError("ws_join", ch), "not allowed by the token")
	}
	for _, ch := range []string{joins, says, sees} {
		refused(fmt.Sprintf(`{"track":{"channel":%q,"user_id":"ann"}}`, ch), ch)
	}
	for _, ch := range []string{joins, tracks, sees} {
		refused(fmt.Sprintf(`{"broadcast_channel":{"channel":%q,"message":"must not be sent"}}`, ch), ch)
		s.contains(c.CallError("ws_broadcast_room", ch, "must not be sent"), "not allowed by the token")
	}
	refused(fmt.Sprintf(`{"send":"must not be sent","join":%q,"broadcast_room":"must not be sent"}`, joins), joins)
	s.contains(c.CallError("ws_broadcast", "must not be sent"), "not allowed by the token")

	c.Act(fmt.Sprintf(`{"join":[%q,%q],"broadcast_channel":{"channel":%q,"message":"said"}}`, joins, joins+" 2", says))
	witness.Expect("said")
	c.Act(fmt.Sprintf(`{"track":{"channel":%q,"user_id":"ann"}}`, tracks))
	s.contains(c.Next(), `"presence_state"`)
	s.contains(witness.Next(), `"presence_diff"`)
	witness.Act(fmt.Sprintf(`{"broadcast_channel":{"channel":%q,"message":"heard"}}`, joins))
	c.Expect("heard")
	witness.Expect("heard")

	for channel, want := range map[string]string{joins: "join", tracks: "track", says: "publish", sees: "watch"} {
		for _, verb := range []string{"join", "track", "publish", "watch"} {
			s.same("ws_allowed "+verb+" in "+channel, c.Call("ws_allowed", channel, verb)[0], verb == want)
		}
		s.same("ws_allowed without a verb in "+channel, c.Call("ws_allowed", channel)[0], false)
	}
	for _, bad := range []any{"Join", "leave", 1, true, map[string]any{}} {
		s.contains(c.CallError("ws_allowed", joins, bad), "ws_allowed: verb must be ")
	}
	three := s.on(2, "/ws/claims", s.tokenFor(map[string]any{"join": []string{"a"}, "track": []string{"a"},
		"publish": []string{"*"}}))
	s.same("ws_allowed without a verb", nodetest.JSON(three.Call("ws_allowed", "a")), "[true]")
	s.same("ws_broadcast with publish for all", three.Call1("ws_broadcast_room", says, "to all"), "true")
	witness.Expect("to all")
	at := s.on(1, "/ws/claims"+queryOf([]string{"first", fmt.Sprintf(`{"track":{"channel":%q,"user_id":"ann"}}`, joins)}),
		header)
	at.ExpectClosed(4403, fmt.Sprintf(`track: channel "%s" is not allowed by the token`, joins))
}

func (s *story) trusted() {
	mine, other := s.name("mine"), s.name("other")
	c := s.claims(0, mine)
	witnesses := []*nodetest.Client{s.events(0), s.events(1), s.commander(2)}
	for _, w := range witnesses[:2] {
		w.Act(fmt.Sprintf(`{"join":%q}`, other))
	}
	witnesses[2].Call("solidb.ws.channel.subscribe", other)
	heard := func(want string) {
		s.Helper()
		for _, w := range witnesses[:2] {
			w.Expect(want)
		}
		s.same("the script's event", s.field(witnesses[2].Next(), "event", "data"), nodetest.JSON(want))
	}
	c.Send(fmt.Sprintf(`{"own":{"broadcast_channel":{"channel":%q,"message":"1","trusted":true}}}`, other))
	heard("1")
	c.Send(fmt.Sprintf(`{"own":{"broadcast_room":{"channel":%q,"message":"2","trusted":true}}}`, other))
	heard("2")
	s.same("ws_broadcast_room", c.Call1("ws_broadcast_room", other, "3", map[string]any{"trusted": true}), "true")
	heard("3")
	s.same("a script's own broadcast", witnesses[2].Call1("solidb.ws.channel.broadcast", other, "4",
		map[string]any{"trusted": true}), "true")
	heard("4")
	s.same("event.error", s.eventError(c), "nothing")

	// It is about one broadcast, and about nothing else in the return.
	for _, raw := range []string{
		`{"own":{"broadcast_channel":{"channel":%q,"message":"must not be sent","trusted":false}}}`,
		`{"own":{"join":%[1]q,"broadcast_channel":{"channel":%[1]q,"message":"must not be sent","trusted":true}}}`,
		`{"own":[{"broadcast_channel":{"channel":%[1]q,"message":"must not be sent","trusted":true}},{"track":{"channel":%[1]q,"user_id":"x"}}]}`,
		// The client's own words are never trusted: a message of its own, or an error.
		`{"raw":{"broadcast_room":{"channel":%q,"message":"must not be sent"}}}`,
	} {
		c.Send(fmt.Sprintf(raw, other))
		s.contains(s.eventError(c), other, "not allowed by the token")
	}
	c.Send(fmt.Sprintf(`{"raw":{"broadcast_channel":{"channel":%q,"message":"must not be sent","trusted":true}}}`, other))
	s.Logs[0].Await(s, "about a trusted broadcast of the client's", func(l nodetest.Line) bool {
		return l.Is("handler failed", "route", "/ws/claims", "reason", "actions") &&
			strings.Contains(l.Text("error"), "broadcast_channel: must be a table with exactly channel and message")
	})
	for _, tt := range []struct{ options, says string }{
		{`{"trusted":1}`, "trusted must be true or false"},
		{`{"trusted":true,"other":true}`, `unknown option "other"`},
		{`"trusted"`, "the options must be a table"},
		{`[true]`, "unknown option 1"},
	} {
		s.contains(c.Ask(map[string]any{"call": "ws_broadcast_room", "args": []any{other, "must not be sent",
			json.RawMessage(tt.options)}}).Error, "ws_broadcast_room: ", tt.says)
	}
	// A message of these fields goes on as it is, where the client may speak.
	c.Act(fmt.Sprintf(`{"join":%q}`, mine))
	c.Send(`{"raw":{"broadcast_room":{"message":"m","trusted":true}}}`)
	s.same("a message of a client", s.field(c.Next(), "trusted"), "true")
	c.Send(`{"own":{"broadcast":{"message":"to all","trusted":true}}}`)
	heard = func(want string) {
		for _, w := range append(witnesses, c) {
			w.Expect(want)
		}
	}
	heard("to all")
	s.same("ws_broadcast", c.Call1("ws_broadcast", "to all again", map[string]any{"trusted": true}), "true")
	heard("to all again")
}
