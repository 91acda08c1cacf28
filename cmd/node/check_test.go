package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rollcall/app"
)

// golden compares what a command printed with a file; -update writes it.
func golden(t *testing.T, file, got string) {
	t.Helper()
	if *updateGolden {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s has\n%s\nit printed\n%s", file, want, got)
	}
}

// SPEC 11, `rollcall check APP`: "names that nobody defines, fields that `event` has not, actions and options that do
// not exist, functions of `solidb.ws` that do not exist, each with the nearest right name"; SPEC 3: exit 1.
func TestCheckFindsMistakes(t *testing.T) {
	code, stdout, stderr := rollcall("check", "testdata/mistaken")
	if code != 1 || stdout != "" {
		t.Errorf("exit code %d, %s", code, stdout)
	}
	golden(t, "testdata/mistaken/check.txt", masked(stderr))
	code, stdout, stderr = rollcall("check", "--json", "testdata/mistaken")
	if code != 1 || stderr != "" {
		t.Errorf("--json: exit code %d, %s", code, stderr)
	}
	golden(t, "testdata/mistaken/check.json", masked(stdout))
}

// SPEC 11: "without false alarms on all examples".
func TestCheckOfRightApps(t *testing.T) {
	apps, err := filepath.Glob("../../examples/*/README.md")
	if err != nil || len(apps) < 6 {
		t.Fatal(apps, err)
	}
	apps = append(apps, "testdata/passing/x", "testdata/failing/x", "../../integration_test/testdata/app/x",
		"../../integration_test/load/app/x")
	for _, path := range apps {
		dir := filepath.Dir(path)
		code, stdout, stderr := rollcall("check", "--json", dir)
		var found struct {
			App             string
			Routes, Scripts int
			Mistakes        []app.Mistake
		}
		if err := json.Unmarshal([]byte(stdout), &found); err != nil || code != 0 || stderr != "" || found.App != dir ||
			found.Routes+found.Scripts == 0 || found.Mistakes == nil || len(found.Mistakes) > 0 {
			t.Errorf("%s: exit code %d, %v\n%s%s", dir, code, err, stdout, stderr)
		}
	}
}

// SPEC 11: "an empty folder is an error that says what to do"; a folder of apps is none either.
func TestCheckOfNoApp(t *testing.T) {
	empty := t.TempDir()
	for _, dir := range []string{empty, "../../examples"} {
		code, stdout, stderr := rollcall("check", dir)
		if want := "rollcall: the folder holds no app: " + dir + ": make one with rollcall new DIR, "; code != 1 ||
			stdout != "" || !strings.HasPrefix(stderr, want) {
			t.Errorf("%s: exit code %d: %s%s", dir, code, stdout, stderr)
		}
	}
	for _, name := range []string{"public/index.html", "lib/a.lua", "scripts/a/b.get.lua"} {
		dir := t.TempDir()
		writeFile(t, filepath.Join(dir, name), "")
		if code, stdout, stderr := rollcall("check", dir); code != 0 {
			t.Errorf("with %s: exit code %d: %s%s", name, code, stdout, stderr)
		}
	}
}
