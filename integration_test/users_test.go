package integration_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"rollcall/testkit"
	"rollcall/testkit/nodetest"
	"rollcall/testkit/redistest"
)

// SPEC 9: "`last_seen` after a node's death is the time of its last heartbeat at the earliest, its lease's end at the
// latest." A node that is told to stop lets its users stay for --restart-grace.
func TestLastSeenOfNodesThatGo(t *testing.T) {
	t.Parallel()
	o := nodetest.Options{Redis: redistest.Standalone(t).URL(), App: app,
		Flags: with("--restart-grace", restartGrace.String())}
	nodes := nodetest.StartAll(t, 3, o)
	ask := nodetest.Dial(t, nodes[2].Addr(), "/ws/do")
	for i, user := range []string{"killed", "drained"} {
		c := nodetest.Dial(t, nodes[i].Addr(), "/ws/do")
		c.Act(fmt.Sprintf(`{"identify":%q}`, user))
	}
	online := func() int {
		return strings.Count(ask.Call1("ws_users", []string{"killed", "drained"}), `"online":true`)
	}
	testkit.Within(t, "both are online", nodetest.Timeout, func() bool { return online() == 2 })
	stopped := time.Now()
	nodes[0].Kill()
	nodes[1].Terminate()
	testkit.Within(t, "both are offline", gone+restartGone, func() bool { return online() == 0 })
	var got []struct {
		UserID   string `json:"user_id"`
		LastSeen int64  `json:"last_seen"`
	}
	if err := json.Unmarshal([]byte(ask.Call1("ws_users", []string{"killed", "drained"})), &got); err != nil {
		t.Fatal(err)
	}
	const slack = 100 * time.Millisecond // of heartbeats
	for i, want := range []struct{ least, most time.Duration }{
		{-heartbeat - slack, lease}, {restartGrace - slack, restartGrace + 2*time.Second},
	} {
		if after := time.UnixMilli(got[i].LastSeen).Sub(stopped); after < want.least || after > want.most {
			t.Errorf("%s was last seen %v after the end of the node, want %v to %v", got[i].UserID, after, want.least, want.most)
		}
	}
}
