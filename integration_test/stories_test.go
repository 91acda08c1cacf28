package integration_test

import (
	"testing"
	"time"

	"rollcall/testkit/nodetest"
	"rollcall/testkit/redistest"
	"rollcall/testkit/stories"
	"rollcall/testkit/tokentest"
)

// app is the test app, which does what its clients say.
const app = "testdata/app"

// SPEC 1.1 to 1.3, row by row, on three processes with one real Redis.
func TestStories(t *testing.T) {
	redis := redistest.Standalone(t)
	t.Setenv(stories.Tokens, "yes")
	issuer := tokentest.NewIssuer(t)
	o := nodetest.Options{Redis: redis.URL(), App: app, Flags: stories.Flags(issuer)}
	c := &stories.Cluster{Issuer: issuer}
	var nodes []*nodetest.Node
	begin := func() {
		nodes = nodetest.StartAll(t, 3, o)
		c.Addrs, c.Logs = nil, nil
		for _, n := range nodes {
			c.Addrs, c.Logs = append(c.Addrs, n.Addr()), append(c.Logs, n.Log)
		}
	}
	begin()
	c.Restart = func(t *testing.T) {
		for _, n := range nodes {
			n.Terminate()
		}
		for _, n := range nodes {
			if code := n.ExitCode(15 * time.Second); code != 0 {
				t.Errorf("a node ended with %d", code)
			}
		}
		begin()
	}
	stories.Run(t, c)
}
