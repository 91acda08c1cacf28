package app

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"rollcall/testkit"
)

// SPEC 1.2: "An unknown function or file is an error at start that names the route and file"; SPEC 6: "an app with
// errors: exit 1, all of them listed".
func TestLoadListsAllErrors(t *testing.T) {
	dir := writeFiles(t, map[string]string{
		"config/routes.lua": `
router_websocket("/a", "chat#nothing")
router_websocket("/b", "missing#chat")
router_websocket("/c", "broken#chat")
router_websocket("/d", "raises#chat")
router_get("/x/:a", "chat#chat")
router_get("/x/:b", "chat#chat")
router_get("/y", "chat#chat", {auth = true})
router_get("/z", "chat#chat", {nonsense = true})
router_get("/p", "chat#print")`,
		"handlers/chat.lua":     "function chat() end",
		"handlers/broken.lua":   "function chat(\nend",
		"handlers/raises.lua":   "\nerror('at load')",
		"lib/util.lua":          "return = 1",
		"scripts/db/x.ws.lua":   "x = = 1",
		"scripts/db/y.lua":      "",
		"scripts/db/z.head.lua": "",
	})
	a, problems := Load(dir, LoadOptions{})
	if a != nil {
		t.Error("an app with errors was loaded")
	}
	var got []string
	for _, p := range problems {
		got = append(got, p.Error())
	}
	for _, want := range []string{
		`config/routes.lua:2: WS /a: handlers/chat.lua has no function "nothing"`,
		`config/routes.lua:3: WS /b: the file handlers/missing.lua does not exist`,
		`handlers/broken.lua:2: `,
		`handlers/raises.lua:2: at load`,
		`config/routes.lua:7: router_get("/x/:b") matches the same paths as "/x/:a" at config/routes.lua:6`,
		`config/routes.lua:8: GET /y has auth = true, but no key can check tokens`,
		`config/routes.lua:9: router_get("/z"): unknown option "nonsense"`,
		`config/routes.lua:10: GET /p: handlers/chat.lua has no function "print"`,
		`lib/util.lua:1: `,
		`scripts/db/x.ws.lua:1: `,
		`scripts/db/y.lua: has no method in its name`,
		`scripts/db/z.head.lua: bad script method`,
	} {
		if !slices.ContainsFunc(got, func(s string) bool { return strings.HasPrefix(s, want) }) {
			t.Errorf("no problem begins with %s", want)
		}
	}
	if len(got) != 12 {
		t.Errorf("%d problems:\n%s", len(got), strings.Join(got, "\n"))
	}
}

func TestLoadErrors(t *testing.T) {
	tests := []struct {
		name  string
		files map[string]string
		want  string // "" = loads
	}{
		{"empty folder", map[string]string{"readme.md": ""}, ""},
		{"only scripts", map[string]string{"scripts/db/x.ws.lua": ""}, ""},
		{"only files", map[string]string{"public/index.html": ""}, ""},
		{"routes do not compile", map[string]string{"config/routes.lua": "router_get("}, "config/routes.lua"},
		{"routes raise", map[string]string{"config/routes.lua": "\nnothing()"}, "config/routes.lua:2: attempt to call"},
		{"routes loop", map[string]string{"config/routes.lua": "while true do end"}, "config/routes.lua:1: time budget"},
		{"routes may require", map[string]string{"config/routes.lua": `require("paths")`, "lib/paths.lua": ""}, ""},
		{"require of a broken file", map[string]string{"config/routes.lua": `router_get("/", "h#get")`,
			"handlers/h.lua": `require("x") function get() end`, "lib/x.lua": "x ="}, "lib/x.lua"},
		{"a handler file with an unused mistake", map[string]string{"handlers/unused.lua": "x ="}, "handlers/unused.lua"},
		{"a route from a required file",
			map[string]string{"config/routes.lua": `require("more")`,
				"lib/more.lua": "\nrouter_get(1)"}, "lib/more.lua:2: router_get"},
		{"bytecode", map[string]string{"scripts/db/x.ws.lua": "\x1bLua"}, "scripts/db/x.ws.lua"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, problems := Load(writeFiles(t, tt.files), LoadOptions{})
			if tt.want == "" {
				if a == nil || problems != nil {
					t.Fatal(problems)
				}
				return
			}
			if a != nil || !strings.HasPrefix(errors.Join(problems...).Error(), tt.want) {
				t.Fatalf("problems %v, want %s", problems, tt.want)
			}
		})
	}
}

