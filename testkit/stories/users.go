package stories

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"rollcall/testkit"
	"rollcall/testkit/nodetest"
	"rollcall/testkit/tokentest"
)

// userStories are SPEC 9.
var userStories = []entry{
	{"identify", "this connection is one of the user's; the same again replaces the fields, another is an error; it sends no presence_state, and counts in no limit and no list of the connection's channels", (*story).identify},
	{"identify-route", "route option identify = true (the token's user; without a token nobody)", (*story).identifyRoute},
	{"raw", "What is broadcast there reaches clients of both kinds raw, as ws_send", (*story).userRaw},
	{"at-names", "names that begin with @: join, leave, track, untrack, subscribe of them are errors", (*story).atNames},
	{"ids", "at most 254 bytes of id; string or number", (*story).identityIDs},
	{"asked", "ws_users: an array in the order asked, at most 1,000; an unknown user is offline, with metas empty",
		(*story).usersAsked},
	{"last_seen", "last_seen in ms, nil while online or when not known", (*story).lastSeen},
	{"close", "ws_close_user: all their connections; false when there is none", (*story).closeUser},
	{"watch", "presence of a channel (or of @bob) without its broadcasts, as a presence_state and diffs; scripts: ordinary presence events", (*story).watch},
	{"watch-claims", "permissions = claims: watch", (*story).watchClaims},
	{"api", "GET /_api/users/{id}, POST /_api/users/status, POST …/send, DELETE …/connections", (*story).userAPI},
}

// identified connects to a node as a user's.
func (s *story) identified(node int, user string) *nodetest.Client {
	s.Helper()
	c := s.events(node)
	c.Act(fmt.Sprintf(`{"identify":%q}`, user))
	return c
}

// actionFails lets a handler return an action, and waits until the log of its node says that it failed, or was refused.
func (s *story) actionFails(node int, c *nodetest.Client, action, text string) {
	s.Helper()
	id := s.id(c)
	c.Send(`{"actions":` + action + `}`)
	s.Logs[node].Await(s, action+" fails", func(l nodetest.Line) bool {
		failed := l.Is("handler failed", "connection", id) || l.Is("permission refused", "connection", id)
		return failed && strings.Contains(l.Text("error"), text)
	})
}

func (s *story) identify() {
	user, ask := s.name("user"), s.commander(1)
	c, script := s.events(0), s.commander(2)
	c.Act(fmt.Sprintf(`[{"join":"first of all"},{"identify":{"user_id":%q,"color":"red"}}]`, user))
	s.same("identify", script.Call1("solidb.ws.identify", user, map[string]any{"device": "phone"}), "true")
	got := ask.Call1("ws_user", user)
	s.same("online", s.field(got, "online"), "true")
	s.contains(got, `"color":"red"`, `"device":"phone"`, s.id(c), s.id(script))
	s.same("last_seen", s.field(got, "last_seen"), "nothing")
	s.same("channels", script.Call1("solidb.ws.channel.list"), "[]")
	s.same("presence", ask.Call1("ws_presence_count", "@"+user), "1")
	c.Act(fmt.Sprintf(`{"identify":{"user_id":%q,"color":"blue"}}`, user))
	s.contains(ask.Call1("ws_user", user), `"color":"blue"`, `"device":"phone"`)
	c.Act(fmt.Sprintf(`{"set_presence":{"channel":%q,"state":"away"}}`, "@"+user))
	s.contains(ask.Call1("ws_user", user), `"state":"away"`)
	s.actionFails(0, c, `{"identify":"somebody else"}`, "another user's already")
	s.contains(script.CallError("solidb.ws.identify", "somebody else"), "another user's already")
	s.same("somebody else", s.field(ask.Call1("ws_user", "somebody else"), "online"), "false")
	for _, text := range c.Pending() {
		if strings.Contains(text, "presence") {
			s.Errorf("it was sent %s", text)
		}
	}
	for i := range 128 { // the limits are for others
		c.Act(fmt.Sprintf(`{"join":"%s %d"}`, user, i-1))
		if i < 32 {
			c.Act(fmt.Sprintf(`{"track":{"channel":"%s %d","user_id":"u"}}`, user, i))
		}
	}
}

