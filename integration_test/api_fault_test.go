package integration_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"rollcall/testkit"
	"rollcall/testkit/nodetest"
	"rollcall/testkit/redistest"
	"rollcall/testkit/stories"
)

// within1s is what a cluster-wide read may take (issue: "answer within 1 s") and what a busy test machine adds.
const within1s = time.Second + 700*time.Millisecond

// apiCall is one call of the API with its answer.
type apiCall struct {
	method, path, body string

	status int
	answer string
	head   http.Header
	took   time.Duration
}

// askAll makes calls of one node, all at once, and holds the answers to the OpenAPI document.
func askAll(t *testing.T, contract *stories.Contract, addr string, calls []*apiCall) {
	t.Helper()
	var all sync.WaitGroup
	for _, c := range calls {
		all.Go(func() {
			began := time.Now()
			c.status, c.answer, c.head = nodetest.Request(context.Background(), c.method, addr, c.path, c.body,
				"X-API-Key: "+key, "Content-Type: application/json")
			c.took = time.Since(began)
		})
	}
	all.Wait()
	for _, c := range calls {
		if err := contract.Check(c.method, c.path, c.body, http.Header{"Content-Type": {"application/json"}}, c.status,
			c.answer, c.head); err != nil {
			t.Errorf("%s %s: %v", c.method, c.path, err)
		}
	}
}

// Issue: "Cluster-wide reads (connections, channels, clients) answer within 1 s and name the nodes that did not
// answer." A connection of a silent node is not unknown: 503 with Retry-After.
func TestAPIWithAFrozenNode(t *testing.T) {
	t.Parallel()
	redis := redistest.Standalone(t)
	nodes := nodetest.StartAll(t, 3,
		nodetest.Options{Redis: redis.URL(), App: app,
			Flags: []string{"--api-key", key, "--message-rate", "0", "--drain", "0s", "--lease-ttl", "30s", "--heartbeat",
				"400ms"}})
	contract := stories.ReadContract(t, nodes[0].Addr(), "X-API-Key: "+key)
	var ids []string
	var clients []*nodetest.Client
	for i, n := range nodes {
		c := nodetest.Dial(t, n.Addr(), "/ws/do")
		c.Act(fmt.Sprintf(`{"join":["shared","own %d"],"track":{"channel":"shared","user_id":"u%d"}}`, i, i))
		event, _ := c.Ask(map[string]any{"event": true}).Results[0].(map[string]any)
		ids, clients = append(ids, fmt.Sprint(event["connection_id"])), append(clients, c)
	}
	silent := clients[2].Node
	testkit.Within(t, "its load is known", nodetest.Timeout, func() bool {
		_, answer, _ := nodetest.Request(context.Background(), "GET", nodes[0].Addr(), "/_api/nodes", "", "X-API-Key: "+key)
		return strings.Count(answer, `"connections":1`) == 3
	})
	nodes[2].Freeze()
	lists := map[string]*apiCall{}
	var calls []*apiCall
	for _, path := range []string{"/_api/connections", "/_api/connections?limit=1", "/_api/channels",
		"/_api/channels/shared/connections", "/_api/stats", "/_api/nodes", "/_api/channels/shared/presence"} {
		c := &apiCall{method: "GET", path: path}
		lists[path], calls = c, append(calls, c)
	}
	gone := []*apiCall{
		{method: "GET", path: "/_api/connections/" + ids[2]}, {method: "POST", path: "/_api/connections/" + ids[2] + "/send",
			body: `{"message":"sent while frozen"}`}, {method: "DELETE", path: "/_api/connections/" + ids[2]},
	}
	askAll(t, contract, nodes[0].Addr(), append(calls, gone...))
	for _, c := range append(calls, gone...) {
		if c.took > within1s {
			t.Errorf("%s %s took %v", c.method, c.path, c.took)
		}
	}
	for _, c := range gone {
		if c.status != http.StatusServiceUnavailable || c.head.Get("Retry-After") == "" {
			t.Errorf("%s %s: %d %s", c.method, c.path, c.status, c.answer)
		}
	}
	for path, items := range map[string][]string{"/_api/connections": ids[:2],
		"/_api/channels/shared/connections": ids[:2], "/_api/channels": {"shared", "own 0",
			"own 1"}, "/_api/stats": nil, "/_api/connections?limit=1": nil} {
		c := lists[path]
		var got struct {
			Connections json.RawMessage
			Unanswered  []string
		}
		if err := json.Unmarshal([]byte(c.answer), &got); err != nil || c.status != http.StatusOK ||
			!slices.Equal(got.Unanswered, []string{silent}) {
			t.Errorf("%s: %d %s", path, c.status, c.answer)
		}
		for _, item := range items {
			if !strings.Contains(c.answer, `"`+item+`"`) {
				t.Errorf("%s lacks %s: %s", path, item, c.answer)
			}
		}
		if strings.Contains(c.answer, ids[2]) {
			t.Errorf("%s knows what the frozen node holds: %s", path, c.answer)
		}
	}
	if c := lists["/_api/stats"]; !strings.Contains(c.answer, `"nodes":3`) ||
		!strings.Contains(c.answer, `"connections":3`) || !strings.Contains(c.answer, `"channels":3`) {
		t.Errorf("stats: %s", c.answer)
	}
	if c := lists["/_api/channels/shared/presence"]; strings.Count(c.answer, `"user_id"`) != 3 {
		t.Errorf("presence: %s", c.answer)
	}
	// The same of scripts: ws_clients.
	began := time.Now()
	if got := clients[0].Call1("ws_clients"); strings.Count(got, "-")/4 != 2 || time.Since(began) > within1s {
		t.Errorf("ws_clients gave %s after %v", got, time.Since(began))
	}
	nodes[2].Thaw()
	back := []*apiCall{{method: "GET", path: "/_api/connections/" + ids[0]}, {method: "GET", path: "/_api/connections"}}
	testkit.Within(t, "all answer", nodetest.Timeout, func() bool {
		askAll(t, contract, nodes[1].Addr(), back)
		return back[0].status == http.StatusOK && strings.Contains(back[1].answer, ids[2]) == !clients[2].Over() &&
			!strings.Contains(back[1].answer, "unanswered")
	})
}

