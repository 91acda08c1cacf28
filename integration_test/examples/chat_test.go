package examples_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"rollcall/testkit/nodetest"
)

// enter connects somebody to the chat and takes what comes at first.
func enter(t *testing.T, n *nodetest.Node, query string) (c *nodetest.Client, state, history object) {
	t.Helper()
	c = nodetest.Dial(t, n.Addr(), "/ws/chat?"+query)
	return c, next(t, c, "presence_state"), next(t, c, "history", "presence_diff")
}

func TestChat(t *testing.T) {
	n := start(t, "chat")
	ada, state, history := enter(t, n, "user=ada&name=Ada&named_at=5&device=phone&client=Safari+on+iPhone")
	state.expect(t, `"chat:lobby"`, "channel")
	for field, want := range map[string]string{"name": `"Ada"`, "named_at": "5", "device": `"phone"`,
		"client": `"Safari on iPhone"`, "state": `"online"`} {
		state.expect(t, want, "payload", "ada", "metas", field)
	}
	history.expect(t, "[]", "messages")

	bob, state, _ := enter(t, n, "user=bob&name=Bob&state=away")
	state.expect(t, `"away"`, "payload", "bob", "metas", "state")
	next(t, ada, "presence_diff").expect(t, `"Bob"`, "payload", "joins", "bob", "metas", "name")

	bob.Send(`{"type":"typing","on":true}`)
	typing := next(t, ada, "typing")
	typing.expect(t, `"bob"`, "user_id")
	typing.expect(t, "true", "on")
	bob.Send(`{"type":"message","id":"m1","text":"  two\nlines \u0007 "}`)
	message := next(t, ada, "message")
	for field, want := range map[string]string{"id": `"m1"`, "user_id": `"bob"`, "name": `"Bob"`, "text": `"two\nlines"`,
		"room": `"lobby"`, "n": "1"} {
		message.expect(t, want, field)
	}
	next(t, bob, "message", "typing").expect(t, `"m1"`, "id")

	bob.Send(`{"type":"state","state":"online"}`)
	next(t, ada, "presence_diff").expect(t, `"online"`, "payload", "joins", "bob", "metas", "state")
	bob.Send(`{"type":"name","name":"Bobby","named_at":9}`)
	next(t, ada, "presence_diff").expect(t, `"Bobby"`, "payload", "joins", "bob", "metas", "name")

	list := call(t, n, http.MethodGet, "/rooms/lobby/users", "", http.StatusOK)
	list.expect(t, `"ada"`, "users", "user_id")
	call(t, n, http.MethodGet, "/rooms/no%20room/users", "", http.StatusNotFound)

	// Another room, on the same connection.
	bob.Send(`{"type":"room","room":"tea"}`)
	next(t, bob, "presence_state", "presence_diff").expect(t, `"chat:tea"`, "channel")
	next(t, bob, "history").expect(t, `"tea"`, "room")
	next(t, ada, "presence_diff").expect(t, `"Bobby"`, "payload", "leaves", "bob", "metas", "name")
	ada.Send(`{"type":"message","id":"m2","text":"only here"}`)
	next(t, ada, "message")
	bob.Send(`{"type":"message","id":"m3","text":"only there"}`)
	next(t, bob, "message").expect(t, `"m3"`, "id")
	if got := ada.Pending(); len(got) > 0 {
		t.Errorf("the lobby heard %q", got)
	}
}

// The room remembers its last 50 messages.
func TestChatHistory(t *testing.T) {
	n := start(t, "chat")
	ada, _, _ := enter(t, n, "user=ada&name=Ada&room=log")
	for i := 1; i <= 53; i++ {
		ada.Send(fmt.Sprintf(`{"type":"message","id":"m%d","text":"%d"}`, i, i))
		next(t, ada, "message")
	}
	_, _, history := enter(t, n, "user=bob&name=Bob&room=log")
	messages, ok := history["messages"].([]any)
	if !ok || len(messages) != 50 {
		t.Fatalf("the history has %d messages, want 50", len(messages))
	}
	for i, m := range messages {
		o, _ := m.(map[string]any)
		if want := fmt.Sprint(i + 4); o["text"] != want {
			t.Fatalf("message %d of the history is %v, want %s", i, o["text"], want)
		}
	}
}

// What no page sends is ignored, and changes nothing for anybody.
func TestChatBadInput(t *testing.T) {
	n := start(t, "chat")
	ada, _, _ := enter(t, n, "user=ada&name=Ada")
	bob, _, _ := enter(t, n, "user=bob&name=Bob")
	next(t, ada, "presence_diff")
	bad := []string{
		``, `nonsense`, `null`, `7`, `"text"`, `[]`, `{}`, `{"type":7}`, `{"type":"nothing"}`, `{"type":["message"]}`,
		`{"type":"message"}`, `{"type":"message","id":"x"}`, `{"type":"message","id":7,"text":"x"}`,
		`{"type":"message","id":"x","text":"   "}`,
		`{"type":"message","id":"x","text":{}}`, `{"type":"message","id":"x","text":"` + strings.Repeat("x", 4001) + `"}`,
		`{"type":"state","state":"dead"}`, `{"type":"state","state":{}}`, `{"type":"name"}`, `{"type":"name","name":"  "}`,
		`{"type":"name","name":"` + strings.Repeat("x", 121) + `"}`,
		`{"type":"room"}`, `{"type":"room","room":"../etc"}`, `{"type":"room","room":"lobby"}`, `{"type":"room","room":""}`,
	}
	for _, text := range bad {
		bob.Send(text)
	}
	bob.SendBinary("\x00\xff")
	bob.Send(`{"type":"message","id":"good","text":"still here"}`)
	for _, c := range []*nodetest.Client{ada, bob} {
		next(t, c, "message").expect(t, `"good"`, "id")
	}

	// At connect, too: what cannot be used is replaced.
	_, state, history := enter(t, n,
		"user="+strings.Repeat("u", 101)+"&name=%00%0a&room=a/b&device="+strings.Repeat("d", 99)+"&state=x&named_at=nan")
	history.expect(t, `"lobby"`, "room")
	var id string
	payload, _ := state["payload"].(map[string]any)
	for user := range payload {
		if user != "ada" && user != "bob" {
			id = user
		}
	}
	for field, want := range map[string]string{"name": `"Guest"`, "device": `"desktop"`, "state": `"online"`,
		"named_at": "0"} {
		state.expect(t, want, "payload", id, "metas", field)
	}
	state.expect(t, nodetest.JSON(id), "payload", id, "metas", "connection_id")
}
