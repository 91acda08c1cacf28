package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"rollcall/auth"
	"rollcall/cluster"
	"rollcall/testkit/nodetest"
)

// SPEC 3: --max-connections, --max-connections-per-ip: "0 (no limit) | 503 with Retry-After; 429"; each at, under and over.
func TestAdmission(t *testing.T) {
	a, b := origin("192.0.2.1"), origin("192.0.2.2")
	for _, tt := range []struct {
		name         string
		total, perIP int
		open         []netip.Prefix // before
		from         netip.Prefix
		want         refusal
	}{
		{"no limit", 0, 0, []netip.Prefix{a, a, a, a}, a, ""},
		{"under the total", 3, 0, []netip.Prefix{a}, a, ""},
		{"at the total with this one", 2, 0, []netip.Prefix{a}, a, ""},
		{"over the total", 2, 0, []netip.Prefix{a, b}, a, refusedConnections},
		{"under for the address", 0, 3, []netip.Prefix{a}, a, ""},
		{"at the limit of the address", 0, 2, []netip.Prefix{a, b, b}, a, ""},
		{"over for the address", 0, 2, []netip.Prefix{a, a}, a, refusedPerIP},
		{"another address", 0, 2, []netip.Prefix{a, a}, b, ""},
		{"over both", 2, 2, []netip.Prefix{a, a}, a, refusedConnections}, // another node may take it
		{"over for the address alone", 3, 2, []netip.Prefix{a, a}, a, refusedPerIP},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ad := newAdmission(limits{connections: tt.total, perIP: tt.perIP})
			for _, from := range tt.open {
				if why := ad.enter(who{from: from}); why != "" {
					t.Fatalf("already refused: %s", why)
				}
			}
			if got := ad.enter(who{from: tt.from}); got != tt.want {
				t.Fatalf("refused with %q, want %q", got, tt.want)
			}
			if tt.want == "" {
				ad.leave(who{from: tt.from})
			}
			for _, from := range tt.open {
				ad.leave(who{from: from})
			}
			if ad.open != 0 || len(ad.from) != 0 {
				t.Errorf("after all have left: %d open, %d addresses", ad.open, len(ad.from))
			}
		})
	}
}

// The counts never drift, whatever comes and goes: they are those of a plain list of who is in.
func TestAdmissionCounts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ad := newAdmission(limits{connections: rapid.IntRange(0, 8).Draw(t, "total"), perIP: rapid.IntRange(0, 3).Draw(t, "per address")})
		var in []netip.Prefix
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			if len(in) > 0 && rapid.Bool().Draw(t, "leave") {
				i := rapid.IntRange(0, len(in)-1).Draw(t, "who")
				ad.leave(who{from: in[i]})
				in = append(in[:i], in[i+1:]...)
			} else {
				from := origin(fmt.Sprint("10.0.0.", rapid.IntRange(1, 4).Draw(t, "from")))
				same := 0
				for _, p := range in {
					if p == from {
						same++
					}
				}
				var want refusal
				switch {
				case ad.connections > 0 && len(in) == ad.connections:
					want = refusedConnections
				case ad.perIP > 0 && same == ad.perIP:
					want = refusedPerIP
				}
				if got := ad.enter(who{from: from}); got != want {
					t.Fatalf("with %v in, %v is refused with %q, want %q", in, from, got, want)
				}
				if want == "" {
					in = append(in, from)
				}
			}
			ad.check(t, len(in))
		}
	})
}

// check holds admission's invariant.
func (a *admission) check(t rapid.TB, open int) {
	t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	sum := 0
	for from, n := range a.from {
		if n < 1 {
			t.Errorf("%v has %d", from, n)
		}
		sum += n
	}
	if a.open != open || a.perIP > 0 && sum != open || a.perIP == 0 && sum != 0 {
		t.Errorf("%d open, %d by address; want %d", a.open, sum, open)
	}
}

