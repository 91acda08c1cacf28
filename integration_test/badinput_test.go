package integration_test

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"rollcall/testkit"
	"rollcall/testkit/nodetest"
	"rollcall/testkit/redistest"
)

// silent is a client that never reads, and so answers nothing.
func silent(t *testing.T, addr, path string) *websocket.Conn {
	t.Helper()
	dialer := websocket.Dialer{NetDial: func(network, addr string) (net.Conn, error) {
		conn, err := net.Dial(network, addr)
		if err == nil {
			err = conn.(*net.TCPConn).SetReadBuffer(4 << 10)
		}
		return conn, err
	}}
	conn, _, err := dialer.Dial("ws://"+addr+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// bystanders are two connections of one node, one of each kind, who must not notice anything.
type bystanders struct {
	t             *testing.T
	event, script *nodetest.Client
}

func standBy(t *testing.T, n *nodetest.Node) bystanders {
	t.Helper()
	return bystanders{t, nodetest.Dial(t, n.Addr(), "/ws/do"), nodetest.Dial(t, n.Addr(), "/api/custom/test/do")}
}

// goOn checks that both are served, and soon.
func (b bystanders) goOn() {
	b.t.Helper()
	began := time.Now()
	b.event.Act(`{}`)
	b.script.Call("solidb.ws.channel.list")
	if took := time.Since(began); took > 3*time.Second {
		b.t.Errorf("another connection waited %v", took)
	}
}

// frame is a masked frame of a client.
func frame(head byte, payload string) []byte {
	b := []byte{head}
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	mask := []byte{1, 2, 3, 4}
	b = append(b, mask...)
	for i := range len(payload) {
		b = append(b, payload[i]^mask[i%4])
	}
	return b
}

// SPEC 4: "1002 and 1007 protocol error and text that is not UTF-8", "1009 too big"; issue: "binary, empty, oversized
// and malformed frames … Each gets its clear error, the node and its other connections go on."
func TestMalformedFrames(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t, nodetest.Options{Redis: redistest.Standalone(t).URL(), App: app, Flags: fast})
	others := standBy(t, n)
	join := func(parts ...[]byte) (all []byte) {
		for _, p := range parts {
			all = append(all, p...)
		}
		return all
	}
	tests := []struct {
		name  string
		bytes []byte
		want  int
	}{
		{"not masked", []byte{0x81, 1, 'x'}, 1002},
		{"reserved bit", frame(0xc1, "x"), 1002},
		{"reserved opcode", frame(0x83, "x"), 1002},
		{"reserved control opcode", frame(0x8b, "x"), 1002},
		{"ping in fragments", frame(0x09, "x"), 1002},
		{"ping too long", frame(0x89, strings.Repeat("x", 126)), 1002},
		{"continuation of nothing", frame(0x80, "x"), 1002},
		{"text inside a fragmented message", join(frame(0x01, "a"), frame(0x81, "b")), 1002},
		{"close with a reserved code", frame(0x88, "\x03\xed"), 1002},
		{"close with a code that is none", frame(0x88, "\x00\x01"), 1002},
		{"HTTP instead of frames", []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), 1002},
		{"text that is not UTF-8", frame(0x81, "a\xff"), 1007},
		{"text that ends inside a character", frame(0x81, "\xe2\x82"), 1007},
		{"text with a surrogate", frame(0x81, "\xed\xa0\x80"), 1007},
		{"fragments that are not UTF-8", join(frame(0x01, "\xe2"), frame(0x80, "x")), 1007},
		{"over the limit", frame(0x81, strings.Repeat("x", 64<<10+1)), 1009},
		{"binary over the limit", frame(0x82, strings.Repeat("x", 64<<10+1)), 1009},
		{"over the limit in fragments",
			join(frame(0x01, strings.Repeat("x", 40<<10)), frame(0x80, strings.Repeat("x", 40<<10))), 1009},
		{"claims to be huge", []byte{0x82, 0xff, 0x3f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0}, 1009},
		{"length with the top bit", []byte{0x82, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0}, 1009},
	}
	for _, path := range []string{"/ws/do", "/api/custom/test/do"} {
		for _, tt := range tests {
			t.Run(tt.name+" "+path, func(t *testing.T) {
				c := nodetest.Dial(t, n.Addr(), path)
				_, _ = c.Conn.NetConn().Write(tt.bytes) // it may be closed on the way
				if got := c.Next(); !strings.HasPrefix(got, fmt.Sprint("closed ", tt.want)) {
					t.Errorf("got %s, want a close with %d", got, tt.want)
				}
				others.goOn()
			})
		}
	}
	t.Run("right ones", func(t *testing.T) {
		c := nodetest.Dial(t, n.Addr(), "/ws/do")
		raw := c.Conn.NetConn()
		for _, b := range [][]byte{
			frame(0x81, ""), frame(0x01, ""), frame(0x89, "ping between"), frame(0x80, ""), frame(0x82, ""), frame(0x8a,
				"pong unasked"),
			// its end is missing: no JSON
			frame(0x01, `{"id":77,"acti`), frame(0x00, ""), frame(0x80, `ons":{}}`), frame(0x82,
				strings.Repeat("x", 64<<10)), frame(0x81, `{"id":78,"actions":{"send":"é`),
		} {
			if _, err := raw.Write(b); err != nil {
				t.Fatal(err)
			}
		}
		c.Expect(`{"empty":true}`, `{"empty":true}`, `…`, `{"reply":77}`, `…`)
		c.Act(`{}`)
		others.goOn()
	})
}

