package browser_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"rollcall/testkit"
	"rollcall/testkit/nodetest"
	"rollcall/testkit/redistest"
	"rollcall/testkit/tokentest"
)

// cluster is three nodes with one Redis behind HAProxy, which is as in deploy/.
type cluster struct {
	redis  *redistest.Redis
	nodes  [3]*nodetest.Node
	addr   string // of HAProxy
	issuer *tokentest.Issuer
}

// startCluster starts nodes that find out within about 4 s that another one is dead. Each tells its clients its number.
func startCluster(t *testing.T) *cluster {
	t.Helper()
	redistest.Program(t, "haproxy") // before anything is started
	return startClusterOn(t, redistest.Standalone(t))
}

// apiKey is that of the nodes of a cluster.
const apiKey = "key-of-the-browser-tests"

func startClusterOn(t *testing.T, redis *redistest.Redis) *cluster {
	t.Helper()
	c := &cluster{redis: redis, issuer: tokentest.NewIssuer(t)}
	for i := range c.nodes {
		dir := t.TempDir()
		if err := os.CopyFS(dir, os.DirFS("testdata/client/app")); err != nil {
			t.Fatal(err)
		}
		which := fmt.Appendf(nil, "return %d", i)
		if err := os.WriteFile(filepath.Join(dir, "lib/which.lua"), which, 0o600); err != nil {
			t.Fatal(err)
		}
		flags := append(c.issuer.Flags(), "--jwt-leeway", "0s", "--lease-ttl", "3s", "--heartbeat", "1s", "--ping", "1s",
			"--allowed-origins", "*", "--api-key", apiKey)
		c.nodes[i] = nodetest.Launch(t, nodetest.Options{App: dir, Redis: redis.URL(), Flags: flags})
	}
	for _, n := range c.nodes {
		n.AwaitReady()
	}
	c.balance(t)
	return c
}

// balance starts HAProxy in front of the nodes, and waits until it has found all of them.
func (c *cluster) balance(t *testing.T) {
	t.Helper()
	c.addr = nodetest.StartHAProxy(t, "../../deploy/haproxy.cfg", c.nodes[:]...)
	seen := map[string]bool{}
	testkit.Within(t, "an answer of each node through HAProxy", nodetest.Timeout, func() bool {
		status, _, head := nodetest.Request(t.Context(), http.MethodGet, c.addr, "/", "")
		if status == http.StatusOK {
			seen[head.Get("X-Served-By")] = true
		}
		return len(seen) == len(c.nodes)
	})
}

// url is a path at the balancer.
func (c *cluster) url(path string) string { return "ws://" + c.addr + path }

// front is an address in front of the balancer whose network can fail.
func (c *cluster) front(t *testing.T) *redistest.Proxy {
	t.Helper()
	return redistest.NewProxy(t, c.addr)
}
