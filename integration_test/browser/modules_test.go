package browser_test

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"rollcall/integration_test/nodetest"
	"rollcall/wsconn"
)

// The parts of the page that decide without looking at it, called in the browser.
func TestModules(t *testing.T) {
	b := startBrowser(t)
	node := nodetest.Start(t, nodetest.Options{App: "../../examples/chat", Flags: []string{"--dev"}})
	p := b.open("Ada", "http://"+node.Addr()+"/")

	tests := []struct{ name, module, expression, want string }{
		{"lost: at once to half a second", "connection", `m.plan(1006, 0, () => 1)`, `{"advice":"soon","wait":500}`},
		{"lost: or sooner", "connection", `m.plan(1006, 0, () => 0)`, `{"advice":"soon","wait":0}`},
		{"each attempt in vain doubles the wait", "connection", `m.plan(1006, 3, () => 1)`, `{"advice":"soon","wait":4000}`},
		{"up to a limit", "connection", `m.plan(1006, 40, () => 1)`, `{"advice":"soon","wait":20000}`},
		{"later is not at once", "connection", `m.plan(1013, 0, () => 0)`, `{"advice":"later","wait":1500}`},
		{"an app's own code", "connection", `m.plan(4999, 0)`, `{"advice":"stay","wait":null}`},

		// SPEC 1.2: "a client that replaces users on `joins` and deletes them on `leaves` is always right"
		{"a state replaces all", "presence", `[...m.reduce(new Map([["a", 1]]), {event: "presence_state", payload: {b: 2}})]`, `[["b",2]]`},
		{"joins replace, leaves delete", "presence", `[...m.reduce(new Map([["a", 1], ["b", 2], ["c", 3]]),
			{event: "presence_diff", payload: {joins: {b: 4, d: 5}, leaves: {a: 1}}})]`, `[["b",4],["c",3],["d",5]]`},
		{"any user id", "presence", `[...m.reduce(new Map(), JSON.parse('{"event":"presence_state","payload":{"__proto__":1,"7":2}}'))]`,
			`[["7",2],["__proto__",1]]`},
		{"the name chosen last", "presence", `m.nameOf({metas: [{name: "new", named_at: 5}, {name: "old", named_at: 2}]})`, `"new"`},
		{"no name", "presence", `m.nameOf({metas: [{}]})`, `"Guest"`},
		{"away on all devices", "presence", `m.stateOf({metas: [{state: "away"}, {state: "away"}]})`, `"away"`},
		{"here on one", "presence", `m.stateOf({metas: [{state: "away"}, {state: "online"}]})`, `"online"`},
		{"news is who was not there", "presence", `m.changes(new Map([["a", 1], ["b", 1]]), {payload: {joins: {a: 2, c: 2}, leaves: {b: 1, x: 1}}})`,
			`{"joined":["c"],"left":["b"]}`},

		{"a phone", "identity", `m.device("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Mobile/15E148 Safari/604.1", 5)`,
			`{"client":"Safari on iPhone","kind":"phone"}`},
		{"an Android tablet", "identity", `m.device("Mozilla/5.0 (Linux; Android 15; Pixel Tablet) Chrome/140.0 Safari/537.36", 5)`,
			`{"client":"Chrome on Android","kind":"tablet"}`},
		{"an iPad that says it is a Mac", "identity", `m.device("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) Version/18.0 Safari/605.1", 5).kind`, `"tablet"`},
		{"a desktop", "identity", `m.device("Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0", 0)`,
			`{"client":"Firefox on Linux","kind":"desktop"}`},

		{"a room's name", "rooms", `m.roomName("  Tea & Cake! ")`, `"tea-cake"`},
		{"no room's name", "rooms", `m.roomName("!!!")`, `""`},
		{"initials", "dom", `[m.initials("ada"), m.initials("Ada  King Lovelace"), m.initials("😀 x")]`, `["A","AL","😀X"]`},
		{"who writes", "people_view", `[m.writingText([]), m.writingText(["Ada"]), m.writingText(["Ada", "Bob"]), m.writingText(["a", "b", "c"])]`,
			`["","Ada is writing","Ada and Bob are writing","Several people are writing"]`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := evaluate[any](p, fmt.Sprintf(`import("/js/%s.js").then((m) => %s)`, tt.module, tt.expression))
			if err != nil {
				t.Fatal(err)
			}
			if nodetest.JSON(got) != tt.want {
				t.Errorf("%s: got %s, want %s", tt.expression, nodetest.JSON(got), tt.want)
			}
		})
	}
}

// The page does what the table of close codes says.
func TestCloseCodes(t *testing.T) {
	b := startBrowser(t)
	node := nodetest.Start(t, nodetest.Options{App: "../../examples/chat", Flags: []string{"--dev"}})
	p := b.open("Ada", "http://"+node.Addr()+"/")
	advice := map[wsconn.Advice]string{wsconn.StayAway: "stay", wsconn.ReconnectNow: "now", wsconn.ReconnectLater: "later", wsconn.RenewFirst: "renew"}
	for _, c := range wsconn.CloseCodes() {
		t.Run(strconv.Itoa(c.Code), func(t *testing.T) {
			got, err := evaluate[string](p, fmt.Sprintf(`import("/js/connection.js").then((m) => m.plan(%d, 0).advice)`, c.Code))
			if err != nil {
				t.Fatal(err)
			}
			if want := advice[c.Client]; got != want {
				t.Errorf("after %d (%s) the page does %q, wanted %q", c.Code, c.Meaning, got, want)
			}
		})
	}
}

// The client in docs/protocol.md does what the page's does.
func TestProtocolClient(t *testing.T) {
	text, err := os.ReadFile("../../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	code := ""
	for _, block := range strings.Split(string(text), "```js\n")[1:] {
		js, _, _ := strings.Cut(block, "```")
		code += js
	}
	b := startBrowser(t)
	p := b.tab("nobody")
	tests := []struct{ name, expression, want string }{
		{"a state", `[...reduce(new Map([["a", 1]]), {event: "presence_state", payload: {b: 2}})]`, `[["b",2]]`},
		{"a diff", `[...reduce(new Map([["a", 1], ["b", 2]]), {event: "presence_diff", payload: {joins: {b: 3, c: 4}, leaves: {a: 1}}})]`, `[["b",3],["c",4]]`},
		{"another frame", `[...reduce(new Map([["a", 1]]), {event: "message"})]`, `[["a",1]]`},
		{"waits grow", `[0, 1, 50].map((n) => wait(n, false)).every((w, i) => w <= [500, 1000, 20000][i])`, `true`},
		{"later is not at once", `wait(0, true) >= 1500`, `true`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := evaluate[any](p, fmt.Sprintf("(() => { %s; return %s })()", code, tt.expression))
			if err != nil {
				t.Fatal(err)
			}
			if nodetest.JSON(got) != tt.want {
				t.Errorf("got %s, want %s", nodetest.JSON(got), tt.want)
			}
		})
	}
}
