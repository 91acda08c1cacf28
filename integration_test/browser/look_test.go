package browser_test

import (
	"fmt"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"rollcall/testkit/nodetest"
)

// looks are the ways in which the page is looked at.
var looks = []struct {
	name          string
	width, height int64
	scheme        string
	drawer        bool // the list of people is opened, as on a phone it is not in view
}{
	{"", 1180, 760, "light", false},
	{"dark", 1180, 760, "dark", false},
	{"phone", 390, 780, "light", false},
	{"phone-dark-people", 390, 780, "dark", true},
}

// The page is readable in every look: text contrasts with what is behind it, nothing is wider than the screen, and all
// that can be used has a name. With ROLLCALL_SHOT=FILE.png a picture of each look is written; the first is the
// README's.
func TestLook(t *testing.T) {
	b := startBrowser(t)
	s := startStage(t)
	ada := b.tab("Ada")
	// A morning in Britain, whatever the clock says.
	zone := fmt.Sprintf("Etc/GMT%+d", (time.Now().UTC().Hour()-9+36)%24-12)
	ada.run("be somewhere", command(emulation.SetTimezoneOverride, emulation.SetTimezoneOverrideParams{TimezoneID: zone}),
		command(emulation.SetLocaleOverride, emulation.SetLocaleOverrideParams{Locale: "en_GB"}))
	ada.load(s.url(0, "user=ada-1&name=Ada+Holm"))
	ada.await("connected", phase("open"))
	scene(t, s, ada)

	for _, look := range looks {
		name := look.name
		if name == "" {
			name = "light"
		}
		t.Run(name, func(t *testing.T) {
			ada.run("look", chromedp.EmulateViewport(look.width, look.height, chromedp.EmulateScale(2)),
				command(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
					{Name: "prefers-color-scheme", Value: look.scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}}}))
			ada.do(`document.body.dataset.drawer === "open" && document.getElementById("close-sidebar").click();
				document.getElementById("scroller").scrollTop = 1e6`)
			if look.drawer {
				ada.do(`document.getElementById("open-sidebar").click()`)
			}
			shot(t, ada, look.name)
			looksRight(t, ada)
		})
	}
}

// looksRight fails the test for what is wrong with the look of a page.
func looksRight(t *testing.T, p *page) {
	t.Helper()
	checks := map[string]string{"contrast": contrastJS, "width": widthJS, "names": namesJS, "lists": listsJS}
	for check, code := range checks {
		faults, err := evaluate[[]string](p, code)
		if err != nil {
			t.Fatalf("%s: %v", check, err)
		}
		for _, fault := range faults {
			t.Errorf("%s: %s", check, fault)
		}
	}
}

// scene fills the lobby: people on both nodes, on devices of all kinds, a talk, somebody who writes. A colour follows
// from an id; these ids have colours that can be told apart.
func scene(t *testing.T, s *stage, ada *page) {
	t.Helper()
	enter := func(node int, user, name, device, client, state string) *nodetest.Client {
		q := url.Values{"room": {"lobby"}, "user": {user}, "name": {name}, "device": {device}, "client": {client},
			"state": {state}}
		return nodetest.Dial(t, s.nodes[node].Addr(), "/ws/chat?"+q.Encode())
	}
	said := func(c *nodetest.Client, user, text string) {
		c.Send(nodetest.JSON(map[string]any{"type": "message", "id": text[:3], "text": text}))
		ada.await("what was said", messages(1, user, text))
	}
	enter(1, "ada-1", "Ada Holm", "phone", "Safari on iPhone", "away")
	noor := enter(1, "noor-1", "Noor", "desktop", "Firefox on Linux", "online")
	enter(0, "noor-1", "Noor", "phone", "Chrome on Android", "online")
	mikkel := enter(1, "mikkel-1", "Mikkel Dahl", "desktop", "Chrome on Windows", "online")
	ada.await("everybody", people("ada-1", "mikkel-1", "noor-1"))
	said(noor, "noor-1", "Morning! I am on two nodes at once: laptop here, phone over there.")
	said(noor, "noor-1", "The list still shows me once.")
	ada.say("And when you close the laptop?")
	ada.await("the question", messages(1, "ada-1", "And when you close the laptop?"))
	said(noor, "noor-1", "You see one device less, and no “Noor has left”. That comes with the last one.")
	said(mikkel, "mikkel-1", "I just killed a node with -9. Nobody noticed, everyone had reconnected before its lease ran out.")
	ida := enter(0, "ida", "Ida", "tablet", "Safari on iPad", "online")
	enter(1, "tomas-1", "Tomás Ruiz", "desktop", "Edge on Windows", "away")
	ada.await("everybody", people("ada-1", "ida", "mikkel-1", "noor-1", "tomas-1"))
	ada.say("So presence is exact. I like it.")
	ada.await("the answer", messages(1, "ada-1", "So presence is exact. I like it."))
	ida.Send(`{"type":"typing","on":true}`)
	ada.await("that Ida is writing", shown("typing-text", "Ida is writing"))
}