func (s *story) identifyRoute() {
	user, ask := s.name("user"), s.commander(1)
	c := s.on(0, "/ws/identify", tokentest.Bearer(s.Issuer.Token(user, time.Hour, nil)))
	c.Act(`{}`)
	s.contains(ask.Call1("ws_user", user), `"online":true`, s.id(c))
	fields := fmt.Sprintf(`{"identify":{"user_id":%q,"n":1}}`, user)
	more := s.on(2, "/ws/identify"+queryOf([]string{"first", fields}),
		tokentest.Bearer(s.Issuer.Token(user, time.Hour, nil)))
	more.Act(`{}`)
	s.contains(ask.Call1("ws_user", user), `"n":1`)
	refused := s.name("refused")
	first := queryOf([]string{"first", `{"close":"no"}`})
	s.on(0, "/ws/identify"+first, tokentest.Bearer(s.Issuer.Token(refused, time.Hour, nil))).Expect("closed 4403…")
	s.same("one who was refused", ask.Call1("ws_user", refused), nodetest.JSON(map[string]any{"user_id": refused,
		"online": false, "metas": []any{}}))
	s.on(0, "/ws/identify").Act(`{"identify":"anybody"}`) // nobody before
}

func (s *story) userRaw() {
	user := s.name("user")
	event, script, other := s.identified(0, user), s.commander(1), s.events(2)
	script.Call("solidb.ws.identify", user)
	other.Act(fmt.Sprintf(`{"broadcast_channel":{"channel":%q,"message":{"n":1}}}`, "@"+user))
	s.same("ws_send_user", other.Call1("ws_send_user", user, map[string]any{"n": 2}), "true")
	s.same("ws_broadcast_room", other.Call1("ws_broadcast_room", "@"+user, "three"), "true")
	for _, c := range []*nodetest.Client{event, script} {
		c.Expect(`{"n":1}`, `{"n":2}`, "three")
	}
	s.same("nobody", other.Call1("ws_send_user", s.name("nobody"), "x"), "false")
	s.same("who sent", other.Pending(), []string{})
}

func (s *story) atNames() {
	c, script := s.events(0), s.commander(1)
	const text = "channels that begin with @ are those of users"
	for _, action := range []string{`{"join":"@x"}`, `{"leave":"@x"}`, `{"untrack":"@x"}`,
		`{"track":{"channel":"@x","user_id":"x"}}`, `{"join":{"channel":"@x"}}`, `{"join":"@"}`} {
		s.actionFails(0, c, action, text)
	}
	for _, f := range []string{"solidb.ws.channel.subscribe", "solidb.ws.channel.unsubscribe", "solidb.ws.presence.leave",
		"ws_join", "ws_leave"} {
		s.contains(script.CallError(f, "@x"), text)
	}
	s.contains(script.CallError("solidb.ws.presence.join", "@x", map[string]any{"user_id": "x"}), text)
	s.same("nobody", s.field(script.Call1("ws_user", "x"), "online"), "false")
}

func (s *story) identityIDs() {
	long := strings.Repeat("i", 254)
	ask := s.commander(1)
	s.identified(0, long)
	s.contains(ask.Call1("ws_user", long), `"online":true`)
	c := s.events(0)
	c.Act(`{"identify":7}`)
	s.contains(ask.Call1("ws_user", 7), `"user_id":"7"`, `"online":true`)
	for _, bad := range []string{long + "i", "", "a\u0000b"} {
		s.actionFails(0, s.events(0), fmt.Sprintf(`{"identify":%s}`, nodetest.JSON(bad)), "user_id")
		for _, f := range []string{"ws_user", "ws_close_user", "solidb.ws.identify"} {
			s.contains(ask.CallError(f, bad), "user_id must be 1 to 254 bytes")
		}
		s.contains(ask.CallError("ws_send_user", bad, "x"), "user_id")
	}
	for _, bad := range []string{`1.5`, `true`, `{}`, `{"user_id":{}}`, `["x"]`} {
		s.actionFails(0, s.events(0), fmt.Sprintf(`{"identify":%s}`, bad), "user_id")
	}
}

