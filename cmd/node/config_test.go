package main

import (
	"bytes"
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rollcall/testkit/nodetest"
)

const testApp = "../../integration_test/testdata/app"

// runNode is the node as a command: its exit code and what it wrote. A context that is over ends a node that would run.
func runNode(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), nodetest.Timeout)
	defer cancel()
	var out, errs bytes.Buffer
	code = run(ctx, args, &out, &errs)
	return code, out.String(), errs.String()
}

// write makes files below a fresh folder and returns it.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// SPEC 3: "Bad configuration: exit 2 and one line that names the flag and the mend"; "flag (env ROLLCALL_…)": each is
// tried as flag and from the environment.
func TestBadConfiguration(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	dir := write(t, map[string]string{"empty": " \n", "key": "k\n"})
	for _, tt := range []struct{ flag, value, says string }{
		{"--listen", "nonsense", "give a free address"},
		{"--listen", busy.Addr().String(), "give a free address"},
		{"--listen", "127.0.0.1:99999", "give a free address"},
		{"--health-listen", "nonsense", "give a free address"},
		{"--health-listen", busy.Addr().String(), "give a free address"},
		{"--health-listen", "127.0.0.1:99999", "give a free address"},
		{"--redis", "http://127.0.0.1", "want redis, rediss"},
		{"--redis", "redis://127.0.0.1:port", "port"},
		{"--redis", "redis+sentinel://127.0.0.1:26379", "master"},
		{"--redis", "nonsense", "redis://"},
		{"--app", filepath.Join(dir, "none"), "name the folder"},
		{"--app", filepath.Join(dir, "key"), "name the folder"},
		{"--api-key-file", filepath.Join(dir, "none"), "name a file that can be read"},
		{"--api-key-file", filepath.Join(dir, "empty"), "holds no key"},
		{"--jwt-secret", "short", "give at least 32"},
		{"--jwt-secret-file", filepath.Join(dir, "none"), "name a file that can be read"},
		{"--jwt-secret-file", filepath.Join(dir, "empty"), "is empty"},
		{"--jwt-secret-file", filepath.Join(dir, "key"), "give at least 32"},
		{"--jwt-public-key", "nonsense", "PEM"},
		{"--jwt-public-key-file", filepath.Join(dir, "none"), "name a file that can be read"},
		{"--jwt-public-key-file", filepath.Join(dir, "key"), "PEM"},
		{"--jwks-url", "http://issuer.example/keys", "https"},
		{"--jwks-url", "nonsense", "https"},
		{"--jwt-leeway", "-1s", "give a time from"},
		{"--jwt-leeway", "1h", "at most 5m"},
		{"--lease-ttl", "1ms", "give a time from"},
		{"--lease-ttl", "two", "duration"},
		{"--lease-ttl", "6", "duration"},
		{"--heartbeat", "1ms", "give a time from"},
		{"--heartbeat", "3s", "at most a third"},
		{"--presence-window", "-1s", "give a time from"},
		{"--presence-window", "1h", "give a time from"},
		{"--presence-linger", "-1s", "give a time from"},
		{"--ping", "0", "give a time from"},
		{"--script-budget", "0s", "give a time from"},
		{"--script-budget", "2m", "give a time from"},
		{"--drain", "-1s", "give a time from"},
		{"--max-message", "0", "give 1 byte to 1GiB"},
		{"--max-message", "64 parsecs", "is no size, such as 64KiB"},
		{"--max-message", "-1", "is no size, such as 64KiB"},
		{"--max-message", "9999999999GiB", "is no size, such as 64KiB"},
		{"--send-queue", "1", "give 1KiB to 1GiB"},
		{"--message-rate", "-1", "give 0 for no limit"},
		{"--message-rate", "many", "int"},
		{"--max-connections", "-1", "give 0 for no limit"},
		{"--max-connections", "all", "int"},
		{"--max-connections-per-ip", "-1", "give 0 for no limit"},
		{"--max-connections-per-ip", "1.5", "int"},
		{"--max-connections-per-user", "-1", "give 0 for no limit"},
		{"--store-quota", "100", "such as 100000,64MiB"},
		{"--store-quota", "-1,64MiB", "such as 100000,64MiB"},
		{"--store-quota", "many,64MiB", "such as 100000,64MiB"},
		{"--store-quota", "100,lots", "such as 100000,64MiB"},
		{"--connect-rate", "-1", "give 0 for no limit"},
		{"--redis-prefix", "a{b}", "without braces and spaces"},
		{"--redis-prefix", "a b", "without braces and spaces"},
		{"--trusted-proxies", "10.0.0.0/99", "10.0.0.0/99"},
		{"--trusted-proxies", "everyone", "everyone"},
		{"--allowed-origins", "example.com", "write it like"},
		{"--allowed-origins", "https://example.com/path", "write it like"},
		{"--allowed-origins", "https://", "write it like"},
		{"--log-level", "loud", "debug"},
		{"--log-format", "xml", "json"},
		{"--log-connections", "some", "ends"},
		{"--dev", "perhaps", "bool"},
	} {
		check := func(t *testing.T, code int, stdout, stderr string) {
			t.Helper()
			lines := strings.Split(strings.TrimSuffix(stderr, "\n"), "\n")
			if code != 2 || len(lines) != 1 || !strings.Contains(lines[0], tt.flag) || !strings.Contains(lines[0], tt.says) ||
				stdout != "" {
				t.Errorf("exit code %d, and it says\n%swant 2 and one line with %s and %q", code, stderr, tt.flag, tt.says)
			}
		}
		t.Run(tt.flag+" "+filepath.Base(tt.value), func(t *testing.T) {
			args := []string{"serve"}
			if tt.flag != "--app" {
				args = append(args, "--app", testApp)
			}
			if tt.flag != "--listen" {
				args = append(args, "--listen", "127.0.0.1:0")
			}
			code, stdout, stderr := runNode(t, append(args, tt.flag+"="+tt.value)...)
			check(t, code, stdout, stderr)
			t.Setenv("ROLLCALL_"+strings.ToUpper(strings.ReplaceAll(strings.TrimPrefix(tt.flag, "--"), "-", "_")), tt.value)
			code, stdout, stderr = runNode(t, args...)
			check(t, code, stdout, stderr)
		})
	}
}

