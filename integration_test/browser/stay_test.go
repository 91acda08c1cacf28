package browser_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"rollcall/testkit/nodetest"
)

// refusing is an app that lets nobody stay.
var refusing = map[string]string{
	"public/index.html": "<title>nobody stays</title>",
	"config/routes.lua": `
router_websocket("/ws/refuse", "refuse#refuse")
router_websocket("/ws/refuse/:code", "refuse#refuse")
router_websocket("/ws/raise", "refuse#raise")`,
	"handlers/refuse.lua": `
function refuse(event)
  return { close = event.params.code and { code = tonumber(event.params.code), reason = "no" } or "no" }
end
function raise()
  error("no")
end`,
	"scripts/test/hold.ws.lua": `
solidb.ws.recv_any(tonumber(request.query.ms))
solidb.ws.close(1012)`,
}

// The client at a server that refuses it in every way: how often it asks in twelve seconds.
func TestClientThatIsRefused(t *testing.T) {
	app := t.TempDir()
	for name, text := range refusing {
		file := filepath.Join(app, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	node := nodetest.Start(t, nodetest.Options{App: app})
	p := startBrowser(t).tab("Ann")
	p.load("http://" + node.Addr() + "/")
	p.importClient()
	p.do(`
		window.began = performance.now();
		window.seen = {};
		window.start = (path) => {
			const mine = (seen[path] = { asked: 0, waits: [], codes: [], last: "" });
			const client = connect(() => {
				mine.asked++;
				if (path === "") throw new Error("no token");
				return path;
			});
			client.on("status", (name, { code, retryIn }) => {
				mine.last = name;
				if (name === "waiting") mine.waits.push(retryIn);
				if (code) mine.codes.push(code);
			});
		}`)
	const staysAway = "closed"
	tests := []struct {
		path        string
		code        int
		least, most int
		last        string // status; "": any
	}{
		// Waits from 0, 0.5, 1, 2, 4 s, up to twice that.
		{"/ws/none", 1006, 4, 6, ""}, // 404
		{"", 1006, 4, 6, ""},         // no token
		{"/ws/refuse/1001", 1001, 4, 6, ""},
		{"/ws/refuse/1012", 1012, 4, 6, ""},
		{"/ws/refuse/4401", 4401, 4, 6, ""},
		{"/ws/refuse/3000", 3000, 4, 6, ""},
		// From 1.5, 3, 6 s.
		{"/ws/raise", 1011, 3, 4, ""},
		{"/ws/refuse/1008", 1008, 3, 4, ""},
		{"/ws/refuse/1013", 1013, 3, 4, ""},
		// For good.
		{"/ws/refuse", 4403, 1, 1, staysAway},
		{"/ws/refuse/1000", 1000, 1, 1, staysAway},
		{"/ws/refuse/1009", 1009, 1, 1, staysAway},
		{"/ws/refuse/4000", 4000, 1, 1, staysAway},
		{"/ws/refuse/4999", 4999, 1, 1, staysAway},
		// A second is too short to begin anew; more than five are not.
		{"/api/custom/test/hold?ms=1000", 1012, 4, 5, ""},
		{"/api/custom/test/hold?ms=5200", 1012, 2, 3, ""},
	}
	for _, tt := range tests {
		p.do(fmt.Sprintf("start(%q)", tt.path))
	}
	p.await("twelve seconds later", `performance.now() - began > 12000`)
	type record struct {
		Asked int
		Waits []float64
		Codes []int
		Last  string
	}
	seen, err := evaluate[map[string]record](p, "seen")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range tests {
		got := seen[tt.path]
		if got.Asked < tt.least || got.Asked > tt.most || tt.last != "" && got.Last != tt.last {
			t.Errorf("%q: asked %d times, wanted %d to %d; %+v", tt.path, got.Asked, tt.least, tt.most, got)
		}
		for _, code := range got.Codes {
			if code != tt.code {
				t.Errorf("%q: closed with %d, wanted %d", tt.path, code, tt.code)
			}
		}
	}
	for _, wait := range seen["/api/custom/test/hold?ms=5200"].Waits {
		if wait > 500 {
			t.Errorf("after a connection that has lived it waits %v ms", wait)
		}
	}
}
