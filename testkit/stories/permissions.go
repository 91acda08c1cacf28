package stories

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"rollcall/testkit/nodetest"
	"rollcall/testkit/tokentest"
)

// permissionStories are routes with permissions = "claims": the token's claim channels says where a handler may join,
// track and broadcast. (docs/auth.md; SPEC leaves it open.)
var permissionStories = []entry{
	{"actions", "join, track and broadcasts must be allowed by the token's claim channels; a return with one that is not is refused whole", (*story).deniedActions},
	{"functions", "functions raise, and pcall sees it", (*story).deniedFunctions},
	{"patterns", "in a pattern * stands for any text", (*story).patterns},
	{"verbs", "the claim channels may also be {join = […], track = […], publish = […], watch = […]}", (*story).verbs},
	{"trusted", "{trusted = true} beside a broadcast: the app's own, not the client's", (*story).trusted},
	{"nothing-allowed", "no token, or one without the claim, allows no channel", (*story).nothingAllowed},
	{"other-routes", "routes without the option, scripts and HTTP handlers do not look at the claim",
		(*story).notLookedAt},
	{"connect", "in a connect event the connection is closed with 4403 and the error as reason", (*story).deniedConnect},
	{"disconnect", "the actions of a disconnect event are checked, too", (*story).deniedDisconnect},
	{"renewal", "new permissions hold from a renewal on; memberships already held stay", (*story).permissionsAfterRenewal},
}

// claims connects to the handler that goes by the claims, with a token that allows these patterns.
func (s *story) claims(node int, patterns ...string) *nodetest.Client {
	s.Helper()
	return s.on(node, "/ws/claims", s.tokenFor(append([]string{}, patterns...)))
}

// tokenFor is the header of a token with this claim channels.
func (s *story) tokenFor(channels any) string {
	s.Helper()
	return tokentest.Bearer(s.Issuer.Token("ann", time.Hour, tokentest.Claims{"channels": channels}))
}

// eventError is event.error of the next event.
func (s *story) eventError(c *nodetest.Client) string {
	s.Helper()
	return s.field(nodetest.JSON(c.Ask(map[string]any{"event": true}).Results[0]), "error")
}

func (s *story) deniedActions() {
	mine, other := s.name("mine"), s.name("other")
	c, witness := s.claims(0, mine+"*"), s.events(1)
	witness.Act(fmt.Sprintf(`{"join":[%q,%q]}`, mine, other))
	for _, tt := range []struct{ action, value string }{
		{"join", `"%s"`},
		{"join", `["` + mine + `2","%s"]`},
		{"track", `{"channel":"%s","user_id":"ann"}`},
		{"track", `[{"channel":"` + mine + `2","user_id":"ann"},{"channel":"%s","user_id":"ann"}]`},
		{"broadcast_room", `{"channel":"%s","message":"must not be sent"}`},
		{"broadcast_channel", `{"channel":"%s","message":"must not be sent"}`},
	} {
		for _, form := range []string{`{"send":"must not be sent",%q:%s}`, `[{"send":"must not be sent"},{%q:%s}]`} {
			c.Send(`{"raw":` + fmt.Sprintf(form, tt.action, fmt.Sprintf(tt.value, other)) + `}`)
			want := nodetest.JSON(fmt.Sprintf(`%s: channel "%s" is not allowed by the token`, tt.action, other))
			s.same("event.error after "+tt.action, s.eventError(c), want)
			s.same("event.error of the event after that", s.eventError(c), "nothing")
		}
	}
	c.Send(`{"raw":{"send":"must not be sent","broadcast":"must not be sent"}}`)
	s.contains(s.eventError(c), `broadcast: `, `not allowed by the token`)
	line := s.Logs[0].Await(s, "about a denied action", func(l nodetest.Line) bool {
		return l.Is("permission refused", "level", "INFO", "route", "/ws/claims", "reason", "denied", "kind", "message") &&
			strings.Contains(l.Text("error"), "broadcast_channel: ")
	})
	s.contains(line.Text("error"), other)
	s.same("channels", c.Call1("ws_clients_in", mine+"2"), "[]")
	s.same("presence", c.Call1("ws_presence_count", mine+"2"), "0")
	s.same("frames", c.Pending(), []string{})
	witness.Act(`{}`)
	s.same("what another one got", witness.Pending(), []string{})

	// What the token allows, and what needs no permission.
	c.Act(fmt.Sprintf(`[{"join":%q,"broadcast_room":"1"},{"broadcast_channel":{"channel":%q,"message":"2"}},{"broadcast_room":{"channel":%q,"message":"3"}}]`, mine, mine, mine))
	witness.Expect("1", "2", "3")
	c.Expect("1", "2", "3")
	c.Act(fmt.Sprintf(`{"track":{"channel":%q,"user_id":"ann"},"set_presence":{"channel":%q,"state":"busy"}}`, mine, mine))
	s.contains(c.Next(), `"presence_state"`)
	s.contains(c.Next(), `"state":"busy"`)
	c.Act(fmt.Sprintf(`{"leave":%q,"untrack":%q,"set_presence":{"channel":%q,"state":"x"},"send":"sent"}`, other, other,
		other))
	c.Expect("sent")
	c.Act(fmt.Sprintf(`{"send_presence":%q}`, other))
	s.contains(c.Next(), `"presence_state"`)
	s.same("event.error", s.eventError(c), "nothing")

	// on each node, or the next story may hear it
	all := []*nodetest.Client{s.claims(0, "*"), s.claims(1, "*"), s.claims(2, "*")}
	for _, c := range all {
		c.Act(`{}`)
	}
	all[2].Act(`{"broadcast":"to all"}`)
	for _, c := range all {
		c.Expect("to all")
	}
}

