package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"rollcall/auth"
	"rollcall/broker"
	"rollcall/cluster"
	"rollcall/hub"
	"rollcall/outbox"
	"rollcall/presence"
	"rollcall/redisconn"
	"rollcall/testkit"
	"rollcall/testkit/redistest"
	"rollcall/wsconn"
)

// testNode is one node without the parts of cmd/node, on a miniredis unless told otherwise.
type testNode struct {
	t       testing.TB
	redis   *redistest.Redis
	client  *redisconn.Client
	broker  *broker.Broker
	hub     *hub.Hub
	sockets *outbox.Sockets
	scripts *Scripts
	server  *Server
	http    *httptest.Server
	log     *logBuffer
	seen    *recorder
	dir     string
}

// nodeOptions change what a test node is like.
type nodeOptions struct {
	redis   *redistest.Redis // shared with another node
	config  func(*Config)
	load    LoadOptions
	ws      wsconn.Config
	sockets outbox.Config
	debug   bool
}

// logBuffer keeps log lines.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// recorder is an Observer that keeps failures.
type recorder struct {
	mu       sync.Mutex
	failures []Failure
}

func (r *recorder) Ran(RunKind, string, time.Duration) {}
func (r *recorder) TokenRefused(auth.Code)             {}
func (r *recorder) OriginRefused()                     {}

func (r *recorder) Failed(f Failure) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failures = append(r.failures, f)
}

func (r *recorder) all() []Failure {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Failure(nil), r.failures...)
}

// startNode starts a node that serves an app of these files.
func startNode(t testing.TB, files map[string]string, options ...nodeOptions) *testNode {
	t.Helper()
	var o nodeOptions
	if len(options) > 0 {
		o = options[0]
	}
	n := &testNode{t: t, redis: o.redis, log: &logBuffer{}, seen: &recorder{}, dir: writeFiles(t, files)}
	if n.redis == nil {
		n.redis = redistest.Mini(t)
	}
	ctx := context.Background()
	level := slog.LevelInfo
	if o.debug {
		level = slog.LevelDebug
	}
	log := slog.New(slog.NewTextHandler(n.log, &slog.HandlerOptions{Level: level}))
	var err error
	n.client, err = redisconn.Open(ctx, redisconn.Config{URL: n.redis.URL(), Log: log})
	check(t, err)
	n.broker = broker.New(broker.Config{Redis: n.client, Log: log})
	store := presence.NewStore(n.client, n.client.Keys())
	process := cluster.NewProcess()
	cl := cluster.New(cluster.Config{Redis: n.client, Broker: n.broker, Process: process, TTL: 6 * time.Second,
		Heartbeat: 100 * time.Millisecond, Remover: store, Log: log,
		Load: func() cluster.Load { return n.hub.Load() }})
	tracker := presence.NewTracker(presence.Config{Store: store, Lease: cl, TTL: 6 * time.Second, Log: log})
	n.hub = hub.New(hub.Config{Redis: n.client, Broker: n.broker, Cluster: cl, Tracker: tracker, Log: log})
	first := true
	cl.OnIncarnation(func(string) { tracker.NewIncarnation(first); first = false })
	cl.Handle(n.hub)
	cl.Start()
	n.hub.Start()
	n.scripts, err = OpenScripts(ctx,
		ScriptsConfig{Redis: n.client, Broker: n.broker, Keys: n.client.Keys(), Every: 50 * time.Millisecond, Log: log})
	check(t, err)
	a, problems := Load(n.dir, o.load)
	if len(problems) > 0 {
		t.Fatal(errors.Join(problems...))
	}
	n.sockets = outbox.New(o.sockets, nil)
	cfg := Config{App: a, Hub: n.hub, Sockets: n.sockets, WebSockets: o.ws, Redis: n.client,
		Keys: n.client.Keys(), Scripts: n.scripts, Node: process, Periods: cl, Observer: n.seen, Log: log,
		Reload: 20 * time.Millisecond}
	if o.config != nil {
		o.config(&cfg)
	}
	n.server, err = NewServer(cfg)
	check(t, err)
	n.http = httptest.NewServer(n.server)
	t.Cleanup(func() {
		n.http.Close()
		n.sockets.Close()
		n.server.Close()
		n.scripts.Close()
		n.hub.Close()
		tracker.Close()
		_ = cl.Close(ctx)
		n.broker.Close()
		_ = n.client.Close()
		if t.Failed() {
			t.Log("node's log:\n" + n.log.String())
		}
	})
	testkit.Eventually(t, "a lease", func() bool { return cl.Ready() == nil })
	return n
}

// eachRedis runs a test on every kind of Redis that differs for it.
func eachRedis(t *testing.T, f func(t *testing.T, r *redistest.Redis)) {
	t.Run("mini", func(t *testing.T) { f(t, redistest.Mini(t)) })
	t.Run("standalone", func(t *testing.T) { f(t, redistest.Standalone(t)) })
	t.Run("cluster", func(t *testing.T) { f(t, redistest.Cluster(t)) })
}

