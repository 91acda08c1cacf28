package integration_test

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"rollcall/testkit"
	"rollcall/testkit/nodetest"
	"rollcall/testkit/redistest"
)

// texts are n masked frames in one piece of bytes, so that they come at once.
func texts(n int, payload string) []byte {
	return bytes.Repeat(frame(0x81, payload), n)
}

// fragments is one binary message in frames of these sizes.
func fragments(sizes ...int) []byte {
	var b []byte
	for i, size := range sizes {
		head := byte(0x00)
		if i == 0 {
			head = 0x02
		}
		if i == len(sizes)-1 {
			head |= 0x80
		}
		b = append(b, frame(head, strings.Repeat("x", size))...)
	}
	return b
}

// SPEC 3: --max-message: "64 KiB | beyond: 1009"; --message-rate: "100/s a connection, burst twice that; 0: none |
// 1008"; SPEC 1.2: "{ max_message = 4096 }" of a route. Each under, at and over, with what ended the connection and its
// metric.
func TestMessageLimits(t *testing.T) {
	t.Parallel()
	redis := redistest.Standalone(t)
	start := func(flags ...string) *nodetest.Node {
		return nodetest.Start(t, nodetest.Options{Redis: redis.URL(), App: app, Flags: with(flags...)})
	}
	sized, plain, rated := start("--max-message", "2000"), start(), start("--message-rate", "20")
	const size = `{"binary":true,"size":%d}`
	answers := func(n int, answer string) (all []string) {
		for range n {
			all = append(all, answer)
		}
		return all
	}
	for _, tt := range []struct {
		name  string
		node  *nodetest.Node
		path  string
		bytes []byte
		want  []string // answers; the connection is then alive, or
		code  int      // it ends with this code,
		why   string   // for this reason
	}{
		{"message under", sized, "/ws/do", fragments(1999), answers(1, fmt.Sprintf(size, 1999)), 0, ""},
		{"message at", sized, "/ws/do", fragments(2000), answers(1, fmt.Sprintf(size, 2000)), 0, ""},
		{"message over", sized, "/ws/do", fragments(2001), nil, 1009, "too_big"},
		{"fragments at", sized, "/ws/do", fragments(1000, 0, 999, 1), answers(1, fmt.Sprintf(size, 2000)), 0, ""},
		{"fragments over", sized, "/ws/do", fragments(1000, 0, 999, 2), nil, 1009, "too_big"},
		{"script, at", sized, "/api/custom/test/do", fragments(2000), answers(1, fmt.Sprintf(size, 2000)), 0, ""},
		{"script, over", sized, "/api/custom/test/do", fragments(2001), nil, 1009, "too_big"},
		{"default at", plain, "/ws/do", fragments(64 << 10), answers(1, fmt.Sprintf(size, 64<<10)), 0, ""},
		{"default over", plain, "/ws/do", fragments(64<<10 + 1), nil, 1009, "too_big"},
		{"route's own, at", plain, "/ws/small", fragments(1000), answers(1, fmt.Sprintf(size, 1000)), 0, ""},
		{"route's own, over", plain, "/ws/small", fragments(1001), nil, 1009, "too_big"},
		{"route's own, fragments over", plain, "/ws/small", fragments(500, 501), nil, 1009, "too_big"},
		{"several messages at", sized, "/ws/do", bytes.Repeat(fragments(2000), 3), answers(3, fmt.Sprintf(size, 2000)), 0,
			""},
		{"burst under", rated, "/ws/do", texts(39, ""), answers(39, `{"empty":true}`), 0, ""},
		{"burst at", rated, "/ws/do", texts(40, ""), answers(40, `{"empty":true}`), 0, ""},
		{"burst over", rated, "/ws/do", texts(400, ""), nil, 1008, "message_rate"},
		{"fragments are one message", rated, "/ws/do", fragments(make([]int, 100)...), answers(1, fmt.Sprintf(size, 0)), 0,
			""},
		{"pings count too", rated, "/ws/do", bytes.Repeat(frame(0x89, ""), 400), nil, 1008, "message_rate"},
		// fast nodes have --message-rate 0
		{"no rate", plain, "/ws/do", texts(400, ""), answers(400, `{"empty":true}`), 0, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := nodetest.Dial(t, tt.node.Addr(), tt.path)
			var series string
			var before float64
			if tt.why != "" {
				series = fmt.Sprintf("rollcall_connections_closed_total{why=%q}", tt.why)
				before = nodetest.Metric(t, tt.node, series)
			}
			if _, err := c.Conn.NetConn().Write(tt.bytes); err != nil && tt.code == 0 { // else it may be closed on the way
				t.Fatal(err)
			}
			if tt.code == 0 {
				c.Expect(tt.want...)
				if c.Over() || len(c.Pending()) > 0 {
					t.Errorf("then came %q", c.Pending())
				}
				return
			}
			for {
				got := c.Next()
				if strings.HasPrefix(got, "{") {
					continue // what was sent before the limit
				}
				if !strings.HasPrefix(got, fmt.Sprint("closed ", tt.code)) {
					t.Errorf("got %s, want %d", got, tt.code)
				}
				break
			}
			testkit.Within(t, series+" is one more", nodetest.Timeout,
				func() bool { return nodetest.Metric(t, tt.node, series) == before+1 })
		})
	}
}

