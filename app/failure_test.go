package app

import (
	"errors"
	"net/http/httptest"
	"testing"

	"rollcall/luavm"
	"rollcall/overload"
)

// A mistake of the server's own in the midst of a run is that run's error: its VM is thrown away, and others go on.
func TestPanicIsTheRunsError(t *testing.T) {
	n := startNode(t, map[string]string{
		"config/routes.lua":    `router_websocket("/ws", "x#x") router_get("/", "x#x")`,
		"handlers/x.lua":       `function x(e) count = (count or 0) + 1 return {send = count} end`,
		"scripts/db/x.get.lua": `return 1`,
	})
	isPanic := func(t *testing.T, err error) {
		t.Helper()
		var e *luavm.Error
		if !errors.As(err, &e) || e.Kind != luavm.Panic {
			t.Fatalf("%v, want a panic", err)
		}
	}
	in := n.server.current.Load()
	file := in.pools["handlers/x.lua"]
	t.Run("event", func(t *testing.T) {
		good := in.app.routes[0]
		wrong := *good
		wrong.index = 99
		c := socketless(n, good)
		for range 2 {
			_, err := c.run(n.server.newTurn(c), event{kind: RunMessage})
			check(t, err)
		}
		if c.home == nil || c.globals == nil {
			t.Fatal("the handler's globals are not kept")
		}
		c.route = &wrong
		_, err := c.run(n.server.newTurn(c), event{kind: RunMessage})
		isPanic(t, err)
		if c.home != nil || c.globals != nil {
			t.Error("the connection holds on to a broken VM")
		}
		c.route = good
		actions, err := c.run(n.server.newTurn(c), event{kind: RunMessage})
		if err != nil || len(actions) != 1 || actions[0].Value.Text != "1" {
			t.Errorf("%v %v", actions, err)
		}
	})
	t.Run("http", func(t *testing.T) {
		run := func(index int) error {
			h := httpRun{pool: file, app: in.app, index: index}
			ctx := httptest.NewRequest("GET", "/", nil).Context()
			_, err := n.server.call(h, request{}, n.server.newTurn(&requester{ctx: ctx}), &overload.Limiter{}, nil)
			return err
		}
		isPanic(t, run(99))
		check(t, run(0))
	})
	t.Run("script", func(t *testing.T) {
		c := &scriptConn{server: n.server, in: in, script: &script{}, accepted: socketless(n, in.app.routes[0]).accepted}
		isPanic(t, c.runScript())
	})
	if workers, busy, _, _ := file.load(); busy != 0 || workers != 1 {
		t.Errorf("%d workers, %d busy", workers, busy)
	}
}
