package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"rollcall/broker"
	"rollcall/cluster"
	"rollcall/history"
	"rollcall/presence"
	"rollcall/redisconn"
	"rollcall/testkit"
	"rollcall/testkit/redistest"
)

// world is some nodes in this process over one miniredis whose clock stands still until the test moves it. Each node
// reaches Redis through a proxy of its own, so that it can be cut off.
type world struct {
	t     testing.TB
	redis *redistest.Redis
	now   time.Time
	cfg   worldConfig
	nodes map[string]*node

	mu    sync.Mutex
	names map[string]string // connection id to client name

	rules *history.Rules // of all nodes
	began time.Time      // positions are written from here on
}

type worldConfig struct {
	window, linger, grace, ttl time.Duration
	timeout                    time.Duration // of one answer of Redis; short where a test cuts nodes off
	memory                     int64         // of histories; 0: 1 MiB
}

const heartbeat = 100 * time.Millisecond

func newWorld(t testing.TB, cfg worldConfig) *world {
	t.Helper()
	if cfg.ttl == 0 {
		cfg.ttl = 2 * time.Second
	}
	if cfg.memory == 0 {
		cfg.memory = 1 << 20
	}
	if cfg.timeout == 0 {
		cfg.timeout = 10 * time.Second // nobody is cut off: only a busy machine takes longer
	}
	w := &world{t: t, redis: redistest.Mini(t), now: time.Unix(1700000000, 0), cfg: cfg, nodes: map[string]*node{},
		names: map[string]string{}, began: time.Unix(1700000000, 0)}
	w.redis.Mini().SetTime(w.now)
	return w
}

// forward moves the clock of Redis.
func (w *world) forward(d time.Duration) {
	w.now = w.now.Add(d)
	w.redis.Mini().FastForward(d)
	w.redis.Mini().SetTime(w.now)
}

// node is one node without its WebSockets, wired as cmd/node does it.
type node struct {
	*Hub
	w       *world
	name    string
	proxy   *redistest.Proxy
	redis   *redisconn.Client
	broker  *broker.Broker
	cluster *cluster.Cluster
	tracker *presence.Tracker
	closed  bool
}