// A node that is asked alone answers in the time of its own measure: a list of one node has nobody to wait for.
func TestAPIOfOneNodeIsQuick(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t, nodetest.Options{Redis: redistest.Standalone(t).URL(), App: app, Flags: fast})
	contract := stories.ReadContract(t, n.Addr(), "X-API-Key: "+key)
	for _, path := range []string{"/_api/connections", "/_api/channels", "/_api/stats"} {
		c := &apiCall{method: "GET", path: path}
		if askAll(t, contract, n.Addr(), []*apiCall{c}); c.status != http.StatusOK || c.took > 500*time.Millisecond {
			t.Errorf("%s: %d after %v", path, c.status, c.took)
		}
	}
}

// While Redis cannot be reached: 503 problem documents with Retry-After within 3 s, never 500; what needs no Redis
// answers.
func TestAPIWithoutRedis(t *testing.T) {
	for name, fault := range map[string]struct{ away, back func(*redistest.Redis) }{
		"stopped": {(*redistest.Redis).Stop, (*redistest.Redis).Restart},
		"frozen":  {(*redistest.Redis).Pause, (*redistest.Redis).Resume},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			redis := redistest.Standalone(t)
			nodes := nodetest.StartAll(t, 2, nodetest.Options{Redis: redis.URL(), App: app, Flags: fast})
			contract := stories.ReadContract(t, nodes[0].Addr(), "X-API-Key: "+key)
			postScript(t, nodes[0], "away/kept", "return")
			c := nodetest.Dial(t, nodes[0].Addr(), "/ws/do")
			far := nodetest.Dial(t, nodes[1].Addr(), "/ws/do")
			var ids []string
			for _, c := range []*nodetest.Client{c, far} {
				c.Act(`{"join":"room","track":{"channel":"room","user_id":"u"}}`)
				event, _ := c.Ask(map[string]any{"event": true}).Results[0].(map[string]any)
				ids = append(ids, fmt.Sprint(event["connection_id"]))
			}
			fault.away(redis)
			unavailable := []*apiCall{
				{method: "POST", path: "/_api/broadcast", body: `{"message":1}`}, {method: "POST",
					path: "/_api/channels/room/broadcast", body: `{"message":1}`},
				{method: "POST", path: "/_api/batch", body: `{"broadcasts":[{"message":1}]}`},
				{method: "GET", path: "/_api/connections"}, {method: "GET", path: "/_api/channels"}, {method: "GET",
					path: "/_api/channels/room/connections"}, {method: "GET", path: "/_api/stats"},
				{method: "GET", path: "/_api/connections/" + ids[1]}, {method: "POST",
					path: "/_api/connections/" + ids[1] +
						"/send", body: `{"message":1}`}, {method: "DELETE", path: "/_api/connections/" + ids[1]},
				{method: "GET", path: "/_api/channels/elsewhere/presence"}, {method: "GET",
					path: "/_api/channels/elsewhere/presence/count"}, {method: "GET", path: "/_api/channels/elsewhere/presence/u"},
				{method: "POST", path: "/_api/custom/away/new", body: `{"code":"return"}`}, {method: "DELETE",
					path: "/_api/custom/away/kept"},
			}
			answered := []*apiCall{ // of what this node holds
				{method: "GET", path: "/_api/channels/room/presence"}, {method: "GET",
					path: "/_api/channels/room/presence/count"}, {method: "GET", path: "/_api/channels/room/presence/u"},
				{method: "GET", path: "/_api/connections/" + ids[0]},
				{method: "GET", path: "/_api/nodes"}, {method: "GET", path: "/_api/openapi.json"}, {method: "GET",
					path: "/_api/custom"}, {method: "GET", path: "/_api/custom/away/kept"},
			}
			askAll(t, contract, nodes[0].Addr(), slices.Concat(unavailable, answered))
			for _, c := range unavailable {
				if c.status != http.StatusServiceUnavailable || c.head.Get("Retry-After") == "" ||
					!strings.Contains(c.answer, "Redis") && !strings.Contains(c.answer, "did not answer") {
					t.Errorf("%s %s: %d %s", c.method, c.path, c.status, c.answer)
				}
			}
			for _, c := range answered {
				if c.status != http.StatusOK {
					t.Errorf("%s %s: %d %s", c.method, c.path, c.status, c.answer)
				}
			}
			for _, c := range slices.Concat(unavailable, answered) {
				if c.took > 3*time.Second+700*time.Millisecond {
					t.Errorf("%s %s took %v", c.method, c.path, c.took)
				}
			}
			fault.back(redis)
			again := &apiCall{method: "POST", path: "/_api/channels/room/broadcast", body: `{"message":"back"}`}
			testkit.Within(t, "broadcasts work again", gone, func() bool {
				askAll(t, contract, nodes[0].Addr(), []*apiCall{again})
				return again.status == http.StatusOK
			})
			for _, n := range nodes {
				for _, line := range n.Log.Lines() {
					if line.Is("API call failed") {
						t.Errorf("the log has %v", line)
					}
				}
			}
		})
	}
}
