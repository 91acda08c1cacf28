package examples_test

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"rollcall/testkit/nodetest"
)

// The first app of README, as it stands there, does what README says.
func TestReadmeApp(t *testing.T) {
	readme := read(t, "README.md")
	dir := t.TempDir()
	files := regexp.MustCompile("(?s)`(myapp/[^`]+)`:\n\n```lua\n(.*?)```").FindAllStringSubmatch(readme, -1)
	if len(files) != 3 {
		t.Fatalf("README has %d files of myapp", len(files))
	}
	for _, f := range files {
		path := filepath.Join(dir, f[1])
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(f[2]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	n := nodetest.Start(t, nodetest.Options{App: filepath.Join(dir, "myapp"), Flags: []string{"--dev"}})
	ada := nodetest.Dial(t, n.Addr(), "/ws/lobby?user=ada")
	state := next(t, ada, "presence_state")
	state.expect(t, `"room:lobby"`, "channel")
	state.expect(t, `"online"`, "payload", "ada", "metas", "state")
	bob := nodetest.Dial(t, n.Addr(), "/ws/lobby?user=bob")
	next(t, bob, "presence_state")
	diff := next(t, ada, "presence_diff")
	diff.expect(t, `"online"`, "payload", "joins", "bob", "metas", "state")
	diff.expect(t, `{}`, "payload", "leaves")
	bob.Send("hi")
	ada.Expect(`{"from":"bob","text":"hi"}`)
	bob.Expect(`{"from":"bob","text":"hi"}`)
	script := nodetest.Dial(t, n.Addr(), "/api/custom/demo/echo")
	script.Send("yo")
	ada.Expect(`{"from":"echo","text":"yo"}`)
	script.Expect(`{"from":"echo","text":"yo"}`)
}
