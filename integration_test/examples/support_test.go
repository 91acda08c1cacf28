package examples_test

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"rollcall/testkit"
	"rollcall/testkit/nodetest"
	"rollcall/testkit/redistest"
)

// The desk with its back end: what is written to a customer who has gone is mailed, and unread when she is back.
func TestSupport(t *testing.T) {
	const secret = "the secret of this test"
	program := exec.Command(redistest.Program(t, "node"), filepath.Join(dir, "support/backend.mjs"))
	program.Env = append(os.Environ(), "HOOK_SECRET="+secret, "PORT=0")
	out := &nodetest.Log{}
	program.Stdout = out
	nodetest.StartProgram(t, "the back end", program)
	port := 0
	testkit.Within(t, "the back end says where it listens", nodetest.Timeout, func() bool {
		_, err := fmt.Sscanf(out.Text(), "the back end listens on port %d", &port)
		return err == nil
	})
	backend := fmt.Sprint("127.0.0.1:", port)
	n := nodetest.Start(t, nodetest.Options{App: filepath.Join(dir, "support"),
		Flags: []string{"--dev", "--http-allow", backend},
		Env:   []string{"ROLLCALL_APP_BACKEND=http://" + backend, "ROLLCALL_APP_HOOK_SECRET=" + secret}})
	knows := func(here, unread string) {
		t.Helper()
		want := fmt.Sprintf(`{"here":%s,"unread":%s}`, here, unread)
		testkit.Within(t, "the back end knows "+want, nodetest.Timeout, func() bool {
			_, text, _ := nodetest.Request(t.Context(), http.MethodGet, backend, "/", "")
			return text == want
		})
	}

	eve := nodetest.Dial(t, n.Addr(), "/ws/agent?user=eve")
	next(t, eve, "history", "welcome", "presence_state", "presence_diff")
	knows(`["@eve","desk"]`, `{}`)
	bob := nodetest.Dial(t, n.Addr(), "/ws/customer?user=bob")
	knows(`["@bob","@eve","desk"]`, `{}`)
	bob.Drop()
	knows(`["@eve","desk"]`, `{}`)
	ann := nodetest.Dial(t, n.Addr(), "/ws/customer?user=ann")
	next(t, ann, "welcome", "presence_state").expect(t, "null", "me", "last_seen")
	next(t, ann, "history", "presence_state")
	for _, user := range []string{`"bob"`, `"ann"`} {
		next(t, eve, "customer").expect(t, user, "user", "user_id")
	}
	eve.Send(`{"watch":"ann"}`)
	next(t, eve, "presence_state", "customer").expect(t, `"@ann"`, "channel")
	knows(`["@ann","@eve","desk"]`, `{}`)

	eve.Send(`{"to":"ann","text":"one"}`)
	next(t, ann, "said").expect(t, `"one"`, "text")
	eve.Send(`{"to":"bob","text":"are you there?"}`)
	knows(`["@ann","@eve","desk"]`, `{"@bob":1}`) // and the mail to ann would have come before
	ann.Drop()
	next(t, eve, "presence_diff", "customer", "said").expect(t, `"@ann"`, "channel")
	eve.Send(`{"to":"ann","text":"two"}`)
	knows(`["@eve","desk"]`, `{"@bob":1,"@ann":1}`)

	ann = nodetest.Dial(t, n.Addr(), "/ws/customer?user=ann")
	me, _ := next(t, ann, "welcome", "presence_state")["me"].(map[string]any)
	seen, _ := me["last_seen"].(float64)
	var unread []any
	messages, _ := next(t, ann, "history", "presence_state")["messages"].([]any)
	for _, m := range messages {
		m, _ := m.(map[string]any)
		if at, _ := m["timestamp"].(float64); at > seen {
			unread = append(unread, object(m).at("data", "text"))
		}
	}
	if len(messages) != 2 || seen == 0 || fmt.Sprint(unread) != `["two"]` {
		t.Errorf("seen last at %v, unread of %v is %v", seen, messages, unread)
	}
	knows(`["@ann","@eve","desk"]`, `{"@bob":1}`)

	forged := `{"id":"msg_1","events":[{"type":"leave","channel":"@ann","user_id":"ann"}]}`
	status, _, _ := nodetest.Request(t.Context(), http.MethodPost, backend, "/presence", forged, "webhook-id: msg_1",
		"webhook-timestamp: 1", "webhook-signature: v1,Zm9yZ2Vk")
	if status != http.StatusUnauthorized {
		t.Errorf("a forged request: status %d", status)
	}
}
