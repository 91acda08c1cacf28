package stories

import (
	"fmt"
	"maps"
	"strings"
	"time"

	"rollcall/testkit/nodetest"
	"rollcall/testkit/tokentest"
)

// leeway is that of the nodes, the default.
const leeway = 10 * time.Second

// soon is a token whose connection is closed in some 5 s, at until: when its leeway is over.
func (s *story) soon(user string, more tokentest.Claims) (token string, until time.Time) {
	until = time.Now().Add(5 * time.Second).Truncate(time.Second)
	claims := tokentest.Claims{"exp": until.Add(-leeway).Unix()}
	maps.Copy(claims, more)
	return s.Issuer.Token(user, 0, claims), until
}

// expires waits until the client is closed, which must be at its time.
func (s *story) expires(c *nodetest.Client, until time.Time) {
	s.Helper()
	c.ExpectClosed(4401, "the token has expired")
	if late := time.Since(until); late < 0 || late > 5*time.Second {
		s.Errorf("closed %v after its time", late)
	}
}

func (s *story) expiry() {
	ch := s.name("room")
	watch := s.events(1)
	watch.Act(fmt.Sprintf(`[{"join":%q},{"track":{"channel":%q,"user_id":"watch"}}]`, ch, ch))
	eventToken, eventUntil := s.soon("event", nil)
	scriptToken, scriptUntil := s.soon("script", nil)
	last := fmt.Sprintf(`{"broadcast_channel":{"channel":%q,"message":"$type $code $reason"}}`, ch)
	event := s.on(0, "/ws/do"+queryOf([]string{"last", last}), tokentest.Bearer(eventToken))
	event.Act(fmt.Sprintf(`{"track":{"channel":%q,"user_id":"event"}}`, ch))
	script := s.on(2, "/api/custom/test/do", tokentest.Bearer(scriptToken))
	script.Call("solidb.ws.presence.join", ch, map[string]any{"user_id": "script"})
	forever := s.on(0, "/ws/do", tokentest.Bearer(s.Issuer.Token("forever", 0, nil)))
	later := s.on(0, "/ws/do", tokentest.Bearer(s.Issuer.Token("later", time.Hour, nil)))
	nobody := s.events(0)
	watch.AwaitUsers(ch, "watch", "event", "script")
	s.expires(event, eventUntil)
	s.expires(script, scriptUntil)
	watch.Until("disconnect 4401 the token has expired")
	watch.AwaitUsersWithin(2*time.Second, ch, "watch")
	watch.CheckPresence()
	for _, c := range []*nodetest.Client{forever, later, nobody} {
		c.Act(`{}`)
	}
}

// renew sends a renewal and gives the answer.
func (s *story) renew(c *nodetest.Client, token string) string {
	s.Helper()
	c.Send(nodetest.JSON(map[string]string{"event": "token", "token": token}))
	return c.Next()
}

func (s *story) renewal() {
	token, _ := s.soon("ann", tokentest.Claims{"roles": "a"})
	c := s.on(1, "/ws/renew", tokentest.Bearer(token))
	user := func() string {
		s.Helper()
		return s.field(nodetest.JSON(c.Ask(map[string]any{"event": true}).Results[0]), "user")
	}
	s.contains(user(), `"roles":["a"]`)
	exp := time.Now().Add(time.Hour).Unix()
	s.same("answer", s.renew(c, s.Issuer.Token("ann", 0,
		tokentest.Claims{"exp": exp, "roles": "b", "preferred_username": "Ann"})),
		fmt.Sprintf(`{"event":"token","expires_at":%d}`, exp+10))
	s.contains(user(), `"roles":["b"]`, `"username":"Ann"`)
	s.contains(second(s.api("GET", 2, "/_api/connections/"+s.id(c), "")), `"username":"Ann"`)
	// With spaces and in another order it is the same frame.
	c.Send(fmt.Sprintf(" {\n\"token\" : %q , \"event\":\"token\"}", s.Issuer.Token("ann", 0, nil)))
	c.Expect(`{"event":"token","expires_at":null}`)
	s.contains(user(), `"roles":[]`, `"username":"ann"`)

	// The next one is nearer again: it holds, too.
	token, _ = s.soon("eve", nil)
	other := s.on(1, "/ws/renew", tokentest.Bearer(token))
	s.contains(s.renew(other, s.Issuer.Token("eve", time.Hour, nil)), `"expires_at":`)
	token, until := s.soon("ann", nil)
	s.same("answer", s.renew(c, token), fmt.Sprintf(`{"event":"token","expires_at":%d}`, until.Unix()))
	s.expires(c, until)
	other.Act(`{}`) // its first token has expired by now
}