// SPEC 3: what is wrong with the flags together, or with no flag at all.
func TestBadFlags(t *testing.T) {
	dir := write(t, map[string]string{"key": "k\n"})
	for name, tt := range map[string]struct {
		args []string
		says string
	}{
		"no app":               {[]string{}, "--app: no app folder given"},
		"unknown flag":         {[]string{"--nonsense"}, "--nonsense"},
		"unknown command":      {[]string{"nonsense"}, "nonsense"},
		"flag without a value": {[]string{"--lease-ttl"}, "--lease-ttl"},
		"key and file": {[]string{"--app", testApp, "--api-key", "k", "--api-key-file", filepath.Join(dir, "key")},
			"--api-key-file: give a key or a file with keys"},
		"secret and file": {[]string{"--app", testApp, "--jwt-secret", strings.Repeat("s", 32), "--jwt-secret-file",
			filepath.Join(dir, "key")}, "--jwt-secret-file: give --jwt-secret or a file"},
		"public key and file": {[]string{"--app", testApp, "--jwt-public-key", "k", "--jwt-public-key-file",
			filepath.Join(dir, "key")}, "--jwt-public-key-file: give --jwt-public-key or a file"},
		"check of nothing": {[]string{"check"}, "<app>"},
	} {
		t.Run(name, func(t *testing.T) {
			code, _, stderr := runNode(t, tt.args...)
			if code != 2 || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, tt.says) {
				t.Errorf("exit code %d, and it says\n%swant 2 and one line with %q", code, stderr, tt.says)
			}
		})
	}
}

