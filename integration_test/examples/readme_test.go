package examples_test

import (
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"rollcall/app/scaffold"
	"rollcall/testkit/nodetest"
)

// The first app of README is the one that rollcall new makes, and does what README says.
func TestReadmeApp(t *testing.T) {
	readme := read(t, "README.md")
	files := regexp.MustCompile("(?s)`myapp/([^`]+)`[^`]*:\n\n```lua\n(.*?)```").FindAllStringSubmatch(
		strings.ReplaceAll(readme, "` has the function:", "`:"), -1)
	if len(files) != 3 {
		t.Fatalf("README has %d files of myapp", len(files))
	}
	for _, f := range files {
		if made, err := fs.ReadFile(scaffold.Files(), f[1]); err != nil || string(made) != f[2] {
			t.Errorf("README has a %s that rollcall new does not make: %v", f[1], err)
		}
	}
	dir := filepath.Join(t.TempDir(), "myapp")
	if code, stdout, stderr := nodetest.Command(t, nil, "new", dir); code != 0 {
		t.Fatalf("exit code %d\n%s%s", code, stdout, stderr)
	}
	n := nodetest.Start(t, nodetest.Options{App: dir, Flags: []string{"--dev"}})
	looker := nodetest.Dial(t, n.Addr(), "/api/custom/demo/online")
	looker.Expect(`{"event":"online","count":0}`)
	ada := nodetest.Dial(t, n.Addr(), "/ws/room/lobby?name=ada")
	state := next(t, ada, "presence_state")
	state.expect(t, `"room:lobby"`, "channel")
	state.expect(t, `"online"`, "payload", "ada", "metas", "state")
	looker.Expect(`{"event":"online","count":1}`)
	bob := nodetest.Dial(t, n.Addr(), "/ws/room/lobby?name=bob")
	next(t, bob, "presence_state")
	diff := next(t, ada, "presence_diff")
	diff.expect(t, `"online"`, "payload", "joins", "bob", "metas", "state")
	diff.expect(t, `{}`, "payload", "leaves")
	bob.Send("hi")
	ada.Expect(`{"event":"said","from":"bob","text":"hi"}`)
	bob.Expect(`{"event":"said","from":"bob","text":"hi"}`)
	nodetest.Dial(t, n.Addr(), "/ws/room/lobby").ExpectClosed(4403, "connect with ?name=…")
}
