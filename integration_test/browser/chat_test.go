package browser_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"rollcall/testkit"
	"rollcall/testkit/nodetest"
	"rollcall/testkit/redistest"
)

// stage is two nodes with one Redis, each behind an address that can be led to another one, as a balancer would.
type stage struct {
	nodes  [2]*nodetest.Node
	fronts [2]*redistest.Proxy
}

// startStage starts nodes that find out within about 4 s that another one is dead.
func startStage(t *testing.T) *stage {
	t.Helper()
	redis := redistest.Standalone(t)
	s := &stage{}
	for i := range s.nodes {
		s.nodes[i] = nodetest.Start(t, nodetest.Options{App: "../../examples/chat", Redis: redis.URL(),
			Flags: []string{"--lease-ttl", "3s", "--heartbeat", "1s"}})
		s.fronts[i] = redistest.NewProxy(t, s.nodes[i].Addr())
	}
	return s
}

// url is the chat's address at one of the two, for somebody.
func (s *stage) url(i int, query string) string { return "http://" + s.fronts[i].Addr() + "/?" + query }

// ISSUE 2: "The chat in headless Chromium with two pages on two nodes: join, message, typing, leave, reload."
func TestChat(t *testing.T) {
	b := startBrowser(t)
	s := startStage(t)

	ada := b.open("Ada", s.url(0, "user=ada&name=Ada"))
	ada.await("herself", people("ada"))
	bob := b.open("Bob", s.url(1, "user=bob&name=Bob"))
	for _, p := range []*page{ada, bob} {
		p.await("both people", people("ada", "bob"))
		p.await("the numbers", shown("room-summary", "2 people on 2 devices"))
	}
	ada.await("that Bob has joined", lines(1, "Bob has joined"))

	bob.write("hi")
	ada.await("that Bob is writing", shown("typing-text", "Bob is writing"))
	bob.say(" <img src=x onerror=alert(1)> & you")
	const text = "hi <img src=x onerror=alert(1)> & you"
	for _, p := range []*page{ada, bob} {
		p.await("Bob's message, once, as text", messages(1, "bob", text))
		p.await("no markup from it", `document.querySelector("#messages img") === null`)
	}
	ada.await("that nobody is writing", hidden("typing"))
	ada.await("who wrote it", `document.querySelector('#messages [data-user="bob"] .author').textContent === "Bob"`)

	bob.write("I had better")
	ada.await("that Bob is writing", shown("typing-text", "Bob is writing"))
	ada.await("that he has stopped, after a while without a key", hidden("typing"))

	bob.visible(false)
	ada.await("that Bob is away", person("bob", "state", "away"))
	bob.visible(true)
	ada.await("that Bob is back", person("bob", "state", "online"))

	// SPEC 1.2: "a route with presence = "devices" also gets a joins with the full metas when a second device comes
	// or one of several goes"
	second := b.open("Bob's second device", s.url(0, "user=bob&name=Robert"))
	ada.await("two devices of Bob", person("bob", "devices", "2"))
	ada.await("two people", shown("room-summary", "2 people on 3 devices"))
	second.await("the name he has chosen", `document.getElementById("my-name").value !== ""`)
	second.close()
	ada.await("one device of Bob", person("bob", "devices", "1"))
	ada.await("that Bob has joined but once", lines(1, "Bob has joined"))
	ada.await("that Bob has not left", lines(0, "Bob has left"))

	bob.run("choose a name", chooseName("Bobby"))
	ada.await("the new name", `document.querySelector('#people [data-user="bob"] .person-name').textContent === "Bobby"`)

	bob.run("load the page anew", reload())
	for _, p := range []*page{ada, bob} {
		p.await("both people, once each", people("ada", "bob"))
		p.await("one device of Bob", person("bob", "devices", "1"))
		p.await("the message, once", messages(1, "bob", text))
	}
	bob.await("the name that was chosen", `document.getElementById("my-name").value === "Bobby"`)
	ada.say("welcome back")
	bob.await("Ada's message", messages(1, "ada", "welcome back"))

	// A leave that is not undone within a moment is told.
	bob.close()
	ada.await("herself alone", people("ada"))
	ada.await("that Bobby has left, once, whatever he did before", lines(1, "Bobby has left"))
	ada.await("that he has joined but once", lines(1, "Bob has joined"))
}