// A flag wins over the environment.
func TestFlagOverEnvironment(t *testing.T) {
	t.Setenv("ROLLCALL_LEASE_TTL", "1ms") // would be told first
	t.Setenv("ROLLCALL_APP", testApp)
	code, _, stderr := runNode(t, "--lease-ttl", "6s", "--drain=-1s")
	if code != 2 || !strings.Contains(stderr, "--drain") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}

// Secrets are in no message.
func TestNoSecretInMessages(t *testing.T) {
	for _, args := range [][]string{
		{"--app", testApp, "--redis", "redis://user:s3cret@127.0.0.1:port"},
		{"--app", testApp, "--redis", "rediss://:s3cret@"},
		{"--app", testApp, "--redis", "ftp://:s3cret@127.0.0.1"},
		{"--app", testApp, "--redis", "redis://:s3cret@127.0.0.1:1,127.0.0.1:x"},
		{"--app", testApp, "--redis", "redis+sentinel://:s3cret@127.0.0.1"},
		{"--app", testApp, "--api-key", "s3cret", "--drain=-1s"},
		{"--app", testApp, "--api-key", "s3cret", "--nonsense"},
	} {
		code, stdout, stderr := runNode(t, args...)
		if code != 2 || strings.Contains(stdout+stderr, "s3cret") {
			t.Errorf("%q: exit code %d: %s", args, code, stderr)
		}
	}
	n := startHere(t, "--app", testApp, "--api-key", "s3cret", "--drain", "0s")
	if err := n.stop(); err != nil {
		t.Error(err)
	}
	if strings.Contains(n.log.Text(), "s3cret") {
		t.Error("the log has the key in it")
	}
}

// brokenApp has an error of each kind.
func brokenApp(t *testing.T) (dir string, errors []string) {
	t.Helper()
	return write(t, map[string]string{
			"config/routes.lua": `
router_websocket("/ws/a/:x", "chat#missing")
router_websocket("/ws/a/:y", "chat#chat")
router_websocket("/ws/b", "nofile#chat")
router_websocket("/ws/c", "broken#chat")
router_websocket("/ws/d", "chat#chat", { colour = "red" })
router_websocket("no slash", "chat#chat")
router_get("/e", "no hash")
`,
			"handlers/chat.lua":        "function chat(event) end",
			"handlers/broken.lua":      "function chat(event)\n  return {\nend",
			"scripts/db/bad.ws.lua":    "local x =\n",
			"scripts/db/what.nope.lua": "-- no method",
		}), []string{`/ws/a/:x`, `missing`, `/ws/a/:y`, `nofile`, `handlers/broken.lua`, `colour`, `no slash`, `no hash`,
			`scripts/db/bad.ws.lua`, `scripts/db/what.nope.lua`}
}

// SPEC 3: "node check APP (loads an app, reports every error, exit 1)"; SPEC 6: "A missing app folder is bad
// configuration (exit 2); an app with errors: exit 1, all of them listed"; SPEC 1.2: errors name the route and file.
func TestCheck(t *testing.T) {
	code, stdout, stderr := runNode(t, "check", testApp)
	if code != 0 || !strings.Contains(stdout, "is right: 37 routes, 5 scripts, 1 job") || stderr != "" {
		t.Errorf("a right app: %d %s%s", code, stdout, stderr)
	}
	code, _, stderr = runNode(t, "check", filepath.Join(testApp, "none"))
	if code != 2 || !strings.Contains(stderr, "none") {
		t.Errorf("no app: %d %s", code, stderr)
	}
	dir, want := brokenApp(t)
	for _, args := range [][]string{{"check", dir}, {"serve", "--listen", "127.0.0.1:0", "--app", dir}} {
		code, stdout, stderr = runNode(t, args...)
		if code != 1 || stdout != "" {
			t.Errorf("%s: exit code %d: %s%s", args[0], code, stdout, stderr)
		}
		for _, w := range want {
			if !strings.Contains(stderr, w) {
				t.Errorf("%s does not tell of %s:\n%s", args[0], w, stderr)
			}
		}
	}
}