// second is the answer of an API call, whatever its status.
func second(_ int, body string) string { return body }

func (s *story) renewalRefused() {
	c := s.on(0, "/ws/renew", tokentest.Bearer(s.Issuer.Token("ann", time.Hour, tokentest.Claims{"roles": "first"})))
	for _, f := range append(tokentest.Faults(s.Issuer),
		tokentest.Fault{Name: "another user", Token: s.Issuer.Token("eve", time.Hour, nil), Says: "for another user"},
		tokentest.Fault{Name: "nothing", Says: "no valid JWT"},
		tokentest.Fault{Name: "another user, expired", Token: s.Issuer.Token("eve", -time.Hour, nil), Says: "has expired"}) {
		if len(f.Token) >= 64<<10 {
			continue // longer than any message: 1009
		}
		if got := s.renew(c, f.Token); !strings.HasPrefix(got, `{"event":"token","error":"`) ||
			!strings.Contains(got, f.Says) {
			s.Errorf("%s: answered %s, want %q", f.Name, got, f.Says)
		}
		if len(f.Token) > 20 {
			s.notInLogs(f.Token)
		}
	}
	about := nodetest.JSON(c.Ask(map[string]any{"event": true}).Results[0])
	s.same("the old token stays in force", s.field(about, "user", "roles"), `["first"]`)
	s.contains(s.renew(c, s.Issuer.Token("ann", time.Hour, nil)), `"expires_at":`)
	s.Logs[0].Await(s, "about a refused renewal", func(l nodetest.Line) bool {
		return l.Is("token refused", "route", "/ws/renew", "error", "other_user", "connection", s.id(c))
	})

	nobody := s.on(0, "/ws/renew")
	s.same("somebody without a token", s.renew(nobody, s.Issuer.Token("ann", time.Hour, nil)),
		`{"event":"token","error":"the token is for another user"}`)
	about = nodetest.JSON(nobody.Ask(map[string]any{"event": true}).Results[0])
	s.same("user", s.field(about, "user"), `{"authenticated":false,"username":""}`)

	// A connection whose renewals fail ends with its token.
	token, until := s.soon("ann", nil)
	c = s.on(0, "/ws/renew", tokentest.Bearer(token))
	s.contains(s.renew(c, s.Issuer.Token("ann", -time.Hour, nil)), "has expired")
	s.expires(c, until)
}

func (s *story) renewalElsewhere() {
	token := s.Issuer.Token("ann", time.Hour, nil)
	frame := func(raw any) string {
		return nodetest.JSON(map[string]any{"event": "token", "token": token, "raw": map[string]any{"send": raw}})
	}
	for _, c := range []*nodetest.Client{s.events(0), s.on(0, "/ws/do", tokentest.Bearer(token))} {
		c.Send(frame("the handler got it")) // {"raw":…} is returned by the handler of the test app, {"event":…} answered
		about := c.Next()
		s.contains(about, `"message":`)
		s.contains(about, token)
	}
	script := s.commander(1)
	script.Send(nodetest.JSON(map[string]any{"event": "token", "token": token, "call": "ws_count", "id": 5}))
	s.contains(script.Next(), `"reply":5`)

	// What is not quite a renewal reaches the handler also where renewals are taken.
	c := s.on(2, "/ws/renew", tokentest.Bearer(token))
	for _, m := range []map[string]any{{"event": "token"}, {"event": "token", "token": 7},
		{"event": "tokens", "token": token}, {"token": token}} {
		m["id"] = 1
		if m["event"] == nil {
			m["event"] = true
		}
		c.Send(nodetest.JSON(m))
		s.contains(c.Next(), `"type":"message"`)
	}
	c.SendBinary(nodetest.JSON(map[string]string{"event": "token", "token": token}))
	s.contains(c.Next(), `"binary":true`)
}