// SPEC 3: --max-connections, --max-connections-per-ip: "503 with Retry-After; 429. The address counts as seen through
// --trusted-proxies".
func TestConnectionLimits(t *testing.T) {
	t.Parallel()
	redis := redistest.Standalone(t)
	start := func(flags ...string) *nodetest.Node {
		return nodetest.Start(t, nodetest.Options{Redis: redis.URL(), App: app, Flags: with(flags...)})
	}
	total := start("--max-connections", "3")
	behind := start("--max-connections-per-ip", "2", "--trusted-proxies", "127.0.0.1")
	direct := start("--max-connections-per-ip", "2")
	both := nodetest.Start(t, nodetest.Options{Redis: redis.URL(), App: app, Flags: fast,
		Env: []string{"ROLLCALL_MAX_CONNECTIONS=3", "ROLLCALL_MAX_CONNECTIONS_PER_IP=2",
			"ROLLCALL_TRUSTED_PROXIES=127.0.0.1"}})
	const a, b, c = "X-Forwarded-For: 192.0.2.1", "X-Forwarded-For: 192.0.2.2", "X-Forwarded-For: 192.0.2.3"
	for _, tt := range []struct {
		name   string
		node   *nodetest.Node
		open   []string // before, by their header
		header string
		want   int // status; 0: it is taken
		reason string
	}{
		{"under", total, []string{""}, "", 0, ""},
		{"at", total, []string{"", ""}, "", 0, ""},
		{"over", total, []string{"", "", ""}, "", 503, "connections"},
		{"address under", behind, []string{b, b}, a, 0, ""},
		{"address at", behind, []string{a, b, b}, a, 0, ""},
		{"address over", behind, []string{a, a}, a, 429, "connections_per_ip"},
		{"another address", behind, []string{a, a}, b, 0, ""},
		{"an address it claims to come from", behind, []string{a, a}, "X-Forwarded-For: 198.51.100.7, 192.0.2.1", 429,
			"connections_per_ip"},
		{"the same by Forwarded", behind, []string{a, a}, "Forwarded: for=192.0.2.1", 429, "connections_per_ip"},
		{"IPv6, the same /64", behind, []string{"X-Forwarded-For: 2001:db8::1", "X-Forwarded-For: 2001:db8::2"},
			"X-Forwarded-For: 2001:db8::3", 429, "connections_per_ip"},
		{"IPv6, another /64", behind, []string{"X-Forwarded-For: 2001:db8::1", "X-Forwarded-For: 2001:db8::2"},
			"X-Forwarded-For: 2001:db8:0:1::3", 0, ""},
		{"a made-up address of an untrusted peer", direct, []string{a, b}, c, 429, "connections_per_ip"},
		{"both limits: the address", both, []string{a, a}, a, 429, "connections_per_ip"},
		{"both limits: in all", both, []string{a, a, b}, c, 503, "connections"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var open []*nodetest.Client
			dial := func(path, header string) (*nodetest.Client, *http.Response, error) {
				if header == "" {
					return nodetest.TryDial(t, tt.node.Addr(), path)
				}
				return nodetest.TryDial(t, tt.node.Addr(), path, header)
			}
			for i, header := range tt.open {
				c, _, err := dial([]string{"/ws/do", "/api/custom/test/do"}[i%2], header)
				if err != nil {
					t.Fatalf("connection %d: %v", i, err)
				}
				open = append(open, c)
			}
			series := fmt.Sprintf("rollcall_upgrades_refused_total{reason=%q}", tt.reason)
			var before float64
			if tt.reason != "" {
				before = nodetest.Metric(t, tt.node, series)
			}
			c, resp, err := dial("/ws/do", tt.header)
			switch {
			case tt.want == 0 && err != nil:
				t.Errorf("refused: %v", err)
			case tt.want == 0:
				open = append(open, c)
			case err == nil || resp == nil || resp.StatusCode != tt.want || resp.Header.Get("Retry-After") == "" ||
				resp.Header.Get("Content-Type") != "application/problem+json":
				t.Errorf("%v: %+v, want %d with Retry-After", err, resp, tt.want)
			default:
				if after := nodetest.Metric(t, tt.node, series); after != before+1 {
					t.Errorf("%s went from %v to %v", series, before, after)
				}
				open[0].Leave(1000, "") // now there is room
				open = open[1:]
				testkit.Within(t, "one more is taken", nodetest.Timeout, func() bool {
					c, _, err := dial("/ws/do", tt.header)
					if err == nil {
						open = append(open, c)
					}
					return err == nil
				})
			}
			for _, c := range open {
				c.Call("json.encode", 1)
				c.Drop()
			}
			testkit.Within(t, "all have gone", nodetest.Timeout,
				func() bool { return nodetest.Metric(t, tt.node, "rollcall_connections") == 0 })
		})
	}
	if status := nodetest.Status(total.Addr(), "/readyz"); status != http.StatusOK {
		t.Errorf("/readyz answers %d", status)
	}
}

