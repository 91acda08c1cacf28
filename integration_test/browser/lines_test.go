package browser_test

import (
	"fmt"
	"net/url"
	"testing"

	"github.com/chromedp/chromedp"

	"rollcall/testkit"
	"rollcall/testkit/nodetest"
)

// guest is somebody in the lobby without a browser.
func guest(t *testing.T, s *stage, user string) *nodetest.Client {
	t.Helper()
	q := url.Values{"room": {"lobby"}, "user": {user}, "name": {user}}
	c := nodetest.Dial(t, s.nodes[1].Addr(), "/ws/chat?"+q.Encode())
	testkit.Within(t, "the presence of "+user, timeout, func() bool { return len(c.Pending()) > 0 })
	return c
}

// texts: the messages and the lines between them read like these patterns, from the first to the last.
func texts(patterns ...string) string {
	return fmt.Sprintf(`((want) => {
		const have = [...document.querySelectorAll("#messages > li:not(.seam)")].map(
			(li) => (li.querySelector(".text") ?? li).textContent);
		return want.length === have.length && want.every((w, i) => new RegExp("^" + w + "$").test(have[i]));
	})(%s)`, nodetest.JSON(patterns))
}

// Many who come or go one after another are one line; a message begins another one.
func TestComingsFold(t *testing.T) {
	b := startBrowser(t)
	s := startStage(t)
	ada := b.open("Ada", s.url(0, "user=ada&name=Ada"))
	ada.await("herself", people("ada"))
	var guests []*nodetest.Client
	for i := range 40 {
		guests = append(guests, guest(t, s, fmt.Sprint("g", i)))
	}
	const forty, two = `g\d+, g\d+ and 38 others joined`, "ben and eve joined"
	ada.await("one line of forty", texts(forty))
	guests[0].Send(`{"type":"message","id":"m1","text":"hello"}`)
	ada.await("the message", messages(1, "g0", "hello"))
	ben := guest(t, s, "ben")
	ada.await("another line below it", texts(forty, "hello", "ben has joined"))
	for _, c := range guests[1:] {
		c.Leave(1000, "")
	}
	ben.Leave(1000, "")
	eve := guest(t, s, "eve")
	ada.await("a line for each kind", texts(forty, "hello", two, `\w+, \w+ and 38 others left`))
	eve.Leave(1000, "")
	ada.await("one more", texts(forty, "hello", two, `\w+, \w+ and 39 others left`))
}

// On the narrowest phones, without a connection: nothing sticks out, and what is written can be sent.
func TestNarrowWithoutConnection(t *testing.T) {
	b := startBrowser(t)
	s := startStage(t)
	ada := b.open("Ada", s.url(0, "user=ada&name=Ada"))
	s.fronts[0].Refuse()
	ada.write("hello")
	for _, width := range []int64{320, 360, 390, 480, 600} {
		t.Run(fmt.Sprint(width), func(t *testing.T) {
			ada.run("look", chromedp.EmulateViewport(width, 700))
			ada.await("some seconds to wait", phase("waiting")+` && !document.getElementById("connection-seconds").hidden`)
			shot(t, ada, fmt.Sprintf("waiting-%d", width))
			for check, code := range map[string]string{"width": widthJS, "reach": reachJS} {
				faults, err := evaluate[[]string](ada, code)
				if err != nil {
					t.Fatalf("%s: %v", check, err)
				}
				for _, fault := range faults {
					t.Errorf("%s: %s", check, fault)
				}
			}
		})
	}
}

// reachJS lists what is to be pressed here and can't be, as it is not in view or lies under something.
const reachJS = `(() => ["#composer .send", "#text", "#connection-now", "#open-sidebar"].filter((selector) => {
	const e = document.querySelector(selector), r = e.getBoundingClientRect();
	const inside = r.left >= 0 && r.top >= 0 && r.right <= innerWidth && r.bottom <= innerHeight && r.width > 20;
	return !inside || !e.contains(document.elementFromPoint(r.left + r.width / 2, r.top + r.height / 2));
}))()`
