package examples_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"rollcall/hub"
	"rollcall/luavm"
	"rollcall/outbox"
	"rollcall/testkit/nodetest"
)

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("../..", path))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// The Lua in the docs compiles.
func TestDocsCompile(t *testing.T) {
	block := regexp.MustCompile("(?s)```lua\n(.*?)```")
	for _, file := range []string{"README.md", "docs/handlers.md", "docs/auth.md", "docs/users.md"} {
		found := block.FindAllStringSubmatch(read(t, file), -1)
		if len(found) < 2 {
			t.Errorf("%s: only %d pieces of Lua found", file, len(found))
		}
		for _, f := range found {
			if _, err := luavm.Compile(file, f[1]); err != nil {
				t.Errorf("%v in\n%s", err, f[1])
			}
		}
	}
}

// rollcall check finds nothing in the Lua of the docs: no false alarm, and no name that is not there any more. Each
// listing is a file of an app; what has no function is put into a handler.
func TestDocsCheck(t *testing.T) {
	block := regexp.MustCompile("(?s)```lua\n(.*?)```")
	handler := regexp.MustCompile(`(?m)^function (\w+)\(event\)`)
	other := regexp.MustCompile(`\b(router_\w+|every|hook)\(|^-- mistaken/`) // of config/, or wrong on purpose
	dir, routes, listings := t.TempDir(), "", 0
	write := func(name, text string) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range []string{"README.md", "docs/handlers.md", "docs/auth.md", "docs/users.md",
		"docs/testing.md"} {
		for _, found := range block.FindAllStringSubmatch(read(t, file), -1) {
			text, name := found[1], fmt.Sprintf("listing%d", listings)
			if other.MatchString(text) {
				continue
			}
			listings++
			switch {
			case strings.Contains(text, "solidb.ws"):
				write("scripts/docs/"+name+".ws.lua", text)
				continue
			case strings.Contains(text, "test(\""):
				write("test/"+name+"_test.lua", text)
				continue
			case !strings.Contains(text, "function "):
				text = "function handler(event)\n" + text + "\nend"
			}
			write("handlers/"+name+".lua", text)
			for _, fn := range handler.FindAllStringSubmatch(text, -1) {
				routes += fmt.Sprintf("router_websocket(%q, %q)\n", "/"+name+"/"+fn[1], name+"#"+fn[1])
			}
		}
	}
	write("config/routes.lua", routes)
	if code, stdout, stderr := nodetest.Command(t, nil, "check", dir); code != 0 || listings < 25 {
		t.Errorf("%d listings: exit code %d\n%s%s", listings, code, stdout, stderr)
	}
}

// What pages link to is there, with the heading that is named.
func TestDocsLinks(t *testing.T) {
	heading := regexp.MustCompile(`(?m)^#+ (.*)$`)
	dropped := regexp.MustCompile(`[^\p{L}\p{N} _-]`)
	fenced := regexp.MustCompile("(?ms)^ *```.*?^ *```")
	anchors := func(path string) map[string]bool {
		found := map[string]bool{}
		for _, h := range heading.FindAllStringSubmatch(fenced.ReplaceAllString(read(t, path), ""), -1) {
			found[strings.ReplaceAll(dropped.ReplaceAllString(strings.ToLower(h[1]), ""), " ", "-")] = true
		}
		return found
	}
	link := regexp.MustCompile(`\]\(([^)#:\s]*)(?:#([^)\s]*))?\)`)
	pages, links := 0, 0
	err := filepath.WalkDir("../..", func(path string, d os.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (strings.HasPrefix(d.Name(), ".") && len(d.Name()) > 2 || d.Name() == "node_modules"):
			return filepath.SkipDir
		case filepath.Ext(path) != ".md":
			return nil
		}
		pages++
		page := strings.TrimPrefix(path, "../../")
		for _, found := range link.FindAllStringSubmatch(fenced.ReplaceAllString(read(t, page), ""), -1) {
			links++
			target := page
			if found[1] != "" {
				target = filepath.Join(filepath.Dir(page), found[1])
			}
			if _, err := os.Stat(filepath.Join("../..", target)); err != nil {
				t.Errorf("%s links to %s: %v", page, found[1], err)
			} else if found[2] != "" && !anchors(target)[found[2]] {
				t.Errorf("%s links to %s, which has no heading #%s", page, target, found[2])
			}
		}
		return nil
	})
	if err != nil || pages < 15 || links < 60 {
		t.Errorf("%d pages with %d links: %v", pages, links, err)
	}
}