// SPEC 5.2: "A client that reconnects elsewhere before its dead node is reaped makes no leave and no join."
func TestNodeKilled(t *testing.T) {
	b := startBrowser(t)
	s := startStage(t)
	ada := b.open("Ada", s.url(0, "user=ada&name=Ada"))
	bob := b.open("Bob", s.url(1, "user=bob&name=Bob"))
	bob.await("both people", people("ada", "bob"))

	s.nodes[0].Kill()
	ada.await("that the connection is lost",
		`["waiting", "connecting"].includes(document.getElementById("connection").dataset.phase)`)
	ada.say("written without a connection")
	ada.await("the message, waiting", `document.querySelectorAll("#messages [data-pending]").length === 1`)
	s.fronts[0].Retarget(s.nodes[1].Addr())

	ada.await("connected again", phase("open"))
	for _, p := range []*page{ada, bob} {
		p.await("the message, once", messages(1, "ada", "written without a connection"))
	}
	ada.await("nothing waiting", `document.querySelectorAll("#messages [data-pending]").length === 0`)

	// The dead node's entry goes with its lease.
	testkit.Within(t, "one device of Ada", timeout, func() bool { return devices(t, s.nodes[1].Addr(), "ada") == 1 })
	for _, p := range []*page{ada, bob} {
		p.await("both people", people("ada", "bob"))
		p.await("one device of Ada", person("ada", "devices", "1"))
		p.await("that Ada has not left", lines(0, "Ada has left"))
	}
	bob.await("that Ada has not joined again", lines(0, "Ada has joined"))
}

// SPEC 4: "1001 and 1012 going away and drain (reconnect, anywhere)"
func TestNodeDrained(t *testing.T) {
	b := startBrowser(t)
	s := startStage(t)
	ada := b.open("Ada", s.url(0, "user=ada&name=Ada"))
	bob := b.open("Bob", s.url(1, "user=bob&name=Bob"))
	ada.do(`window.phases = []; new MutationObserver(() => phases.push(document.getElementById("connection").dataset.phase))
		.observe(document.getElementById("connection"), { attributeFilter: ["data-phase"] })`)

	s.fronts[0].Retarget(s.nodes[1].Addr()) // new connections only
	s.nodes[0].Terminate()
	ada.await("that it went elsewhere", `phases.includes("waiting") && phases.at(-1) === "open"`)
	for _, p := range []*page{ada, bob} {
		p.await("both people", people("ada", "bob"))
	}
	ada.say("still here")
	bob.await("the message", messages(1, "ada", "still here"))
}

// The rooms of one page: only what belongs to the room in view is seen.
func TestRooms(t *testing.T) {
	b := startBrowser(t)
	s := startStage(t)
	ada := b.open("Ada", s.url(0, "user=ada&name=Ada&room=lobby"))
	bob := b.open("Bob", s.url(1, "user=bob&name=Bob&room=random"))
	ada.await("herself", people("ada"))
	bob.say("in random")
	bob.await("his message", messages(1, "bob", "in random"))

	ada.run("go to the room", click(`#rooms [data-room="random"]`))
	for _, p := range []*page{ada, bob} {
		p.await("both people", people("ada", "bob"))
	}
	ada.await("what was said before", messages(1, "bob", "in random"))
	ada.await("the room in the address", `new URLSearchParams(location.search).get("room") === "random"`)
	ada.say("me too")
	bob.await("Ada's message", messages(1, "ada", "me too"))

	ada.run("make a room", makeRoom("Tea Break!"))
	ada.await("herself", people("ada"))
	ada.await("the new room", shown("room-name", "tea-break"))
	ada.await("no messages", `document.querySelector("#messages .message") === null`)
	bob.await("himself", people("bob"))
	ada.do(`history.back()`)
	ada.await("the room before", shown("room-name", "random"))
	ada.await("both messages", messages(1, "ada", "me too"))
	bob.await("both people", people("ada", "bob"))
}