// SPEC 1.2: auth = true; SPEC 4: "A route with auth = true and no key source: an error at start".
func TestAuthRouteWithoutKeys(t *testing.T) {
	dir := write(t, map[string]string{"config/routes.lua": `router_websocket("/ws/a", "chat#chat", { auth = true })`,
		"handlers/chat.lua": "function chat(event) end"})
	code, _, stderr := runNode(t, "--listen", "127.0.0.1:0", "--app", dir)
	if code != 1 || !strings.Contains(stderr, "/ws/a") || !strings.Contains(stderr, "auth") {
		t.Errorf("serve: %d %s", code, stderr)
	}
	if code, _, stderr := runNode(t, "check", dir); code != 0 {
		t.Errorf("check does not know the keys: %d %s", code, stderr)
	}
}

func TestVersionAndHelp(t *testing.T) {
	code, stdout, stderr := runNode(t, "version")
	if code != 0 || !strings.HasPrefix(stdout, "rollcall ") || stderr != "" {
		t.Errorf("version: %d %q %q", code, stdout, stderr)
	}
	code, stdout, _ = runNode(t, "serve", "--help")
	if code != 0 || !strings.HasPrefix(stdout, "Usage: rollcall serve ") {
		t.Errorf("help: exit code %d: %s", code, stdout)
	}
	for _, args := range [][]string{{"--no-such-flag"}, {"--lease-ttl", "1ms"}} {
		if code, _, stderr := runNode(t, args...); code != 2 || !strings.HasPrefix(stderr, "rollcall: --") &&
			!strings.HasPrefix(stderr, "rollcall: unknown") {
			t.Errorf("%v: exit code %d: %s", args, code, stderr)
		}
	}
	for _, flag := range []string{"listen", "health-listen", "tls-cert", "tls-key", "redis", "app", "dev", "api-key",
		"api-key-file", "allowed-origins", "trusted-proxies", "lease-ttl", "heartbeat", "presence-window",
		"presence-linger", "max-message", "message-rate", "send-queue", "max-connections", "max-connections-per-ip", "ping",
		"script-budget", "drain", "redis-prefix"} {
		if !strings.Contains(stdout, "--"+flag) ||
			!strings.Contains(stdout, "$ROLLCALL_"+strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))) {
			t.Errorf("help does not tell of --%s and its variable", flag)
		}
	}
}

// rollcall health: 0 when the node is ready, 1 when not.
func TestHealth(t *testing.T) {
	n := startHere(t, "--app", testApp, "--drain", "0s")
	if code, _, stderr := runNode(t, "health", "--listen", n.addr); code != 0 {
		t.Errorf("a node that is ready: %d %s", code, stderr)
	}
	_, port, _ := net.SplitHostPort(n.addr)
	t.Setenv("ROLLCALL_LISTEN", ":"+port) // as in a container
	if code, _, stderr := runNode(t, "health"); code != 0 {
		t.Errorf("by the node's own variable: %d %s", code, stderr)
	}
	if err := n.stop(); err != nil {
		t.Error(err)
	}
	if code, _, stderr := runNode(t, "health", "--listen", n.addr); code != 1 || stderr == "" {
		t.Errorf("a node that is down: %d %s", code, stderr)
	}
	if code, _, stderr := runNode(t, "health", "--listen", "nonsense"); code != 2 ||
		!strings.Contains(stderr, "--listen") {
		t.Errorf("no address: %d %s", code, stderr)
	}
}

func TestSize(t *testing.T) {
	for text, want := range map[string]Size{"0": 0, "1": 1, "64KiB": 64 << 10, "64k": 64 << 10, "1MiB": 1 << 20,
		"2M": 2 << 20, "1GiB": 1 << 30, "1G": 1 << 30, "10 KiB": 10 << 10, " 7B ": 7} {
		var s Size
		if err := s.UnmarshalText([]byte(text)); err != nil || s != want {
			t.Errorf("%q is %d (%v), want %d", text, s, err, want)
		}
	}
	for _, text := range []string{"", "x", "-1", "1.5M", "KiB", "9223372036854775807K", "1TiB"} {
		var s Size
		if err := s.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is taken for %d", text, s)
		}
	}
}