func testLog() *slog.Logger {
	if os.Getenv("TEST_LOG") != "" {
		return slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	return slog.New(slog.DiscardHandler)
}

func (w *world) node(name string) *node {
	w.t.Helper()
	n := &node{w: w, name: name, proxy: redistest.NewProxy(w.t, w.redis.Addr())}
	log := testLog().With("node", name)
	var err error
	n.redis, err = redisconn.Open(context.Background(), redisconn.Config{URL: n.proxy.URL(),
		WatchEvery: 500 * time.Millisecond, Timeout: w.cfg.timeout, Log: log})
	must(w.t, err)
	n.broker = broker.New(broker.Config{Redis: n.redis, Log: log})
	strict := strictBroker{n.broker, w.t}
	store := presence.NewStore(n.redis, n.redis.Keys())
	n.cluster = cluster.New(cluster.Config{Redis: n.redis, Broker: strict, Process: cluster.NewProcess(), TTL: w.cfg.ttl,
		Heartbeat: heartbeat,
		Remover:   store, Log: log, Load: func() cluster.Load { return n.Hub.Load() }})
	n.tracker = presence.NewTracker(
		presence.Config{Store: store, Lease: n.cluster, TTL: w.cfg.ttl, Window: w.cfg.window, Log: log})
	n.Hub = New(Config{Redis: n.redis, Broker: strict, Cluster: n.cluster, Tracker: n.tracker, Linger: w.cfg.linger,
		RestartGrace: w.cfg.grace, HistoryMemory: w.cfg.memory, Log: log})
	n.Hub.SetHistory(w.rules)
	first := true
	n.cluster.OnIncarnation(func(string) {
		n.tracker.NewIncarnation(first)
		first = false
	})
	n.cluster.Handle(n.Hub)
	n.redis.OnBreak(func() {
		n.tracker.Suspect()
		n.cluster.Renounce("a connection to Redis broke")
	})
	n.cluster.Start()
	n.Hub.Start()
	w.nodes[name] = n
	w.t.Cleanup(n.close)
	testkit.Eventually(w.t, "node "+name+" is ready", func() bool { return n.cluster.Ready() == nil })
	return n
}

func (n *node) close() { n.stop(Closed) }

// stop ends a node as SIGTERM does; its connections end so.
func (n *node) stop(e Ending) {
	if n.closed {
		return
	}
	n.closed = true
	n.check()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	n.Hub.mu.RLock()
	sessions := slices.Collect(maps.Values(n.sessions))
	n.Hub.mu.RUnlock()
	if n.redis.GoRedis().Ping(ctx).Err() == nil { // else it was killed
		for _, s := range sessions {
			s.Exit(e, presence.CauseClosed)
		}
	}
	n.Hub.Close()
	n.tracker.Close()
	_ = n.cluster.Close(ctx)
	n.broker.Close()
	_ = n.redis.Close()
}

// check fails the test when an invariant of a room is broken.
func (n *node) check() {
	n.w.t.Helper()
	for _, r := range n.allRooms() {
		if err := r.check(); err != nil {
			n.w.t.Error(err)
		}
	}
}

func (w *world) who(id string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if name, ok := w.names[id]; ok {
		return name
	}
	return "nobody"
}

type wireMetas struct {
	Metas []map[string]any `json:"metas"`
}

// short writes presence frames as "room: state a[c1] b[c2 c3{x=1}]" and "room: +a[c1] -b[c2]", others as they are.
func (w *world) short(text string) string {
	var f struct {
		Event, Channel string
		Payload        json.RawMessage
	}
	err := json.Unmarshal([]byte(text), &f)
	if err == nil && f.Channel != "" && slices.Contains([]string{"message", "joined", "lost", "history"}, f.Event) {
		return w.shortHistory(text)
	}
	if err != nil || !strings.HasPrefix(f.Event, "presence_") {
		return text
	}
	users := func(sign string, m map[string]wireMetas) (out []string) {
		for _, id := range slices.Sorted(maps.Keys(m)) {
			out = append(out, sign+id+w.shortMetas(m[id]))
		}
		return out
	}
	if f.Event == "presence_state" {
		var state map[string]wireMetas
		if err := json.Unmarshal(f.Payload, &state); err != nil || state == nil {
			return "bad state " + text
		}
		return strings.TrimSpace(f.Channel + ": state " + strings.Join(users("", state), " "))
	}
	var diff struct{ Joins, Leaves map[string]wireMetas }
	if err := json.Unmarshal(f.Payload, &diff); err != nil || diff.Joins == nil || diff.Leaves == nil {
		return "bad diff " + text
	}
	return f.Channel + ": " + strings.Join(append(users("+", diff.Joins), users("-", diff.Leaves)...), " ")
}

func (w *world) shortMetas(m wireMetas) string {
	var out []string
	for _, meta := range m.Metas {
		line := w.who(meta["connection_id"].(string))
		if own := shortFields(meta); own != "" {
			line += "{" + own + "}"
		}
		out = append(out, line)
	}
	slices.Sort(out)
	return "[" + strings.Join(out, " ") + "]"
}

// shortFields writes what is not the same for all.
func shortFields(meta map[string]any) string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(meta)) {
		switch k {
		case "phx_ref", "connection_id", "online_at":
		case "state":
			if meta[k] != "online" {
				out = append(out, fmt.Sprint("state=", meta[k]))
			}
		default:
			out = append(out, fmt.Sprint(k, "=", meta[k]))
		}
	}
	return strings.Join(out, " ")
}

// must fails the test on an error.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func fieldsOf(t testing.TB, text string) presence.Fields {
	t.Helper()
	var f presence.Fields
	if text != "" {
		must(t, json.Unmarshal([]byte(text), &f))
	}
	return f
}

// view is who a node says is in a channel, oldest first.
func (n *node) view(channel string) string {
	us, err := n.Presence(context.Background(), channel, "")
	if err != nil {
		return "error: " + err.Error()
	}
	var out []string
	for _, u := range us {
		var conns []string
		for _, m := range u.Metas {
			conns = append(conns, n.w.who(m.ConnID))
		}
		slices.Sort(conns)
		out = append(out, u.ID+"["+strings.Join(conns, " ")+"]")
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

// wantViews waits until all nodes see the same.
func (w *world) wantViews(channel, want string) {
	w.t.Helper()
	for _, n := range w.nodes {
		testkit.Eventually(w.t, fmt.Sprintf("%s sees %q, not %q", n.name, want, n.view(channel)),
			func() bool { return n.view(channel) == want })
	}
}

func isOneOf(err error, targets ...error) bool {
	return slices.ContainsFunc(targets, func(t error) bool { return errors.Is(err, t) })
}
