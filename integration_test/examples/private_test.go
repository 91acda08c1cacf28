package examples_test

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"rollcall/testkit/nodetest"
)

// secretOfPrivate is what the README lets openssl make.
const secretOfPrivate = "ROLLCALL_JWT_SECRET=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// token mints one as the README does.
func token(t *testing.T, args ...string) string {
	t.Helper()
	code, stdout, stderr := nodetest.Command(t, []string{secretOfPrivate}, append([]string{"token"}, args...)...)
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	return strings.TrimSpace(stdout)
}

func TestPrivate(t *testing.T) {
	n := nodetest.Start(t, nodetest.Options{App: filepath.Join(dir, "private"),
		Flags: []string{"--dev", "--jwt-leeway", "0s"}, Env: []string{secretOfPrivate}})
	come := func(room, token string) *nodetest.Client {
		t.Helper()
		return nodetest.Dial(t, n.Addr(), "/ws/room/"+room, "Sec-WebSocket-Protocol: rollcall, "+token)
	}
	if _, resp, err := nodetest.TryDial(t, n.Addr(), "/ws/room/green"); err == nil ||
		resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("without a token: %v", err)
	}
	adas := token(t, "--user", "ada", "--name", "Ada", "--channels", "room:green", "--ttl", "5m")
	ada := come("green", adas)
	next(t, ada, "welcome", "presence_state").expect(t, `"Ada"`, "name")
	bob := come("green", token(t, "--user", "bob", "--channels", "room:*"))
	next(t, bob, "presence_state").expect(t, `"Ada"`, "payload", "ada", "metas", "name")
	next(t, ada, "presence_diff", "presence_state").expect(t, `"bob"`, "payload", "joins", "bob", "metas", "name")

	// The token says into which rooms.
	refused := come("blue", adas).ExpectClosed(4403, `join: channel "room:blue" is not allowed by the token`)
	if len(refused) != 1 || !strings.Contains(refused[0], `"event":"error"`) { // of --dev
		t.Errorf("frames of one who was refused: %q", refused)
	}
	blue := come("blue", token(t, "--user", "bob", "--channels", "room:*"))
	next(t, blue, "welcome", "presence_state")
	list := func(room, token string) (int, string) {
		status, body, _ := nodetest.Request(t.Context(), http.MethodGet, n.Addr(), "/rooms/"+room+"/users", "",
			"Authorization: Bearer "+token)
		return status, body
	}
	if status, body := list("green", adas); status != http.StatusOK || !strings.Contains(body, `"count":2`) {
		t.Errorf("the list of her room: %d %s", status, body)
	}
	if status, body := list("blue", adas); status != http.StatusForbidden ||
		!strings.Contains(body, "not allowed by the token") {
		t.Errorf("the list of another room: %d %s", status, body)
	}
	if status, _ := list("green", ""); status != http.StatusUnauthorized {
		t.Errorf("the list without a token: %d", status)
	}

	ada.Send("hello")
	for _, c := range []*nodetest.Client{ada, bob} {
		said := next(t, c, "said", "welcome")
		said.expect(t, `"hello"`, "text")
		said.expect(t, `"Ada"`, "name")
	}
	renew := func(token string) object {
		t.Helper()
		ada.Send(nodetest.JSON(map[string]string{"event": "token", "token": token}))
		return next(t, ada, "token")
	}
	renew(token(t, "--user", "bob")).expect(t, `"the token is for another user"`, "error")
	renew(token(t, "--user", "ada", "--ttl", "0", "--channels", "room:green")).expect(t, "null", "expires_at")
	ada.Send("still here")
	next(t, ada, "said").expect(t, `"still here"`, "text")
	// A token that does not allow the room any more: the next word is the last one.
	if got := renew(token(t, "--user", "ada")).at("expires_at"); got == "null" {
		t.Error("a token for an hour does not expire")
	}
	ada.Send("and now?")
	ada.ExpectClosed(4403, `channel "room:green" is not allowed: the token has no claim channels`)
	next(t, bob, "said").expect(t, `"still here"`, "text")
	next(t, bob, "presence_diff").expect(t, `"Ada"`, "payload", "leaves", "ada", "metas", "name")

	brief := come("green", token(t, "--user", "eve", "--channels", "room:green", "--ttl", "2s"))
	brief.ExpectClosed(4401, "the token has expired")
}