func shot(t *testing.T, p *page, look string) {
	t.Helper()
	file := os.Getenv("ROLLCALL_SHOT")
	if file == "" {
		return
	}
	if look != "" {
		file = strings.TrimSuffix(file, ".png") + "-" + look + ".png"
	}
	png, err := chromedp.Run(p.ctx, chromedp.CaptureScreenshot())
	if err != nil {
		t.Fatalf("take a picture: %v", err)
	}
	if err := os.WriteFile(file, png, 0o644); err != nil {
		t.Fatal(err)
	}
	t.Logf("wrote %s", file)
}

// contrastJS lists texts whose contrast with the nearest colour behind them is below 4.5 (WCAG 2.2, 1.4.3).
const contrastJS = `(() => {
	const canvas = document.createElement("canvas");
	canvas.width = canvas.height = 1;
	const ink = canvas.getContext("2d", { willReadFrequently: true });
	const rgba = (colour) => {
		ink.clearRect(0, 0, 1, 1);
		ink.fillStyle = colour;
		ink.fillRect(0, 0, 1, 1);
		return [...ink.getImageData(0, 0, 1, 1).data];
	};
	const over = ([r, g, b, a], [R, G, B]) => [r, g, b].map((c, i) => c * a / 255 + [R, G, B][i] * (1 - a / 255));
	const behind = (e) => {
		for (; e; e = e.parentElement) {
			const colour = rgba(getComputedStyle(e).backgroundColor);
			if (colour[3] === 255) return colour;
		}
		return [255, 255, 255];
	};
	const light = (rgb) => rgb.slice(0, 3).map((c) => c / 255).map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
		.reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
	const faults = new Set();
	const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
	for (let n = texts.nextNode(); n; n = texts.nextNode()) {
		const e = n.parentElement;
		if (!n.data.trim() || !e.checkVisibility({ visibilityProperty: true }) || e.closest("noscript, svg, .skip, [inert]")) continue;
		const back = behind(e);
		const [x, y] = [light(over(rgba(getComputedStyle(e).color), back)), light(back)].sort((a, b) => b - a);
		const contrast = (x + 0.05) / (y + 0.05);
		if (contrast < 4.5) faults.add(contrast.toFixed(2) + " " + e.className + ": " + n.data.trim());
	}
	return [...faults];
})()`

// widthJS lists what sticks out of the screen.
const widthJS = `(() => [...document.querySelectorAll("body *")]
	.filter((e) => e.checkVisibility({ visibilityProperty: true }) && !e.closest("svg, [inert], .skip"))
	.filter((e) => { const r = e.getBoundingClientRect(); return r.width > 1 && (r.right > innerWidth + 1 || r.left < -1); })
	.map((e) => e.tagName + "." + e.className + " " + Math.round(e.getBoundingClientRect().right)))()`

// namesJS lists what can be used but has no name for those who do not see it.
const namesJS = `(() => [...document.querySelectorAll("button, input, textarea, a")]
	.filter((e) => !e.closest("[hidden]") && !(e.getAttribute("aria-label") || e.textContent.trim()))
	.map((e) => e.outerHTML.slice(0, 80)))()`

// landmarksJS lists what is in no part of the page that can be jumped to.
const landmarksJS = `(() => [...document.body.children]
	.filter((e) => !e.matches("main, aside, nav, header, footer, script, noscript, .skip, svg[hidden]"))
	.filter((e) => !e.querySelector("main"))
	.map((e) => e.outerHTML.slice(0, 80)))()`

// listsJS lists entries that are in no list for those who do not see it: a list with another role is none.
const listsJS = `(() => [...document.querySelectorAll("li")]
	.filter((li) => !li.parentElement.matches("ul:not([role]), ol:not([role]), [role=list]"))
	.map((li) => li.outerHTML.slice(0, 80)))()`
