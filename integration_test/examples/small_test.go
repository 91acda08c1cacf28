package examples_test

import (
	"net/http"
	"strings"
	"testing"

	"rollcall/testkit"
	"rollcall/testkit/nodetest"
)

func TestEcho(t *testing.T) {
	n := start(t, "echo")
	tests := []struct{ name, path, binary string }{
		{"event handler", "/ws/echo", "message 3: 4 binary bytes"},
		{"connection script", "/api/custom/_system/echo", "binary \x00\xff\x01\x02"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := nodetest.Dial(t, n.Addr(), tt.path)
			c.Expect("hello")
			c.Send("one", "tvø")
			c.Expect("message 1: one", "message 2: tvø")
			c.SendBinary("\x00\xff\x01\x02")
			c.Expect(tt.binary)
			c.Send("bye")
			c.ExpectClosed(1000, "bye")
		})
	}
}

func TestRooms(t *testing.T) {
	n := start(t, "rooms")
	nodetest.Dial(t, n.Addr(), "/ws/room/green").ExpectClosed(4403, "who are you? connect with ?user=…")

	ada := nodetest.Dial(t, n.Addr(), "/ws/room/green?user=ada&name=Ada")
	state := next(t, ada, "presence_state")
	state.expect(t, `"room:green"`, "channel")
	state.expect(t, `"Ada"`, "payload", "ada", "metas", "name")

	bob := nodetest.Dial(t, n.Addr(), "/ws/room/green?user=bob")
	next(t, bob, "presence_state").expect(t, `"Ada"`, "payload", "ada", "metas", "name")
	next(t, ada, "presence_diff").expect(t, `"bob"`, "payload", "joins", "bob", "metas", "name")
	eve := nodetest.Dial(t, n.Addr(), "/ws/room/blue?user=eve")
	next(t, eve, "presence_state").expect(t, "null", "payload", "ada")

	bob.Send(`{"say":"hello"}`)
	for _, c := range []*nodetest.Client{ada, bob} {
		said := next(t, c, "said")
		said.expect(t, `"hello"`, "text")
		said.expect(t, `"bob"`, "user_id")
	}
	bob.Send(`{"status":"on a call"}`)
	for _, c := range []*nodetest.Client{ada, bob} {
		diff := next(t, c, "presence_diff")
		diff.expect(t, `"on a call"`, "payload", "joins", "bob", "metas", "status")
		diff.expect(t, `"bob"`, "payload", "joins", "bob", "metas", "name")
	}
	bob.Send(`{"status":null}`)
	next(t, ada, "presence_diff").expect(t, "null", "payload", "joins", "bob", "metas", "status")
	bob.Send("no JSON")
	next(t, bob, "error", "presence_diff").expect(t, `"send JSON"`, "message")

	list := call(t, n, http.MethodGet, "/rooms/green/users", "", http.StatusOK)
	list.expect(t, "2", "count")
	list.expect(t, `"ada"`, "users", "user_id")
	call(t, n, http.MethodGet, "/rooms/nobody/users", "", http.StatusOK).expect(t, "[]", "users")

	bob.Drop()
	next(t, ada, "presence_diff").expect(t, `"bob"`, "payload", "leaves", "bob", "metas", "name")
	if got := eve.Pending(); len(got) > 0 {
		t.Errorf("another room heard %q", got)
	}
}

func TestWhosOnline(t *testing.T) {
	n := start(t, "whos-online")
	const path = "/api/custom/_system/online"
	ada := nodetest.Dial(t, n.Addr(), path+"?user=ada&name=Ada")
	list := next(t, ada, "list")
	list.expect(t, `[{"id":"ada","name":"Ada"}]`, "users")

	bob := nodetest.Dial(t, n.Addr(), path+"?user=bob&name=Bob")
	next(t, bob, "list").expect(t, `[{"id":"ada","name":"Ada"},{"id":"bob","name":"Bob"}]`, "users")
	next(t, ada, "join").expect(t, `{"id":"bob","name":"Bob"}`, "user")

	// SPEC 1.1: "`join` is sent when a user's first connection enters, `leave` when the last one exits"
	second := nodetest.Dial(t, n.Addr(), path+"?user=bob&name=Bob")
	next(t, second, "list")
	answer := call(t, n, http.MethodGet, path, "", http.StatusOK)
	answer.expect(t, "2", "count")
	second.Drop()

	bob.Send("Bobby")
	next(t, ada, "update").expect(t, `{"id":"bob","name":"Bobby"}`, "user")
	bob.Leave(1000, "")
	next(t, ada, "leave").expect(t, `"bob"`, "user", "id")
	ada.Leave(1000, "")
	testkit.Within(t, "an empty list", nodetest.Timeout, func() bool {
		return call(t, n, http.MethodGet, path, "", http.StatusOK).at("users") == "[]"
	})
}

