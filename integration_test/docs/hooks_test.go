package docs_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"rollcall/testkit"
	"rollcall/testkit/nodetest"
)

// The receivers of docs/hooks.md know who is there: they verify what a node signs, and fold it.
func TestHookReceivers(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(root, "docs", "hooks.md"))
	if err != nil {
		t.Fatal(err)
	}
	const secret = "the secret of this test"
	for _, tt := range []struct {
		lang, file string
		program    string
	}{{"js", "receiver.mjs", "node"}, {"go", "receiver.go", "go"}} {
		t.Run(tt.lang, func(t *testing.T) {
			need(t, tt.program)
			source := regexp.MustCompile("(?s)```" + tt.lang + "\n(// " + regexp.QuoteMeta(tt.file) +
				".*?)```").FindSubmatch(page)
			if source == nil {
				t.Fatalf("no snippet of %s", tt.file)
			}
			dir := t.TempDir()
			app := filepath.Join(dir, "app")
			if err := os.CopyFS(app, os.DirFS(filepath.Join(root, "examples/rooms"))); err != nil {
				t.Fatal(err)
			}
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			_, port, _ := net.SplitHostPort(l.Addr().String())
			_ = l.Close()
			write := func(file, text string) string {
				t.Helper()
				path := filepath.Join(dir, file)
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
				return path
			}
			write("app/config/hooks.lua", fmt.Sprintf(
				`hook("crm", { channels = "room:*", url = "http://127.0.0.1:%s/presence", secret = env("HOOK_SECRET") })`, port))
			file := write(tt.file, string(source[1]))
			receiver := exec.CommandContext(t.Context(), "node", file)
			if tt.lang == "go" { // go run would leave its child behind
				program := filepath.Join(dir, "receiver")
				text, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, file).CombinedOutput()
				if err != nil {
					t.Fatalf("%v\n%s", err, text)
				}
				receiver = exec.CommandContext(t.Context(), program)
			}
			out := &nodetest.Log{}
			receiver.Env, receiver.Stdout, receiver.Stderr = append(os.Environ(), "SECRET="+secret, "PORT="+port), out, out
			if err := receiver.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				_ = receiver.Process.Kill()
				_ = receiver.Wait()
			})
			node := nodetest.Start(t, nodetest.Options{App: app, Env: []string{"ROLLCALL_APP_HOOK_SECRET=" + secret}})
			says := func(n int) {
				t.Helper()
				testkit.Eventually(t, fmt.Sprintf("%d here, after %q", n, out.Text()), func() bool {
					lines := strings.Fields(out.Text())
					return len(lines) >= 2 && lines[len(lines)-2] == fmt.Sprint(n)
				})
			}
			says(0)
			ada := nodetest.Dial(t, node.Addr(), "/ws/room/lobby?user=ada")
			says(1)
			nodetest.Dial(t, node.Addr(), "/ws/room/lobby?user=bob")
			says(2)
			ada.Leave(1000, "")
			says(1)
		})
	}
}
