package main

import (
	"strings"
	"testing"

	"rollcall/testkit/nodetest"
	"rollcall/testkit/redistest"
)

// SPEC 3, --store-quota: "keys and bytes of store for the app (beyond: it raises)". It counts on one Redis; a Cluster
// is bad configuration, not a quota that is not held.
func TestStoreQuotaFlag(t *testing.T) {
	n := startHere(t, "--app", testApp, "--drain", "0s", "--store-quota", "2,1KiB")
	c := nodetest.Dial(t, n.addr, "/ws/do")
	c.Call("store.set", "a", 1)
	c.Call("store.set", "b", 1)
	if text := c.CallError("store.set", "c", 1); !strings.Contains(text, "2 keys (--store-quota)") {
		t.Errorf("%q", text)
	}
	if text := c.CallError("store.set", "a", strings.Repeat("x", 1024)); !strings.Contains(text,
		"1024 bytes (--store-quota)") {
		t.Errorf("%q", text)
	}
	code, _, stderr := runNode(t, "serve", "--listen", "127.0.0.1:0", "--app", testApp, "--store-quota", "2,0", "--redis",
		redistest.Cluster(t).URL())
	if code != 2 || !strings.Contains(stderr, "--store-quota: a Redis Cluster") {
		t.Errorf("exit code %d, %s", code, stderr)
	}
}
