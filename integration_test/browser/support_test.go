package browser_test

import (
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"rollcall/testkit/nodetest"
)

// The page of examples/support: an agent sees a customer go and when she was last seen; what the agent writes then is
// new when she is back. It is readable wide and on a phone. With ROLLCALL_SHOT=FILE.png pictures are written.
func TestSupportPage(t *testing.T) {
	b := startBrowser(t)
	n := nodetest.Start(t, nodetest.Options{App: "../../examples/support", Flags: []string{"--dev"}})
	url := "http://" + n.Addr()
	write := func(p *page, text string) {
		t.Helper()
		p.run("write "+text, chromedp.SendKeys(chromedp.CSS("form input"), text), enter())
	}
	talk := func(p *page, want string) {
		t.Helper()
		p.await("the talk "+want, `[...document.querySelectorAll("#talk li")].map((li) => li.className.trim() + ":" +
			li.firstChild.textContent).join() === `+nodetest.JSON(want))
	}
	status := func(p *page, want string) {
		t.Helper()
		p.await(want, `document.getElementById("status").textContent === `+nodetest.JSON(want))
	}
	customers := func(p *page, want string) { // a regular expression
		t.Helper()
		p.await("the customers "+want, `new RegExp(`+nodetest.JSON(want)+`).test([...document.querySelectorAll(
			"#customers button")].map((b) => b.innerText.replace(/\s+/g, " ")).join())`)
	}

	eve, ann, bob := b.tab("Eve"), b.tab("Ann"), b.tab("Bob")
	ann.load(url + "/?user=ann")
	status(ann, "You are ann. Nobody is at the desk: the answer will wait for you here.")
	write(ann, "My order has not come.")
	talk(ann, "mine:My order has not come.")
	eve.load(url + "/?agent=eve")
	status(eve, "You are eve. Customers online: 1 of 1.")
	customers(eve, `^ann \(1 new\) ?online$`)
	talk(eve, "new:My order has not come.")
	status(ann, "You are ann. At the desk: eve.")
	bob.load(url + "/?user=bob")
	customers(eve, `^ann \(1 new\) ?online,bob ?online$`)
	write(bob, "Where do I change my address?")
	customers(eve, `bob \(1 new\) ?online$`)
	write(eve, "Which order is it?")
	talk(ann, "mine:My order has not come.,:Which order is it?")
	customers(eve, `^ann ?online,`)

	ann.close()
	customers(eve, `^ann ?seen `)
	write(eve, "I have found it: it comes tomorrow.")
	talk(eve, ":My order has not come.,mine:Which order is it?,mine:I have found it: it comes tomorrow.")
	for _, look := range []struct {
		p             *page
		name, scheme  string
		width, height int64
	}{{eve, "agent", "light", 1180, 760}, {eve, "agent-phone", "dark", 360, 720},
		{bob, "customer-phone", "light", 360, 720}} {
		look.p.run("look", chromedp.EmulateViewport(look.width, look.height), command(emulation.SetEmulatedMedia,
			emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme",
				Value: look.scheme}}}))
		shot(t, look.p, "support-"+look.name)
		for _, check := range []string{contrastJS, widthJS, namesJS, listsJS, landmarksJS} {
			if faults, err := evaluate[[]string](look.p, check); err != nil || len(faults) > 0 {
				t.Errorf("%s: %v %v", look.name, faults, err)
			}
		}
	}

	ann = b.tab("Ann")
	ann.load(url + "/?user=ann")
	status(ann, "You are ann. At the desk: eve. While you were away: 1 new.")
	talk(ann, "mine:My order has not come.,:Which order is it?,new:I have found it: it comes tomorrow.")
	write(ann, "Thank you!")
	status(ann, "You are ann. At the desk: eve.")
}
