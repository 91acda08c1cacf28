package browser_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rollcall/testkit/nodetest"
)

// The client's code in README does on the app that rollcall new makes what README says.
func TestReadmeClient(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(readme), "```js\nimport { connect } from \"/_client/rollcall.js\";\n")
	code, _, ended := strings.Cut(rest, "```")
	if !found || !ended {
		t.Fatal("README has no code that loads the client")
	}
	app := filepath.Join(t.TempDir(), "myapp")
	if code, stdout, stderr := nodetest.Command(t, nil, "new", app); code != 0 {
		t.Fatalf("exit code %d\n%s%s", code, stdout, stderr)
	}
	n := nodetest.Start(t, nodetest.Options{App: app, Flags: []string{"--dev"}})
	p := startBrowser(t).tab("Ada")
	p.load("http://" + n.Addr() + "/")
	p.importClient()
	p.do(`window.drawn = "", window.shown = [];
		const draw = (users) => { drawn = [...users.keys()].sort().join(); };
		const show = (from, text) => shown.push(from + ": " + text);` + code)
	p.await("herself, and what she says", `drawn === "ada" && shown.join() === "ada: hello"`)
	bob := nodetest.Dial(t, n.Addr(), "/ws/room/lobby?name=bob")
	p.await("both", `drawn === "ada,bob"`)
	bob.Leave(1000, "")
	p.await("herself alone", `drawn === "ada"`)
}
