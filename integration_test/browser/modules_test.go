package browser_test

import (
	"fmt"
	"strconv"
	"testing"

	"rollcall/outbox"
	"rollcall/testkit/nodetest"
)

// The parts of the page that decide without looking at it, called in the browser.
func TestModules(t *testing.T) {
	b := startBrowser(t)
	node := nodetest.Start(t, nodetest.Options{App: "../../examples/chat", Flags: []string{"--dev"}})
	p := b.open("Ada", "http://"+node.Addr()+"/")

	tests := []struct{ name, module, expression, want string }{
		{"the name chosen last", "presence", `m.nameOf({metas: [{name: "new", named_at: 5}, {name: "old", named_at: 2}]})`,
			`"new"`},
		{"no name", "presence", `m.nameOf({metas: [{}]})`, `"Guest"`},
		{"away on all devices", "presence", `m.stateOf({metas: [{state: "away"}, {state: "away"}]})`, `"away"`},
		{"here on one", "presence", `m.stateOf({metas: [{state: "away"}, {state: "online"}]})`, `"online"`},
		{"a phone", "identity", `m.device("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Mobile/15E148 Safari/604.1", 5)`,
			`{"client":"Safari on iPhone","kind":"phone"}`},
		{"an Android tablet", "identity",
			`m.device("Mozilla/5.0 (Linux; Android 15; Pixel Tablet) Chrome/140.0 Safari/537.36", 5)`,
			`{"client":"Chrome on Android","kind":"tablet"}`},
		{"an iPad that says it is a Mac", "identity",
			`m.device("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) Version/18.0 Safari/605.1", 5).kind`, `"tablet"`},
		{"a desktop", "identity", `m.device("Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0", 0)`,
			`{"client":"Firefox on Linux","kind":"desktop"}`},

		{"guests' names", "identity", `((names) => [new Set(names).size > 1500,
			names.every((n) => /^[A-Z]\w+ [A-Z]\w+$/.test(n) && n.length <= 32)])(Array.from({length: 3000}, m.randomName))`, `[true,true]`},
		{"who has come", "comings", `[1, 2, 3, 40].map((n) => m.comingsText("join",
			["ada", "ben", "eve", ...Array(37)].slice(0, n)))`,
			`["ada has joined","ada and ben joined","ada, ben and eve joined","ada, ben and 38 others joined"]`},
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

// The client does what the table of close codes says.
func TestCloseCodes(t *testing.T) {
	b := startBrowser(t)
	node := nodetest.Start(t, nodetest.Options{App: "../../examples/chat", Flags: []string{"--dev"}})
	p := b.open("Ada", "http://"+node.Addr()+"/")
	waits := map[outbox.Advice]string{outbox.StayAway: "[null,null]", outbox.ReconnectNow: "[0,500]",
		outbox.ReconnectLater: "[1500,3000]", outbox.RenewFirst: "[0,500]"}
	for _, c := range outbox.CloseCodes() {
		t.Run(strconv.Itoa(c.Code), func(t *testing.T) {
			got, err := evaluate[any](p, fmt.Sprintf(`import("/_client/rollcall.js").then((m) =>
				[m.wait(%[1]d, 0, 0), m.wait(%[1]d, 0, 1)])`, c.Code))
			if err != nil {
				t.Fatal(err)
			}
			if want := waits[c.Client]; nodetest.JSON(got) != want {
				t.Errorf("after %d (%s) the client waits %s ms, wanted %s", c.Code, c.Meaning, nodetest.JSON(got), want)
			}
		})
	}
}
