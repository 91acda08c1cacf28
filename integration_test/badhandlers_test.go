package integration_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"rollcall/testkit"
	"rollcall/testkit/nodetest"
	"rollcall/testkit/redistest"
)

// SPEC 1.4: "passing one raises an error that names the line, closes that connection (1011) and touches nobody else";
// "Budget errors (time, stack, size) can't be caught by pcall".
func TestBadHandlers(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t, nodetest.Options{Redis: redistest.Standalone(t).URL(), App: app, Flags: fast})
	others := standBy(t, n)
	for _, tt := range []struct {
		bad    string
		reason string // the log's
		line   string // of lib/bad.lua; "": any but none
		stays  bool   // an event handler's connection does
	}{
		{"raise", "raised", "5", true},
		{"loop", "budget", "9", false},
		{"caught", "budget", "13", false},
		{"recurse", "depth", "18", false},
		{"fill", "memory", "", false},
		{"pattern", "budget", "33", false},
		{"double", "value", "39", false},
		{"rep", "value", "44", false},
		{"gsub", "value", "48", false},
		{"sort", "budget", "", false},
		{"nested", "raised", "64", true},
		{"coroutine", "budget", "68", false},
	} {
		for _, kind := range []struct{ name, path, route string }{{"event", "/ws/do", "/ws/do"},
			{"script", "/api/custom/test/do", "WS test/do"}} {
			t.Run(tt.bad+" "+kind.name, func(t *testing.T) {
				seen := len(n.Log.Lines())
				// Several at a time: the bystanders do not wait until all have used up their budgets.
				var all []*nodetest.Client
				for range 3 {
					c := nodetest.Dial(t, n.Addr(), kind.path)
					c.Send(fmt.Sprintf(`{"bad":%q}`, tt.bad))
					all = append(all, c)
				}
				others.goOn()
				for _, c := range all {
					if tt.stays && kind.name == "event" {
						c.Act(`{}`)
						if p := c.Pending(); len(p) > 0 {
							t.Errorf("got %q", p)
						}
						continue
					}
					c.ExpectClosed(1011, map[string]string{"event": "handler error", "script": "script error"}[kind.name])
				}
				var failures []nodetest.Line
				testkit.Within(t, "three failures in the log", nodetest.Timeout, func() bool {
					failures = nil
					for _, l := range n.Log.Lines()[seen:] {
						if l.Is("handler failed", "route", kind.route) {
							failures = append(failures, l)
						}
					}
					return len(failures) == len(all)
				})
				for _, l := range failures {
					if l.Text("reason") != tt.reason || l.Text("file") != "lib/bad.lua" || l.Text("line") != tt.line &&
						(tt.line != "" || l.Text("line") == "0") {
						t.Errorf("the log says reason %s at %s:%s: %s; want %s at lib/bad.lua:%s", l.Text("reason"), l.Text("file"),
							l.Text("line"), l.Text("error"), tt.reason, tt.line)
					}
				}
				others.goOn()
			})
		}
	}
	if mib := n.PeakMemory(t) >> 20; mib > 1500 {
		t.Errorf("the node used %d MiB", mib)
	} else {
		t.Logf("the node used %d MiB at most", mib)
	}
}

