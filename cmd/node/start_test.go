package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"rollcall/cluster"
	"rollcall/testkit/redistest"
)

// A node that waits for Redis is alive, so that nobody restarts it, and not ready, so that no client is sent to it.
func TestHealthWhileWaitingForRedis(t *testing.T) {
	listen := fmt.Sprint("127.0.0.1:", redistest.FreePort(t))
	cfg := &Config{Listen: listen, Redis: fmt.Sprint("redis://127.0.0.1:", redistest.FreePort(t)),
		App: "../../examples/echo", RedisPrefix: "rollcall"}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		_, err := start(ctx, cfg, cluster.NewProcess(), slog.New(slog.DiscardHandler))
		ended <- err
	}()
	get := func(path string) (int, string) {
		resp, err := http.Get("http://" + listen + path)
		if err != nil {
			return 0, err.Error()
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(body)
	}
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		status, body := get("/healthz")
		if status == http.StatusOK && body == "ok\n" {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("/healthz: %d %s", status, body)
		}
	}
	for _, path := range []string{"/readyz", "/", "/_api/nodes"} {
		if status, body := get(path); status != http.StatusServiceUnavailable || !strings.Contains(body, `"status":503`) {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("it ended with %v", err)
	}
	if status, _ := get("/healthz"); status != 0 {
		t.Error("it still listens")
	}
	http.DefaultClient.CloseIdleConnections()
}
