package browser_test

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/chromedp/chromedp"

	"rollcall/testkit/nodetest"
)

// The first app of README with its page, as they stand there: two people see each other and talk.
func TestReadmePage(t *testing.T) {
	b := startBrowser(t)
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	files := regexp.MustCompile("(?s)`myapp/([^`]+)`:\n\n```\\w+\n(.*?)```").FindAllSubmatch(readme, -1)
	if len(files) != 4 {
		t.Fatalf("README has %d files of myapp", len(files))
	}
	for _, f := range files {
		path := filepath.Join(dir, string(f[1]))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, f[2], 0o600); err != nil {
			t.Fatal(err)
		}
	}
	n := nodetest.Start(t, nodetest.Options{App: dir, Flags: []string{"--dev"}})
	p := b.tab("Ada")
	p.load("http://" + n.Addr() + "/")
	p.await("herself", `who.textContent === "ada"`)
	bob := nodetest.Dial(t, n.Addr(), "/ws/lobby?user=bob")
	p.await("both", `who.textContent.split(", ").sort().join() === "ada,bob"`)
	p.run("say", chromedp.SendKeys(chromedp.CSS("#text"), "hello"), enter())
	p.await("what she said", `said.textContent === "ada: hello"`)
	bob.Leave(1000, "")
	p.await("herself alone", `who.textContent === "ada"`)
}
