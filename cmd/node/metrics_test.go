package main

import (
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/redis/go-redis/v9"

	"rollcall/testkit"
	"rollcall/testkit/nodetest"
	"rollcall/testkit/redistest"
)

// scrape reads /metrics: series to value.
func scrape(t *testing.T, addr string) map[string]float64 {
	t.Helper()
	status, text, head := nodetest.Request(t.Context(), http.MethodGet, addr, "/metrics", "")
	if status != http.StatusOK || !strings.HasPrefix(head.Get("Content-Type"), "text/plain; version=0.0.4") {
		t.Fatalf("/metrics: %d %s %s", status, head.Get("Content-Type"), text)
	}
	all := map[string]float64{}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if i := strings.LastIndexByte(line, ' '); i > 0 && line[0] != '#' {
			v, err := strconv.ParseFloat(line[i+1:], 64)
			if err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			all[line[:i]] = v
		}
	}
	return all
}

// observed is a node whose metrics are watched.
type observed struct {
	*inProcess
	t *testing.T
}

// moves does something and waits until each of these series has grown by it.
func (o observed) moves(what string, do func(o observed), series ...string) {
	o.t.Run(what, func(t *testing.T) {
		before := scrape(t, o.health)
		do(observed{o.inProcess, t})
		var left string
		for end := time.Now().Add(nodetest.Timeout); ; time.Sleep(10 * time.Millisecond) {
			now := scrape(t, o.health)
			left = ""
			for _, s := range series {
				if now[s] <= before[s] {
					left += fmt.Sprintf("\n%s: %v, was %v", s, now[s], before[s])
				}
			}
			if left == "" {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("did not grow:%s", left)
			}
		}
	})
}

// is waits until a series has a value.
func (o observed) is(series string, want float64) {
	o.t.Helper()
	testkit.Within(o.t, fmt.Sprintf("%s %v", series, want), nodetest.Timeout, func() bool {
		v, ok := scrape(o.t, o.health)[series]
		return ok && v == want
	})
}

