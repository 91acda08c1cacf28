package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// SPEC 14, `rollcall new DIR`: what it makes is right, its tests pass, and its types are those of the language.
func TestNew(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "my app")
	code, stdout, stderr := rollcall("new", dir)
	if want := fmt.Sprintf("\nnext:\n  rollcall check '%[1]s'\n  rollcall test '%[1]s'\n  rollcall --dev --app '%[1]s'\n",
		dir); code != 0 || !strings.HasSuffix(stdout, want) || stderr != "" {
		t.Fatalf("exit code %d\n%s%s", code, stdout, stderr)
	}
	for _, name := range []string{"config/routes.lua", "handlers/room.lua", "scripts/demo/online.ws.lua",
		"public/index.html", "test/room_test.lua", "types/rollcall.lua", ".luarc.json"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil || !strings.Contains(stdout, name) {
			t.Errorf("%s: %v\n%s", name, err, stdout)
		}
	}
	if code, stdout, stderr := rollcall("check", dir); code != 0 || stdout != dir+" is right: 1 route, 1 script, 0 jobs\n" {
		t.Errorf("check: exit code %d\n%s%s", code, stdout, stderr)
	}
	if code, stdout, stderr := rollcall("test", dir); code != 0 || !strings.HasPrefix(stdout, "ok: 3 tests in 1 file") {
		t.Errorf("test: exit code %d\n%s%s", code, stdout, stderr)
	}
}

// SPEC 14: a folder in which there is something is left as it is.
func TestNewLeavesAlone(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, ".git/HEAD"), "")
	if code, _, stderr := rollcall("new", dir); code != 0 {
		t.Fatalf("a new repository: exit code %d: %s", code, stderr)
	}
	handler := filepath.Join(dir, "handlers/room.lua")
	writeFile(t, handler, "-- mine")
	code, stdout, stderr := rollcall("new", dir)
	if text, err := os.ReadFile(handler); code != 2 || stdout != "" || err != nil || string(text) != "-- mine" ||
		!strings.HasPrefix(stderr, "rollcall: new: there is something in it already: "+dir+"/") {
		t.Errorf("exit code %d: %s%s%s", code, stdout, stderr, text)
	}
	for name, want := range map[string]int{
		filepath.Join(dir, "handlers/room.lua"): 1, filepath.Join(handler, "below"): 1} {
		if code, _, stderr := rollcall("new", name); code != want || stderr == "" {
			t.Errorf("%s: exit code %d: %s", name, code, stderr)
		}
	}
}
