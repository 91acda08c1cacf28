// Package browser_test looks at the chat of examples/chat as people do: in a browser, on two nodes with one Redis. And
// it runs rollcall-client, in a browser and in Node, against three nodes behind HAProxy that fail.
package browser_test

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"rollcall/testkit/redistest"
)

// timeout bounds the wait for something to be seen on a page.
const timeout = 15 * time.Second

// browser is one headless Chromium.
type browser struct {
	t   *testing.T
	ctx context.Context
}

// startBrowser starts Debian's chromium with a fresh profile; it ends with the test. Without one the test is skipped,
// or fails with ROLLCALL_TEST_REQUIRE.
func startBrowser(t *testing.T) *browser {
	t.Helper()
	path := redistest.Program(t, "chromium")
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.UserDataDir(t.TempDir()),
		chromedp.NoSandbox, chromedp.DisableGPU, chromedp.WindowSize(1180, 760),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("lang", "en-GB"), chromedp.Flag("hide-scrollbars", true))
	allocator, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancel)
	ctx, closeBrowser := chromedp.NewContext(allocator)
	t.Cleanup(closeBrowser)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("start chromium: %v", err)
	}
	return &browser{t: t, ctx: ctx}
}

// page is one tab.
type page struct {
	t     *testing.T
	name  string
	ctx   context.Context
	close context.CancelFunc

	mu     sync.Mutex
	errors []string // that no page should have: exceptions, and what the content security policy stopped
}

// open opens a page and waits until the chat is connected.
func (b *browser) open(name, url string) *page {
	b.t.Helper()
	p := b.tab(name)
	p.load(url)
	p.await("connected", phase("open"))
	return p
}

// tab opens an empty tab that counts as looked at, even behind others.
func (b *browser) tab(name string) *page {
	b.t.Helper()
	p := &page{t: b.t, name: name}
	p.ctx, p.close = chromedp.NewContext(b.ctx, chromedp.WithListener(p.hear))
	b.t.Cleanup(func() {
		p.close()
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, e := range p.errors {
			b.t.Errorf("error on %s's page: %s", p.name, e)
		}
	})
	if err := chromedp.Do(p.ctx); err != nil { // without a bound: its end would be the tab's
		b.t.Fatalf("open a tab for %s: %v", name, err)
	}
	p.run("be looked at", command(emulation.SetFocusEmulationEnabled,
		emulation.SetFocusEmulationEnabledParams{Enabled: true}))
	return p
}

// command is a command of the DevTools protocol as an action.
func command[P, R any](c cdp.Command[P, R], params P) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, c, params)
		return err
	})
}

// hear is called in the loop that reads the tab's messages.
func (p *page) hear(event any) {
	text := ""
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		if text = e.ExceptionDetails.Text; e.ExceptionDetails.Exception != nil {
			text += " " + e.ExceptionDetails.Exception.Description
		}
	case *log.EventEntryAdded:
		if e.Entry.Source == log.EntrySourceSecurity {
			text = e.Entry.Text
		}
	}
	if text != "" {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.errors = append(p.errors, text)
	}
}

// run does something on the page, with a bound on its time.
func (p *page) run(what string, actions ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, timeout)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		p.t.Fatalf("%s: %s: %v", p.name, what, err)
	}
}

func (p *page) load(url string) {
	p.t.Helper()
	p.run("load "+url, chromedp.Navigate(url))
}

// evaluate gives the value of a JavaScript expression; a promise is awaited.
func evaluate[T any](p *page, expression string) (T, error) {
	ctx, cancel := context.WithTimeout(p.ctx, timeout)
	defer cancel()
	return chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
}

// do runs JavaScript for its effect.
func (p *page) do(statements string) {
	p.t.Helper()
	if _, err := evaluate[bool](p, "(() => { "+statements+"; return true })()"); err != nil {
		p.t.Fatalf("%s: %s: %v", p.name, statements, err)
	}
}

// importClient makes connect of rollcall-client a global of the page, as the page's node serves it.
func (p *page) importClient() {
	p.t.Helper()
	const code = `import("/_client/rollcall.js").then(({ connect }) => { window.connect = connect; return true })`
	if _, err := evaluate[bool](p, code); err != nil {
		p.t.Fatalf("%s: import the client: %v", p.name, err)
	}
}

// await waits until an expression is true; otherwise the test fails and shows what the page shows.
func (p *page) await(what, expression string) {
	p.t.Helper()
	var ok bool
	var err error
	for end := time.Now().Add(timeout); !ok; time.Sleep(20 * time.Millisecond) {
		// An error may be one of a page that is about to change.
		if ok, err = evaluate[bool](p, "Boolean("+expression+")"); !ok && time.Now().After(end) {
			shown, _ := evaluate[string](p, "document.body.innerText")
			p.t.Fatalf("%s's page does not come to show: %s (%v)\n%s", p.name, what, err, shown)
		}
	}
}

// write types into the message field.
func (p *page) write(text string) {
	p.t.Helper()
	p.run("write", chromedp.SendKeys(chromedp.CSS("#text"), text))
}

// say writes a message and sends it.
func (p *page) say(text string) {
	p.t.Helper()
	p.write(text)
	p.run("send", enter())
}

// visible makes the page think that somebody looks at it, or not.
func (p *page) visible(yes bool) {
	p.t.Helper()
	state := "hidden"
	if yes {
		state = "visible"
	}
	p.do(`Object.defineProperty(document, "visibilityState", { value: "` + state + `", configurable: true });
		document.dispatchEvent(new Event("visibilitychange"))`)
}

// The expressions that await waits for.

func phase(name string) string {
	return fmt.Sprintf(`document.getElementById("connection")?.dataset.phase === %q`, name)
}

// people: the list has exactly these users, in any order.
func people(ids ...string) string {
	want, err := json.Marshal(ids)
	if err != nil {
		panic(err)
	}
	return fmt.Sprintf(`JSON.stringify([...document.querySelectorAll("#people .person")].map((li) => li.dataset.user).sort()) ===
		JSON.stringify(%s.sort())`, want)
}

// person: the user's entry in the list has this data attribute.
func person(id, name, value string) string {
	return fmt.Sprintf(`document.querySelector('#people [data-user="%s"]')?.dataset.%s === %q`, id, name, value)
}

// messages: so many messages of the user have exactly this text, and are no longer waiting to be sent.
func messages(n int, user, text string) string {
	return fmt.Sprintf(`[...document.querySelectorAll('#messages [data-user="%s"]:not([data-pending]) .text')]
		.filter((p) => p.textContent === %q).length === %d`, user, text, n)
}

// lines: so many lines between the messages read like this.
func lines(n int, text string) string {
	return fmt.Sprintf(`[...document.querySelectorAll("#messages .line")].filter((li) => li.textContent === %q).length === %d`, text, n)
}

func shown(id, text string) string {
	return fmt.Sprintf(`(() => { const e = document.getElementById(%q); return !e.closest("[hidden]") && e.textContent === %q })()`, id, text)
}

func hidden(id string) string {
	return fmt.Sprintf(`document.getElementById(%q).hidden`, id)
}
