package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"rollcall/api"
	"rollcall/auth"
	"rollcall/testkit/nodetest"
)

// SPEC 2: "--dev without a key opens it to loopback peers that carry no forwarding header and no foreign Origin"; "No
// key configured: 403; wrong or no key: 401"; "Errors are RFC 9457 problem documents".
func TestAPIAccess(t *testing.T) {
	nodes := map[string]*inProcess{
		"dev":     startHere(t, "--app", testApp, "--drain", "0s", "--dev"),
		"nothing": startHere(t, "--app", testApp, "--drain", "0s"),
		"key":     startHere(t, "--app", testApp, "--drain", "0s", "--api-key", "right"),
		"key file": startHere(t, "--app", testApp, "--drain", "0s", "--api-key-file",
			write(t, map[string]string{"key": "right\n"})+"/key"),
		"dev with key": startHere(t, "--app", testApp, "--drain", "0s", "--dev", "--api-key", "right"),
	}
	_, port, _ := strings.Cut(nodes["dev"].addr, ":")
	for _, tt := range []struct {
		node   string
		header []string
		want   int
	}{
		{"dev", nil, 200},
		{"dev", []string{"Host: localhost:" + port}, 200},
		{"dev", []string{"Host: app.localhost:" + port, "Origin: http://app.localhost:" + port}, 200},
		{"dev", []string{"Origin: http://" + nodes["dev"].addr}, 200},
		{"dev", []string{"Origin: http://127.0.0.1:1"}, 403},
		{"dev", []string{"Origin: https://evil.example"}, 403},
		{"dev", []string{"Origin: null"}, 403},
		{"dev", []string{"Origin: http://" + nodes["dev"].addr, "Origin: https://evil.example"}, 403},
		{"dev", []string{"Sec-Fetch-Site: same-site"}, 403},
		{"dev", []string{"Host: evil.example"}, 403}, // a name that resolves to this machine
		{"dev", []string{"Host: evil.example", "Origin: http://evil.example"}, 403},
		{"dev", []string{"Sec-Fetch-Site: cross-site"}, 403},
		{"dev", []string{"Sec-Fetch-Site: same-origin"}, 200},
		{"dev", []string{"X-Forwarded-For: 127.0.0.1"}, 403},
		{"dev", []string{"Forwarded: for=127.0.0.1"}, 403},
		{"dev", []string{"X-Forwarded-Host: localhost"}, 403},
		{"dev", []string{"X-Forwarded-Proto: http"}, 403},
		{"dev", []string{"X-Real-IP: 127.0.0.1"}, 403},
		{"dev", []string{"Via: 1.1 proxy"}, 403},
		{"nothing", nil, 403},
		{"nothing", []string{"X-API-Key: "}, 403},
		{"nothing", []string{"X-API-Key: right"}, 403},
		{"nothing", []string{"Authorization: Bearer "}, 403},
		{"key", nil, 401},
		{"key", []string{"X-API-Key: "}, 401},
		{"key", []string{"X-API-Key: wrong"}, 401},
		{"key", []string{"X-API-Key: right2"}, 401},
		{"key", []string{"Authorization: Basic right"}, 401},
		{"key", []string{"Authorization: right"}, 401},
		{"key", []string{"X-API-Key: right"}, 200},
		{"key", []string{"Authorization: Bearer right"}, 200},
		{"key", []string{"Authorization: bearer right"}, 200},
		// who has the key may come from anywhere
		{"key", []string{"X-API-Key: right", "Origin: https://evil.example", "X-Forwarded-For: 192.0.2.1"}, 200},
		{"key file", []string{"X-API-Key: right"}, 200},
		{"key file", nil, 401},
		{"dev with key", nil, 401},
		{"dev with key", []string{"X-API-Key: wrong"}, 401},
		{"dev with key", []string{"X-API-Key: right"}, 200},
	} {
		for _, r := range []struct{ method, path, body string }{
			{"GET", "/_api/custom", ""}, {"POST", "/_api/custom/db/x", "-- x"}, {"GET", "/_api/custom/db/x", ""}, {"DELETE",
				"/_api/custom/db/x", ""}, {"GET", "/_api/nothing", ""}, {"GET", "/_api", ""},
			{"GET", "/keyed", ""}, // SPEC 11: { api_key = "publish" }
		} {
			status, body, head := nodetest.Request(context.Background(), r.method, nodes[tt.node].addr, r.path, r.body,
				tt.header...)
			switch {
			case tt.want == 200 && (status == 401 || status == 403), tt.want != 200 && status != tt.want:
				t.Errorf("%s: %s %s with %q: %d %s, want %d", tt.node, r.method, r.path, tt.header, status, body, tt.want)
			case tt.want != 200 && head.Get("Content-Type") != "application/problem+json":
				t.Errorf("%s: the answer is %s", tt.node, head.Get("Content-Type"))
			case status == 401 && head.Get("WWW-Authenticate") == "":
				t.Errorf("%s: 401 without WWW-Authenticate", tt.node)
			}
		}
	}
	if _, body, _ := nodetest.Request(context.Background(), "GET", nodes["nothing"].addr, "/_api/custom",
		""); !strings.Contains(body, "--api-key") {
		t.Errorf("without a key it says %s", body)
	}
	for name, n := range nodes {
		for _, path := range []string{"/healthz", "/readyz"} { // SPEC 2: "no key"
			if status := nodetest.Status(n.addr, path); status != http.StatusOK {
				t.Errorf("%s: %s answers %d", name, path, status)
			}
		}
	}
}

// SPEC 2: only "loopback peers": the same for a peer of another machine, which a test on loopback cannot be.
func TestAPIAccessOfAnotherMachine(t *testing.T) {
	s := api.New(api.Config{Access: auth.KeyGuard{Dev: true},
		Ready: func() error { return errors.New("no") }, Log: slog.New(slog.DiscardHandler)})
	for peer, want := range map[string]int{"192.0.2.1:4711": 403, "[2001:db8::1]:4711": 403, "10.0.0.1:1": 403, "": 403,
		"127.0.0.1:1": 404, "[::1]:1": 404, "127.9.9.9:1": 404} {
		r := httptest.NewRequest("GET", "http://localhost:6745/_api/nothing", nil)
		r.RemoteAddr = peer
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("a peer at %q: %d, want %d", peer, w.Code, want)
		}
	}
}
