package app

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"rollcall/testkit"
	"rollcall/testkit/nodetest"
)

// SPEC 8: "The same … limits". A status would keep a browser away for good. So one that a limit stops gets a stream
// that ends, and is asked to come back when Retry-After says.
func TestAdmitStream(t *testing.T) {
	admit, free := admitOne()
	n := startNode(t, map[string]string{
		"config/routes.lua": `router_sse("/feed", "feed#open")`,
		"handlers/feed.lua": `function open(e) return e.type == "connect" and { send = "in" } or nil end`,
	}, nodeOptions{config: func(c *Config) { c.Admit = admit }})
	addr := strings.TrimPrefix(n.http.URL, "http://")
	page := nodetest.OpenStream(t, addr, "/feed")
	page.Expect("in")

	later := nodetest.OpenStream(t, addr, "/feed", "Accept: text/event-stream")
	end := later.End()
	if ms, err := strconv.Atoi(later.Retry); err != nil || end != "503 full" || ms < 3500 || ms > 10500 {
		t.Errorf("a browser is told %q, and to wait for %s ms", end, later.Retry)
	}
	_, resp := nodetest.TryStream(t, addr, "/feed")
	if text, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != http.StatusServiceUnavailable ||
		resp.Header.Get("Retry-After") != "7" || !strings.Contains(string(text), "full") {
		t.Errorf("another client is answered %s %v %s", resp.Status, resp.Header, text)
	}
	page.Drop()
	testkit.Eventually(t, "the place is given back", free)

	// Also by a request that becomes no stream.
	_, resp = nodetest.StreamBy(t, addr, "GET /feed HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx")
	if resp.StatusCode != http.StatusBadRequest {
		t.Errorf("with a body: %s", resp.Status)
	}
	testkit.Eventually(t, "the place is given back", free)
	nodetest.OpenStream(t, addr, "/feed").Expect("in")
}