// SPEC 6: "A missing app folder is bad configuration (exit 2)".
func TestMissingApp(t *testing.T) {
	for _, dir := range []string{filepath.Join(t.TempDir(), "none"),
		filepath.Join(writeFiles(t, map[string]string{"f": ""}), "f")} {
		if _, problems := Load(dir, LoadOptions{}); len(problems) != 1 || !errors.Is(problems[0], ErrMissing) {
			t.Errorf("%s: %v", dir, problems)
		}
	}
}

func TestAppTells(t *testing.T) {
	dir := writeFiles(t, map[string]string{
		"config/routes.lua":   `router_get("/a", "h#a") router_websocket("/b", "h#a", {presence = "devices"})`,
		"handlers/h.lua":      `return {a = function() end}`,
		"scripts/db/x.ws.lua": "",
	})
	a, problems := Load(dir, LoadOptions{})
	if problems != nil {
		t.Fatal(problems)
	}
	r := a.Routes()
	if len(r) != 2 || r[0].Method != "GET" || r[1].Path != "/b" || !r[1].Options.Devices || a.Name != filepath.Base(dir) {
		t.Fatalf("%+v %s", r, a.Name)
	}
	if s := a.ScriptFiles(); len(s) != 1 || s[0].String() != "WS db/x" {
		t.Fatal(s)
	}
}

// SPEC 3: "--app: reloaded on change with --dev"; connections that are open finish on what they began with.
func TestReload(t *testing.T) {
	files := handler(`return {send = "old"}`)
	files["scripts/db/x.get.lua"] = `return "old"`
	n := startNode(t, files, nodeOptions{config: dev})
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(n.dir, name)
		check(t, os.MkdirAll(filepath.Dir(path), 0o755))
		check(t, os.WriteFile(path, []byte(text), 0o644))
	}
	c := n.dial("/ws/x")
	c.expect("old")

	write("handlers/chat.lua", "function chat()\n x = = 1\nend")
	n.logged("the changed app has an error; the old one stays")
	n.logged("handlers/chat.lua:2")
	n.dial("/ws/x").expect("old")

	write("handlers/chat.lua", `function chat() return {send = "new"} end`)
	testkit.Eventually(t, "new app", func() bool { return n.dial("/ws/x").next() == "new" })
	c.say("?")
	c.expect("old")

	write("scripts/db/x.get.lua", `return "new"`)
	write("scripts/other/deep/y.get.lua", `return "y"`)
	testkit.Eventually(t, "new script", func() bool {
		return n.get("/api/custom/db/x") == "200 new" && n.get("/api/custom/other/deep/y") == "200 y"
	})
	write("scripts/other/deep/z.get.lua", `return "z"`)
	testkit.Eventually(t, "script in a new folder", func() bool { return n.get("/api/custom/other/deep/z") == "200 z" })
	check(t, os.Remove(filepath.Join(n.dir, "scripts/db/x.get.lua")))
	testkit.Eventually(t, "end of a script", func() bool { return strings.HasPrefix(n.get("/api/custom/db/x"), "404") })
}

// Without --dev files are not watched.
func TestNoReloadWithoutDev(t *testing.T) {
	n := startNode(t, handler(`return {send = "old"}`))
	if n.server.watch != nil {
		t.Fatal("the folder is watched")
	}
}

// SPEC 11: test/*_test.lua are for `rollcall test` alone: no part of the app, and nothing that is served.
func TestTestsAreNoPartOfTheApp(t *testing.T) {
	n := startNode(t, map[string]string{
		"config/routes.lua":        `router_get("/required", "chat#required")`,
		"handlers/chat.lua":        `function required() return tostring(pcall(require, "test.chat_test")) end`,
		"test/chat_test.lua":       "x = = 1",
		"test/other.ws.lua":        "x = = 1",
		"test/public/index.html":   "hidden",
		"public/index.html":        "home",
		"scripts/test/db.get.lua":  `return "script"`,
		"scripts/test/db2.get.lua": `return pcall(require, "test/chat_test")`,
	})
	for path, want := range map[string]string{
		"/": "200 home", "/required": "200 false", "/api/custom/test/db": "200 script", "/api/custom/test/db2": "200 false",
		"/test/chat_test.lua": "404", "/test/": "404", "/test/public/": "404", "/../test/chat_test.lua": "404",
	} {
		if got := n.get(path); !strings.HasPrefix(got, want) {
			t.Errorf("GET %s: %s, want %s", path, got, want)
		}
	}
}
