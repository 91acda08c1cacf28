package browser_test

import (
	"testing"

	"github.com/chromedp/chromedp"

	"rollcall/testkit/nodetest"
)

// The pages of the small examples: somebody else is seen, and what is written comes back.
func TestSmallPages(t *testing.T) {
	b := startBrowser(t)
	tests := []struct{ app, ready, sees string }{
		{"echo", `document.getElementById("status").textContent === "Connected to /ws/echo"`, "message 1: hello"},
		{"rooms", `document.querySelectorAll("li").length === 2`, "ada (you)hello"},
		{"whos-online", `document.querySelectorAll("li").length === 2`, "hello"},
		{"notifications", `document.getElementById("status").textContent.startsWith("Listening as ada")`, "hello"},
	}
	for _, tt := range tests {
		t.Run(tt.app, func(t *testing.T) {
			n := nodetest.Start(t, nodetest.Options{App: "../../examples/" + tt.app, Flags: []string{"--dev"}})
			ada, bob := b.tab("Ada"), b.tab("Bob")
			ada.load("http://" + n.Addr() + "/?user=ada")
			bob.load("http://" + n.Addr() + "/?user=bob")
			ada.await("that it is ready", tt.ready)
			ada.do(`document.querySelector("input").value = ""`)
			ada.run("write", chromedp.SendKeys(chromedp.CSS("input"), "hello"), enter())
			ada.await("entries in lists, all of it in landmarks", listsJS+".length + "+landmarksJS+".length === 0")
			ada.await(tt.sees, `[...document.querySelectorAll("li")].some((li) => li.textContent.startsWith("`+tt.sees+`"))`)
		})
	}
}