func (s *story) usersAsked() {
	a, b, ask := s.name("a"), s.name("b"), s.commander(1)
	s.identified(0, a)
	s.identified(2, b)
	var got []struct {
		UserID string `json:"user_id"`
		Online bool
		Metas  []any
	}
	s.decode(ask.Call1("ws_users", []string{b, "nobody", a, b}), &got)
	for i, want := range []struct {
		id     string
		online bool
	}{{b, true}, {"nobody", false}, {a, true}, {b, true}} {
		if got[i].UserID != want.id || got[i].Online != want.online || got[i].Online != (len(got[i].Metas) == 1) {
			s.Errorf("%d is %+v, want %v", i, got[i], want)
		}
	}
	many := make([]string, 1000)
	for i := range many {
		many[i] = fmt.Sprint("unknown ", i)
	}
	s.decode(ask.Call1("ws_users", many), &got)
	s.same("so many", len(got), 1000)
	s.contains(ask.CallError("ws_users", append(many, "x")), "at most 1000 users")
	s.same("none", ask.Call1("ws_users", []string{}), "[]")
}

func (s *story) lastSeen() {
	user, ask := s.name("user"), s.commander(1)
	c, second := s.identified(0, user), s.identified(2, user)
	c.Leave(1000, "")
	testkit.Within(s, "one connection", nodetest.Timeout, func() bool {
		return strings.Count(ask.Call1("ws_user", user), "phx_ref") == 1
	})
	s.same("last_seen while online", s.field(ask.Call1("ws_user", user), "last_seen"), "nothing")
	before := time.Now()
	second.Leave(1000, "")
	var got string
	testkit.Within(s, "offline", nodetest.Timeout, func() bool {
		got = ask.Call1("ws_user", user)
		return s.field(got, "online") == "false"
	})
	seen := time.UnixMilli(int64(s.number(s.field(got, "last_seen"))))
	if seen.Before(before.Add(-time.Second)) || seen.After(time.Now().Add(time.Second)) {
		s.Errorf("last seen at %v, left at %v", seen, before)
	}
	s.identified(0, user)
	s.same("last_seen when back", s.field(ask.Call1("ws_user", user), "last_seen"), "nothing")
}

func (s *story) closeUser() {
	user, ask := s.name("user"), s.commander(1)
	event, script := s.identified(0, user), s.commander(2)
	script.Call("solidb.ws.identify", user)
	s.same("ws_close_user", ask.Call1("ws_close_user", user, "enough", 4009), "true")
	event.ExpectClosed(4009, "enough")
	script.ExpectClosed(4009, "enough")
	testkit.Within(s, "they are gone", nodetest.Timeout,
		func() bool { return ask.Call1("ws_close_user", user, "again") == "false" })
	s.contains(ask.CallError("ws_close_user", user, "x", 1005), "no close code")
}

func (s *story) watch() {
	ch, bob := s.name("room"), s.name("bob")
	event, script := s.events(0), s.commander(1)
	s.tracked(2, ch, "there")
	event.Act(fmt.Sprintf(`{"watch":[%q,%q]}`, ch, "@"+bob))
	event.AwaitUsers(ch, "there")
	event.AwaitUsers("@" + bob)
	for _, c := range []string{ch, "@" + bob} {
		s.same("watch", script.Call1("solidb.ws.presence.watch", c), "true")
	}
	s.same("channels", script.Call1("solidb.ws.channel.list"), "[]")
	b := s.identified(2, bob)
	comes := s.tracked(0, ch, "comes")
	event.AwaitUsers("@"+bob, bob)
	event.AwaitUsers(ch, "comes", "there")
	s.same("broadcast", script.Call1("ws_broadcast_room", ch, "unheard"), "true")
	s.same("broadcast", script.Call1("ws_send_user", bob, "for bob"), "true")
	b.Expect("for bob")
	b.Leave(1000, "")
	comes.Leave(1000, "")
	event.AwaitUsers("@" + bob)
	event.AwaitUsers(ch, "there")
	script.AwaitPresence(ch, "events", nodetest.Timeout, func(p nodetest.Presence) bool { return len(p.Told) == 2 })
	script.AwaitPresence("@"+bob, "events", nodetest.Timeout, func(p nodetest.Presence) bool { return len(p.Told) == 2 })
	s.same("events", script.Presence(ch).Told, "[join comes leave comes]")
	s.same("events of bob", script.Presence("@"+bob).Told, fmt.Sprintf("[join %s leave %s]", bob, bob))
	for _, text := range append(event.Pending(), script.Pending()...) {
		if !strings.Contains(text, "presence") {
			s.Errorf("it heard %s", text)
		}
	}
	event.CheckPresence()
	event.Act(fmt.Sprintf(`{"unwatch":[%q,"never watched"]}`, ch))
	s.same("unwatch", script.Call1("solidb.ws.presence.unwatch", ch), "true")
	told := len(event.Presence(ch).Told)
	s.tracked(2, ch, "unseen")
	later := s.identified(2, bob)
	event.AwaitUsers("@"+bob, bob) // what came before has been told
	s.same("told after unwatch", len(event.Presence(ch).Told), told)
	later.Leave(1000, "")
}

