package browser_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"rollcall/testkit"
	"rollcall/testkit/nodetest"
	"rollcall/testkit/redistest"
)

// streamJS is a page of SPEC 8: an EventSource with an onmessage. It only looks besides: how often it opened.
const streamJS = `(() => {
	Object.assign(globalThis, { got: [], faults: [], node: -1, opened: 0 });
	globalThis.source = new EventSource(%q);
	source.onmessage = ({ data }) => {
		const m = JSON.parse(data);
		if (m.event === "message") got.push(m.data.n);
		if (m.event === "hello") node = m.node;
		if (m.event === "lost" || m.recovered === false) faults.push(m);
	};
	source.onopen = () => opened++;
	return true;
})()`

// sender posts numbered messages to nodes past the balancer; one whose answer does not come is sent again, with the
// same key. pause is held while none may be under way.
type sender struct {
	pause chan struct{} // capacity 1
	stop  context.CancelFunc
	sent  chan int // how many, at the end
}

func (c *cluster) startSender(t *testing.T) *sender {
	ctx, stop := context.WithCancel(t.Context())
	s := &sender{pause: make(chan struct{}, 1), stop: stop, sent: make(chan int, 1)}
	tick := time.NewTicker(100 * time.Millisecond) // a hundred, which are kept, take longer than a browser is away
	go func() {
		defer tick.Stop()
		n := 0
		for ctx.Err() == nil {
			s.pause <- struct{}{}
			for try := 0; ; try++ {
				<-tick.C
				status, _, _ := nodetest.Request(t.Context(), http.MethodPost, c.nodes[(n+try)%len(c.nodes)].Addr(),
					"/_api/channels/room:lobby/broadcast", fmt.Sprintf(`{"message":{"n":%d}}`, n), "X-API-Key: "+apiKey,
					"Content-Type: application/json", fmt.Sprint("Idempotency-Key: n", n))
				if status/100 == 2 || t.Context().Err() != nil {
					break
				}
			}
			n++
			<-s.pause
		}
		s.sent <- n
	}()
	t.Cleanup(stop)
	return s
}

// Issue 16: "A real EventSource in Chromium behind the balancer: node killed, drained, Redis failed over: nothing lost,
// nothing twice, without a line of client code beyond onmessage."
func TestEventSource(t *testing.T) {
	standalone := func(t testing.TB) *redistest.Redis { return redistest.Standalone(t) }
	type strike func(t *testing.T, c *cluster, node int, s *sender)
	for _, tt := range []struct {
		name   string
		redis  func(testing.TB) *redistest.Redis
		comes  bool // the browser loses its stream, and comes back
		strike strike
	}{
		{"node killed", standalone, true, func(_ *testing.T, c *cluster, node int, _ *sender) {
			c.nodes[node].Kill()
		}},
		{"node drained", standalone, true, func(_ *testing.T, c *cluster, node int, _ *sender) {
			c.nodes[node].Terminate()
		}},
		{"Redis failed over", redistest.Sentinel, false, func(t *testing.T, c *cluster, _ int, s *sender) {
			s.pause <- struct{}{} // else what it has acknowledged may be lost with it, which SPEC 7 allows
			defer func() { <-s.pause }()
			old := c.redis.Master()
			if n, err := c.redis.Client().Do(t.Context(), "WAIT", 1, 10000).Int(); err != nil || n < 1 {
				t.Fatalf("%d replicas have all: %v", n, err)
			}
			old.Kill()
			testkit.Within(t, "another master", long, func() bool { return c.redis.Master() != old })
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			redistest.Program(t, "haproxy")
			c := startClusterOn(t, tt.redis(t))
			tab := startBrowser(t).tab("the page")
			tab.load("http://" + c.addr + "/")
			p := &peer{t: t, page: tab, eval: func(code string) (json.RawMessage, error) {
				return evaluate[json.RawMessage](tab, code)
			}}
			p.do(fmt.Sprintf(streamJS, "/sse/only/lobby?user=ada"))
			p.await("that it is open", `opened === 1 && node >= 0`, long)
			s := c.startSender(t)
			p.await("some messages", `got.length > 20`, long)
			tt.strike(t, c, get[int](p, "node"), s)
			if tt.comes {
				p.await("that it has come back by itself", `opened > 1 && source.readyState === 1`, long)
			}
			p.await("more messages", fmt.Sprintf(`got.length > %d`, get[int](p, "got.length")+50), long)
			s.stop()
			n := <-s.sent
			p.await("all of them", fmt.Sprintf(`got.at(-1) === %d`, n-1), long)
			if wrong := get[string](p, `JSON.stringify([faults, got.filter((n, i) => n !== i), got.length])`); wrong !=
				fmt.Sprintf("[[],[],%d]", n) {
				t.Errorf("faults, out of order: %s, of %d", wrong, n)
			}
		})
	}
}
