package main

import (
	"context"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"rollcall/app"
	"rollcall/cluster"
	"rollcall/testkit"
	"rollcall/testkit/nodetest"
	"rollcall/testkit/redistest"
	"rollcall/testkit/stories"
	"rollcall/testkit/tokentest"
)

func TestMain(m *testing.M) { nodetest.Main(m) }

// inProcess is a node that runs in the test's process.
type inProcess struct {
	addr   string
	health string // where /readyz and /metrics are
	log    *nodetest.Log
	stop   func() error // ends it as SIGTERM does, and waits
}

// configOf is the configuration of `rollcall serve` with these arguments, on a free port.
func configOf(t *testing.T, args ...string) *Config {
	t.Helper()
	var c cli
	parser, err := kong.New(&c, kong.Name(program))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse(append([]string{"serve", "--listen", "127.0.0.1:0"}, args...)); err != nil {
		t.Fatal(err)
	}
	if err := c.Serve.validate(); err != nil {
		t.Fatal(err)
	}
	return &c.Serve.Config
}

// startHere starts a node as `rollcall serve` with these arguments does; it ends with the test.
func startHere(t *testing.T, args ...string) *inProcess {
	t.Helper()
	cfg := configOf(t, append([]string{"--log-format", "json"}, args...)...)
	cfg.env = app.EnvOf(os.Environ())
	process := cluster.NewProcess()
	n := &inProcess{log: &nodetest.Log{}}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- serve(ctx, cfg, process, newLog(cfg, process, n.log)) }()
	stopped := false
	n.stop = func() error {
		if stopped {
			return nil
		}
		stopped = true
		cancel()
		select {
		case err := <-ended:
			return err
		case <-time.After(30 * time.Second):
			t.Fatal("the node does not end")
			return nil
		}
	}
	t.Cleanup(func() {
		if err := n.stop(); err != nil {
			t.Error(err)
		}
		for _, fault := range n.log.Faults() {
			t.Error(fault)
		}
		if t.Failed() {
			t.Logf("log of node %s:\n%s", n.addr, n.log.Text())
		}
	})
	n.addr = n.log.Await(t, "that the node is up",
		func(l nodetest.Line) bool { return l.Is("node is up") }).Text("address")
	n.health = n.addr
	if cfg.HealthListen != "" {
		n.health = n.log.Await(t, "the address of health",
			func(l nodetest.Line) bool { return l.Is("health is served apart") }).Text("address")
	}
	testkit.Within(t, "readiness", nodetest.Timeout,
		func() bool { return nodetest.Status(n.health, "/readyz") == http.StatusOK })
	return n
}

// SPEC 1.1 to 1.3, row by row, on three nodes in one process with one miniredis.
func TestStories(t *testing.T) {
	redis := redistest.Mini(t)
	redis.Mini().ClockTTL(true) // as the embedded one: else nothing would ever expire
	t.Setenv(stories.Tokens, "yes")
	issuer := tokentest.NewIssuer(t)
	args := append([]string{"--redis", redis.URL(), "--app", "../../integration_test/testdata/app"},
		stories.Flags(issuer)...)
	c := &stories.Cluster{Issuer: issuer}
	var nodes []*inProcess
	begin := func(t *testing.T) {
		nodes, c.Addrs, c.Logs = nil, nil, nil
		for range 3 {
			n := startHere(t, args...)
			nodes, c.Addrs, c.Logs = append(nodes, n), append(c.Addrs, n.addr), append(c.Logs, n.log)
		}
	}
	begin(t)
	c.Restart = func(t *testing.T) {
		for _, n := range nodes {
			if err := n.stop(); err != nil {
				t.Error(err)
			}
		}
		begin(t)
	}
	stories.Run(t, c)
}
