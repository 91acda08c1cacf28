package integration_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"rollcall/testkit"
	"rollcall/testkit/nodetest"
	"rollcall/testkit/tokentest"
)

// private is the app whose routes want a token.
const private = "testdata/private"

// tokenNode starts a node on the embedded Redis that believes an issuer.
func tokenNode(t *testing.T, app string, flags ...string) (*nodetest.Node, *tokentest.Issuer) {
	t.Helper()
	issuer := tokentest.NewIssuer(t)
	return nodetest.Start(t, nodetest.Options{App: app, Flags: append(issuer.Flags(), flags...)}), issuer
}

// upgrade tries to connect, and gives the status and the body of a refusal; 101: it was let in.
func upgrade(t *testing.T, addr, path string, header ...string) (status int, body string, head http.Header) {
	t.Helper()
	c, resp, err := nodetest.TryDial(t, addr, path, header...)
	if err == nil {
		c.Drop()
		return http.StatusSwitchingProtocols, "", nil
	}
	if resp == nil {
		t.Fatalf("connect to %s: %v", path, err)
	}
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b), resp.Header
}

// SPEC 1.2: "{ auth = true } (a valid token is required, else 401)".
func TestAuthRequired(t *testing.T) {
	t.Parallel()
	n, issuer := tokenNode(t, private)
	token := issuer.Token("ann", time.Hour, nil)
	for _, way := range tokentest.Ways {
		path, header := way.With("/ws/private", token)
		nodetest.Dial(t, n.Addr(), path, header...).Expect("ann")
		path, header = way.With("/private", token)
		if status, body, _ := nodetest.Request(t.Context(), "GET", n.Addr(), path, "", header...); status != 200 ||
			body != `{"id":"ann"}` {
			t.Errorf("by %s: %d %s", way.Name, status, body)
		}
	}
	for name, tt := range map[string]struct {
		header []string
		says   string
	}{
		"no token":       {nil, "a token is required"},
		"an empty token": {[]string{"Authorization: Bearer "}, "a token is required"},
		"another scheme": {[]string{"Authorization: Basic YTpi"}, "a token is required"},
		"rollcall alone": {[]string{"Sec-WebSocket-Protocol: rollcall"}, "a token is required"},
		"a bad token":    {[]string{"Authorization: Bearer garbage"}, "no valid JWT"},
		"expired":        {[]string{tokentest.Bearer(issuer.Token("ann", -time.Minute, nil))}, "has expired"},
	} {
		for path, ask := range map[string]func() (int, string, http.Header){
			"/ws/private": func() (int, string, http.Header) { return upgrade(t, n.Addr(), "/ws/private", tt.header...) },
			"/private": func() (int, string, http.Header) {
				return nodetest.Request(t.Context(), "GET", n.Addr(), "/private", "", tt.header...)
			},
		} {
			status, body, head := ask()
			if status != 401 || !strings.Contains(body, tt.says) || head.Get("Content-Type") != "application/problem+json" ||
				!strings.HasPrefix(head.Get("WWW-Authenticate"), "Bearer") {
				t.Errorf("%s at %s: %d %s %v", name, path, status, body, head)
			}
		}
	}
	// The path comes first, then the origin, then the token.
	for _, tt := range []struct {
		path   string
		header []string
		want   int
	}{
		{"/ws/nothing", nil, 404}, {"/ws/nothing", []string{"Authorization: Bearer garbage"}, 404}, {"/ws/private",
			[]string{"Origin: https://evil.example"}, 403},
		{"/ws/private", []string{"Origin: null", tokentest.Bearer(token)}, 403}, {"/ws/private",
			[]string{"Origin: http://" + n.Addr(), tokentest.Bearer(token)}, 101},
	} {
		if status, body, _ := upgrade(t, n.Addr(), tt.path, tt.header...); status != tt.want {
			t.Errorf("%s with %q: %d %s, want %d", tt.path, tt.header, status, body, tt.want)
		}
	}
	for path, want := range map[string]int{"/ws/private": 426, "/open": 200} {
		if status := nodetest.Status(n.Addr(), path); status != want {
			t.Errorf("GET %s: %d, want %d", path, status, want)
		}
	}
}

