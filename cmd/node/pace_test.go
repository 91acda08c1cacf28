package main

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"rollcall/cluster"
	"rollcall/testkit/nodetest"
)

// SPEC 3, --connect-rate: "new connections a second of a node, and a tenth of it of one address: 503, 429".
func TestPace(t *testing.T) {
	a := func(i int) netip.Prefix { return origin(fmt.Sprint("192.0.2.", i)) }
	start := time.Now()
	p := newPace(20)
	take := func(at time.Duration, from netip.Prefix, want refusal) {
		t.Helper()
		if got := p.take(start.Add(at), from); got != want {
			t.Fatalf("at %v %v is refused with %q, want %q", at, from, got, want)
		}
	}
	for i := range 10 { // two each are a tenth
		take(0, a(i), "")
		if i < 5 {
			take(0, a(i), "")
			take(0, a(i), refusedRatePerIP)
		}
	}
	for i := 10; i < 15; i++ {
		take(0, a(i), "")
	}
	take(0, a(15), refusedRate)
	take(0, a(1), refusedRatePerIP)
	take(60*time.Millisecond, a(15), "") // one of the node's twenty a second is back
	take(60*time.Millisecond, a(16), refusedRate)
	take(510*time.Millisecond, a(1), "") // one of the address's two
	take(510*time.Millisecond, a(1), refusedRatePerIP)
	take(3*time.Second, a(1), "")
	take(3*time.Second, a(1), "")
	take(3*time.Second, a(1), refusedRatePerIP)

	p = newPace(0)
	for range 1000 {
		take(0, a(1), "")
	}
	p = newPace(5) // less than one a second of an address: still one at a time
	take(0, a(1), "")
	take(time.Second, a(1), refusedRatePerIP)
	take(2*time.Second, a(1), "")
	take(3*time.Second, a(1), refusedRatePerIP)
}

// Whatever comes from however many addresses: no more of one in any time than its share and a burst, and what is kept of
// addresses is bounded by what was let in, not by what came.
func TestPaceBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		perSecond := rapid.IntRange(1, 50).Draw(t, "rate")
		p := newPace(perSecond)
		now := time.Unix(1000, 0)
		in := map[netip.Prefix][]time.Time{}
		var all []time.Time
		for i := range rapid.IntRange(1, 300).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.SampledFrom([]int{0, 0, 0, 1, 10, 100, 1000, 12000}).Draw(t, "ms")) * time.Millisecond)
			from := origin(fmt.Sprintf("10.%d.0.%d", i%250, rapid.IntRange(1, 3).Draw(t, "from")))
			if rapid.Bool().Draw(t, "known") {
				from = origin("192.0.2.1")
			}
			if p.take(now, from) == "" {
				in[from], all = append(in[from], now), append(all, now)
			}
			if kept, most := len(p.recent)+len(p.older), 2*perSecond*(1+int(p.full()/time.Second)+1); kept > most {
				t.Fatalf("%d addresses are kept, at most %d are right", kept, most)
			}
		}
		within := func(times []time.Time, perSecond float64, burst int) {
			for i := range times {
				for j := i; j < len(times); j++ {
					if most := float64(burst) + perSecond*times[j].Sub(times[i]).Seconds() + 1e-6; float64(j-i+1) > most {
						t.Fatalf("%d in %v at a rate of %v", j-i+1, times[j].Sub(times[i]), perSecond)
					}
				}
			}
		}
		within(all, float64(perSecond), perSecond)
		for _, times := range in {
			within(times, float64(perSecond)/10, max(1, perSecond/10))
		}
	})
}

// Both limits at a node's upgrades, and in its metrics.
func TestPaceOfNode(t *testing.T) {
	n, err := start(t.Context(), configOf(t, "--app", testApp, "--drain", "0s", "--connect-rate", "5", "--max-connections-per-user", "1",
		"--jwt-secret", tokenSecret), cluster.NewProcess(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.close)
	addr := n.ln.Addr().String()
	c := nodetest.Dial(t, addr, "/ws/do")
	_, resp, err := nodetest.TryDial(t, addr, "/ws/do")
	if err == nil || resp.StatusCode != http.StatusTooManyRequests || resp.Header.Get("Retry-After") != "1" {
		t.Fatalf("%v, %v", err, resp)
	}
	c.Drop()
	n.pace = newPace(0)
	_, token := minted(t, n.cfg.tokens, "--user", "ann", "--jwt-secret", tokenSecret)
	first := nodetest.Dial(t, addr, "/ws/do?token="+token)
	_, resp, err = nodetest.TryDial(t, addr, "/ws/do?token="+token)
	if err == nil || resp.StatusCode != http.StatusTooManyRequests || resp.Header.Get("Retry-After") == "" {
		t.Fatalf("%v, %v", err, resp)
	}
	for range 3 { // nobody is no user
		nodetest.Dial(t, addr, "/ws/do")
	}
	first.Drop()
	nodetest.Eventually(t, "the user's place is free", nodetest.Patience, func() bool {
		_, _, err := nodetest.TryDial(t, addr, "/ws/do?token="+token)
		return err == nil
	})
	_, text, _ := nodetest.Request(t.Context(), "GET", addr, "/metrics", "")
	for _, series := range []string{`rollcall_upgrades_refused_total{reason="connect_rate_per_ip"} 1`, `rollcall_upgrades_refused_total{reason="connect_rate"} 0`} {
		if !strings.Contains(text, series+"\n") {
			t.Errorf("the metrics lack %s", series)
		}
	}
	if strings.Contains(text, `{reason="connections_per_user"} 0`) {
		t.Error("the metrics count no user refused")
	}
}
