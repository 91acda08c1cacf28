package compose_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// checkBoxes fails unless every container is held to bounds: memory, a root folder that can't be written, no
// capabilities, and a log that does not grow for ever.
func checkBoxes(ctx context.Context, t *testing.T, s *stack) {
	t.Helper()
	for _, service := range append([]string{"redis", "haproxy"}, nodes...) {
		out, err := s.command(ctx, []string{"docker", "inspect", s.container(t, service)})
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		var found []struct {
			HostConfig struct {
				Memory         int64
				ReadonlyRootfs bool
				CapAdd         []string
				CapDrop        []string
				SecurityOpt    []string
				LogConfig      struct{ Config map[string]string }
			}
			Config struct{ Cmd []string }
		}
		if err := json.Unmarshal([]byte(out), &found); err != nil || len(found) != 1 {
			t.Fatalf("inspect %s: %v\n%s", service, err, out)
		}
		held := found[0].HostConfig
		if held.Memory == 0 || !held.ReadonlyRootfs || len(held.CapAdd) > 0 || strings.Join(held.CapDrop, " ") != "ALL" ||
			len(held.SecurityOpt) != 1 || held.LogConfig.Config["max-size"] == "" || held.LogConfig.Config["max-file"] == "" {
			t.Errorf("%s is held to %+v", service, held)
		}
		if strings.Contains(strings.Join(found[0].Config.Cmd, " "), s.password) {
			t.Errorf("the command of %s shows the password: %q", service, found[0].Config.Cmd)
		}
	}
}

// checkRedis fails unless Redis wants the password, is bounded, evicts nothing and survives a restart with its data.
func checkRedis(ctx context.Context, t *testing.T, s *stack) {
	t.Helper()
	id := s.container(t, "redis")
	cli := func(args ...string) string {
		out, err := s.command(ctx, append([]string{"docker", "exec"}, args...))
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return out
	}
	if out := cli("-e", "REDISCLI_AUTH=", id, "redis-cli", "ping"); !strings.Contains(out, "NOAUTH") {
		t.Errorf("Redis answers without a password: %q", out)
	}
	settings := map[string]string{"maxmemory": "536870912", "maxmemory-policy": "noeviction", "appendonly": "yes"}
	for name, want := range settings {
		if out := strings.Fields(cli(id, "redis-cli", "config", "get", name)); len(out) != 2 || out[1] != want {
			t.Errorf("%s is %q, want %s", name, out, want)
		}
	}
	if out := cli(id, "redis-cli", "set", "kept", "1"); !strings.Contains(out, "OK") {
		t.Errorf("Redis takes no writes: %q", out)
	}
	began := time.Now()
	s.signal(t, "redis", "restart")
	if took := time.Since(began); took > 8*time.Second {
		t.Errorf("Redis does not hear SIGTERM: its restart took %v", took)
	}
	if out := cli(id, "redis-cli", "get", "kept"); strings.TrimSpace(out) != "1" {
		t.Errorf("after a restart Redis has %q", out)
	}
}
