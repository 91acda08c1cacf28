package integration_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"rollcall/testkit"
	"rollcall/testkit/nodetest"
	"rollcall/testkit/redistest"
)

// A node near its memory ceiling sheds new connections with 503 and Retry-After before it dies; those it has go on, and
// when they have left it takes new ones.
func TestMemoryCeiling(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t, nodetest.Options{Redis: redistest.Standalone(t).URL(), App: app, Flags: fast,
		Env: []string{"GOMEMLIMIT=40MiB"}})
	others := standBy(t, n)
	garbage := fmt.Sprintf(`{"broadcast_channel":{"channel":"nobody","message":%q}}`, strings.Repeat("x", 50<<10))
	for range 1000 { // some 200 MiB, which the collector lets lie up to the limit
		others.event.Act(garbage)
		c := nodetest.Dial(t, n.Addr(), "/ws/do")
		c.Drop()
	}
	var all []*nodetest.Client
	refused := false
	for i := 0; i < 20000 && !refused; i++ {
		first := fmt.Sprintf(`{"track":{"channel":"room %d","user_id":"u%d","pad":%q}}`, i/20, i, strings.Repeat("x", 3000))
		c, resp, err := nodetest.TryDial(t, n.Addr(), "/ws/do?first="+url.QueryEscape(first))
		switch {
		case err == nil:
			all = append(all, c)
		case resp == nil:
			t.Fatalf("after %d connections: %v", i, err)
		default:
			refused = true
			if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" ||
				resp.Header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("refused with %d %v", resp.StatusCode, resp.Header)
			}
		}
	}
	t.Logf("%d connections, %d MiB resident at most", len(all), n.PeakMemory(t)>>20)
	if !refused || len(all) < 100 {
		t.Fatalf("%d connections were taken, and refused is %v", len(all), refused)
	}
	if got := nodetest.Metric(t, n, `rollcall_upgrades_refused_total{reason="memory"}`); got != 1 {
		t.Errorf("the metric is %v", got)
	}
	n.Log.Await(t, "that memory is short", func(l nodetest.Line) bool {
		return strings.HasPrefix(l.Text("msg"), "memory is short") && l.Text("level") == "WARN"
	})
	for range 200 { // it does not change its mind by being asked, nor by the garbage that questions make
		if _, resp, err := nodetest.TryDial(t, n.Addr(), "/ws/do"); err == nil || resp == nil ||
			resp.StatusCode != http.StatusServiceUnavailable {
			t.Fatalf("while it is full: %v", err)
		}
	}
	others.goOn()
	for i, c := range all {
		if c.Over() {
			t.Fatalf("connection %d of %d was closed", i, len(all))
		}
		if i%50 == 0 {
			c.Act(`{}`)
		}
	}
	if status := nodetest.Status(n.Addr(), "/healthz"); status != http.StatusOK {
		t.Errorf("/healthz answers %d", status)
	}
	for _, c := range all {
		c.Drop()
	}
	testkit.Within(t, "new connections are taken", nodetest.Timeout, func() bool {
		_, _, err := nodetest.TryDial(t, n.Addr(), "/ws/do")
		time.Sleep(50 * time.Millisecond)
		return err == nil
	})
	others.goOn()
}
