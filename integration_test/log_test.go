package integration_test

import (
	"testing"
	"time"

	"rollcall/testkit/nodetest"
	"rollcall/testkit/redistest"
)

// docs/operating.md: each line of the JSON log names its node, no name comes twice in it, and a time is text with its
// unit. That lines are strict JSON nodetest checks of every node.
func TestLogLines(t *testing.T) {
	t.Parallel()
	redis := redistest.Standalone(t)
	nodes := nodetest.StartAll(t, 2,
		nodetest.Options{Redis: redis.URL(), App: app,
			Flags: with("--log-level", "debug", "--log-connections", "all",
				"--jwt-secret", "a secret of thirty-two characters")})
	first := nodes[0]
	at := func(msg string, fields ...string) nodetest.Line {
		t.Helper()
		return first.Log.Await(t, msg, func(l nodetest.Line) bool { return l.Is(msg, fields...) })
	}

	c := nodetest.Dial(t, first.Addr(), "/ws/do")
	c.Act(`{"track":{"channel":"room","user_id":"ann"}}`)
	c.Send(`{"bad":"raise"}`, `{"raw":{"spam":1}}`, `{"raw":{"broadcast_room":"to none"}}`)
	at("handler failed", "reason", "raised")
	at("action without effect", "action", "broadcast_room")
	postScript(t, first, "test/says", `log.warn("both keys", {[1] = "a", ["1"] = "b", list = {{}}, f = print})`)
	at("audit", "what", "register script")
	nodetest.Dial(t, first.Addr(), "/api/custom/test/says")
	if fields, ok := at("both keys")["fields"].(map[string]any); !ok || len(fields) != 3 {
		t.Errorf("the fields are %v", fields)
	}
	if _, _, err := nodetest.TryDial(t, first.Addr(), "/ws/do?token=garbage"); err == nil {
		t.Error("a bad token is let in")
	}
	at("token refused")
	event, _ := c.Ask(map[string]any{"event": true}).Results[0].(map[string]any)
	id, _ := event["connection_id"].(string)
	c.Drop()
	at("connection closed", "cause", "lost")
	at("connection opened", "connection", id)

	other := nodetest.Dial(t, nodes[1].Addr(), "/ws/do")
	other.Act(`{"track":{"channel":"room","user_id":"bob"}}`)
	nodes[1].Kill()
	if took := at("reaped").Text("took"); !isDuration(took) {
		t.Errorf("reaping took %q", took)
	}
	redis.Stop()
	at("redis subscription connection broke")
	redis.Restart()
	at("redis subscription connection is back")
	first.Terminate()
	if over := at("draining").Text("over"); over != "500ms" {
		t.Errorf("draining over %q", over)
	}
	first.ExitCode(nodetest.Timeout)
	for _, line := range first.Log.Lines() {
		if line.Text("node") != c.Node {
			t.Errorf("a line of node %s: %v", c.Node, line)
		}
	}
}

func isDuration(text string) bool {
	_, err := time.ParseDuration(text)
	return err == nil
}
