package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"

	"rollcall/cluster"
	"rollcall/testkit"
	"rollcall/testkit/nodetest"
	"rollcall/testkit/redistest"
)

// SPEC 2: /healthz, /readyz and /metrics: "no key; may be moved to their own listener".
func TestHealthOfItsOwn(t *testing.T) {
	n := startHere(t, "--app", testApp, "--drain", "0s", "--api-key", "k", "--health-listen", "127.0.0.1:0")
	health := n.health
	for _, path := range []string{"/healthz", "/readyz", "/metrics"} {
		if status := nodetest.Status(health, path); status != http.StatusOK {
			t.Errorf("its own listener: %s: %d", path, status)
		}
		if status := nodetest.Status(n.addr, path); status != http.StatusNotFound {
			t.Errorf("--listen: %s: %d", path, status)
		}
	}
	for _, path := range []string{"/", "/_api/nodes", "/ws/chat"} {
		if status := nodetest.Status(health, path); status != http.StatusNotFound {
			t.Errorf("its own listener: %s: %d", path, status)
		}
	}
	if code, _, stderr := runNode(t, "health", "--listen", n.addr, "--health-listen", health); code != 0 {
		t.Errorf("rollcall health: %d %s", code, stderr)
	}
	t.Setenv("ROLLCALL_HEALTH_LISTEN", health) // as in a container
	if code, _, stderr := runNode(t, "health"); code != 0 {
		t.Errorf("rollcall health by the node's own variable: %d %s", code, stderr)
	}
	if code, _, stderr := runNode(t, "health", "--health-listen", "nonsense"); code != 2 ||
		!strings.Contains(stderr, "--health-listen") {
		t.Errorf("rollcall health without an address: %d %s", code, stderr)
	}
	if err := n.stop(); err != nil {
		t.Error(err)
	}
	if status := nodetest.Status(health, "/healthz"); status != 0 {
		t.Errorf("after its end: %d", status)
	}
}

// While the node waits for Redis its own listener answers as the shared one does, with metrics.
func TestHealthOfItsOwnWhileWaitingForRedis(t *testing.T) {
	for _, apart := range []bool{false, true} {
		listen := fmt.Sprint("127.0.0.1:", redistest.FreePort(t))
		health := listen
		cfg := &Config{Listen: listen, Redis: fmt.Sprint("redis://127.0.0.1:", redistest.FreePort(t)),
			App: "../../examples/echo", RedisPrefix: "rollcall"}
		if apart {
			health = fmt.Sprint("127.0.0.1:", redistest.FreePort(t))
			cfg.HealthListen = health
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		ended := make(chan error, 1)
		go func() {
			_, err := start(ctx, cfg, cluster.NewProcess(), slog.New(slog.DiscardHandler))
			ended <- err
		}()
		testkit.Within(t, "health", nodetest.Timeout,
			func() bool { return nodetest.Status(health, "/healthz") == http.StatusOK })
		if status := nodetest.Status(health, "/readyz"); status != http.StatusServiceUnavailable {
			t.Errorf("apart %v: /readyz: %d", apart, status)
		}
		status, text, _ := nodetest.Request(ctx, "GET", health, "/metrics", "")
		if status != http.StatusOK || !strings.Contains(text, "\nrollcall_ready 0\n") ||
			!strings.Contains(text, "\nrollcall_lease_state{state=\"lost\"} 1\n") {
			t.Errorf("apart %v: /metrics: %d %s", apart, status, text)
		}
		if apart {
			for _, path := range []string{"/healthz", "/readyz", "/metrics", "/"} {
				testkit.Within(t, "--listen", nodetest.Timeout, func() bool { return nodetest.Status(listen, path) != 0 })
				if status := nodetest.Status(listen, path); status != http.StatusServiceUnavailable {
					t.Errorf("--listen: %s: %d", path, status)
				}
			}
		}
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("it ended with %v", err)
		}
		if status := nodetest.Status(health, "/healthz"); status != 0 {
			t.Error("it still listens")
		}
	}
}

// What stands in the way of one listener leaves none of them open.
func TestHealthListenBusy(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	listen := fmt.Sprint("127.0.0.1:", redistest.FreePort(t))
	code, _, stderr := runNode(t, "--app", testApp, "--listen", listen, "--health-listen", busy.Addr().String())
	if code != 2 || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, "--health-listen") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	code, _, stderr = runNode(t, "--app", testApp, "--listen", listen, "--health-listen", listen)
	if code != 2 || !strings.Contains(stderr, "--health-listen") {
		t.Errorf("twice the same address: exit code %d: %s", code, stderr)
	}
	again, err := net.Listen("tcp", listen)
	if err != nil {
		t.Fatalf("the other address is still taken: %v", err)
	}
	again.Close()
}