// SPEC 4: "A route with auth = true and no key source: an error at start."
func TestAuthWithoutKeys(t *testing.T) {
	t.Parallel()
	code, _, stderr := nodetest.Command(t, nil, "serve", "--listen", "127.0.0.1:0", "--app", private)
	if code != 1 || !strings.Contains(stderr, "/ws/private") || !strings.Contains(stderr, "GET /private ") ||
		!strings.Contains(stderr, "--jwt-secret") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	if code, stdout, stderr := nodetest.Command(t, nil, "check", private); code != 0 {
		t.Errorf("check: exit code %d: %s%s", code, stdout, stderr)
	}
	// Where nothing asks for a token a bad one is still refused, also without any key.
	n := nodetest.Start(t, nodetest.Options{App: app})
	status, body, _ := upgrade(t, n.Addr(), "/ws/do",
		tokentest.Bearer(tokentest.NewIssuer(t).Token("ann", time.Hour, nil)))
	if status != 401 || !strings.Contains(body, "no configured key can check the token") {
		t.Errorf("a token without a key: %d %s", status, body)
	}
	nodetest.Dial(t, n.Addr(), "/ws/do").Act(`{}`)
}

// Secrets change without a gap: first both are in the file, later the new one alone. Every source of keys counts beside
// the others.
func TestKeySources(t *testing.T) {
	t.Parallel()
	older, newer := tokentest.NewIssuer(t), tokentest.NewIssuer(t)
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	expect := func(n *nodetest.Node, want int, token string) {
		t.Helper()
		if status, body, _ := upgrade(t, n.Addr(), "/ws/private", tokentest.Bearer(token)); status != want {
			t.Errorf("%d %s, want %d", status, body, want)
		}
	}
	sign := func(i *tokentest.Issuer, alg string) string {
		return i.Sign(alg, nil, tokentest.Good("ann", time.Hour, nil))
	}

	secrets := file("both", fmt.Sprintf("# the new one signs\n%s\n%s\n", newer.Secret, older.Secret))
	keys := file("keys.pem", newer.PEM("ES256")+older.PEM("RS256"))
	n := nodetest.Start(t, nodetest.Options{App: private,
		Flags: []string{"--jwt-secret-file", secrets, "--jwt-public-key-file", keys}})
	for _, token := range []string{sign(older, "HS256"), sign(newer, "HS256"), sign(newer, "ES256"),
		sign(older, "RS256")} {
		expect(n, 101, token)
	}
	expect(n, 401, sign(newer, "RS256"))
	expect(n, 401, sign(newer, "EdDSA"))

	n = nodetest.Start(t, nodetest.Options{App: private,
		Env: []string{"ROLLCALL_JWT_SECRET_FILE=" + file("new", string(newer.Secret)+"\n")}})
	expect(n, 101, sign(newer, "HS256"))
	expect(n, 401, sign(older, "HS256"))
}

