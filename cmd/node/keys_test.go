package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall/testkit"
	"rollcall/testkit/nodetest"
	"rollcall/testkit/redistest"
	"rollcall/testkit/stories"
)

const keyFile = `# name scopes key
board    read           key-of-board
shop     publish        key-of-shop
shop     publish        new-key-of-shop
both     read,publish   key-of-both
ops      admin          key-of-ops
bare-key
`

// Issue: "API keys with scopes (read, publish, admin) from a flag or from a file that is reloaded": each operation with
// each key; the file on live nodes.
func TestAPIKeyScopes(t *testing.T) {
	file := filepath.Join(t.TempDir(), "keys")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(keyFile)
	redis := redistest.Mini(t)
	redis.Mini().ClockTTL(true)
	var nodes []*inProcess
	for range 2 {
		nodes = append(nodes, startHere(t, "--redis", redis.URL(), "--app", testApp, "--drain", "0s", "--api-key-file", file,
			"--trusted-proxies", "127.0.0.1"))
	}
	contract := stories.ReadContract(t, nodes[0].addr, "X-API-Key: key-of-board")
	call := func(node int, method, path, body, key string, header ...string) (int, string) {
		t.Helper()
		header = append(header, "X-API-Key: "+key, "Content-Type: application/json")
		status, answer, head := nodetest.Request(context.Background(), method, nodes[node].addr, path, body, header...)
		if err := contract.Check(method, path, body, http.Header{"Content-Type": {"application/json"}}, status, answer,
			head); err != nil {
			t.Errorf("%s %s: %v", method, path, err)
		}
		return status, answer
	}
	const nobody = "ffffffff-ffff-8fff-bfff-ffffffffffff"
	for _, op := range []struct{ method, path, body, scope string }{
		{"GET", "/_api/openapi.json", "", "read"}, {"GET", "/_api/connections", "", "read"}, {"GET",
			"/_api/connections/" + nobody, "", "read"}, {"GET", "/_api/channels", "", "read"},
		{"GET", "/_api/channels/x/connections", "", "read"},
		{"GET", "/_api/channels/x/presence", "", "read"}, {"GET", "/_api/channels/x/presence/count", "", "read"}, {"GET",
			"/_api/channels/x/presence/u", "", "read"}, {"GET", "/_api/nodes", "", "read"}, {"GET", "/_api/stats", "", "read"},
		{"HEAD", "/_api/stats", "", "read"},
		{"POST", "/_api/broadcast", `{"message":1}`, "publish"}, {"POST", "/_api/channels/x/broadcast", `{"message":1}`,
			"publish"}, {"POST", "/_api/batch", `{"broadcasts":[{"message":1}]}`, "publish"}, {"POST", "/_api/connections/" +
			nobody + "/send", `{"message":1}`, "publish"},
		{"GET", "/_api/channels/x/history", "", "read"}, {"DELETE", "/_api/channels/x/history", "", "admin"},
		{"DELETE", "/_api/connections/" + nobody, "", "admin"}, {"GET", "/_api/custom", "", "admin"}, {"POST",
			"/_api/custom/a/b", `{"code":"return"}`, "admin"}, {"GET", "/_api/custom/a/b", "", "admin"},
		{"DELETE", "/_api/custom/a/b", "", "admin"},
		{"GET", "/_api/hooks", "", "read"}, {"POST", "/_api/hooks/x/sync", "", "admin"},
	} {
		for key, scopes := range map[string]string{"key-of-board": "read", "key-of-shop": "publish",
			"new-key-of-shop": "publish", "key-of-both": "read publish", "key-of-ops": "read publish admin",
			"bare-key": "read publish admin", "shop": "none", "key-of-nobody": "none"} {
			status, answer := call(1, op.method, op.path, op.body, key)
			may := strings.Contains(scopes, op.scope)
			switch {
			case scopes == "none" && status != http.StatusUnauthorized, scopes != "none" && !may &&
				(status != http.StatusForbidden || op.method != "HEAD" && !strings.Contains(answer, op.scope)),
				may && (status == http.StatusUnauthorized || status == http.StatusForbidden || status >= 500):
				t.Errorf("%s %s with %s (%s): %d %s", op.method, op.path, key, scopes, status, answer)
			}
		}
	}
	// Who, and from where, behind a trusted proxy.
	call(0, "POST", "/_api/broadcast", `{"message":1}`, "key-of-both", "X-Forwarded-For: 10.9.9.9, 192.0.2.7")
	nodes[0].log.Await(t, "of who and where",
		func(l nodetest.Line) bool { return l.Is("audit", "key", "both", "from", "192.0.2.7") })
	testKeysOfOnce(t, call)
	// The file on live nodes.
	reloaded := func(key string, want int) {
		t.Helper()
		for node := range nodes {
			testkit.Within(t, fmt.Sprint(key, " gives ", want), 6*time.Second, func() bool {
				status, _ := call(node, "GET", "/_api/nodes", "", key)
				return status == want
			})
		}
	}
	write("board read other-key-of-board\n")
	reloaded("other-key-of-board", 200)
	reloaded("key-of-board", 401)
	for _, bad := range []string{"board fly yet-another-key\n", "", "# no key\n", "a b\n"} {
		write(bad)
		for _, n := range nodes {
			testkit.Within(t, fmt.Sprintf("the log tells of %q", bad), 6*time.Second, func() bool {
				return slices.ContainsFunc(n.log.Lines(), func(l nodetest.Line) bool {
					return l.Is("API keys stay as they were") &&
						strings.Contains(l.Text("error"),
							map[bool]string{true: "holds no key", false: "line 1"}[bad == "" || bad[0] == '#'])
				})
			})
			if strings.Contains(n.log.Text(), "yet-another-key") {
				t.Error("the log has a key in it")
			}
		}
		reloaded("other-key-of-board", 200)
	}
	write("board read mended-key\n")
	reloaded("mended-key", 200)
	reloaded("other-key-of-board", 401)
}

// Idempotency keys of different API keys do not meet; those of one name do, so that a key can be replaced.
func testKeysOfOnce(t *testing.T, call func(node int, method, path, body, key string, header ...string) (int, string)) {
	t.Helper()
	for i, tt := range []struct {
		key, message string
		want         int
	}{
		{"key-of-shop", "a", 200}, {"key-of-shop", "b", 422}, {"new-key-of-shop", "b", 422}, {"new-key-of-shop", "a", 200},
		{"key-of-both", "b", 200}, {"key-of-both", "a", 422}, {"key-of-ops", "c", 200}, {"bare-key", "d", 200}, {"bare-key",
			"c", 422},
	} {
		if status, answer := call(i%2, "POST", "/_api/channels/x/broadcast", `{"message":"`+tt.message+`"}`, tt.key,
			"Idempotency-Key: one"); status != tt.want {
			t.Errorf("%s with %s: %d %s, want %d", tt.message, tt.key, status, answer, tt.want)
		}
	}
}