// SPEC 4: what is no upgrade.
func TestMalformedUpgrades(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t, nodetest.Options{Redis: redistest.Standalone(t).URL(), App: app, Flags: fast})
	others := standBy(t, n)
	const good = "GET /ws/do HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
	for _, tt := range []struct{ name, request, want string }{
		{"right", good, "101"},
		{"no key", strings.Replace(good, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", "", 1), "400"},
		{"a bad key", strings.Replace(good, "dGhlIHNhbXBsZSBub25jZQ==", "short", 1), "400"},
		{"an old version", strings.Replace(good, "Version: 13", "Version: 8", 1), "426"},
		{"POST", strings.Replace(good, "GET", "POST", 1), "405"},
		{"a path that is not encoded well", strings.Replace(good, "/ws/do", "/ws/%zz", 1), "400"},
		{"a path that is not UTF-8", strings.Replace(good, "/ws/do", "/ws/do/%ff/x", 1), "400"},
		{"headers too large", strings.Replace(good, "Host: x", "Host: x\r\nX-Large: "+strings.Repeat("x", 100<<10), 1),
			"431"},
		{"no HTTP", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", "400"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			conn, err := net.Dial("tcp", n.Addr())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(nodetest.Timeout))
			go func() { _, _ = io.WriteString(conn, tt.request) }() // it may be cut off
			line, err := bufio.NewReader(conn).ReadString('\n')
			if !strings.Contains(line, " "+tt.want+" ") {
				t.Errorf("got %q (%v), want %s", line, err, tt.want)
			}
			others.goOn()
		})
	}
}

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

// SPEC 3: --message-rate: "100/s a connection, burst twice that … 1008"; --max-message: "64 KiB; beyond: 1009".
func TestTooManyMessages(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t, nodetest.Options{Redis: redistest.Standalone(t).URL(), App: app,
		Flags: []string{"--max-message", "2000"}})
	others := standBy(t, n)
	for _, path := range []string{"/ws/do", "/api/custom/test/do"} {
		c := nodetest.Dial(t, n.Addr(), path)
		for range 500 {
			if c.Conn.WriteMessage(websocket.TextMessage, []byte(`{"call":"crypto.uuid"}`)) != nil {
				break // closed already
			}
		}
		for {
			got := c.Next()
			if strings.HasPrefix(got, "{") {
				continue
			}
			if !strings.HasPrefix(got, "closed 1008 ") {
				t.Errorf("%s: got %s, want 1008", path, got)
			}
			break
		}
		others.goOn()
		c = nodetest.Dial(t, n.Addr(), path)
		c.Send(`"` + strings.Repeat("x", 1999) + `"`)
		if got := c.Next(); !strings.HasPrefix(got, "closed 1009") {
			t.Errorf("%s: got %s, want 1009", path, got)
		}
		others.goOn()
	}
}

// SPEC 5.5: "A slow or hostile client hurts only itself … the slow consumer is closed (1013)."
func TestClientThatNeverReads(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t, nodetest.Options{Redis: redistest.Standalone(t).URL(), App: app,
		Flags: append(fast[:len(fast):len(fast)], "--send-queue", "64KiB", "--log-level", "debug")})
	others := standBy(t, n)
	reader := nodetest.Dial(t, n.Addr(), "/ws/do")
	reader.Act(`{"join":"room"}`)
	slow := silent(t, n.Addr(), "/ws/do")
	if err := slow.WriteMessage(websocket.TextMessage,
		[]byte(`{"raw":{"join":"room","track":{"channel":"room","user_id":"slow"}}}`)); err != nil {
		t.Fatal(err)
	}
	reader.AwaitUsers("room", "slow")
	reader.Next()
	message := strings.Repeat("x", 30<<10)
	sent := 0
	closed := func() bool {
		for _, l := range n.Log.Lines() {
			if l.Is("connection closed", "code", "1013") {
				return true
			}
		}
		return false
	}
	for ; sent < 1000 && !closed(); sent++ {
		others.event.Act(fmt.Sprintf(`{"broadcast_channel":{"channel":"room","message":%q}}`, message))
		for {
			if got := reader.Next(); got == message {
				break
			}
		}
	}
	line := n.Log.Await(t, "of the slow client's end",
		func(l nodetest.Line) bool { return l.Is("connection closed", "code", "1013") })
	if line.Text("cause") != "slow" {
		t.Errorf("log line: %v", line)
	}
	reader.AwaitUsers("room") // its presence has gone
	if reader.Over() {
		t.Error("the one who reads was disconnected")
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
