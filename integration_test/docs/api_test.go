package docs_test

import (
	"testing"

	"rollcall/testkit/nodetest"
)

// apiPage is docs/api.md: three nodes with the example app rooms, and in room:lobby Ada on the first and Bob on the
// second one.
var apiPage = Page{
	File: "api.md", Nodes: 3, App: "examples/rooms", Flags: []string{"--api-key",
		"secret-of-this-test"}, Env: []string{"KEY=secret-of-this-test"},
	Before: func(t *testing.T, addrs []string, _ string) {
		for i, user := range []string{"ada", "bob"} {
			nodetest.Dial(t, addrs[i], "/ws/room/lobby?user="+user).AwaitUsers("room:lobby", []string{"ada", "bob"}[:i+1]...)
		}
	},
}
