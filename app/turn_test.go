package app

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"rollcall/luavm"
	"rollcall/outbox"
	"rollcall/testkit"
)

// spin asks Redis for ever, with some work between two calls.
const spin = `while true do
for i = 1, 1000000 do end
store.get("x")
end`

// turnTimeout is a node with this bound, and none on a handler's own time.
func turnTimeout(d time.Duration) nodeOptions {
	return nodeOptions{config: func(c *Config) { c.TurnTimeout, c.Limits = d, luavm.Limits{Budget: time.Hour} }}
}

// SPEC 6: "A turn (one event, one HTTP call) lasts at most --turn-timeout (10 s, waiting included) and makes at most
// 1,000 calls to Redis".
func TestTurnsThatNeverEnd(t *testing.T) {
	const many = `for i = 1, 2000 do pcall(store.get, "x") end`
	const actions = `local all = {} for i = 1, 1001 do all[i] = {broadcast_channel = {channel = "c", message = i}} end return all`
	for _, tt := range []struct {
		name, body, reason string
		line               int
		timeout            time.Duration
	}{
		{"lock", `store.set("lock", 1) while not store.set("lock", 1, {nx = true}) do end`, "timeout", 3,
			300 * time.Millisecond},
		{"pcall", `while true do pcall(function() ` + spin + ` end) end`, "timeout", 0, 300 * time.Millisecond},
		{"calls", many, "calls", 3, time.Hour},
		{"actions", actions, "calls", 0, time.Hour},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			n := startNode(t, handler(`if event.type == "message" and event.message ~= "ok" then
`+tt.body+`
end
if event.message == "ok" then return {send = "ok"} end`), turnTimeout(tt.timeout))
			bad, good := n.dial("/ws/x"), n.dial("/ws/x")
			bad.say("go")
			good.say("ok")
			good.expect("ok")
			bad.expect("closed 1011 handler error")
			f := n.seen.all()
			if len(f) != 1 || string(f[0].Reason) != tt.reason || tt.line != 0 && f[0].Line != tt.line ||
				f[0].Route != "/ws/:room" {
				t.Fatalf("failures %+v, want %s in line %d", f, tt.reason, tt.line)
			}
			good.say("ok")
			good.expect("ok")
		})
	}
	t.Run("http", func(t *testing.T) {
		t.Parallel()
		n := startNode(t, map[string]string{"scripts/db/x.get.lua": spin}, turnTimeout(300*time.Millisecond))
		if got := n.get(scriptPath); !strings.HasPrefix(got, "500 ") {
			t.Error(got)
		}
		if f := n.seen.all(); len(f) != 1 || f[0].Reason != ReasonTimeout || f[0].Line == 0 {
			t.Errorf("%+v", f)
		}
	})
}

// The bound holds while Lua runs too, also where --script-budget is longer.
func TestTurnTimeoutWithoutCalls(t *testing.T) {
	n := startNode(t, handler(`while event.type == "message" do end`),
		turnTimeout(100*time.Millisecond))
	c := n.dial("/ws/x")
	c.say("go")
	c.expect("closed 1011 handler error")
	if f := n.seen.all(); len(f) != 1 || f[0].Reason != ReasonTimeout {
		t.Fatalf("%+v", f)
	}
}

// SPEC 6: "it ends 2 s after its client has gone", however it went.
func TestTurnEndsAfterItsClient(t *testing.T) {
	withoutPings := turnTimeout(time.Hour) // a ping would find out that the client has gone
	withoutPings.sockets.Ping = -1
	for name, end := range map[string]func(n *testNode, c *client, id string){
		"dropped": func(_ *testNode, c *client, _ string) { _ = c.NetConn().Close() },
		"closed by the API": func(n *testNode, _ *client, id string) {
			_, err := n.hub.CloseConn(n.t.Context(), id, outbox.CodeNormal, "")
			check(n.t, err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := startNode(t, handler(`if event.type == "connect" then return {track = {channel = "c", user_id = "u"}, send = event.connection_id} end
if event.type == "message" then `+spin+` end`), withoutPings)
			c := n.dial("/ws/x")
			id := c.next()
			if strings.HasPrefix(id, "{") {
				id = c.next()
			}
			c.say("go", "go", "go")
			testkit.Eventually(t, "turn", func() bool { return n.server.Stats().Busy == 1 })
			end(n, c, id)
			testkit.Within(t, "failure", 20*time.Second, func() bool { return len(n.seen.all()) == 1 })
			n.awaitEmpty("c")
			if all := n.seen.all(); len(all) != 1 || all[0].Reason != ReasonGone || all[0].Kind != RunMessage {
				t.Fatalf("%+v", all) // the messages behind it have no turn
			}
		})
	}
	t.Run("http", func(t *testing.T) {
		t.Parallel()
		n := startNode(t, map[string]string{"scripts/db/x.get.lua": spin}, turnTimeout(time.Hour))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			n.getUntil(ctx, scriptPath)
		}()
		testkit.Eventually(t, "turn", func() bool { return n.server.Stats().Busy == 1 })
		cancel()
		<-done
		testkit.Within(t, "failure", 20*time.Second, func() bool { return len(n.seen.all()) == 1 })
		if f := n.seen.all()[0]; f.Reason != ReasonGone {
			t.Fatalf("%+v", f)
		}
	})
}