// deaf connects and reads nothing, so that it answers no ping either.
func deaf(t *testing.T, addr, path string) *websocket.Conn {
	t.Helper()
	d := websocket.Dialer{NetDial: func(network, addr string) (net.Conn, error) {
		c, err := net.Dial(network, addr)
		if err == nil {
			err = c.(*net.TCPConn).SetReadBuffer(4096)
		}
		return c, err
	}}
	c, _, err := d.Dial("ws://"+addr+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func closedBy(why string) string { return `rollcall_connections_closed_total{why="` + why + `"}` }
func closeCode(code string) string {
	return `rollcall_connections_close_codes_total{code="` + code + `"}`
}

// Each way in which a connection can end, and what clients and handlers do, moves its metric.
func TestMetricsOfConnections(t *testing.T) {
	n := startHere(t, "--app", testApp, "--drain", "0s", "--dev", "--send-queue", "64KiB", "--max-connections", "8",
		"--ping", "500ms", "--message-rate", "50", "--health-listen", "127.0.0.1:0")
	o := observed{n, t}
	dial := func(t *testing.T) *nodetest.Client { return nodetest.Dial(t, n.addr, "/ws/do") }
	o.moves("connect", func(o observed) {
		t := o.t
		c := dial(t)
		o.is("rollcall_connections", 1)
		c.Leave(1001, "")
		o.is("rollcall_connections", 0)
	}, "rollcall_connections_opened_total", closedBy("peer"), closeCode(
		"1001"), `rollcall_handler_duration_seconds_count{kind="connect",route="/ws/do"}`,
		`rollcall_handler_duration_seconds_count{kind="disconnect",route="/ws/do"}`)
	o.moves("messages", func(o observed) {
		t := o.t
		c := dial(t)
		c.Act(`{"join":"room"}`)
		o.is("rollcall_channels", 1)
		c.Act(`{"broadcast_room":"hello"}`)
		c.Until("hello")
	}, "rollcall_messages_received_total", "rollcall_received_bytes_total", "rollcall_frames_sent_total",
		"rollcall_sent_bytes_total",
		"rollcall_broadcasts_published_total", "rollcall_broadcasts_received_total", "rollcall_deliveries_total",
		"rollcall_fanout_duration_seconds_count",
		"rollcall_redis_publish_duration_seconds_count", "rollcall_redis_batch_commands_count",
		"rollcall_redis_messages_received_total",
		`rollcall_handler_duration_seconds_count{kind="message",route="/ws/do"}`)
	o.moves("bad handler", func(o observed) { dial(o.t).Send(`{"bad":"raise"}`) },
		`rollcall_handler_errors_total{kind="message",reason="raised",route="/ws/do"}`)
	o.moves("handler without end", func(o observed) { dial(o.t).Send(`{"bad":"loop"}`) },
		`rollcall_handler_errors_total{kind="message",reason="budget",route="/ws/do"}`, closedBy("failed"), closeCode("1011"))
	o.moves("HTTP handler", func(o observed) {
		t := o.t
		nodetest.Request(t.Context(), "POST", n.addr, "/answer/raise", "")
	}, `rollcall_handler_duration_seconds_count{kind="http",route="/answer/:kind"}`,
		`rollcall_handler_errors_total{kind="http",reason="raised",route="/answer/:kind"}`, "rollcall_lua_vms")
	o.moves("connection script", func(o observed) {
		t := o.t
		c := nodetest.Dial(t, n.addr, "/api/custom/test/do")
		o.is("rollcall_lua_scripts", 1)
		c.Leave(1000, "")
		o.is("rollcall_lua_scripts", 0)
	}, `rollcall_script_duration_seconds_count{route="WS test/do"}`)
	o.moves("dropped", func(o observed) { dial(o.t).Drop() }, closedBy("dropped"), closeCode("1006"))
	o.moves("refused by the handler", func(o observed) {
		t := o.t
		nodetest.Dial(t, n.addr, `/ws/do?first={"close":"no"}`).ExpectClosed(4403, "no")
	}, closeCode("4403"))
	o.moves("too big", func(o observed) {
		t := o.t
		_ = dial(t).Conn.WriteMessage(websocket.TextMessage, make([]byte, 70<<10)) // it is closed on the way
	}, closedBy("too_big"), closeCode("1009"))
	o.moves("no UTF-8", func(o observed) { dial(o.t).Send("\xff") }, closedBy("bad_text"), closeCode("1007"))
	o.moves("malformed", func(o observed) {
		t := o.t
		if _, err := dial(t).Conn.NetConn().Write([]byte{0xff, 0xff}); err != nil {
			t.Fatal(err)
		}
	}, closedBy("protocol"), closeCode("1002"))
	o.moves("too many messages", func(o observed) {
		t := o.t
		c := dial(t)
		for range 300 {
			_ = c.Conn.WriteMessage(websocket.TextMessage, nil) // it is closed on the way
		}
	}, closedBy("message_rate"), closeCode("1008"))
	o.moves("dead", func(o observed) { deaf(o.t, n.addr, "/ws/do") }, closedBy("dead_peer"))
	// pings end nobody here
	patient := startHere(t, "--app", testApp, "--drain", "0s", "--dev", "--send-queue", "64KiB", "--health-listen",
		"127.0.0.1:0")
	observed{patient, t}.moves("too slow", func(o observed) {
		t := o.t
		deaf(t, o.addr, `/ws/do?first={"join":"slow"}`)
		testkit.Within(t, "that the slow one is closed", nodetest.Timeout, func() bool {
			for range 20 {
				if s, _, _ := nodetest.Request(t.Context(), "POST", o.addr, "/_api/channels/slow/broadcast",
					`{"message":"`+strings.Repeat("x", 50_000)+`"}`); s/100 != 2 {
					t.Fatalf("broadcast: %d", s)
				}
			}
			return scrape(t, o.health)[closedBy("slow")] > 0
		})
	}, closedBy("slow"), closeCode(
		"1013"), "rollcall_frames_dropped_total",
		`rollcall_api_requests_total{operation="broadcast-to-channel",status="2xx"}`,
		`rollcall_api_request_duration_seconds_count{operation="broadcast-to-channel"}`)
	o.moves("API error", func(o observed) {
		t := o.t
		nodetest.Request(t.Context(), "GET", n.addr, "/_api/connections/nonsense", "")
	}, `rollcall_api_requests_total{operation="get-connection",status="4xx"}`)
	o.moves("bad token", func(o observed) {
		t := o.t
		if _, resp, err := nodetest.TryDial(t, n.addr, "/ws/do?token=nonsense"); err == nil || resp.StatusCode != 401 {
			t.Fatalf("%v", resp)
		}
	}, `rollcall_tokens_refused_total{code="malformed"}`)
	o.moves("foreign origin", func(o observed) {
		t := o.t
		if _, resp, err := nodetest.TryDial(t, n.addr, "/ws/do", "Origin: https://evil.example"); err == nil ||
			resp.StatusCode != 403 {
			t.Fatalf("%v", resp)
		}
	}, `rollcall_upgrades_refused_total{reason="origin"}`)
	o.is("rollcall_connections", 0)
	o.moves("too many connections", func(o observed) {
		t := o.t
		for range 8 {
			dial(t)
		}
		if _, resp, err := nodetest.TryDial(t, n.addr, "/ws/do"); err == nil || resp.StatusCode != 503 {
			t.Fatalf("%v", resp)
		}
	}, `rollcall_upgrades_refused_total{reason="connections"}`)
	if v := scrape(t, n.health)["rollcall_panics_total"]; v != 0 {
		t.Errorf("%v faults of the node", v)
	}
}

// What Redis does moves its metric: lost subscriptions, a gap, a dead node, Redis away and back.
func TestMetricsOfRedis(t *testing.T) {
	server := redistest.Mini(t)
	proxy := redistest.NewProxy(t, server.Addr())
	n := startHere(t, "--redis", proxy.URL(), "--app", testApp, "--drain", "0s", "--lease-ttl", "900ms", "--heartbeat",
		"150ms", "--health-listen", "127.0.0.1:0")
	o := observed{n, t}
	held := func(state string) string { return `rollcall_lease_state{state="` + state + `"}` }
	resync := func(reason string) string { return `rollcall_presence_resyncs_total{reason="` + reason + `"}` }
	o.is("rollcall_ready", 1)
	o.is(held("held"), 1)
	o.is("rollcall_redis_subscription_connections", 2)
	o.is("rollcall_cluster_nodes", 1)
	if v := scrape(t, n.health)["rollcall_incarnations_total"]; v != 1 {
		t.Errorf("%v incarnations", v)
	}
	track := func(user string) {
		nodetest.Dial(t, n.addr, "/ws/do").Act(`{"join":"room","track":{"channel":"room","user_id":"` + user + `"}}`)
	}
	o.moves("presence", func(o observed) {
		track("ada")
		o.is("rollcall_presence_users", 1)
		o.is("rollcall_presence_entries", 1)
		o.is("rollcall_presence_channels", 1)
		o.is("rollcall_presence_pending_entries", 0)
	}, resync("first"), "rollcall_presence_snapshots_total", "rollcall_redis_topics",
		"rollcall_heartbeat_duration_seconds_count", "rollcall_redis_echo_seconds_count")
	o.moves("a missed change", func(o observed) {
		t := o.t
		if err := server.Client().HIncrBy(t.Context(), "rollcall:p:{room}", "seq", 1).Err(); err != nil {
			t.Fatal(err)
		}
		track("bob")
		o.is("rollcall_presence_users", 2)
	}, "rollcall_presence_gaps_total", resync("gap"))
	o.moves("a dead node", func(o observed) {
		t := o.t
		if err := server.Client().ZAdd(t.Context(), "rollcall:{nodes}",
			redis.Z{Score: 1, Member: "000000000000-1"}).Err(); err != nil {
			t.Fatal(err)
		}
	}, "rollcall_reaped_incarnations_total")
	o.moves("cut connections", func(observed) { proxy.Cut() }, "rollcall_redis_subscription_breaks_total",
		"rollcall_redis_breaks_total", "rollcall_incarnations_total", resync("resubscribed"), resync("incarnation"))
	o.is("rollcall_redis_subscription_connections", 2)
	o.is("rollcall_presence_users", 2)
	o.moves("Redis away", func(o observed) {
		t := o.t
		proxy.Refuse()
		o.is(held("held"), 0)
		o.is("rollcall_ready", 0)
		o.is("rollcall_redis_subscription_connections", 0)
		track("eve")
		if v := scrape(t, n.health)["rollcall_presence_pending_entries"]; v == 0 {
			t.Error("nothing waits to be written")
		}
	}, "rollcall_heartbeat_errors_total", `rollcall_redis_command_errors_total{reason="unknown"}`)
	proxy.Resume()
	o.is("rollcall_ready", 1)
	o.is(held("held"), 1)
	o.is("rollcall_presence_pending_entries", 0)
	o.is("rollcall_presence_users", 3)
	o.is("rollcall_presence_entries", 3)
}

// SPEC 11: "A denial is logged at info and counted apart from errors": what token, key or origin do not allow, and what
// a guard refuses.
func TestMetricsOfDenials(t *testing.T) {
	n := startHere(t, "--app", testApp, "--drain", "0s", "--api-key", "right")
	ask := func(method, path string, header ...string) int {
		status, _, _ := nodetest.Request(t.Context(), method, n.addr, path, "", header...)
		return status
	}
	if got := ask("GET", "/keyed"); got != http.StatusUnauthorized {
		t.Error(got)
	}
	if got := ask("POST", "/pages/string", "Origin: https://evil.example"); got != http.StatusForbidden {
		t.Error(got)
	}
	if got := ask("OPTIONS", "/pages/string", "Origin: https://evil.example",
		"Access-Control-Request-Method: POST"); got !=
		http.StatusForbidden {
		t.Error(got)
	}
	if got := ask("POST", "/answer/string?require=auth"); got != http.StatusUnauthorized {
		t.Error(got)
	}
	nodetest.Dial(t, n.addr, "/ws/do?require=auth").ExpectClosed(4403, "solidb.auth.require_auth: a token is required")
	nodetest.Dial(t, n.addr, "/api/custom/test/do?require=auth").ExpectClosed(4403,
		"solidb.auth.require_auth: a token is required")
	nodetest.Dial(t, n.addr, "/ws/claims?first=%7B%22join%22%3A%22x%22%7D").ExpectClosed(4403,
		`join: channel "x" is not allowed: there is no token`)
	o := observed{n, t}
	for series, want := range map[string]float64{
		`kind="http",route="/keyed"`: 1, `kind="http",route="/pages/:kind"`: 2, `kind="http",route="/answer/:kind"`: 1,
		`kind="connect",route="/ws/do"`: 1, `kind="script",route="WS test/do"`: 1, `kind="connect",route="/ws/claims"`: 1,
	} {
		o.is("rollcall_handler_denials_total{"+series+"}", want)
	}
	for series := range scrape(t, n.health) {
		if strings.HasPrefix(series, "rollcall_handler_errors_total{") {
			t.Errorf("%s is there", series)
		}
	}
}