// SPEC 7: "Never a part of what was missed." The page says where messages may be missing, and loads them when it is
// asked to.
func TestEarlierMessages(t *testing.T) {
	b := startBrowser(t)
	n := nodetest.Start(t, nodetest.Options{App: "../../examples/chat",
		Flags: []string{"--dev", "--send-queue", "12KiB"}}) // which 50 messages do not fit in
	front := redistest.NewProxy(t, n.Addr())
	said := 0
	say := func(count int) {
		t.Helper()
		for range count {
			said++
			text := nodetest.JSON(map[string]any{"message": map[string]any{"event": "message", "id": fmt.Sprint("m", said),
				"user_id": "eve", "name": "Eve", "text": fmt.Sprint(said, strings.Repeat(" and so on", 15)), "at": 1e9 + said}})
			if status, text, _ := nodetest.Request(t.Context(), http.MethodPost, n.Addr(),
				"/_api/channels/chat:lobby/broadcast", text, "Content-Type: application/json"); status/100 != 2 {
				t.Fatalf("status %d: %s", status, text)
			}
		}
	}
	// The page shows these messages in this order; every two numbers are a stretch from one to the other.
	shows := func(stretches ...int) string {
		return fmt.Sprintf(`((all, want) => JSON.stringify(all) === JSON.stringify(want))(
			[...document.querySelectorAll("#messages .message .text")].map((p) => parseInt(p.textContent)),
			%s.flatMap((from, i, of) => i %% 2 ? [] : Array.from({ length: of[i + 1] - from + 1 }, (_, k) => from + k)))`,
			nodetest.JSON(stretches))
	}
	const gap = `document.querySelectorAll('#messages .seam[data-kind="gap"]').length === `
	button := func(kind string) string {
		return fmt.Sprintf(`document.querySelector('#messages .seam[data-kind=%q] button').checkVisibility()`, kind)
	}
	more := func(p *page, kind string) {
		p.run("ask for more", click(`#messages .seam[data-kind="`+kind+`"] button`))
	}

	say(45)
	ada := b.open("Ada", "http://"+front.Addr()+"/?user=ada&name=Ada")
	ada.await("the newest", shows(26, 45))
	more(ada, "top")
	ada.await("twenty more", shows(6, 45))
	more(ada, "top")
	ada.await("all", shows(1, 45))
	ada.await("that there are no more", "!"+button("top"))

	away := func(during func()) {
		t.Helper()
		front.Refuse()
		ada.await("that the connection is lost", `document.getElementById("connection").dataset.phase !== "open"`)
		during()
		front.Resume()
	}
	away(func() { say(5) })
	ada.await("what was missed", shows(1, 50))
	ada.await("no gap", gap+"0")

	away(func() { say(60) })
	ada.await("the newest, below a gap", shows(1, 50, 91, 110)+" && "+gap+"1")
	say(1)
	ada.await("what comes then", shows(1, 50, 91, 111))
	for _, width := range []int64{360, 1180} {
		ada.run("look", chromedp.EmulateViewport(width, 760))
		looksRight(t, ada)
	}
	more(ada, "gap")
	ada.await("twenty more", shows(1, 50, 71, 111)+" && "+gap+"1")
	more(ada, "gap")
	ada.await("all, though it does not know", shows(1, 50, 51, 111)+" && "+gap+"1")
	more(ada, "gap")
	ada.await("all, once, without a gap", shows(1, 111)+" && "+gap+"0")

	away(func() {
		say(10)
		if status, text, _ := nodetest.Request(t.Context(), http.MethodDelete, n.Addr(),
			"/_api/channels/chat:lobby/history", ""); status/100 != 2 {
			t.Fatalf("status %d: %s", status, text)
		}
		say(2)
	})
	ada.await("what is left, below a gap", shows(1, 111, 122, 123)+" && "+gap+"1")
	ada.await("that the others cannot be had", "!"+button("gap"))
}

// devices counts those of a user in the lobby, as a node tells other programs.
func devices(t *testing.T, addr, user string) int {
	t.Helper()
	status, text, _ := nodetest.Request(t.Context(), http.MethodGet, addr, "/rooms/lobby/users", "")
	var answer struct {
		Users []struct {
			UserID string `json:"user_id"`
			Metas  []any  `json:"metas"`
		} `json:"users"`
	}
	if err := json.Unmarshal([]byte(text), &answer); err != nil || status != http.StatusOK {
		t.Fatalf("GET /rooms/lobby/users: status %d, %v: %s", status, err, text)
	}
	for _, u := range answer.Users {
		if u.UserID == user {
			return len(u.Metas)
		}
	}
	return 0
}

// Who was sent away for good stays away, whatever the network does, until somebody wants it otherwise.
func TestSentAway(t *testing.T) {
	b := startBrowser(t)
	n := nodetest.Start(t, nodetest.Options{App: "../../examples/chat", Flags: []string{"--dev"}})
	ada := b.open("Ada", "http://"+n.Addr()+"/?user=ada&name=Ada")
	_, text, _ := nodetest.Request(t.Context(), http.MethodGet, n.Addr(), "/_api/connections", "")
	var list struct{ Connections []struct{ ID string } }
	if err := json.Unmarshal([]byte(text), &list); err != nil || len(list.Connections) != 1 {
		t.Fatalf("%v: %s", err, text)
	}
	path := "/_api/connections/" + list.Connections[0].ID + "?reason=enough"
	if status, text, _ := nodetest.Request(t.Context(), http.MethodDelete, n.Addr(), path,
		""); status != http.StatusNoContent {
		t.Fatalf("status %d: %s", status, text)
	}
	ada.await("why", shown("connection-text", "enough"))
	ada.do(`dispatchEvent(new Event("offline")); dispatchEvent(new Event("online"))`)
	ada.await("why, still", phase("closed"))
	ada.do(`document.getElementById("connection-now").click()`)
	ada.await("connected again", phase("open"))
	ada.do(`window.phases = []; new MutationObserver(() => phases.push(document.getElementById("connection").dataset.phase))
		.observe(document.getElementById("connection"), { attributeFilter: ["data-phase"] }); dispatchEvent(new Event("offline"))`)
	ada.await("another connection", `phases[0] === "connecting" && phases.at(-1) === "open"`)
}