// SPEC 3: --send-queue: "1 MiB a connection | 1013"; --ping: "two unanswered: dead". What the kernel holds is not
// counted, so that at and under are seen with a client that pauses, and over with one that never reads. Each limit has
// a node of its own: one who pauses answers no ping.
func TestQueueAndPingLimits(t *testing.T) {
	t.Parallel()
	redis := redistest.Standalone(t)
	start := func(flags ...string) *nodetest.Node {
		return nodetest.Start(t, nodetest.Options{Redis: redis.URL(), App: app,
			Flags: with(append(flags, "--log-level", "debug")...)})
	}
	closed := func(n *nodetest.Node, why string) float64 {
		return nodetest.Metric(t, n, fmt.Sprintf("rollcall_connections_closed_total{why=%q}", why))
	}
	n := start("--send-queue", "64KiB")
	others := standBy(t, n)
	command := func(size int) string {
		return fmt.Sprintf(`{"raw":{"send":%q}}`, strings.Repeat("x", size))
	}
	paused := silent(t, n.Addr(), "/ws/do")
	for range 20 { // 60 KiB
		if err := paused.WriteMessage(1, []byte(command(3<<10))); err != nil {
			t.Fatal(err)
		}
	}
	others.goOn()
	for i := range 20 {
		if _, text, err := paused.ReadMessage(); err != nil || len(text) != 3<<10 {
			t.Fatalf("message %d: %d bytes, %v", i, len(text), err)
		}
	}
	_ = paused.Close()
	// "One frame of any size is taken when nothing waits": a message larger than the queue reaches a client that reads.
	reader := nodetest.Dial(t, n.Addr(), "/ws/do")
	reader.Act(`{"join":"room"}`)
	large := strings.Repeat("x", 100<<10)
	status, answer, _ := nodetest.Request(t.Context(), http.MethodPost, n.Addr(), "/_api/channels/room/broadcast",
		`{"message":"`+large+`"}`, "Content-Type: application/json", "X-API-Key: "+key)
	if status != http.StatusOK {
		t.Fatalf("%d %s", status, answer)
	}
	reader.Expect(large)
	slow := closed(n, "slow")
	never := silent(t, n.Addr(), "/ws/do")
	for range 2000 {
		if never.WriteMessage(1, []byte(command(30<<10))) != nil || closed(n, "slow") > slow {
			break
		}
	}
	line := n.Log.Await(t, "of the slow client's end",
		func(l nodetest.Line) bool { return l.Is("connection closed", "cause", "slow") })
	if line.Text("code") != "1013" || closed(n, "slow") != slow+1 {
		t.Errorf("%v; %v were slow", line, closed(n, "slow"))
	}
	others.goOn()
	pinging := start("--ping", "500ms")
	silent(t, pinging.Addr(), "/ws/do") // answers no ping
	pinging.Log.Await(t, "of the dead client's end",
		func(l nodetest.Line) bool { return l.Is("connection closed", "code", "1006", "cause", "lost") })
	if dead := closed(pinging, "dead_peer"); dead != 1 {
		t.Errorf("%v dead peers are counted", dead)
	}
}
