package examples_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"rollcall/testkit/nodetest"
)

// enter connects somebody to the chat and takes what comes at first, what was missed included.
func enter(t *testing.T, n *nodetest.Node, query string) (c *nodetest.Client, joined, state object) {
	t.Helper()
	c = nodetest.Dial(t, n.Addr(), "/ws/chat?"+query)
	return c, next(t, c, "joined"), next(t, c, "presence_state", "presence_diff", "message")
}

// earlier asks for messages before a position, or for the newest.
func earlier(t *testing.T, c *nodetest.Client, before string) (page object, texts []any) {
	t.Helper()
	ask := map[string]any{"type": "earlier", "ask": 1}
	if before != "" {
		ask["before"] = before
	}
	c.Send(nodetest.JSON(ask))
	page = next(t, c, "earlier", "presence_diff")
	messages, ok := page["messages"].([]any)
	if !ok {
		t.Fatalf("a page without messages: %v", page)
	}
	for _, m := range messages {
		texts = append(texts, object(m.(map[string]any))["data"].(map[string]any)["text"])
	}
	return page, texts
}

func TestChat(t *testing.T) {
	n := start(t, "chat")
	ada, joined, state := enter(t, n, "user=ada&name=Ada&named_at=5&device=phone&client=Safari+on+iPhone")
	joined.expect(t, `"chat:lobby"`, "channel")
	state.expect(t, `"chat:lobby"`, "channel")
	for field, want := range map[string]string{"name": `"Ada"`, "named_at": "5", "device": `"phone"`,
		"client": `"Safari on iPhone"`, "state": `"online"`} {
		state.expect(t, want, "payload", "ada", "metas", field)
	}
	if _, texts := earlier(t, ada, ""); len(texts) > 0 {
		t.Errorf("a new room has %v", texts)
	}

	bob, _, state := enter(t, n, "user=bob&name=Bob&state=away")
	state.expect(t, `"away"`, "payload", "bob", "metas", "state")
	next(t, ada, "presence_diff").expect(t, `"Bob"`, "payload", "joins", "bob", "metas", "name")

	bob.Send(`{"type":"typing","on":true}`)
	typing := next(t, ada, "message")
	typing.expect(t, `{"event":"typing","on":true,"user_id":"bob"}`, "data")
	typing.expect(t, "null", "position")
	bob.Send(`{"type":"message","id":"m1","text":"  two\nlines \u0007 "}`)
	message := next(t, ada, "message")
	message.expect(t, `"chat:lobby"`, "channel")
	for field, want := range map[string]string{"event": `"message"`, "id": `"m1"`, "user_id": `"bob"`, "name": `"Bob"`,
		"text": `"two\nlines"`} {
		message.expect(t, want, "data", field)
	}
	next(t, bob, "message").expect(t, `"typing"`, "data", "event") // one's own, too
	next(t, bob, "message").expect(t, `"m1"`, "data", "id")

	bob.Send(`{"type":"state","state":"online"}`)
	next(t, ada, "presence_diff").expect(t, `"online"`, "payload", "joins", "bob", "metas", "state")
	bob.Send(`{"type":"name","name":"Bobby","named_at":9}`)
	next(t, ada, "presence_diff").expect(t, `"Bobby"`, "payload", "joins", "bob", "metas", "name")

	list := call(t, n, http.MethodGet, "/rooms/lobby/users", "", http.StatusOK)
	list.expect(t, `"ada"`, "users", "user_id")
	call(t, n, http.MethodGet, "/rooms/no%20room/users", "", http.StatusNotFound)

	// Another room, on the same connection.
	bob.Send(`{"type":"room","room":"tea"}`)
	next(t, bob, "joined", "presence_diff").expect(t, `"chat:tea"`, "channel")
	next(t, bob, "presence_state", "presence_diff").expect(t, `"chat:tea"`, "channel")
	next(t, ada, "presence_diff").expect(t, `"Bobby"`, "payload", "leaves", "bob", "metas", "name")
	ada.Send(`{"type":"message","id":"m2","text":"only here"}`)
	next(t, ada, "message")
	bob.Send(`{"type":"message","id":"m3","text":"only there"}`)
	next(t, bob, "message").expect(t, `"m3"`, "data", "id")
	if got := ada.Pending(); len(got) > 0 {
		t.Errorf("the lobby heard %q", got)
	}
}

// Who comes back gets what it missed, and who comes late reads back as far as it wants.
func TestChatHistory(t *testing.T) {
	n := start(t, "chat")
	ada, _, _ := enter(t, n, "user=ada&name=Ada&room=log")
	bob, joined, _ := enter(t, n, "user=bob&name=Bob&room=log")
	bob.Drop()
	for i := range 23 {
		ada.Send(fmt.Sprintf(`{"type":"message","id":"m%d","text":"%d"}`, i, i))
		next(t, ada, "message", "presence_diff")
	}
	positions := nodetest.JSON(map[string]any{"chat:log": joined["position"]})
	resume := base64.RawURLEncoding.EncodeToString([]byte(positions))
	_, joined, _ = enter(t, n, "user=bob&name=Bob&room=log&resume="+resume)
	joined.expect(t, "23", "missed")

	eve, _, _ := enter(t, n, "user=eve&name=Eve&room=log")
	page, texts := earlier(t, eve, "")
	page.expect(t, "true", "more")
	if len(texts) != 20 || texts[0] != "3" || texts[19] != "22" {
		t.Errorf("the newest are %v", texts)
	}
	position, _ := page["messages"].([]any)[0].(map[string]any)["position"].(string)
	page, texts = earlier(t, eve, position)
	page.expect(t, "false", "more")
	if nodetest.JSON(texts) != `["0","1","2"]` {
		t.Errorf("before them are %v", texts)
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
		next(t, c, "message").expect(t, `"good"`, "data", "id")
	}

	// At connect, too: what cannot be used is replaced.
	_, joined, state := enter(t, n,
		"user="+strings.Repeat("u", 101)+"&name=%00%0a&room=a/b&device="+strings.Repeat("d", 99)+"&state=x&named_at=nan")
	joined.expect(t, `"chat:lobby"`, "channel")
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