func (s *story) deniedFunctions() {
	mine, other := s.name("mine"), s.name("other")
	c := s.claims(1, mine)
	denied := fmt.Sprintf(`channel "%s" is not allowed by the token`, other)
	s.contains(c.CallError("ws_join", other), "ws_join", denied)
	s.contains(c.CallError("ws_broadcast_room", other, "x"), "ws_broadcast_room", denied)
	s.same("ws_join", c.Call1("ws_join", mine), "true")
	s.same("ws_broadcast_room", c.Call1("ws_broadcast_room", mine, "x"), "true")
	s.contains(c.CallError("ws_broadcast", "x"), "ws_broadcast", "not allowed by the token")
	c.Expect("x")
	s.same("ws_allowed", nodetest.JSON(c.Call("ws_allowed", mine)), "[true]")
	s.same("ws_allowed", nodetest.JSON(c.Call("ws_allowed", other)), nodetest.JSON([]any{false, denied}))
	s.contains(c.CallError("ws_allowed", ""), "ws_allowed")
	s.contains(c.CallError("ws_allowed"), "ws_allowed")
	for _, function := range []string{"ws_leave", "ws_clients_in", "ws_list_presence", "ws_presence_count"} {
		c.Call(function, other)
	}
	s.same("ws_send", c.Call1("ws_send", s.id(c), "to itself"), "true")
	c.Expect("to itself")
	s.same("a caught error is none of event.error", s.eventError(c), "nothing")
	s.same("ws_broadcast", s.claims(0, "*").Call1("ws_broadcast", "x"), "true")
}

func (s *story) patterns() {
	c := s.claims(2, "room:*", "user:42", "a*:b*c", "")
	for channel, want := range map[string]bool{
		"room:": true, "room:1": true, "room:1:2/3": true, "room": false, "Room:1": false, "xroom:1": false, "user:42": true,
		"user:421": false, "user:*": false,
		"a:bc": true, "axx:b:c": true, "a:b": false, "*": false, "room:*": true,
	} {
		s.same(channel, nodetest.JSON(c.Call("ws_allowed", channel)[0]), want)
	}
}

func (s *story) nothingAllowed() {
	ch := s.name("room")
	token := func(claim any) []string { return []string{s.tokenFor(claim)} }
	for _, tt := range []struct {
		name   string
		header []string
		says   string
	}{
		{"no token", nil, "is not allowed"},
		{"no claim", token(nil), "the token has no claim channels"},
		{"an empty claim", token([]string{}), "not allowed by the token"},
		{"an empty pattern", token([]string{""}), "not allowed by the token"},
		{"a claim of text", token(ch), "no array of strings"},
		{"a claim of numbers", token([]any{ch, 1}), "no array of strings"},
		{"a claim of tables", token([]any{map[string]any{ch: true}}), "no array of strings"},
		{"a claim of other verbs", token(map[string]any{"*": []string{"*"}, "Join": []string{"*"}}), "channels has no join"},
		{"a claim of bad verbs", token(map[string]any{"join": ch, "publish": []string{ch}}), "channels.join is no array"},
	} {
		c := s.on(0, "/ws/claims", tt.header...)
		c.Send(fmt.Sprintf(`{"raw":{"join":%q}}`, ch))
		s.contains(s.eventError(c), tt.says, "is not allowed")
		s.contains(c.CallError("ws_join", ch), tt.says)
		s.same(tt.name, c.Call("ws_allowed", ch)[0], false)
		s.same("channels", c.Call1("ws_clients_in", ch), "[]")
	}
}