// fakeCaller is a client of which a test says when it went.
type fakeCaller struct{ gone time.Time }

func (c *fakeCaller) goneSince(time.Time, bool) time.Time { return c.gone }

// A turn that waits is ended on time.
func TestWaitingTurnsEnd(t *testing.T) {
	for name, tt := range map[string]struct {
		gone time.Duration // 0: never
		last bool          // the event of a connection's end
		want time.Duration
		why  Reason
	}{
		"time":        {0, false, 10 * time.Second, ReasonTimeout},
		"client":      {3 * time.Second, false, 5 * time.Second, ReasonGone},
		"client late": {9 * time.Second, false, 10 * time.Second, ReasonTimeout},
		"disconnect":  {0, true, 2 * time.Second, ReasonGone},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &Server{cfg: Config{TurnTimeout: 10 * time.Second}, ctx: t.Context()}
				who := &fakeCaller{}
				turn := s.newTurn(who)
				if tt.last {
					turn = s.newTurn(nil)
				}
				defer turn.end()
				time.Sleep(time.Minute) // in line for a VM: that does not count
				began := time.Now()
				check(t, turn.begin())
				if tt.gone > 0 {
					who.gone = began.Add(tt.gone)
				}
				<-turn.context().Done()
				if took := time.Since(began); took < tt.want || took > tt.want+300*time.Millisecond {
					t.Errorf("it ended after %v", took)
				}
				if err := turn.over(); reasonOf(err, "") != tt.why {
					t.Error(err)
				}
			})
		})
	}
}

// A turn that has ended is not checked any more, also if a check was under way.
func TestEndedTurnsAreNotChecked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Server{cfg: Config{TurnTimeout: time.Second}, ctx: t.Context()}
		turn := s.newTurn(&fakeCaller{})
		turn.context()
		turn.end()
		turn.timer.Reset(0) // as the check does
		synctest.Wait()
		if turn.timer.Stop() {
			t.Fatal("another check is to come")
		}
	})
}

// One connection makes 1,000 calls a second at most, and more wait, whatever makes them.
func TestRateOfRedisCalls(t *testing.T) {
	const calls = `for i = 1, 250 do store.get("x") end `
	actions := `local all = {send = "done"} all = {all} for i = 1, 250 do table.insert(all, 1, {broadcast_channel = {channel = "c", message = i}}) end return all`
	for name, ask := range map[string]func(t *testing.T){
		"event": func(t *testing.T) {
			c := startNode(t, handler(`if event.type == "message" then `+calls+` return {send = "done"} end`)).dial("/ws/x")
			c.say("go", "go")
			c.expect("done", "done")
		},
		"actions": func(t *testing.T) {
			c := startNode(t, handler(`if event.type == "message" then `+actions+` end`)).dial("/ws/x")
			c.say("go", "go")
			c.expect("done", "done")
		},
		"script": func(t *testing.T) {
			c := startNode(t, scriptApp(calls+calls+`solidb.ws.send("done")`)).lua("")
			c.expect("done")
		},
		"http": func(t *testing.T) {
			n := startNode(t, map[string]string{"scripts/db/x.get.lua": calls + calls + `return "done"`})
			if got := n.get(scriptPath); got != "200 done" {
				t.Error(got)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			ask(t)
			if took := time.Since(began); took < 390*time.Millisecond {
				t.Errorf("500 calls took %v", took)
			}
		})
	}
}