// SPEC 1.2: "An unknown key or a wrong type: the connection stays, the error is logged …; with --dev the client also
// gets {"event":"error", ...}"; SPEC 6: "carry message, route, line"; "A return is validated whole before anything
// runs".
func TestWrongTypesInActions(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t, nodetest.Options{Redis: redistest.Standalone(t).URL(), App: app,
		Flags: append(fast[:len(fast):len(fast)], "--dev")})
	others := standBy(t, n)
	c := nodetest.Dial(t, n.Addr(), "/ws/do")
	type test struct{ raw, says string }
	tests := []test{
		{`7`, "a handler must return a table of actions or nil"}, {`"x"`, "a handler must return"}, {`true`,
			"a handler must return"},
		{`{"Send":"x"}`, `unknown action "Send"`}, {`{"send":"must not run","nope":1}`,
			`unknown action "nope"`}, {`[{"send":"must not run"},7]`, "element 2"},
		{`[{"send":"must not run"},{"x":1}]`, "element 2"},
		{`{"track":"x"}`, "track"}, {`{"track":{"user_id":"u"}}`, "channel"}, {`{"track":{"channel":"x"}}`,
			"user_id"}, {`{"track":{"channel":"x","user_id":""}}`, "user_id"},
		{`{"track":{"channel":"x","user_id":true}}`, "user_id"},
		{`{"track":[{"channel":"x","user_id":"must not run"},{"channel":"y"}]}`, "element 2"}, {`{"track":[7]}`, "element 1"},
		{`{"track":{"channel":"x","user_id":"` + strings.Repeat("u", 256) + `"}}`,
			"255"}, {`{"track":{"channel":"x","user_id":"a\nb"}}`, "control"},
		{`{"set_presence":7}`, "set_presence"}, {`{"set_presence":{"state":"x"}}`, "channel"},
		{`{"broadcast_room":{"channel":7,"message":"x"}}`, "channel"}, {`{"broadcast_channel":"x"}`,
			"broadcast_channel"}, {`{"broadcast_channel":{"channel":"x"}}`, "exactly channel and message"},
		{`{"broadcast_channel":{"channel":"x","message":"y","more":1}}`, "exactly channel and message"}, {`{"close":7}`,
			"close"}, {`{"close":{"code":1000}}`, "code"}, {`{"close":{"code":"x","reason":"y"}}`, "code"},
		{`{"close":{"code":1005,"reason":"y"}}`, "1005"}, {`{"close":{"code":999,"reason":"y"}}`,
			"999"}, {`{"close":{"code":4000.5,"reason":"y"}}`, "whole number"}, {`{"close":true}`, "close"},
	}
	for _, action := range []string{"join", "leave", "untrack", "send_presence"} {
		for value, says := range map[string]string{`7`: "must be a string", `true`: "must be a string",
			`""`: "1 to 255 bytes", `[7]`: "must be a string", `{"a":1}`: "array", `["x",""]`: "1 to 255 bytes",
			`"` + strings.Repeat("x", 256) + `"`: "255", `"` + strings.Repeat("é", 128) +
				`"`: "255", `"a\nb"`: "control", `"\u0000"`: "control", `"\u007f"`: "control", `"\u0085"`: "control"} {
			tests = append(tests, test{fmt.Sprintf(`{%q:%s}`, action, value), says})
		}
	}
	for _, tt := range tests {
		c.Send(`{"raw":` + tt.raw + `}`)
		got := c.Next()
		if !strings.HasPrefix(got, `{"event":"error",`) || !strings.Contains(strings.ReplaceAll(got, `\"`, `"`), tt.says) ||
			!strings.Contains(got, `"route":"/ws/do"`) || !strings.Contains(got, `"line":`) {
			t.Errorf("%.100s: got %s, want an error that says %s", tt.raw, got, tt.says)
		}
	}
	c.Send(`{"lua_value":"function"}`)
	c.Expect(`{"event":"error","message":"bad return value: send: cannot encode a function as JSON"…`)
	c.Send(`{"bad":"raise"}`)
	if got := c.Next(); !strings.Contains(got, `lib/bad.lua:5: on purpose`) || !strings.Contains(got, `"line":5`) {
		t.Errorf("got %s", got)
	}
	c.Send(`{"bad":"loop"}`)
	if got := c.ExpectClosed(1011, "handler error"); len(got) != 1 || !strings.Contains(got[0], `"line":9`) {
		t.Errorf("got %q", got)
	}
	script := nodetest.Dial(t, n.Addr(), "/api/custom/test/do")
	script.Send(`{"bad":"raise"}`)
	if got := script.ExpectClosed(1011, "script error"); len(got) != 1 ||
		!strings.HasPrefix(got[0], "Lua Error: lib/bad.lua:5: on purpose") {
		t.Errorf("got %q", got)
	}
	if users, _ := listOf(t, n.Addr(), "x"); len(users) > 0 {
		t.Errorf("an action of a return that is not valid has run: %v", users)
	}
	others.goOn()
}

// SPEC 4: "a plain GET on a WebSocket route: 426"; SPEC 1: a channel "1 to 255 bytes of UTF-8"; strings that no JSON
// can bring.
func TestStringsThatAreNoText(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t, nodetest.Options{Redis: redistest.Standalone(t).URL(), App: app, Flags: fast})
	others := standBy(t, n)
	postScript(t, n, "t/text", `
		local bad = {}
		local function raises(name, f, ...)
			local ok, err = pcall(f, ...)
			if ok then bad[#bad + 1] = name elseif not tostring(err):find("UTF%-8") then bad[#bad + 1] = name .. ": " .. tostring(err) end
		end
		raises("subscribe", solidb.ws.channel.subscribe, "\255")
		raises("broadcast to", solidb.ws.channel.broadcast, "\255", "x")
		raises("broadcast", solidb.ws.channel.broadcast, "x", "\255")
		raises("send", solidb.ws.send, "\255")
		raises("join", solidb.ws.presence.join, "\192\128", { user_id = "u" })
		raises("user", solidb.ws.presence.join, "x", { user_id = "\255" })
		raises("ws_broadcast", ws_broadcast, "\255")
		raises("ws_join", ws_join, "\237\160\128")
		if json.encode("\255") ~= '"\239\191\189"' then bad[#bad + 1] = "json.encode" end
		solidb.ws.send("bad: " .. table.concat(bad, ", "))`)
	testkit.Within(t, "the script", time.Second,
		func() bool { return nodetest.Status(n.Addr(), "/api/custom/t/text") == http.StatusUpgradeRequired })
	nodetest.Dial(t, n.Addr(), "/api/custom/t/text").Expect("bad: ", "closed 1000")
	others.goOn()
}