func (s *story) notLookedAt() {
	ch := s.name("room")
	token := tokentest.Bearer(s.Issuer.Token("ann", time.Hour, tokentest.Claims{"channels": []string{"nothing else"}}))
	event := s.on(0, "/ws/do", token)
	event.Act(fmt.Sprintf(`{"join":%q,"broadcast_room":"x","track":{"channel":%q,"user_id":"ann"}}`, ch, ch))
	s.contains(nodetest.JSON(append(event.Pending(), event.Next())), "presence_state")
	script := s.on(1, "/api/custom/test/do", token)
	script.Call("solidb.ws.channel.subscribe", ch)
	script.Call("solidb.ws.channel.broadcast", ch, "x")
	for _, c := range []*nodetest.Client{event, script, s.events(2)} {
		s.same("ws_broadcast_room", c.Call1("ws_broadcast_room", ch, "x"), "true")
		s.same("ws_allowed", nodetest.JSON(c.Call("ws_allowed", ch)), "[true]")
	}
	call := func(path, function string, args ...any) string {
		s.Helper()
		status, body, _ := nodetest.Request(context.Background(), http.MethodPost, s.Addrs[0], path,
			nodetest.JSON(map[string]any{"call": function, "args": args}), "Content-Type: application/json", token)
		s.same("status", status, http.StatusOK)
		return body
	}
	s.same("ws_allowed in an HTTP handler", s.field(call("/call", "ws_allowed", ch), "results"), "[true]")
	s.same("ws_broadcast_room in an HTTP handler", s.field(call("/call", "ws_broadcast_room", ch, "x"), "results"),
		"[true]")
	s.same("ws_broadcast_room in an HTTP script",
		s.field(call("/api/custom/test/call", "ws_broadcast_room", ch, "x"), "results"), "[true]")
	// An HTTP route with the option goes by the token of its request.
	s.contains(s.field(call("/call/claims", "ws_broadcast_room", ch, "x"), "error"), "not allowed by the token")
	s.same("ws_broadcast_room", s.field(call("/call/claims", "ws_broadcast_room", "nothing else", "x"), "results"),
		"[true]")
}

func (s *story) deniedConnect() {
	mine, other := s.name("mine"), s.name("other")
	connect := func(first string, patterns ...string) *nodetest.Client {
		return s.on(0, "/ws/claims"+queryOf(
			[]string{"first", first, "last", fmt.Sprintf(`{"broadcast_channel":{"channel":%q,"message":"disconnect"}}`, mine)}),
			tokentest.Bearer(s.Issuer.Token("ann", time.Hour, tokentest.Claims{"channels": patterns})))
	}
	witness := s.events(1)
	witness.Act(fmt.Sprintf(`{"join":[%q,%q]}`, mine, other))
	for _, first := range []string{
		fmt.Sprintf(`{"send":"must not be sent","join":%q}`, other),
		fmt.Sprintf(`[{"broadcast_channel":{"channel":%q,"message":"must not be sent"}},{"join":%q}]`, mine, other),
		fmt.Sprintf(`{"close":{"code":4999,"reason":"own"},"join":%q}`, other),
	} {
		before := connect(first, mine).ExpectClosed(4403,
			fmt.Sprintf(`join: channel "%s" is not allowed by the token`, other))
		s.same("frames before", before, []string{})
	}
	// A reason has at most 123 bytes (RFC 6455, 5.5); a channel's name may have 255, of more than one byte each.
	c := connect(fmt.Sprintf(`{"join":%q}`, strings.Repeat("é", 127)), mine)
	s.contains(c.Next(), `closed 4403 join: channel "éé`)
	witness.Act(`{}`)
	s.same("what another one got", witness.Pending(), []string{}) // no disconnect event follows a refusal
	good := connect(fmt.Sprintf(`{"join":%q,"send":"in"}`, mine), mine)
	good.Expect("in")
}