// empty is an app without anything.
var empty = map[string]string{"readme.md": ""}

// awaitEmpty waits until nobody is in a channel, neither joined nor tracked.
func (n *testNode) awaitEmpty(channel string) {
	n.t.Helper()
	testkit.Eventually(n.t, "nobody is in "+channel, func() bool {
		users, err := n.hub.Presence(n.t.Context(), channel, "")
		ids, err2 := n.hub.ClientsIn(n.t.Context(), channel)
		return err == nil && err2 == nil && len(users) == 0 && len(ids) == 0
	})
}

// storeKey is where the app's store keeps a key.
func (n *testNode) storeKey(key string) string {
	return n.client.Keys().Store(n.server.App().Name, key)
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// timeout is how long a test waits for something that should come at once.
const timeout = 5 * time.Second

// logged waits for a log line.
func (n *testNode) logged(text string) {
	n.t.Helper()
	testkit.Eventually(n.t, "log line with "+text, func() bool { return strings.Contains(n.log.String(), text) })
}

// client is a WebSocket client.
type client struct {
	t testing.TB
	*websocket.Conn
}

// dial connects; header is "Name: value" lines.
func (n *testNode) dial(path string, header ...string) *client {
	n.t.Helper()
	c, resp, err := n.tryDial(path, header...)
	if err != nil {
		status := 0
		if resp != nil {
			status = resp.StatusCode
		}
		n.t.Fatalf("dial %s: %v (status %d)", path, err, status)
	}
	return c
}

func (n *testNode) tryDial(path string, header ...string) (*client, *http.Response, error) {
	h := http.Header{}
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		h.Add(name, value)
	}
	conn, resp, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(n.http.URL, "http")+path, h)
	if err != nil {
		return nil, resp, err
	}
	n.t.Cleanup(func() { _ = conn.Close() })
	return &client{n.t, conn}, resp, nil
}

// say sends texts.
func (c *client) say(texts ...string) {
	c.t.Helper()
	for _, text := range texts {
		check(c.t, c.WriteMessage(websocket.TextMessage, []byte(text)))
	}
}

// next reads one message; how the connection ended is "closed <code> <reason>", a binary message "binary <text>".
func (c *client) next() string {
	_ = c.SetReadDeadline(time.Now().Add(timeout))
	kind, data, err := c.ReadMessage()
	var closed *websocket.CloseError
	switch {
	case errors.As(err, &closed):
		return strings.TrimSpace(fmt.Sprintf("closed %d %s", closed.Code, closed.Text))
	case err != nil:
		return "error " + err.Error()
	case kind == websocket.BinaryMessage:
		return "binary " + string(data)
	}
	return string(data)
}

// expect reads messages and compares them.
func (c *client) expect(want ...string) {
	c.t.Helper()
	for _, w := range want {
		if got := c.next(); got != w {
			c.t.Fatalf("got  %s\nwant %s", got, w)
		}
	}
}

// expectLike is expect for messages that contain a text.
func (c *client) expectLike(want ...string) string {
	c.t.Helper()
	got := ""
	for _, w := range want {
		if got = c.next(); !strings.Contains(got, w) {
			c.t.Fatalf("got  %s\nwant something with %s", got, w)
		}
	}
	return got
}

// leave closes with a code.
func (c *client) leave(code int) {
	c.t.Helper()
	check(c.t, c.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, ""), time.Now().Add(time.Second)))
	for !strings.HasPrefix(c.next(), "closed") {
	}
}

// get makes a request; the answer is "<status> <body>".
func (n *testNode) request(method, path, body string, header ...string) (string, http.Header) {
	n.t.Helper()
	r, err := http.NewRequest(method, n.http.URL+path, strings.NewReader(body))
	check(n.t, err)
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Set(name, value)
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	check(n.t, err)
	defer resp.Body.Close()
	var b bytes.Buffer
	_, err = b.ReadFrom(resp.Body)
	check(n.t, err)
	return fmt.Sprintf("%d %s", resp.StatusCode, strings.TrimSpace(b.String())), resp.Header
}

func (n *testNode) get(path string) string {
	n.t.Helper()
	got, _ := n.request("GET", path, "")
	return got
}

// getUntil makes a request and gives it up when ctx ends.
func (n *testNode) getUntil(ctx context.Context, path string) {
	r, err := http.NewRequestWithContext(ctx, "GET", n.http.URL+path, nil)
	check(n.t, err)
	if resp, err := http.DefaultTransport.RoundTrip(r); err == nil {
		_ = resp.Body.Close()
	}
}

func hubText(s string) hub.Value { return hub.Value{Text: s} }

func hubJSON(s string) hub.Value { return hub.Value{Text: s, JSON: true} }
