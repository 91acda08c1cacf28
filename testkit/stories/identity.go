package stories

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/gorilla/websocket"

	"rollcall/testkit/nodetest"
	"rollcall/testkit/tokentest"
)

// identityStories are SPEC 4: who the user is, on every kind of route. Their test app asks for no token; what asks for
// one is in integration_test/token_test.go.
var identityStories = []entry{
	{"ways", "in Authorization: Bearer, in ?token=, or as the subprotocol pair rollcall, <token>", (*story).ways},
	{"algorithms", "A JWT (HS256, RS256, ES256, EdDSA)", (*story).algorithms},
	{"user", "user is always a table: with one id and username (from sub, preferred_username), roles, and claims",
		(*story).userTable},
	{"never-shown", "handlers never see the token", (*story).tokenNeverShown},
	{"subprotocol", "the subprotocol rollcall is answered when it was offered", (*story).subprotocol},
	{"faults", "A bad or expired token, or one that no configured key can check: 401 before the upgrade",
		(*story).tokenFaults},
	{"times", "exp, nbf checked: with a leeway of 10 s", (*story).tokenTimes},
	{"expiry", "A token that expires while connected: close 4401", (*story).expiry},
	{"renewal", "token_renewal: a new token before the old one expires, for the same user", (*story).renewal},
	{"renewal-refused", "a bad renewal is answered, and the old token stays in force", (*story).renewalRefused},
	{"renewal-elsewhere", "on other routes the frame is an ordinary message", (*story).renewalElsewhere},
}

// kind is one kind of handler, and how it tells what it knows of its request.
type kind struct {
	name, path string
	about      func(s *story, node int, path string, header ...string) string
}

// kinds are all that can ask who a request comes from.
var kinds = []kind{
	{"event handler", "/ws/do", func(s *story, node int, path string, header ...string) string {
		return nodetest.JSON(s.on(node, path, header...).Ask(map[string]any{"event": true}).Results[0])
	}},
	{"connection script", "/api/custom/test/do", func(s *story, node int, path string, header ...string) string {
		return nodetest.JSON(s.on(node, path, header...).Ask(map[string]any{"request": true}).Results[0])
	}},
	{"HTTP handler", "/echo/x", func(s *story, node int, path string, header ...string) string {
		status, body, _ := nodetest.Request(context.Background(), http.MethodGet, s.Addrs[node], path, "", header...)
		s.same("status of "+path, status, http.StatusOK)
		return s.field(body, "request")
	}},
	{"HTTP script", "/api/custom/test/request", func(s *story, node int, path string, header ...string) string {
		status, body, _ := nodetest.Request(context.Background(), http.MethodGet, s.Addrs[node], path, "", header...)
		s.same("status of "+path, status, http.StatusOK)
		return s.field(body, "request")
	}},
}

