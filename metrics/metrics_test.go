package metrics

import (
	"errors"
	"io"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// full is metrics of which each has a series.
func full() *Metrics {
	m := New(Config{Version: "1.2.3", Whys: []string{"server", "slow"}, CloseCodes: []int{1000, 1013},
		Failures: []string{"timeout"}})
	m.ExpectRefusals([]string{"draining"}, []string{"files"}, []string{"expired"})
	m.Ran("message", "/ws", time.Millisecond)
	m.ScriptRan("WS db/x", time.Second)
	m.HandlerFailed("message", "/ws", "raised")
	m.HandlerDenied("message", "/ws")
	m.Answered("broadcast", 200, time.Millisecond)
	return m
}

// expose is what /metrics answers.
func expose(t testing.TB, m *Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	body, err := io.ReadAll(w.Result().Body)
	if err != nil || w.Code != 200 {
		t.Fatalf("/metrics: %d %v", w.Code, err)
	}
	return string(body)
}

// wantLines fails for each line that is not in the text.
func wantLines(t *testing.T, text string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if !strings.Contains("\n"+text, "\n"+line+"\n") {
			name, _, _ := strings.Cut(line, "{")
			var near []string
			for l := range strings.Lines(text) {
				if strings.HasPrefix(l, name) {
					near = append(near, l)
				}
			}
			t.Errorf("no line %q, but\n%s", line, strings.Join(near, ""))
		}
	}
}

func TestExposition(t *testing.T) {
	m := full()
	m.Received(10)
	m.Received(5)
	m.Sent(3, 400)
	m.Closed("slow", 1013)
	m.Closed("server", 1000)
	m.Closed("new", 4999)
	m.Panicked()
	m.FannedOut(20 * time.Microsecond)
	m.Batched(3, time.Millisecond)
	m.CommandFailed("unknown")
	m.Published(2 * time.Second)
	m.Echoed(time.Millisecond)
	m.Beat(time.Millisecond, nil)
	m.Beat(time.Millisecond, errors.New("away"))
	m.Refused("draining")
	m.TokenRefused("expired")
	m.Answered("broadcast", 503, time.Millisecond)
	m.Answered("broadcast", 0, time.Millisecond)
	wantLines(t, expose(t, m),
		`rollcall_build_info{version="1.2.3"} 1`,
		`rollcall_messages_received_total 2`,
		`rollcall_received_bytes_total 15`,
		`rollcall_frames_sent_total 3`,
		`rollcall_sent_bytes_total 400`,
		`rollcall_connections_closed_total{why="slow"} 1`,
		`rollcall_connections_closed_total{why="server"} 1`,
		`rollcall_connections_closed_total{why="other"} 1`,
		`rollcall_connections_close_codes_total{code="1013"} 1`,
		`rollcall_connections_close_codes_total{code="1000"} 1`,
		`rollcall_connections_close_codes_total{code="other"} 1`,
		`rollcall_panics_total 1`,
		`rollcall_fanout_duration_seconds_bucket{le="1e-05"} 0`,
		`rollcall_fanout_duration_seconds_bucket{le="2.5e-05"} 1`,
		`rollcall_handler_duration_seconds_count{kind="message",route="/ws"} 1`,
		`rollcall_script_duration_seconds_sum{route="WS db/x"} 1`,
		`rollcall_handler_errors_total{kind="message",reason="raised",route="/ws"} 1`,
		`rollcall_handler_denials_total{kind="message",route="/ws"} 1`,
		`rollcall_redis_batch_commands_sum 3`,
		`rollcall_redis_batch_duration_seconds_count 1`,
		`rollcall_redis_command_errors_total{reason="unknown"} 1`,
		`rollcall_redis_command_errors_total{reason="timeout"} 0`,
		`rollcall_redis_publish_duration_seconds_bucket{le="1"} 0`,
		`rollcall_redis_publish_duration_seconds_sum 2`,
		`rollcall_redis_echo_seconds_count 1`,
		`rollcall_heartbeat_duration_seconds_count 2`,
		`rollcall_heartbeat_errors_total 1`,
		`rollcall_upgrades_refused_total{reason="draining"} 1`,
		`rollcall_tokens_refused_total{code="expired"} 1`,
		`rollcall_api_requests_total{operation="broadcast",status="2xx"} 1`,
		`rollcall_api_requests_total{operation="broadcast",status="5xx"} 1`,
		`rollcall_api_requests_total{operation="broadcast",status="other"} 1`,
		`rollcall_api_request_duration_seconds_count{operation="broadcast"} 3`,
	)
}