// SPEC 3: "The address counts as seen through --trusted-proxies"; one IPv6 host has a whole /64.
func TestOrigin(t *testing.T) {
	for _, tt := range []struct{ one, other string }{
		{"192.0.2.1", "192.0.2.1"}, {"192.0.2.1", "::ffff:192.0.2.1"}, {"2001:db8::1", "2001:db8::2"}, {"2001:db8::1", "2001:db8:0:0:ffff:ffff:ffff:ffff"},
		{"fe80::1%eth0", "fe80::2%eth1"}, {"unknown", ""}, {"::1", "0:0:0:0::1"},
	} {
		if origin(tt.one) != origin(tt.other) {
			t.Errorf("%s and %s count apart", tt.one, tt.other)
		}
	}
	for _, tt := range []struct{ one, other string }{
		{"192.0.2.1", "192.0.2.2"}, {"2001:db8::1", "2001:db8:0:1::1"}, {"unknown", "192.0.2.1"}, {"0.0.0.0", ""}, {"::", ""}, {"::", "0.0.0.0"},
	} {
		if origin(tt.one) == origin(tt.other) {
			t.Errorf("%s and %s count as one", tt.one, tt.other)
		}
	}
}

// SPEC 3: whom --max-connections-per-ip counts, by what the request says and who sends it.
func TestAdmitByAddress(t *testing.T) {
	proxies, err := auth.ParseProxies([]string{"10.0.0.0/8"})
	if err != nil {
		t.Fatal(err)
	}
	var told []refusal
	n := &node{cfg: &Config{proxies: proxies}, admission: newAdmission(limits{perIP: 1}), pace: newPace(0), memory: newGuard(nil), onRefuse: func(r refusal) { told = append(told, r) }}
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
		told = nil
		release, refused := n.admit(r, "")
		switch {
		case (refused != nil) != tt.refused, (release == nil) != tt.refused:
			t.Errorf("%s: refused %v, want %v", tt.name, refused, tt.refused)
		case tt.refused && (refused.Status != http.StatusTooManyRequests || len(told) != 1 || told[0] != refusedPerIP):
			t.Errorf("%s: %d, told %v", tt.name, refused.Status, told)
		case !tt.refused && len(told) > 0:
			t.Errorf("%s: told %v", tt.name, told)
		}
	}
}

// Each reason has an answer of its own, and 503 and 429 say when to come back.
func TestRefusalAnswers(t *testing.T) {
	want := map[refusal]int{refusedDraining: 503, refusedMemory: 503, refusedConnections: 503, refusedFiles: 503, refusedRate: 503,
		refusedPerIP: 429, refusedPerUser: 429, refusedRatePerIP: 429}
	seen := map[string]bool{}
	all := map[refusal]bool{}
	for _, r := range append(upgradeRefusals(), socketRefusals()...) {
		all[r] = true
	}
	for r := range all {
		a := r.answer()
		if a == nil || a.Status != want[r] || a.RetryAfter.Seconds() < 1 || a.Detail == "" || seen[a.Detail] {
			t.Errorf("%s: %+v", r, a)
			continue
		}
		seen[a.Detail] = true
	}
	if len(seen) != len(want) || refusal("").answer() != nil {
		t.Errorf("%d reasons with an answer", len(seen))
	}
}

// SPEC 3: --max-connections holds when all come at once: exactly so many are let in, and others after they have gone. What
// was taken is given back however a connection ends, and when it comes to none.
func TestManyAtTheLimit(t *testing.T) {
	const limit, clients = 50, 200
	n, err := start(t.Context(), configOf(t, "--app", testApp, "--drain", "0s", "--max-connections", strconv.Itoa(limit), "--max-connections-per-ip", "1000"), cluster.NewProcess(), slog.New(slog.DiscardHandler))
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
				case err != nil && (resp == nil || resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" || resp.Header.Get("Content-Type") != "application/problem+json"):
					t.Errorf("refused with %v, %v", err, resp)
				}
			})
		}
		all.Wait()
		nodetest.Eventually(t, "those whose connect handler raised have made room", nodetest.Patience, func() bool {
			if len(open) < limit {
				if c, _, err := nodetest.TryDial(t, addr, "/ws/do"); err == nil {
					open = append(open, c)
				}
			}
			return len(open) >= limit
		})
		n.admission.check(t, limit)
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
		nodetest.Eventually(t, "all have gone", nodetest.Patience, func() bool { return n.admission.len() == 0 })
		for range clients {
			all.Go(func() {
				status, _, _ := nodetest.Request(context.Background(), "GET", addr, "/ws/do", "", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: short")
				if status != http.StatusBadRequest && status != http.StatusServiceUnavailable {
					t.Errorf("a handshake without a key: %d", status)
				}
			})
		}
		all.Wait()
		n.admission.check(t, 0)
	}
}

func (a *admission) len() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.open
}