func TestNotifications(t *testing.T) {
	n := start(t, "notifications")
	nodetest.Dial(t, n.Addr(), "/ws/notifications").ExpectClosed(4400, "connect with ?user=…")
	call(t, n, http.MethodPost, "/notify/ada", `{"text":"no title"}`, http.StatusUnprocessableEntity)

	laptop := nodetest.Dial(t, n.Addr(), "/ws/notifications?user=ada")
	phone := nodetest.Dial(t, n.Addr(), "/ws/notifications?user=ada")
	bob := nodetest.Dial(t, n.Addr(), "/ws/notifications?user=bob")
	testkit.Within(t, "both devices are there", nodetest.Timeout, func() bool {
		return call(t, n, http.MethodPost, "/notify/ada", `{"title":"are you there?"}`,
			http.StatusAccepted).at("devices") == "2"
	})
	call(t, n, http.MethodPost, "/notify/ada", `{"title":"Hello","text":"…"}`, http.StatusAccepted)
	for _, c := range []*nodetest.Client{laptop, phone} {
		o := next(t, c, "notification")
		for o.at("title") == `"are you there?"` {
			o = next(t, c, "notification")
		}
		o.expect(t, `"Hello"`, "title")
	}

	// For somebody who is away it waits, and is told once.
	call(t, n, http.MethodPost, "/notify/eve", `{"title":"One"}`, http.StatusAccepted).expect(t, "0", "devices")
	call(t, n, http.MethodPost, "/notify/eve", `{"title":"Two"}`, http.StatusAccepted)
	eve := nodetest.Dial(t, n.Addr(), "/ws/notifications?user=eve")
	titles := map[string]bool{next(t, eve, "notification").at("title"): true,
		next(t, eve, "notification").at("title"): true}
	if !titles[`"One"`] || !titles[`"Two"`] {
		t.Errorf("what waited: %v", titles)
	}
	eve.Leave(1000, "")
	again := nodetest.Dial(t, n.Addr(), "/ws/notifications?user=eve")
	testkit.Within(t, "the device is there", nodetest.Timeout, func() bool {
		return call(t, n, http.MethodPost, "/notify/eve", `{"title":"Three"}`, http.StatusAccepted).at("devices") == "1"
	})
	next(t, again, "notification").expect(t, `"Three"`, "title")
	if got := bob.Pending(); len(got) > 0 {
		t.Errorf("Bob heard %q", got)
	}
}

func TestFeed(t *testing.T) {
	n := start(t, "feed")
	call(t, n, http.MethodPost, "/feed/sports", `{"text":""}`, http.StatusUnprocessableEntity)
	page := nodetest.OpenStream(t, n.Addr(), "/feed/sports")
	if joined := page.NextEvent(); !strings.Contains(joined.Data, `"joined"`) || joined.ID == "" {
		t.Fatalf("the page got %+v", joined)
	}
	call(t, n, http.MethodPost, "/feed/sports", `{"text":"1:0"}`, http.StatusAccepted)
	news := page.NextEvent()
	if !strings.Contains(news.Data, `"text":"1:0"`) {
		t.Fatalf("the page got %+v", news)
	}
	page.Drop()
	call(t, n, http.MethodPost, "/feed/sports", `{"text":"2:0"}`, http.StatusAccepted)
	page = nodetest.OpenStream(t, n.Addr(), "/feed/sports", "Last-Event-ID: "+news.ID)
	for _, part := range []string{`"missed":1`, `"text":"2:0"`} {
		if data := page.Next(); !strings.Contains(data, part) {
			t.Errorf("back again, the page got %s, want %s", data, part)
		}
	}
}