// What rooms tell is asked for in each scrape, of those who were named last.
func TestScrape(t *testing.T) {
	m := New(Config{Version: "1"})
	if strings.Contains(expose(t, m), "rollcall_x") {
		t.Error("told before it is known")
	}
	value := 1.0
	m.Watch(func(s Scrape) { s.Gauge("rollcall_x", "X.", value) })
	wantLines(t, expose(t, m), "# HELP rollcall_x X.", "# TYPE rollcall_x gauge", "rollcall_x 1")
	value = 2
	wantLines(t, expose(t, m), "rollcall_x 2")
	m.Watch(func(s Scrape) { s.Counter("rollcall_y_total", "Y.", 3, "b", "2", "a", "1") }, func(s Scrape) {
		s.Gauge("rollcall_z", "Z.", Bool(true), "of", "p")
		s.Gauge("rollcall_z", "Z.", Bool(false), "of", "q")
	})
	text := expose(t, m)
	wantLines(t, text, "# TYPE rollcall_y_total counter", `rollcall_y_total{a="1",b="2"} 3`, `rollcall_z{of="p"} 1`,
		`rollcall_z{of="q"} 0`)
	if strings.Contains(text, "rollcall_x") {
		t.Error("who was replaced is still asked")
	}
}

// Scripts can be registered without end: routes beyond the cap share one series.
func TestRoutesAreCapped(t *testing.T) {
	m := New(Config{Version: "1"})
	var wg sync.WaitGroup
	for i := range 3 * maxRoutes {
		wg.Go(func() {
			route := "/r/" + strconv.Itoa(i)
			m.Ran("http", route, time.Millisecond)
			m.Ran("http", route, time.Millisecond)
			m.ScriptRan(route, time.Second)
			m.HandlerFailed("http", route, "raised")
			m.HandlerFailed("http", "/r", "reason "+strconv.Itoa(i))
			m.Refused("reason " + strconv.Itoa(i))
		})
	}
	wg.Wait()
	for name, want := range map[string]int{"rollcall_handler_duration_seconds": maxRoutes + 1,
		"rollcall_script_duration_seconds": maxRoutes + 1, "rollcall_upgrades_refused_total": maxReasons + 1} {
		if n, err := testutil.GatherAndCount(m.Gatherer(), name); err != nil || n != want {
			t.Errorf("%s has %d series, want %d (%v)", name, n, want, err)
		}
	}
	if n, err := testutil.GatherAndCount(m.Gatherer(), "rollcall_handler_errors_total"); err != nil ||
		n > maxRoutes+maxReasons+3 {
		t.Errorf("rollcall_handler_errors_total has %d series (%v)", n, err)
	}
	// all but the first
	wantLines(t, expose(t, m), `rollcall_handler_duration_seconds_count{kind="http",route="other"} `+
		strconv.Itoa(2*2*maxRoutes))
}

// What is called for each message, write, batch or fan-out allocates nothing.
func TestNoAllocations(t *testing.T) {
	m := full()
	for name, call := range map[string]func(){
		"Received":  func() { m.Received(100) },
		"Sent":      func() { m.Sent(64, 10_000) },
		"Closed":    func() { m.Closed("slow", 1013) },
		"FannedOut": func() { m.FannedOut(time.Millisecond) },
		"Ran":       func() { m.Ran("message", "/ws", time.Millisecond) },
		"Batched":   func() { m.Batched(8, time.Millisecond) },
		"Published": func() { m.Published(time.Millisecond) },
		"Failed":    func() { m.CommandFailed("unknown") },
		"Refused":   func() { m.Refused("draining") },
	} {
		if n := testing.AllocsPerRun(100, call); n != 0 {
			t.Errorf("%s allocates %v times", name, n)
		}
	}
}

func BenchmarkSent(b *testing.B) {
	m := full()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			m.Sent(64, 10_000)
		}
	})
}

func BenchmarkRan(b *testing.B) {
	m := full()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			m.Ran("message", "/ws", time.Millisecond)
		}
	})
}

func BenchmarkScrape(b *testing.B) {
	m := full()
	for i := range maxRoutes {
		m.Ran("message", strconv.Itoa(i), time.Millisecond)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := m.Gatherer().Gather(); err != nil {
			b.Fatal(err)
		}
	}
}
