package auth

import (
	"net/http/httptest"
	"strings"
	"testing"
)

// SPEC 2: "No key configured: 403; wrong or no key: 401"; "--dev without a key opens it to loopback peers that carry no
// forwarding header and no foreign Origin".
func TestKeyGuard(t *testing.T) {
	keys, err := ReadKeys(strings.NewReader("board read key-of-board\nshop publish key-of-shop\nops admin key-of-ops"))
	if err != nil {
		t.Fatal(err)
	}
	with, none := func() Keys { return keys }, func() Keys { return Keys{} }
	for _, tt := range []struct {
		name   string
		guard  KeyGuard
		scope  Scope
		peer   string
		header string // name: value
		status int    // 0: it may
		who    string
	}{
		{"the right scope", KeyGuard{Keys: with}, Publish, "", "X-API-Key: key-of-shop", 0, "shop"},
		{"as bearer", KeyGuard{Keys: with}, Publish, "", "Authorization: bearer key-of-shop", 0, "shop"},
		{"admin", KeyGuard{Keys: with}, Publish, "", "X-API-Key: key-of-ops", 0, "ops"},
		{"another scope", KeyGuard{Keys: with}, Publish, "", "X-API-Key: key-of-board", 403, "board"},
		{"publish does not read", KeyGuard{Keys: with}, Read, "", "X-API-Key: key-of-shop", 403, "shop"},
		{"any scope", KeyGuard{Keys: with}, "", "", "X-API-Key: key-of-board", 0, "board"},
		{"a wrong key", KeyGuard{Keys: with}, Read, "", "X-API-Key: key-of", 401, ""},
		{"no key", KeyGuard{Keys: with}, Read, "", "", 401, ""},
		{"no key, and dev", KeyGuard{Keys: with, Dev: true}, Read, "", "", 401, ""},
		{"none configured", KeyGuard{Keys: none}, Read, "", "X-API-Key: key-of-board", 403, ""},
		{"nothing configured", KeyGuard{}, Read, "", "", 403, ""},
		{"dev", KeyGuard{Keys: none, Dev: true}, Admin, "", "", 0, "dev"},
		{"dev, of nothing", KeyGuard{Dev: true}, Admin, "", "", 0, "dev"},
		{"dev, another machine", KeyGuard{Dev: true}, Read, "192.0.2.1:1", "", 403, ""},
		{"dev, by a proxy", KeyGuard{Dev: true}, Read, "", "X-Forwarded-For: 127.0.0.1", 403, ""},
		{"dev, of a foreign page", KeyGuard{Dev: true}, Read, "", "Origin: https://evil.example", 403, ""},
	} {
		r := httptest.NewRequest("GET", "http://localhost:6745/", nil)
		r.RemoteAddr = "127.0.0.1:1"
		if tt.peer != "" {
			r.RemoteAddr = tt.peer
		}
		if name, value, ok := strings.Cut(tt.header, ": "); ok {
			r.Header.Set(name, value)
		}
		who, refused := tt.guard.Authorize(r, tt.scope)
		status := 0
		if refused != nil {
			status = refused.Status
		}
		if status != tt.status || who.Name != tt.who {
			t.Errorf("%s: %d %q, %v; want %d %q", tt.name, status, who.Name, refused, tt.status, tt.who)
		}
	}
}

// Handlers do not see the key. A user's token beside it stays, also when no key is configured.
func TestWithoutKey(t *testing.T) {
	with := KeyGuard{Keys: func() Keys { return NewKey("secret") }}
	for _, tt := range []struct {
		name               string
		guard              KeyGuard
		key, authorization string
		left               string // Authorization
	}{
		{"X-API-Key", with, "secret", "", ""},
		{"bearer", with, "", "Bearer secret", ""},
		{"with a token", with, "secret", "Bearer token", "Bearer token"},
		{"another bearer", with, "", "Bearer token", "Bearer token"},
		{"no key is configured", KeyGuard{Dev: true}, "", "Bearer token", "Bearer token"},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Authorization", tt.authorization)
		r.Header.Set("X-API-Key", tt.key)
		clean := tt.guard.WithoutKey(r)
		if clean.Header.Get("X-API-Key") != "" || clean.Header.Get("Authorization") != tt.left {
			t.Errorf("%s: left is %v", tt.name, clean.Header)
		}
		if r.Header.Get("X-API-Key") != tt.key || r.Header.Get("Authorization") != tt.authorization {
			t.Errorf("%s: the request itself was changed", tt.name)
		}
	}
}
