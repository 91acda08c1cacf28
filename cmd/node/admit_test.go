package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"

	"rollcall/auth"
	"rollcall/cluster"
	"rollcall/overload"
	"rollcall/testkit"
	"rollcall/testkit/nodetest"
)

// SPEC 3: whom --max-connections-per-ip counts, by what the request says and who sends it.
func TestAdmitByAddress(t *testing.T) {
	proxies, err := auth.ParseProxies([]string{"10.0.0.0/8"})
	if err != nil {
		t.Fatal(err)
	}
	n := &node{cfg: &Config{proxies: proxies}, metrics: newMetrics(),
		admission: overload.NewAdmission(overload.Config{PerAddress: 1})}
	told := 0
	for _, tt := range []struct {
		name, peer, forwarded string
		refused               bool
	}{
		{"a client of the proxy", "10.1.1.1:5", "192.0.2.1", false},
		{"another one", "10.1.1.1:6", "192.0.2.2", false},
		{"the first again, by another proxy", "10.2.2.2:7", "192.0.2.1", true},
		{"it claims to be a proxy for others", "10.1.1.1:8", "198.51.100.1, 192.0.2.1", true},
		{"the proxy itself", "10.1.1.1:9", "", false},
		{"an untrusted peer", "203.0.113.5:1", "198.51.100.1", false},
		{"it makes up another address", "203.0.113.5:2", "198.51.100.2", true},
		{"IPv6", "10.1.1.1:10", "2001:db8::1", false},
		{"the same host with another address", "10.1.1.1:11", "2001:db8::2", true},
	} {
		r := httptest.NewRequest("GET", "/ws", nil)
		r.RemoteAddr = tt.peer
		if tt.forwarded != "" {
			r.Header.Set("X-Forwarded-For", tt.forwarded)
		}
		release, refused := n.admit(r, "")
		switch {
		case (refused != nil) != tt.refused, (release == nil) != tt.refused:
			t.Errorf("%s: refused %v, want %v", tt.name, refused, tt.refused)
		case tt.refused:
			if told++; refused.Status != http.StatusTooManyRequests {
				t.Errorf("%s: %d", tt.name, refused.Status)
			}
		}
	}
	w := httptest.NewRecorder()
	n.metrics.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if want := fmt.Sprintf(`rollcall_upgrades_refused_total{reason="connections_per_ip"} %d`,
		told); !strings.Contains(w.Body.String(), want) {
		t.Errorf("the metrics lack %s", want)
	}
}

// SPEC 3: --max-connections holds when all come at once: exactly so many are let in, and others after they have gone.
// What was taken is given back however a connection ends, and when it comes to none.
func TestManyAtTheLimit(t *testing.T) {
	const limit, clients = 50, 200
	n, err := start(t.Context(), configOf(t, "--app", testApp, "--drain", "0s", "--max-connections", strconv.Itoa(limit),
		"--max-connections-per-ip", "1000"), cluster.NewProcess(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.close)
	addr := n.ln.Addr().String()
	for round := range 3 {
		var mu sync.Mutex
		var all sync.WaitGroup
		var open []*nodetest.Client
		for i := range clients {
			path := []string{"/ws/do", "/api/custom/test/do", "/ws/do?raise=1"}[i%3]
			all.Go(func() {
				c, resp, err := nodetest.TryDial(t, addr, path)
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil && path != "/ws/do?raise=1":
					open = append(open, c)
				case err != nil && (resp == nil || resp.StatusCode != http.StatusServiceUnavailable ||
					resp.Header.Get("Retry-After") == "" || resp.Header.Get("Content-Type") != "application/problem+json"):
					t.Errorf("refused with %v, %v", err, resp)
				}
			})
		}
		all.Wait()
		testkit.Within(t, "those whose connect handler raised have made room", nodetest.Timeout, func() bool {
			if len(open) < limit {
				if c, _, err := nodetest.TryDial(t, addr, "/ws/do"); err == nil {
					open = append(open, c)
				}
			}
			return len(open) >= limit
		})
		checkAdmission(t, n, limit)
		if _, _, err := nodetest.TryDial(t, addr, "/ws/do"); err == nil || len(open) != limit {
			t.Fatalf("round %d: %d connections are open and one more comes in, want %d", round, len(open), limit)
		}
		for i, c := range open {
			switch i % 4 {
			case 0:
				c.Leave(1000, "")
			case 1:
				c.Drop()
			case 2:
				_, _ = c.Conn.NetConn().Write([]byte{0xff, 0xff}) // a protocol error
			default:
				c.Send(`{"bad":"recurse"}`)
			}
		}
		testkit.Within(t, "all have gone", nodetest.Timeout, func() bool { return connections(n) == 0 })
		for range clients {
			all.Go(func() {
				status, _, _ := nodetest.Request(context.Background(), "GET", addr, "/ws/do", "", "Upgrade: websocket",
					"Connection: Upgrade", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: short")
				if status != http.StatusBadRequest && status != http.StatusServiceUnavailable {
					t.Errorf("a handshake without a key: %d", status)
				}
			})
		}
		all.Wait()
		checkAdmission(t, n, 0)
	}
}

// checkAdmission holds the invariant of who is counted, and how many.
func checkAdmission(t *testing.T, n *node, want int) {
	t.Helper()
	if open, _, err := n.admission.Check(); open != want || err != nil {
		t.Errorf("%d connections, want %d: %v", open, want, err)
	}
}

// connections is how many are counted.
func connections(n *node) int {
	open, _, _ := n.admission.Check()
	return open
}

// Both limits at a node's upgrades, and in its metrics.
func TestRateAndUsersOfNode(t *testing.T) {
	begin := func(flags ...string) (*node, string) {
		n, err := start(t.Context(), configOf(t,
			append(flags, "--app", testApp, "--drain", "0s", "--jwt-secret", tokenSecret)...), cluster.NewProcess(), slog.New(
			slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(n.close)
		return n, n.ln.Addr().String()
	}
	refused := func(addr, path, reason, retryAfter string) {
		t.Helper()
		_, resp, err := nodetest.TryDial(t, addr, path)
		if err == nil || resp.StatusCode != http.StatusTooManyRequests || resp.Header.Get("Retry-After") != retryAfter {
			t.Fatalf("%v, %v", err, resp)
		}
		series := `rollcall_upgrades_refused_total{reason="` + reason + `"} 1` + "\n"
		if _, text, _ := nodetest.Request(t.Context(), "GET", addr, "/metrics", ""); !strings.Contains(text, series) ||
			!strings.Contains(text, `{reason="connect_rate"} 0`) {
			t.Errorf("the metrics lack %s", series)
		}
	}
	_, addr := begin("--connect-rate", "5")
	nodetest.Dial(t, addr, "/ws/do")
	refused(addr, "/ws/do", "connect_rate_per_ip", "1")

	n, addr := begin("--max-connections-per-user", "1")
	_, token := minted(t, n.cfg.tokens, "--user", "ann", "--jwt-secret", tokenSecret)
	first := nodetest.Dial(t, addr, "/ws/do?token="+token)
	refused(addr, "/ws/do?token="+token, "connections_per_user", "5")
	for range 3 { // nobody is no user
		nodetest.Dial(t, addr, "/ws/do")
	}
	first.Drop()
	testkit.Within(t, "the user's place is free", nodetest.Timeout, func() bool {
		_, _, err := nodetest.TryDial(t, addr, "/ws/do?token="+token)
		return err == nil
	})
}