func (s *story) deniedDisconnect() {
	mine, other := s.name("mine"), s.name("other")
	witness := s.events(1)
	witness.Act(fmt.Sprintf(`{"join":[%q,%q]}`, mine, other))
	leave := func(last string) {
		s.on(0, "/ws/claims?last="+strings.ReplaceAll(strings.ReplaceAll(last, `"`, "%22"), " ", "%20"),
			tokentest.Bearer(s.Issuer.Token("ann", time.Hour, tokentest.Claims{"channels": []string{mine}}))).Leave(1000, "")
	}
	leave(fmt.Sprintf(`[{"broadcast_channel":{"channel":%q,"message":"must not be sent"}},{"broadcast_channel":{"channel":%q,"message":"must not be sent"}}]`, mine, other))
	s.Logs[0].Await(s, "about the denied actions", func(l nodetest.Line) bool {
		return l.Is("permission refused", "level", "INFO", "route", "/ws/claims", "reason", "denied", "kind", "disconnect") &&
			strings.Contains(l.Text("error"), other)
	})
	leave(fmt.Sprintf(`{"broadcast_channel":{"channel":%q,"message":"bye"}}`, mine))
	witness.Expect("bye")
}

func (s *story) permissionsAfterRenewal() {
	a, b := s.name("a"), s.name("b")
	c, witness := s.claims(0, a), s.events(1)
	witness.Act(fmt.Sprintf(`{"join":[%q,%q]}`, a, b))
	c.Act(fmt.Sprintf(`{"join":%q,"track":{"channel":%q,"user_id":"ann"}}`, a, a))
	s.contains(c.Next(), "presence_state")
	s.contains(witness.Next(), `"presence_diff"`)
	s.contains(s.renew(c, s.Issuer.Token("ann", time.Hour, tokentest.Claims{"channels": []string{b}})), `"expires_at":`)

	// What is held stays: it hears the room, and is present there.
	witness.Act(fmt.Sprintf(`{"broadcast_channel":{"channel":%q,"message":"still here?"}}`, a))
	c.Expect("still here?")
	witness.Expect("still here?")
	s.same("presence", witness.Call1("ws_presence_count", a), "1")
	c.Act(fmt.Sprintf(`{"set_presence":{"channel":%q,"state":"away"}}`, a))
	s.contains(c.Next(), `"state":"away"`)
	s.contains(witness.Next(), `"state":"away"`)
	// Nothing new is allowed there, also where an action names no channel: it is the room that counts.
	for _, raw := range []string{
		fmt.Sprintf(`{"join":%q}`, a),
		fmt.Sprintf(`{"track":{"channel":%q,"user_id":"ann","x":1}}`, a),
		fmt.Sprintf(`{"send":"must not be sent","broadcast_channel":{"channel":%q,"message":"must not be sent"}}`, a),
		`{"send":"must not be sent","broadcast_room":"must not be sent"}`,
		fmt.Sprintf(`[{"join":%q},{"leave":%q,"broadcast_room":"must not be sent"}]`, b, b),
	} {
		c.Send(`{"raw":` + raw + `}`)
		s.contains(s.eventError(c), a, "not allowed by the token")
	}
	s.same("the refused join", c.Call1("ws_clients_in", b), nodetest.JSON([]string{s.id(witness)}))
	s.contains(c.CallError("ws_broadcast_room", a, "x"), "not allowed by the token")
	// The other room is allowed now, and the newest one counts.
	c.Act(fmt.Sprintf(`{"join":%q,"broadcast_room":"to b"}`, b))
	c.Expect("to b")
	c.Act(`{"broadcast_room":"to b again"}`)
	c.Expect("to b again")
	witness.Expect("to b", "to b again")
	// A room that was left cannot be joined again.
	c.Act(fmt.Sprintf(`{"leave":%q,"untrack":%q}`, a, a))
	c.Send(fmt.Sprintf(`{"raw":{"join":%q}}`, a))
	s.contains(s.eventError(c), a, "not allowed by the token")
	s.same("channels", c.Call1("ws_clients_in", a), nodetest.JSON([]string{s.id(witness)}))
	witness.AwaitPresence(a, "that ann has left", nodetest.Timeout,
		func(p nodetest.Presence) bool { return len(p.Users) == 0 })
	witness.CheckPresence()
}
