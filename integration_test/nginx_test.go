package integration_test

import (
	"net/http"
	"strings"
	"testing"

	"rollcall/testkit/nodetest"
	"rollcall/testkit/redistest"
)

// What docs/operating.md says for nginx does: event streams and WebSockets pass at once, a stream whose node is killed
// comes back to the other one with nothing lost, and what is kept inside stays there.
func TestNginx(t *testing.T) {
	t.Parallel()
	redistest.Program(t, "nginx") // before anything is started
	nodes := nodetest.StartAll(t, 2, nodetest.Options{Redis: redistest.Standalone(t).URL(), App: "../examples/feed",
		Flags: with("--ping", "1s")})
	addr := nodetest.StartNginx(t, "../docs/operating.md", nodes...)
	publish := func(news string) {
		t.Helper()
		status, answer, _ := nodetest.Request(t.Context(), http.MethodPost, addr, "/feed/sports", `{"text":"`+news+`"}`,
			"Content-Type: application/json")
		if status != http.StatusAccepted {
			t.Fatalf("publish: %d %s", status, answer)
		}
	}
	want := func(got, part string) {
		t.Helper()
		if !strings.Contains(got, part) {
			t.Fatalf("got %s, want %s", got, part)
		}
	}
	stream := nodetest.OpenStream(t, addr, "/feed/sports")
	socket := nodetest.Dial(t, addr, "/feed/sports")
	want(stream.Next(), `"joined"`)
	want(socket.Next(), `"joined"`)
	publish("1:0")
	first := stream.NextEvent() // though no buffer is full
	want(first.Data, `"1:0"`)
	want(socket.Next(), `"1:0"`)
	stream.Ping()

	for _, n := range nodes {
		if nodetest.Metric(t, n, "rollcall_event_streams") == 1 {
			n.Kill()
		}
	}
	stream.End()
	publish("2:0")
	stream = nodetest.OpenStream(t, addr, "/feed/sports", "Last-Event-ID: "+first.ID)
	want(stream.Next(), `"missed":1`)
	want(stream.Next(), `"2:0"`)

	for _, target := range []string{"/metrics", "/%6detrics", "/healthz", "/./readyz"} {
		if status, body := ask(t, addr, target); status != http.StatusNotFound || !strings.Contains(body, "nginx") {
			t.Errorf("%s: %d %.80q", target, status, body)
		}
	}
}