// answer is what a request with these headers is answered; a WebSocket path is asked for an upgrade.
func (s *story) answer(node int, k kind, path string, header ...string) (int, string, http.Header) {
	s.Helper()
	if strings.HasPrefix(k.name, "HTTP") {
		return nodetest.Request(context.Background(), http.MethodGet, s.Addrs[node], path, "", header...)
	}
	c, resp, err := nodetest.TryDial(s, s.Addrs[node], path, header...)
	if err == nil {
		c.Drop()
		return http.StatusSwitchingProtocols, "", nil
	}
	if resp == nil {
		s.Fatalf("connect to %s: %v", path, err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		s.Fatal(err)
	}
	return resp.StatusCode, string(body), resp.Header
}

func (s *story) ways() {
	token := s.Issuer.Token("ann", time.Hour, nil)
	for i, k := range kinds {
		for _, way := range tokentest.Ways {
			path, header := way.With(k.path+"?x=1", token)
			about := k.about(s, i%3, path, header...)
			s.same(k.name+" by "+way.Name, s.field(about, "user", "id"), `"ann"`)
		}
		// The same token twice is one.
		path, header := tokentest.Ways[1].With(k.path, token)
		s.same(k.name, s.field(k.about(s, i%3, path, append(header, tokentest.Bearer(token))...), "user", "id"), `"ann"`)
		// These carry none.
		for _, line := range []string{"Authorization: Basic YTpi", "Authorization: Bearer", "Authorization: " + token,
			"Sec-WebSocket-Protocol: other, rollcall", "X-Token: " + token} {
			s.same(k.name+" with "+line, s.field(k.about(s, i%3, k.path+"?token=&Token=x", line), "user"),
				`{"authenticated":false,"username":""}`)
		}
	}
}

func (s *story) algorithms() {
	for i, alg := range tokentest.Algorithms {
		// keys of the configuration have no kid
		for _, header := range []tokentest.Claims{nil, {"kid": "any"}, {"typ": "at+jwt"}} {
			token := s.Issuer.Sign(alg, header, tokentest.Good(alg, time.Hour, nil))
			for _, k := range kinds {
				s.same(alg, s.field(k.about(s, i%3, k.path, tokentest.Bearer(token)), "user", "id"), nodetest.JSON(alg))
			}
		}
	}
}

func (s *story) userTable() {
	exp := time.Now().Add(time.Hour).Unix()
	base := fmt.Sprintf(`"aud":"%s","exp":%d,"iss":"%s"`, tokentest.Audience, exp, tokentest.Name)
	for _, tt := range []struct {
		name   string
		claims tokentest.Claims
		want   string
	}{
		{"sub alone", tokentest.Claims{"sub": "42"},
			`{"authenticated":true,"claims":{` + base + `,"sub":"42"},"id":"42","roles":[],"username":"42"}`},
		{"all", tokentest.Claims{"sub": "42", "preferred_username": "änn", "roles": []string{"a", "b"},
			"more": tokentest.Claims{"n": []any{nil, 1.5}}},
			`{"authenticated":true,"claims":{` + base +
				`,"more":{"n":[null,1.5]},"preferred_username":"änn","roles":["a","b"],"sub":"42"},"id":"42","roles":["a","b"],"username":"änn"}`},
		{"one role as text", tokentest.Claims{"sub": "42", "roles": "admin"},
			`{"authenticated":true,"claims":{` + base +
				`,"roles":"admin","sub":"42"},"id":"42","roles":["admin"],"username":"42"}`},
		{"roles of another shape", tokentest.Claims{"sub": "42", "roles": []any{1}, "preferred_username": 7},
			`{"authenticated":true,"claims":{` + base +
				`,"preferred_username":7,"roles":[1],"sub":"42"},"id":"42","roles":[],"username":"42"}`},
		{"a number as sub", tokentest.Claims{"sub": 42},
			`{"authenticated":true,"claims":{` + base + `,"sub":42},"id":"42","roles":[],"username":"42"}`},
		{"a claim called authenticated",
			tokentest.Claims{"sub": "42", "authenticated": false, "id": "root", "username": "root"},
			`{"authenticated":true,"claims":{` + base[:strings.Index(base, `,"exp"`)] + `,"authenticated":false` +
				base[strings.Index(base, `,"exp"`):] + `,"sub":"42","username":"root"},"id":"42","roles":[],"username":"42"}`},
	} {
		claims := tokentest.Good("", 0, tt.claims)
		claims["exp"] = exp
		want := strings.Replace(tt.want, `,"iss":`, idClaim(claims)+`,"iss":`, 1)
		for i, k := range kinds {
			about := k.about(s, i%3, k.path, tokentest.Bearer(s.Issuer.Sign("HS256", nil, claims)))
			s.same(tt.name+" to the "+k.name, s.field(about, "user"), want)
		}
	}
	for i, k := range kinds {
		s.same("without a token", s.field(k.about(s, i%3, k.path), "user"), `{"authenticated":false,"username":""}`)
	}
}

// idClaim is the claim id in its place of the sorted claims.
func idClaim(c tokentest.Claims) string {
	if id, ok := c["id"]; ok {
		return `,"id":` + nodetest.JSON(id)
	}
	return ""
}

func (s *story) tokenNeverShown() {
	for i, k := range kinds {
		for _, way := range tokentest.Ways {
			token := s.Issuer.Token("ann", time.Hour, tokentest.Claims{"jti": s.name(way.Name)})
			path, header := way.With(k.path+"?a=1", token)
			if way.Name == "query" {
				path += "&b=2&%74oken=" + token // the same name, encoded
			} else {
				path += "&b=2"
			}
			about := k.about(s, i%3, path, append(header, "X-Other: stays")...)
			for _, part := range strings.Split(token, ".") {
				if strings.Contains(about, part) {
					s.Errorf("%s: the handler sees %s of the token: %s", k.name, part, about)
				}
			}
			s.same("query", s.field(about, "query"), `{"a":"1","b":"2"}`)
			s.same("authorization", s.field(about, "headers", "authorization"), "nothing")
			s.same("other headers", s.field(about, "headers", "x-other"), `"stays"`)
			if way.Name == "subprotocol" {
				s.same("subprotocols", s.field(about, "headers", "sec-websocket-protocol"), `"rollcall"`)
			}
			if _, listed := s.api("GET", i%3, "/_api/connections?limit=1000", ""); strings.Contains(listed, token) {
				s.Error("the API shows the token")
			}
			s.notInLogs(token)
		}
	}
}

// notInLogs fails the story when a log has a token, or a part of it.
func (s *story) notInLogs(token string) {
	s.Helper()
	parts := strings.Split(token, ".")
	for node, log := range s.Logs {
		text := log.Text()
		for _, part := range parts[min(1, len(parts)-1):] { // all headers are alike
			if len(part) > 8 && strings.Contains(text, part) {
				s.Errorf("the log of node %d has %s of the token", node, part)
			}
		}
	}
}

func (s *story) subprotocol() {
	token := s.Issuer.Token("ann", time.Hour, nil)
	for offer, want := range map[string]string{
		"": "", "rollcall": "rollcall", "rollcall, " + token: "rollcall", "other, rollcall, " +
			token: "rollcall", "rollcall, " + token + ", other": "rollcall", "other": "", "ROLLCALL": "",
	} {
		for i, k := range kinds[:2] {
			var header []string
			if offer != "" {
				header = []string{"Sec-WebSocket-Protocol: " + offer}
			}
			c := s.on(i, k.path, header...)
			s.same(k.name+" was offered "+offer, c.Conn.Subprotocol(), want)
		}
	}
	// As a browser offers them.
	d := websocket.Dialer{Subprotocols: []string{"rollcall", token}, HandshakeTimeout: nodetest.Timeout}
	conn, _, err := d.Dial("ws://"+s.Addrs[0]+"/ws/do", nil)
	if err != nil {
		s.Fatal(err)
	}
	defer conn.Close()
	s.same("subprotocol", conn.Subprotocol(), "rollcall")
}

func (s *story) tokenFaults() {
	for n, f := range tokentest.Faults(s.Issuer) {
		for i, k := range kinds {
			for _, way := range tokentest.Ways {
				path, header := way.With(k.path, f.Token)
				s.unauthorized(k.name+": "+f.Name+" by "+way.Name, f.Says, (n+i)%3, k, path, header...)
			}
		}
		if len(f.Token) > 20 {
			s.notInLogs(f.Token)
		}
	}
	// A good token does not make up for another one.
	good, second := s.Issuer.Token("ann", time.Hour, nil), s.Issuer.Token("ann", time.Hour, tokentest.Claims{"jti": "2"})
	for i, k := range kinds {
		for name, header := range map[string][]string{
			"two headers":            {tokentest.Bearer(good), tokentest.Bearer(second)},
			"header and subprotocol": {tokentest.Bearer(good), "Sec-WebSocket-Protocol: rollcall, " + second},
		} {
			s.unauthorized(k.name+": "+name, "two different tokens", i%3, k, k.path, header...)
		}
		s.unauthorized(k.name+": header and query", "two different tokens", i%3, k, k.path+"?token="+second,
			tokentest.Bearer(good))
		s.unauthorized(k.name+": twice in the query", "two different tokens", i%3, k, k.path+"?token="+good+"&token="+second)
	}
	s.Logs[0].Await(s, "about a refused token", func(l nodetest.Line) bool {
		return l.Is("token refused", "route", "/ws/do", "address", "127.0.0.1") &&
			strings.HasPrefix(l.Text("error"), "expired: since ")
	})
	// What is no handler does not ask.
	status, _, _ := nodetest.Request(context.Background(), http.MethodGet, s.Addrs[0], "/hello.txt", "",
		tokentest.Bearer("garbage"))
	s.same("a static file", status, http.StatusOK)
}

// unauthorized wants a 401: "before the upgrade", as a problem document that says what is wrong.
func (s *story) unauthorized(what, says string, node int, k kind, path string, header ...string) {
	s.Helper()
	status, body, head := s.answer(node, k, path, header...)
	if status != http.StatusUnauthorized {
		s.Errorf("%s: %d %s, want 401", what, status, body)
		return
	}
	s.same(what+": content type", head.Get("Content-Type"), "application/problem+json")
	if got := head.Get("WWW-Authenticate"); !strings.HasPrefix(got, "Bearer") {
		s.Errorf("%s: WWW-Authenticate is %q", what, got)
	}
	s.same(what+": status in the body", s.field(body, "status"), http.StatusUnauthorized)
	if detail := s.field(body, "detail"); !strings.Contains(detail, says) {
		s.Errorf("%s: it says %s, want %q", what, detail, says)
	}
}

func (s *story) tokenTimes() {
	now := time.Now()
	for _, tt := range []struct {
		name string
		more tokentest.Claims
		want int
	}{
		{"exp within the leeway", tokentest.Claims{"exp": now.Add(-1 * time.Second).Unix()}, 101},
		{"exp beyond it", tokentest.Claims{"exp": now.Add(-12 * time.Second).Unix()}, 401},
		{"exp as a fraction", tokentest.Claims{"exp": float64(now.Add(-time.Second).Unix()) + 0.5}, 101},
		{"exp in a thousand years", tokentest.Claims{"exp": 33e9}, 101},
		{"no exp", tokentest.Claims{"exp": nil}, 101},
		{"nbf within the leeway", tokentest.Claims{"nbf": now.Add(5 * time.Second).Unix()}, 101},
		{"nbf beyond it", tokentest.Claims{"nbf": now.Add(40 * time.Second).Unix()}, 401},
		{"iat in the future is not looked at", tokentest.Claims{"iat": now.Add(time.Hour).Unix()}, 101},
	} {
		token := s.Issuer.Token("ann", time.Hour, tt.more)
		for i, k := range kinds[:2] {
			status, body, _ := s.answer(i, k, k.path, tokentest.Bearer(token))
			s.same(tt.name+" "+body, status, tt.want)
		}
	}
}