// The token itself is in no log line, whatever happens to it, with --log-level debug.
func TestTokenNotLogged(t *testing.T) {
	t.Parallel()
	n, issuer := tokenNode(t, app, "--log-level", "debug")
	var all []string
	for _, f := range tokentest.Faults(issuer) {
		all = append(all, f.Token)
	}
	second := issuer.Token("ann", time.Hour, tokentest.Claims{"jti": "second"})
	for i, alg := range tokentest.Algorithms {
		all = append(all, issuer.Sign(alg, nil,
			tokentest.Good("ann", time.Hour, tokentest.Claims{"jti": fmt.Sprint("good ", i)})))
	}
	for _, token := range all {
		for _, way := range tokentest.Ways {
			for _, target := range []string{"/ws/do", "/ws/nothing", "/api/custom/test/do", "/api/custom/nothing", "/ws/origins",
				"/%zz"} {
				path, header := way.With(target, token)
				if _, resp, err := nodetest.TryDial(t, n.Addr(), path, append(header, "Origin: http://"+n.Addr())...); err != nil &&
					resp == nil && target != "/%zz" {
					t.Fatalf("%s: %v", target, err)
				}
			}
			for _, target := range []string{"/echo/x", "/hello.txt", "/api/custom/test/request", "/ws/do", "/nothing",
				"/_api/nodes", "/readyz"} {
				path, header := way.With(target, token)
				nodetest.Request(t.Context(), "GET", n.Addr(), path, "", header...)
			}
			path, header := way.With("/answer/raise", token)
			nodetest.Request(t.Context(), "POST", n.Addr(), path, "", header...)
		}
		nodetest.Request(t.Context(), "GET", n.Addr(), "/echo/x?token="+token, "", tokentest.Bearer(second))
	}
	c := nodetest.Dial(t, n.Addr(), "/ws/renew?raise=&token="+second)
	c.ExpectClosed(1011, "handler error")
	c = nodetest.Dial(t, n.Addr(), "/ws/renew?token="+second)
	for _, token := range append(all, second) {
		if len(token) < 60<<10 {
			c.Send(nodetest.JSON(map[string]string{"event": "token", "token": token}))
			if got := c.Next(); !strings.HasPrefix(got, `{"event":"token",`) {
				t.Errorf("a renewal is answered %s", got)
			}
		}
	}
	script := nodetest.Dial(t, n.Addr(), "/api/custom/test/do", "Sec-WebSocket-Protocol: rollcall, "+second)
	script.Send(`{"bad":"raise"}`)
	script.ExpectClosed(1011, "script error")
	nodetest.Request(t.Context(), "GET", n.Addr(), "/ws/do?token="+second, "", "Connection: Upgrade", "Upgrade: websocket")
	n.Log.Await(t, "of an upgrade that is none",
		func(l nodetest.Line) bool { return l.Is("the request became no connection") })
	n.Log.Await(t, "of a refused token", func(l nodetest.Line) bool { return l.Is("token refused") })

	text := n.Log.Text()
	if !strings.Contains(text, "DEBUG") {
		t.Error("the log has no debug lines")
	}
	for _, token := range append(all, second) {
		parts := strings.Split(token, ".")
		for _, part := range parts[min(1, len(parts)-1):] {
			if len(part) > 8 && strings.Contains(text, part[:9]) {
				t.Fatalf("the log holds %.60s…", part)
			}
		}
	}
}

// --dev tells the client what it was not allowed (SPEC 1.2: "with --dev the client also gets {"event":"error", ...}").
func TestDeniedWithDev(t *testing.T) {
	t.Parallel()
	n, issuer := tokenNode(t, app, "--dev")
	c := nodetest.Dial(t, n.Addr(), "/ws/claims",
		tokentest.Bearer(issuer.Token("ann", time.Hour, tokentest.Claims{"channels": []string{"mine"}})))
	c.Send(`{"raw":{"join":"other"}}`)
	c.Expect(`{"event":"error","message":"join: channel \"other\" is not allowed by the token","route":"/ws/claims","line":…`)
	c.Act(`{"join":"mine"}`)
}

// SPEC 4: "A token that expires while connected: close 4401." It is the server's close: presence goes at once, also
// with --presence-linger, and also when the client does not answer the close frame.
func TestExpiryAndPresence(t *testing.T) {
	t.Parallel()
	n, issuer := tokenNode(t, app, "--jwt-leeway", "0s", "--presence-linger", "1m")
	watch := nodetest.Dial(t, n.Addr(), "/ws/do")
	watch.Act(`{"track":{"channel":"room","user_id":"watch"}}`)
	query := `?first={"track":{"channel":"room","user_id":"$connection_id"}}`
	query = strings.NewReplacer(`"`, "%22", "{", "%7B", "}", "%7D").Replace(query)
	const ttl = 6 * time.Second
	polite := nodetest.Dial(t, n.Addr(), "/ws/do"+query, tokentest.Bearer(issuer.Token("polite", ttl, nil)))
	silent, _, err := websocket.DefaultDialer.Dial("ws://"+n.Addr()+"/ws/do"+query,
		http.Header{"Authorization": {"Bearer " + issuer.Token("silent", ttl, nil)}})
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close() // it reads nothing
	watch.AwaitPresence("room", "three users", nodetest.Timeout,
		func(p nodetest.Presence) bool { return len(p.Users) == 3 })
	polite.ExpectClosed(4401, "the token has expired")
	watch.AwaitUsersWithin(3*time.Second, "room", "watch")
	watch.CheckPresence()
}

