package app

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall/auth"
)

var secret = []byte("a secret of the tests, long enough")

// tokens checks tokens that mint has made.
func tokens(t testing.TB) *auth.Verifier {
	t.Helper()
	v, err := auth.New(t.Context(), auth.Config{Secrets: [][]byte{secret}, Leeway: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Close)
	return v
}

func mint(t testing.TB, c auth.MintClaims) string {
	t.Helper()
	if c.IssuedAt.IsZero() {
		c.IssuedAt = time.Now()
	}
	token, err := auth.Mint(secret, c)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// tokenNode is a node with the handler of these tests: a message is run as a command, and its result sent.
func tokenNode(t *testing.T, options string) *testNode {
	files := map[string]string{
		"config/routes.lua": "router_websocket('/ws', 'h#h', " + options +
			")\nrouter_get('/get', 'h#get', {permissions = 'claims'})",
		"handlers/h.lua": `
function h(event)
  if event.type ~= "message" then return {} end
  local m = json.decode(event.message)
  if m["do"] then return m["do"] end
  if m.call then
    local r = {pcall(_G[m.call], unpack(m.args))}
    return {send = {ok = r[1], result = r[2], why = r[3]}}
  end
  return {send = {user = event.user, error = event.error, query = event.query, headers = {event.headers.authorization, event.headers["sec-websocket-protocol"]}}}
end
function get(request) return {pcall(ws_broadcast_room, request.query.to, "x")} end`,
		"scripts/_system/s.ws.lua": "solidb.ws.send(json.encode(request.user)) solidb.ws.recv()",
	}
	return startNode(t, files, nodeOptions{load: LoadOptions{HasKeys: true},
		config: func(c *Config) { c.Tokens = tokens(t) }})
}

// SPEC 4: `user` is always a table. Handlers never see the token itself.
func TestUserOfToken(t *testing.T) {
	n := tokenNode(t, "{}")
	token := mint(t, auth.MintClaims{UserID: "42", Username: "ann", Roles: []string{"admin"}})
	for name, dial := range map[string]func() *client{
		"query":       func() *client { return n.dial("/ws?a=1&token=" + token) },
		"header":      func() *client { return n.dial("/ws?a=1", "Authorization: Bearer "+token) },
		"subprotocol": func() *client { return n.dial("/ws?a=1", "Sec-WebSocket-Protocol: rollcall, "+token) },
	} {
		t.Run(name, func(t *testing.T) {
			c := dial()
			c.say("{}")
			got := c.next()
			var seen struct {
				User struct {
					ID, Username  string
					Authenticated bool
					Roles         []string
					Claims        map[string]any
				}
				Query map[string]string
			}
			check(t, json.Unmarshal([]byte(got), &seen))
			if u := seen.User; u.ID != "42" || u.Username != "ann" || !u.Authenticated || fmt.Sprint(u.Roles) != "[admin]" ||
				u.Claims["sub"] != "42" {
				t.Errorf("user of %s", got)
			}
			if strings.Contains(got, token) || fmt.Sprint(seen.Query) != "map[a:1]" {
				t.Errorf("the handler sees the token: %s", got)
			}
		})
	}
	c := n.dial("/ws")
	c.say("{}")
	if got := c.next(); !strings.Contains(got, `"user":{"authenticated":false,"username":""}`) {
		t.Errorf("without a token: %s", got)
	}
	if strings.Contains(n.log.String(), token) {
		t.Error("the log holds the token")
	}
}

// SPEC 4: "A token that expires while connected: close 4401", on both kinds of handler.
func TestTokenExpires(t *testing.T) {
	n := tokenNode(t, "{token_renewal = true}")
	soon := auth.MintClaims{UserID: "42", TTL: 2 * time.Second}
	for _, path := range []string{"/ws", "/api/custom/_system/s"} {
		c := n.dial(path + "?token=" + mint(t, soon))
		c.untilClosed("closed 4401 the token has expired")
	}
	stays := n.dial("/ws?token=" + mint(t, auth.MintClaims{UserID: "42"}))
	renewed := n.dial("/ws?token=" + mint(t, soon))
	first := n.dial("/ws?token=" + mint(t, soon))
	renewed.say(`{"event":"token","token":"` + mint(t, auth.MintClaims{UserID: "42", Username: "bob", TTL: time.Hour}) +
		`"}`)
	var answer struct {
		Event     string `json:"event"`
		ExpiresAt int64  `json:"expires_at"`
	}
	check(t, json.Unmarshal([]byte(renewed.next()), &answer))
	if in := time.Until(time.Unix(answer.ExpiresAt, 0)); answer.Event != "token" || in < 59*time.Minute || in > time.Hour {
		t.Errorf("the answer to a renewal is %+v", answer)
	}
	first.untilClosed("closed 4401 the token has expired")
	for _, c := range []*client{stays, renewed} {
		c.say("{}")
		if got := c.next(); !strings.Contains(got, `"id":"42"`) || c == renewed &&
			!strings.Contains(got, `"username":"bob"`) {
			t.Errorf("%s", got)
		}
	}
}

// A renewal that is refused leaves the old token in force; where there is no renewal, the frame is the handler's.
func TestTokenRenewalRefused(t *testing.T) {
	n := tokenNode(t, "{token_renewal = true}")
	c := n.dial("/ws?token=" + mint(t, auth.MintClaims{UserID: "42"}))
	for token, says := range map[string]string{
		"":                                     "no valid JWT",
		"garbage":                              "no valid JWT",
		mint(t, auth.MintClaims{UserID: "43"}): "another user",
		mint(t, auth.MintClaims{UserID: "42", IssuedAt: time.Now().Add(-time.Hour), TTL: time.Minute}): "expired",
	} {
		c.say(`{"event":"token","token":"` + token + `"}`)
		if got := c.next(); !strings.HasPrefix(got, `{"event":"token","error":"`) || !strings.Contains(got, says) {
			t.Errorf("%s, want %q in it", got, says)
		}
	}
	c.say("{}")
	if got := c.next(); !strings.Contains(got, `"id":"42"`) {
		t.Error(got)
	}
	anonymous := n.dial("/ws")
	anonymous.say(`{"event":"token","token":"` + mint(t, auth.MintClaims{UserID: "42"}) + `"}`)
	if got := anonymous.next(); !strings.Contains(got, "another user") {
		t.Errorf("an anonymous connection became somebody: %s", got)
	}
	other := tokenNode(t, "{}").dial("/ws?token=" + mint(t, auth.MintClaims{UserID: "42"}))
	other.say(`{"event":"token","token":"x","do":{"send":"the handler has it"}}`)
	other.expect("the handler has it")
}

// Route option permissions = "claims": joins, tracks and broadcasts of the handler go by the token's claim channels.
func TestPermissions(t *testing.T) {
	n := tokenNode(t, "{permissions = 'claims', token_renewal = true}")
	room := n.dial("/ws?token=" + mint(t, auth.MintClaims{UserID: "42", Channels: []string{"room:*"}}))
	for _, do := range []string{
		`{"join":"secret"}`, `{"join":["room:1","secret"]}`, `{"track":{"channel":"secret","user_id":"42"}}`,
		`{"broadcast_channel":{"channel":"secret","message":"x"}}`,
		`{"broadcast_room":{"channel":"secret","message":"x"}}`, `{"broadcast":"x"}`,
		`[{"send":"not sent"},{"join":"secret"}]`,
	} {
		room.say(`{"do":` + do + `}`)
		room.say("{}")
		if got := room.next(); !strings.Contains(got, "is not allowed by the token") || !strings.Contains(got, `"error"`) {
			t.Errorf("after %s the next event is %s", do, got)
		}
		room.say("{}")
		if got := room.next(); strings.Contains(got, `"error"`) {
			t.Errorf("the event after that has an error too: %s", got)
		}
	}
	for _, call := range []string{`"ws_join","args":["secret"]`, `"ws_broadcast_room","args":["secret","x"]`,
		`"ws_broadcast","args":["x"]`} {
		room.say(`{"call":` + call + `}`)
		if got := room.next(); !strings.Contains(got, `"ok":false`) || !strings.Contains(got, "is not allowed by the token") {
			t.Errorf("%s: %s", call, got)
		}
	}
	room.say(`{"call":"ws_allowed","args":["secret"]}`)
	if got := room.next(); !strings.Contains(got, `"result":false`) || !strings.Contains(got, `"why":"channel`) {
		t.Error(got)
	}
	room.say(`{"call":"ws_allowed","args":["room:1"]}`)
	if got := room.next(); !strings.Contains(got, `"result":true`) {
		t.Error(got)
	}
	room.say(`{"do":{"join":"room:1","broadcast_room":"all in"}}`)
	room.expect("all in")
	room.say(`{"do":{"track":{"channel":"room:1","user_id":"42"}}}`)
	if got := room.next(); !strings.Contains(got, "presence_state") {
		t.Error(got)
	}

	// After a renewal with fewer channels the room is still joined, and no longer broadcast to.
	room.say(`{"event":"token","token":"` + mint(t, auth.MintClaims{UserID: "42", Channels: []string{"other"}}) + `"}`)
	room.expect(`{"event":"token","expires_at":null}`)
	room.say(`{"do":{"broadcast_room":"not allowed"}}`)
	room.say("{}")
	if got := room.next(); !strings.Contains(got, "is not allowed by the token") {
		t.Errorf("broadcast_room to a room that is not allowed any more: %s", got)
	}

	all := n.dial("/ws?token=" + mint(t, auth.MintClaims{UserID: "1", Channels: []string{"*"}}))
	all.say(`{"do":{"broadcast":"to everybody"}}`)
	all.expect("to everybody")
	room.expect("to everybody")
	nobody := n.dial("/ws")
	nobody.say(`{"call":"ws_join","args":["room:1"]}`)
	if got := nobody.next(); !strings.Contains(got, "there is no token") {
		t.Error(got)
	}
	if got := n.get("/get?to=secret"); !strings.Contains(got, "is not allowed") {
		t.Errorf("an HTTP handler: %s", got)
	}
}

// A connect handler that names a channel the token does not allow refuses the connection.
func TestPermissionsAtConnect(t *testing.T) {
	files := map[string]string{
		"config/routes.lua": `router_websocket("/ws/:room", "h#h", {permissions = "claims"})`,
		"handlers/h.lua": `function h(event)
  local own = event.query.close and {code = 4999, reason = "own"} or nil
  return {send = "in", join = event.params.room, close = own}
end`,
	}
	n := startNode(t, files, nodeOptions{config: func(c *Config) { c.Tokens = tokens(t) }})
	token := mint(t, auth.MintClaims{UserID: "42", Channels: []string{"a"}})
	n.dial("/ws/a?token=" + token).expect("in")
	n.dial("/ws/a?close=1&token="+token).expect("in", "closed 4999 own")
	n.dial("/ws/b?close=1&token=" + token).untilClosed(`closed 4403 join: channel "b" is not allowed by the token`)
	n.dial("/ws/b?token=" + token).untilClosed(`closed 4403 join: channel "b" is not allowed by the token`)
}

// What a token does not allow is none of the app's errors: not in the log, nor counted as one, whether an action or a
// function was refused. SPEC 11: "a refused ws_join in connect closes 4403, as a returned one".
func TestDenialsAreNoErrors(t *testing.T) {
	const denied = `channel "b" is not allowed by the token`
	n := startNode(t, map[string]string{
		"config/routes.lua": `router_websocket("/ws/:room", "h#h", {permissions = "claims"}) router_get("/get", "h#get", {permissions = "claims"})`,
		"handlers/h.lua": `
function h(event)
  if event.type == "connect" then ws_join(event.params.room) return end
  if event.error then return {send = event.error} end
  if event.message == "function" then ws_broadcast_room("b", 1) end
  if event.message == "caught" then pcall(ws_join, "b") error("other") end
  if event.message == "action" then return {join = "b"} end
end
function get() ws_broadcast_room("b", 1) end`,
	}, nodeOptions{config: func(c *Config) { c.Tokens = tokens(t) }})
	token := "?token=" + mint(t, auth.MintClaims{UserID: "42", Channels: []string{"a"}})
	n.dial("/ws/b" + token).untilClosed(`closed 4403 ws_join: ` + denied)
	c := n.dial("/ws/a" + token)
	c.say("function", "", "action", "")
	c.expect("ws_broadcast_room: "+denied, "join: "+denied)
	if got := n.get("/get" + token); !strings.HasPrefix(got, "403 ") ||
		!strings.Contains(got, "is not allowed by the token") {
		t.Error(got)
	}
	if strings.Contains(n.log.String(), "level=ERROR") {
		t.Error("an error is in the log")
	}
	if n := strings.Count(n.log.String(), `level=INFO msg="permission refused"`); n != 4 {
		t.Errorf("%d refusals are in the log", n)
	}
	c.say("caught")
	n.logged("other")
	reasons := []Reason{}
	for _, f := range n.seen.all() {
		reasons = append(reasons, f.Reason)
	}
	if want := []Reason{ReasonDenied, ReasonDenied, ReasonDenied, ReasonDenied, "raised"}; !slices.Equal(reasons, want) {
		t.Errorf("counted as %v", reasons)
	}
}

// Whatever a return can do is asked of the token, but for what takes away, only reads, or is about this client alone.
// What nobody knows is no action (docs/auth.md).
func TestActionsNeedPermission(t *testing.T) {
	n := tokenNode(t, "{permissions = 'claims'}")
	c := n.dial("/ws?token=" + mint(t, auth.MintClaims{UserID: "42", Channels: []string{"none"}}))
	values := map[string]string{"track": `{"channel":"c","user_id":"42"}`,
		"broadcast_channel": `{"channel":"c","message":1}`, "broadcast_room": `{"channel":"c","message":1}`,
		"broadcast_from": `{"channel":"c","message":1}`,
		"identify":       "", "unwatch": "", "after": "", "close": "", "leave": "", "untrack": "", "set_presence": "",
		"send": "", "send_presence": ""}
	for _, kind := range actionKinds {
		value, listed := values[kind.String()]
		switch {
		case !listed:
			value = `"c"`
		case value == "":
			continue // free
		}
		c.say(`{"do":{"`+kind.String()+`":`+value+`}}`, "{}")
		if got := c.next(); !strings.Contains(got, `"error":"`+kind.String()+`: channel \"`) {
			t.Errorf("after %s the next event is %s", kind, got)
		}
	}
	c.say(`{"do":{"publish":"c"}}`, "{}")
	if got := c.next(); strings.Contains(got, `"error"`) {
		t.Errorf("after what is no action: %s", got)
	}
	n.logged(`unknown action`)
}

// untilClosed reads to the end, which must be as wanted.
func (c *client) untilClosed(want string) {
	c.t.Helper()
	got := c.next()
	for !strings.HasPrefix(got, "closed") && !strings.HasPrefix(got, "error") {
		got = c.next()
	}
	if got != want {
		c.t.Errorf("got  %s\nwant %s", got, want)
	}
}
