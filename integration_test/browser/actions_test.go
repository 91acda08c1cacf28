package browser_test

import (
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
)

// What a person does on the page.

type action = chromedp.Action[chromedp.Void]

func click(selector string) action { return chromedp.Click(chromedp.CSS(selector)) }

func chooseName(name string) action {
	return chromedp.Steps(chromedp.Evaluate[chromedp.Void](`document.getElementById("my-name").select()`),
		chromedp.SendKeys(chromedp.CSS("#my-name"), name), enter())
}

func makeRoom(name string) action {
	return chromedp.Steps(chromedp.SendKeys(chromedp.CSS("#new-room-name"), name), enter())
}

// reload is the browser's button; it returns when the page is there again.
func reload() action { return chromedp.Reload() }

// enter presses the key as a keyboard does: a page that prevents the key gets no character of it.
func enter() action {
	key := input.DispatchKeyEventParams{Type: input.DispatchKeyEventTypeKeyDown, Key: "Enter", Code: "Enter", Text: "\r",
		WindowsVirtualKeyCode: 13}
	up := key
	up.Type, up.Text = input.DispatchKeyEventTypeKeyUp, ""
	return chromedp.Steps(command(input.DispatchKeyEvent, key), command(input.DispatchKeyEvent, up))
}