// Many connections whose tokens expire in the same second are all closed then, and each leave is told once.
func TestManyExpireAtOnce(t *testing.T) {
	t.Parallel()
	n, issuer := tokenNode(t, app, "--jwt-leeway", "0s")
	const many = 150
	watch := nodetest.Dial(t, n.Addr(), "/ws/do")
	watch.Act(`{"track":{"channel":"room","user_id":"watch"}}`)
	// Clients that come in until exp; false: this machine was too slow for that.
	come := func(exp time.Time) (clients []*nodetest.Client, all bool) {
		for i := range many {
			user := fmt.Sprint("user", i)
			token := issuer.Token(user, 0, tokentest.Claims{"exp": exp.Unix()})
			c, _, err := nodetest.TryDial(t, n.Addr(), []string{"/ws/do", "/api/custom/test/do"}[i%2], tokentest.Bearer(token))
			if err != nil {
				return clients, false
			}
			clients = append(clients, c)
			if i%2 == 0 {
				c.Act(fmt.Sprintf(`{"track":{"channel":"room","user_id":%q}}`, user))
			} else {
				c.Call("solidb.ws.presence.join", "room", map[string]any{"user_id": user})
			}
			if time.Until(exp) < time.Second {
				return clients, false
			}
		}
		watch.AwaitPresence("room", "all are there", time.Until(exp),
			func(p nodetest.Presence) bool { return len(p.Users) == many+1 })
		return clients, true
	}
	var exp time.Time
	var clients []*nodetest.Client
	all := false
	for _, ttl := range []time.Duration{6 * time.Second, 20 * time.Second, time.Minute} {
		exp = time.Now().Add(ttl).Truncate(time.Second)
		if clients, all = come(exp); all {
			break
		}
		for _, c := range clients {
			c.Drop()
		}
		watch.AwaitUsers("room", "watch")
	}
	if !all {
		t.Fatalf("%d clients could not connect in a minute", many)
	}
	watch.Forget()
	testkit.Within(t, "their time is over", time.Until(exp)+time.Second, func() bool { return time.Now().After(exp) })
	for _, c := range clients {
		c.ExpectClosed(4401, "the token has expired")
	}
	if late := time.Since(exp); late < 0 || late > 5*time.Second {
		t.Errorf("the last one was closed %v after its time", late)
	}
	p := watch.AwaitUsersWithin(5*time.Second, "room", "watch")
	for i := range clients {
		if got := p.Count(fmt.Sprint("leave user", i)); got != 1 {
			t.Errorf("user%d left %d times", i, got)
		}
	}
	watch.CheckPresence()
}

// A token expires also while its handler is at work: the client is closed at its time, not when the handler has ended.
func TestExpiryOfABusyHandler(t *testing.T) {
	t.Parallel()
	n, issuer := tokenNode(t, app, "--jwt-leeway", "0s", "--script-budget", "20s")
	for _, path := range []string{"/ws/renew", "/api/custom/test/do"} {
		exp := time.Now().Add(3 * time.Second).Unix()
		c := nodetest.Dial(t, n.Addr(), path, tokentest.Bearer(issuer.Token("ann", 0, tokentest.Claims{"exp": exp})))
		c.Send(`{"bad":"loop"}`)
		// A renewal that waits behind it comes too late.
		c.Send(nodetest.JSON(map[string]string{"event": "token", "token": issuer.Token("ann", time.Hour, nil)}))
		if before := c.ExpectClosed(4401, "the token has expired"); len(before) > 0 {
			t.Errorf("%s: frames %q", path, before)
		}
		if late := time.Since(time.Unix(exp, 0)); late < 0 || late > 5*time.Second {
			t.Errorf("%s: closed %v after its time", path, late)
		}
	}
}