// docs/handlers.md has a row for every action.
func TestDocsNameEveryAction(t *testing.T) {
	docs := read(t, "docs/handlers.md")
	for kind := hub.ActionLeave; kind <= hub.ActionClose; kind++ {
		if !strings.Contains(docs, "\n| `"+kind.String()+"` |") {
			t.Errorf("docs/handlers.md says nothing of the action %s", kind)
		}
	}
}

// docs/handlers.md tells of every function there is: a script lists what it can see beside plain Lua.
func TestDocsNameEveryFunction(t *testing.T) {
	const script = `
local plain = { string = true, table = true, math = true, coroutine = true, _G = true, request = true }
local function list(prefix, t)
  local keys = {}
  for k in pairs(t) do keys[#keys + 1] = k end
  for _, k in ipairs(keys) do
    local v = t[k]
    if type(v) == "table" and not (prefix == "" and plain[k]) then
      list(prefix .. k .. ".", v)
    elseif prefix ~= "" or k:find("_") then
      solidb.ws.send(prefix .. k)
    end
  end
end
list("", _G)
solidb.ws.send("end")
solidb.ws.recv()`
	app := t.TempDir()
	if err := os.MkdirAll(filepath.Join(app, "scripts/docs"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(app, "scripts/docs/list.ws.lua"), []byte(script), 0o644); err != nil {
		t.Fatal(err)
	}
	n := nodetest.Start(t, nodetest.Options{App: app, Flags: []string{"--dev"}})
	names := nodetest.Dial(t, n.Addr(), "/api/custom/docs/list").Until("end")
	if len(names) < 40 {
		t.Fatalf("the script sees only %q", names)
	}
	docs := read(t, "docs/handlers.md")
	for _, name := range names {
		name = strings.Replace(name, "JSON.", "json.", 1) // one table under two names
		if name != "_VERSION" && name != "_G" && !strings.Contains(docs, name) {
			t.Errorf("docs/handlers.md says nothing of %s", name)
		}
	}
	for _, name := range []string{"solidb.ws.recv_any", "store.hgetall", "ws_get_presence", "json_encode"} {
		if !strings.Contains(strings.Join(names, " "), name) {
			t.Errorf("the script does not see %s; it sees %q", name, names)
		}
	}
}

// SPEC 4: "`docs/` lists them with what a client should do"
func TestDocsCloseCodes(t *testing.T) {
	docs := read(t, "docs/protocol.md")
	row := regexp.MustCompile(`(?m)^\| (\d{4}) \| (\w+) \| (.*) \| (.*) \|$`)
	rows := row.FindAllStringSubmatch(docs, -1)
	codes := outbox.CloseCodes()
	if len(rows) != len(codes) {
		t.Fatalf("docs/protocol.md lists %d codes, there are %d", len(rows), len(codes))
	}
	for i, c := range codes {
		want := outbox.CloseCode{Code: c.Code, Name: c.Name, Meaning: c.Meaning,
			Client: outbox.Advice(strings.TrimPrefix(string(c.Client), "do "))}
		got := outbox.CloseCode{Code: c.Code, Name: rows[i][2], Meaning: rows[i][3], Client: outbox.Advice(rows[i][4])}
		if got != want {
			t.Errorf("docs/protocol.md has %v, the code %v", got, want)
		}
	}
}

// SPEC 12: "All examples and docs use it": pages load the client that nodes serve, and there is no other. So does the
// page of the app that rollcall new makes.
func TestExamplesUseTheClient(t *testing.T) {
	users := map[string]bool{}
	look := func(path string, d os.DirEntry, err error) error {
		if err == nil && d.Name() == "node_modules" {
			return filepath.SkipDir
		}
		if err != nil || filepath.Ext(path) != ".js" {
			return err
		}
		text := read(t, strings.TrimPrefix(path, "../../"))
		if strings.Contains(text, `import { connect } from "/_client/rollcall.js";`) {
			users[strings.Split(path, "/")[3]] = true
		}
		if strings.Contains(text, "new WebSocket") || strings.Contains(text, "onclose") {
			t.Errorf("%s looks after its connection itself", path)
		}
		return nil
	}
	err := errors.Join(filepath.WalkDir("../../examples", look), filepath.WalkDir("../../app/scaffold/files", look))
	if err != nil || len(users) < 8 {
		t.Errorf("only %v use the client: %v", users, err)
	}
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil || len(pages) < 8 {
		t.Fatal(pages, err)
	}
	for _, page := range append(pages, "../../README.md") {
		if text := read(t, strings.TrimPrefix(page, "../../")); strings.Contains(text, "new WebSocket") {
			t.Errorf("%s has a client of its own", page)
		}
	}
}
