package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rollcall/testkit"
	"rollcall/testkit/backend"
	"rollcall/testkit/nodetest"
)

// SPEC 10 and 14: `rollcall hooks` against a running cluster, with a key and without, and --sync.
func TestHooksCommand(t *testing.T) {
	sink := backend.NewServer(t)
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(testApp)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "config/hooks.lua"), fmt.Appendf(nil,
		`hook("crm", { channels = "room:*", url = %q, secret = %q })`, sink.URL, backend.Secret), 0o600); err != nil {
		t.Fatal(err)
	}
	n := startHere(t, "--app", dir, "--drain", "0s", "--api-key", "key-of-this-test")
	n.log.Await(t, "the warning", func(l nodetest.Line) bool {
		return strings.Contains(l.Text("msg"), "in the clear") && l.Text("hook") == "crm"
	})
	command := func(args ...string) (code int, out, errs string) {
		t.Helper()
		var o, e bytes.Buffer
		code = run(context.Background(), append([]string{"hooks", "--server", "http://" + n.addr}, args...), &o, &e)
		return code, o.String(), e.String()
	}
	testkit.Eventually(t, "that it is synchronised", func() bool {
		code, out, _ := command("--api-key", "key-of-this-test")
		words := strings.Fields(out)
		return code == 0 && len(words) == 12 && strings.Join(words[7:12], " ") == "crm ok 0 0s 1"
	})
	if code, out, _ := command("--api-key", "key-of-this-test", "--sync", "crm", "--json"); code != 0 ||
		!strings.HasPrefix(out, `{"hooks":[{"name":"crm",`) {
		t.Errorf("--sync --json: %d %s", code, out)
	}
	testkit.Eventually(t, "another reset", func() bool { return sink.Resets() == 2 })
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"--api-key", "key-of-this-test", "--sync", "other"}, "there is no such hook"},
		{[]string{"--api-key", "another"}, "list hooks: "}, {nil, "list hooks: "},
		{[]string{"--server", "http://127.0.0.1:1"}, "connection refused"},
	} {
		if code, _, errs := command(tt.args...); code != 1 || !strings.Contains(errs, tt.want) {
			t.Errorf("%v: %d %s", tt.args, code, errs)
		}
	}
}