func (s *story) watchClaims() {
	token := s.Issuer.Token("watcher", time.Hour, tokentest.Claims{"channels": map[string]any{"watch": []string{"ok:*"}}})
	c := s.on(0, "/ws/claims", tokentest.Bearer(token))
	c.Act(`{"watch":"ok:1"}`)
	c.Expect(`{"event":"presence_state","channel":"ok:1","payload":{}}`)
	s.actionFails(0, c, `{"watch":"@bob"}`, `channel "@bob" is not allowed`)
}

func (s *story) userAPI() {
	user := s.name("user ü/")
	path := "/_api/users/" + url.PathEscape(user)
	status, answer := s.api("GET", 1, path, "")
	s.same("unknown", fmt.Sprint(status, " ", strings.TrimSpace(answer)), fmt.Sprintf(
		"200 {\"user_id\":%q,\"online\":false,\"last_seen\":null,\"metas\":[],\"connections\":[]}", user))
	c := s.identified(0, user)
	c.Act(`{"join":"room of the user"}`)
	_, answer = s.api("GET", 1, path, "")
	s.contains(answer, `"online":true`, `"last_seen":null`, `"channels":["room of the user"]`, `"id":"`+s.id(c)+`"`,
		`"route":"/ws/do"`, `"phx_ref"`)
	_, answer = s.api("POST", 2, "/_api/users/status", nodetest.JSON(map[string]any{"ids": []string{"nobody", user}}))
	s.same("status", strings.TrimSpace(answer), fmt.Sprintf(`{"users":[{"user_id":"nobody","online":false,"last_seen":null,"devices":0},`+
		`{"user_id":%q,"online":true,"last_seen":null,"devices":1}]}`, user))
	s.same("send", first(s.api("POST", 2, path+"/send", `{"message":{"n":1}}`)), http.StatusNoContent)
	c.Expect(`{"n":1}`)
	s.same("send to nobody", first(s.api("POST", 2, "/_api/users/nobody/send", `{"message":1}`)), http.StatusNotFound)
	s.same("bad code", first(s.api("DELETE", 2, path+"/connections?code=1006", "")), http.StatusUnprocessableEntity)
	s.same("close", first(s.api("DELETE", 2, path+"/connections?reason=bye&code=4100", "")), http.StatusNoContent)
	c.ExpectClosed(4100, "bye")
	testkit.Within(s, "gone", nodetest.Timeout, func() bool {
		return first(s.api("DELETE", 2, path+"/connections", "")) == http.StatusNotFound
	})
	_, answer = s.api("GET", 1, path, "")
	if seen := time.UnixMilli(int64(s.number(s.field(answer, "last_seen")))); time.Since(seen).Abs() > time.Minute {
		s.Errorf("last seen at %v", seen)
	}
	long := strings.Repeat("i", 255)
	s.same("a long id", first(s.api("GET", 1, "/_api/users/"+long, "")), http.StatusUnprocessableEntity)
	for _, body := range []string{`{"ids":[""]}`, `{"ids":[]}`, `{"ids":["` + long + `"]}`, `{}`} {
		s.same("status of "+body[:min(len(body), 20)], first(s.api("POST", 1, "/_api/users/status", body)),
			http.StatusUnprocessableEntity)
	}
	many := nodetest.JSON(map[string]any{"ids": make([]string, 1001)})
	s.same("1,001 ids", first(s.api("POST", 1, "/_api/users/status", many)), http.StatusUnprocessableEntity)
}
