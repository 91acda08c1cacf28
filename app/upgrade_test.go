package app

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"rollcall/auth"
	"rollcall/testkit"
)

// SPEC 4 and 1.2: who may connect.
func TestUpgradeRefusals(t *testing.T) {
	files := map[string]string{
		"config/routes.lua": `
router_websocket("/ws", "chat#chat")
router_websocket("/auth", "chat#chat", {auth = true})
router_websocket("/only", "chat#chat", {origins = {"https://only.example"}})
router_websocket("/any", "chat#chat", {origins = {"*"}})
router_get("/both", "chat#get")
router_websocket("/both", "chat#chat")
router_post("/post", "chat#get")`,
		"handlers/chat.lua": "function chat(event) return {send = event.user.username} end function get() return 'got' end",
	}
	n := startNode(t, files, nodeOptions{load: LoadOptions{HasKeys: true}, config: func(c *Config) {
		c.AllowedOrigins = []string{"https://global.example"}
		c.Tokens = tokens(t)
	}})
	good := mint(t, auth.MintClaims{UserID: "ann"})
	tests := []struct {
		path, origin string
		status       int
	}{
		{"/ws", "", 101},
		{"/ws", "null", 403},
		{"/ws", n.http.URL, 101},
		{"/ws", "https://global.example", 101},
		{"/ws", "https://only.example", 403},
		{"/only", "https://only.example", 101},
		{"/only", "https://global.example", 403},
		{"/only", n.http.URL, 101},
		{"/any", "https://whoever.example", 101},
		{"/any", "null", 403},
		{"/auth", "", 401},
		{"/auth?token=bad", "", 401},
		{"/auth?token=" + good, "", 101},
		{"/ws?token=bad", "", 401},
		{"/ws?token=" + good, "", 101},
		{"/nowhere", "", 404},
		{"/ws/", "", 404},
		{"/post", "", 405},
		{"/both", "", 101},
	}
	for _, tt := range tests {
		t.Run(tt.path+" "+tt.origin, func(t *testing.T) {
			var header []string
			if tt.origin != "" {
				header = []string{"Origin: " + tt.origin}
			}
			c, resp, err := n.tryDial(tt.path, header...)
			if resp == nil {
				t.Fatal(err)
			}
			if resp.StatusCode != tt.status {
				t.Fatalf("status %d, want %d", resp.StatusCode, tt.status)
			}
			if c != nil && strings.HasSuffix(tt.path, good) {
				c.expect("ann")
			}
		})
	}
	// "a plain GET on a WebSocket route: 426"; "One path may have a WebSocket and HTTP routes."
	if got, h := n.request("GET", "/ws", ""); !strings.HasPrefix(got, "426 ") || h.Get("Upgrade") != "websocket" {
		t.Errorf("plain GET: %s, %v", got, h)
	}
	if got := n.get("/both"); got != "200 got" {
		t.Error(got)
	}
	if got, h := n.request("PUT", "/post", ""); !strings.HasPrefix(got, "405 ") || h.Get("Allow") != "POST" {
		t.Errorf("%s, %v", got, h)
	}
}

// admitOne is Config.Admit for one client at a time; free tells whether none is there.
func admitOne() (admit func(*http.Request, string) (func(), *Refusal), free func() bool) {
	var there atomic.Int32
	admit = func(*http.Request, string) (func(), *Refusal) {
		if !there.CompareAndSwap(0, 1) {
			return nil, &Refusal{Status: http.StatusServiceUnavailable, RetryAfter: 7 * time.Second, Detail: "full"}
		}
		return func() { there.Add(-1) }, nil
	}
	return admit, func() bool { return there.Load() == 0 }
}

// SPEC 3: connection limits are asked before the upgrade, and given back at the end.
func TestAdmit(t *testing.T) {
	admit, free := admitOne()
	n := startNode(t, handler(chat), nodeOptions{config: func(c *Config) { c.Admit = admit }})
	c := n.dial("/ws/a")
	c.expect("ready")
	_, resp, err := n.tryDial("/ws/a")
	if err == nil || resp.StatusCode != 503 || resp.Header.Get("Retry-After") != "7" ||
		resp.Header.Get("Content-Type") != "application/problem+json" {
		t.Fatalf("a second connection was admitted, or not told why: %v", resp)
	}
	c.leave(1000)
	testkit.Eventually(t, "release", free)
	n.dial("/ws/a").expect("ready")
}

// The header by which one sees which node answered.
func TestNodeHeader(t *testing.T) {
	n := startNode(t, handler(chat))
	_, resp, err := n.tryDial("/ws/a")
	check(t, err)
	if got := resp.Header.Get("X-Rollcall-Node"); got == "" || got != n.server.cfg.Node {
		t.Fatalf("X-Rollcall-Node %q, want %q", got, n.server.cfg.Node)
	}
}

// SPEC 1.2: the route option subprotocols; a client that offers others gets none. SPEC 4: the pair `rollcall, <token>`.
func TestSubprotocols(t *testing.T) {
	token := mint(t, auth.MintClaims{UserID: "42"})
	n := startNode(t, map[string]string{
		"config/routes.lua": `router_websocket("/plain", "x#x") router_websocket("/chat", "x#x", {subprotocols = {"chat.v2", "chat.v1"}})`,
		"handlers/x.lua":    `function x(e) if e.type == "connect" then return {send = e.user.id or "nobody"} end end`,
	}, nodeOptions{load: LoadOptions{HasKeys: true}, config: func(c *Config) { c.Tokens = tokens(t) }})
	for _, tt := range []struct{ path, offered, want, user string }{
		{"/plain", "chat.v1", "", "nobody"},
		{"/chat", "", "", "nobody"},
		{"/chat", "chat.v1", "chat.v1", "nobody"},
		{"/chat", "chat.v1, chat.v2", "chat.v2", "nobody"},
		{"/chat", "other, Chat.v1", "", "nobody"},
		{"/chat", "rollcall, " + token, "rollcall", "42"},
		{"/chat", "rollcall, " + token + ", chat.v1", "chat.v1", "42"},
		{"/chat", "chat.v1, rollcall, " + token, "chat.v1", "42"},
		{"/plain", "chat.v1, rollcall, " + token, "rollcall", "42"},
	} {
		var header []string
		if tt.offered != "" {
			header = []string{"Sec-WebSocket-Protocol: " + tt.offered}
		}
		c, resp, err := n.tryDial(tt.path, header...)
		if err != nil {
			t.Errorf("%s, offered %.30q: %v", tt.path, tt.offered, err)
			continue
		}
		if got := resp.Header.Get("Sec-WebSocket-Protocol"); got != tt.want {
			t.Errorf("%s, offered %.30q: %q, want %q", tt.path, tt.offered, got, tt.want)
		}
		c.expect(tt.user)
	}
}
