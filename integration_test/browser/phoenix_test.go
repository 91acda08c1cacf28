package browser_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/chromedp/chromedp"

	"rollcall/testkit/nodetest"
	"rollcall/testkit/redistest"
)

// The page of examples/phoenix, with phoenix.js as npm has it: two people on two nodes see each other come, write,
// speak and go. It is readable wide and narrow.
func TestPhoenixPage(t *testing.T) {
	const app = "../../examples/phoenix"
	if _, err := os.Stat(app + "/public/phoenix.mjs"); err != nil {
		redistest.Missing(t, "phoenix.js is not here (npm ci in examples/phoenix)")
	}
	b := startBrowser(t)
	nodes := nodetest.StartAll(t, 2, nodetest.Options{Redis: redistest.Standalone(t).URL(), App: app})
	ada, bob := b.tab("Ada"), b.tab("Bob")
	urls := map[*page]string{}
	for i, p := range []*page{ada, bob} {
		urls[p] = fmt.Sprintf("http://%s/?room=green&name=%s", nodes[i].Addr(), []string{"ada", "bob"}[i])
		p.load(urls[p])
	}
	for _, p := range []*page{ada, bob} {
		p.await("both", entries("#users", "ada", "bob"))
	}
	bob.run("write", chromedp.SendKeys(chromedp.CSS("input"), "hello"))
	ada.await("that Bob is writing", entries("#users", "ada", "bob is writing…"))
	bob.run("send", enter())
	for _, p := range []*page{ada, bob} {
		p.await("what Bob said", entries("#said", "bob: hello"))
		p.await("that nobody is writing", entries("#users", "ada", "bob"))
	}
	for _, width := range []int64{1180, 360} {
		ada.run("look", chromedp.EmulateViewport(width, 760))
		shot(t, ada, fmt.Sprint("phoenix-", width))
		for _, check := range []string{contrastJS, widthJS, namesJS, listsJS, landmarksJS} {
			if faults, err := evaluate[[]string](ada, check); err != nil || len(faults) > 0 {
				t.Errorf("%d wide: %v %q", width, err, faults)
			}
		}
	}
	bob.load("about:blank")
	ada.await("that Bob has gone", entries("#users", "ada"))
	bob.load(urls[bob])
	ada.await("that Bob is back", entries("#users", "ada", "bob"))
}

// entries is true when a list has these entries, in the order of the alphabet.
func entries(list string, want ...string) string {
	return fmt.Sprintf(`JSON.stringify([...document.querySelectorAll("%s li")].map((li) => li.textContent).sort()) === %q`,
		list, nodetest.JSON(want))
}
