package integration_test

import (
	"context"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"rollcall/testkit/nodetest"
	"rollcall/testkit/redistest"
)

// docs/operating.md says what a Redis user of Rollcall's own may be limited to: with these rules and nothing more a
// cluster works, a node's death included.
func TestRedisUser(t *testing.T) {
	page, err := os.ReadFile("../docs/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile("needs `([^`]+)`").FindSubmatch(page)
	inCluster := regexp.MustCompile("in a Cluster also `([^`]+)`").FindSubmatch(page)
	if found == nil || inCluster == nil {
		t.Fatal("the page does not say it any more")
	}
	for kind, r := range map[string]func(t *testing.T) *redistest.Redis{
		"standalone": func(t *testing.T) *redistest.Redis { return redistest.Standalone(t) },
		"cluster":    func(t *testing.T) *redistest.Redis { return redistest.Cluster(t) },
	} {
		t.Run(kind, func(t *testing.T) {
			r := r(t)
			rules := strings.Fields(string(found[1]))
			if kind == "cluster" {
				rules = append(rules, string(inCluster[1]))
			}
			set := []any{"acl", "setuser", "limited", "on", ">word"}
			for _, rule := range rules {
				set = append(set, rule)
			}
			for _, p := range r.Nodes() {
				if err := p.Client().Do(context.Background(), set...).Err(); err != nil {
					t.Fatalf("%v: %v", set, err)
				}
			}
			url := strings.Replace(r.URL(), "redis://", "redis://limited:word@", 1)
			nodes := nodetest.StartAll(t, 3, nodetest.Options{Redis: url, App: app, Flags: fast})
			c := assemble(t, nodes)
			status, body, _ := nodetest.Request(context.Background(), http.MethodPost, nodes[0].Addr(), "/_api/custom/a/b",
				"solidb.ws.send('x')", "X-API-Key: "+key)
			if status != http.StatusCreated {
				t.Errorf("register a script: %d %s", status, body)
			}
			c.script[0].Call("store.set", "k", 1)
			if got := c.script[1].Call1("store.get", "k"); got != "1" {
				t.Errorf("store.get: %s", got)
			}
			nodes[2].Kill()
			c.plain[0].AwaitUsersWithin(gone, c.channel, "both01", "on0", "on1", "two0")
			for _, p := range r.Nodes() {
				if denials := denied(t, p.Client()); denials != "" {
					t.Errorf("Redis denied: %s", denials)
				}
			}
		})
	}
}

// denied is what Redis has denied the user.
func denied(t *testing.T, c *redis.Client) string {
	t.Helper()
	var all []string
	entries, err := c.ACLLog(context.Background(), 100).Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Username == "limited" {
			all = append(all, e.Reason+" "+e.Object)
		}
	}
	return strings.Join(all, ", ")
}
