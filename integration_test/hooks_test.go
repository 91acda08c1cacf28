package integration_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall/testkit"
	"rollcall/testkit/backend"
	"rollcall/testkit/nodetest"
	"rollcall/testkit/redistest"
)

// knows is Promise 8's "the time of 5.1 + 4 s" with these leases, and something for a busy machine.
const knows = gone + 4*time.Second + 4*time.Second

// hooked are three nodes with hooks, their back end, and people in channels.
type hooked struct {
	t     *testing.T
	redis *redistest.Redis
	sink  *backend.Server
	nodes []*nodetest.Node
	app   string
	here  map[string]*nodetest.Client // "channel user"
}

// hookedApp is the test app with hooks.
func hookedApp(t *testing.T, hooks string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(app)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "config/hooks.lua"), []byte(hooks), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

func startHooked(t *testing.T, redis *redistest.Redis, sink *backend.Server) *hooked {
	t.Helper()
	h := &hooked{t: t, redis: redis, sink: sink, here: map[string]*nodetest.Client{}}
	h.app = hookedApp(t, fmt.Sprintf(`
hook("crm", { channels = "room:*", url = %q, secret = { "a secret that was used before", %q },
  events = {"join", "leave", "update", "occupied", "vacated"} })
hook("audit", { channels = "room:*", stream = "audit" })`, sink.URL, backend.Secret))
	h.nodes = nodetest.StartAll(t, 3, h.options())
	h.equal("at the start", knows)
	return h
}

func (h *hooked) options() nodetest.Options {
	return nodetest.Options{Redis: h.redis.URL(), App: h.app, Flags: fast}
}

func (h *hooked) enter(node int, channel, user string) {
	h.t.Helper()
	c := nodetest.Dial(h.t, h.nodes[node].Addr(), "/ws/do")
	c.Act(fmt.Sprintf(`{"track":{"channel":%q,"user_id":%q}}`, channel, user))
	h.here[channel+" "+user] = c
}

func (h *hooked) exit(channel, user string) {
	h.t.Helper()
	h.here[channel+" "+user].Leave(1000, "")
	delete(h.here, channel+" "+user)
}

// crowd lets people come and go: some who stay, some who went before anybody could tell.
func (h *hooked) crowd(name string) {
	h.t.Helper()
	for i := range 6 {
		user := fmt.Sprint(name, i)
		h.enter(i%3, fmt.Sprint("room:", i%2), user)
		if i%3 == 0 {
			h.exit(fmt.Sprint("room:", i%2), user)
		}
	}
}

// equal waits until both sinks know exactly who is here, and checks what they were told on the way.
func (h *hooked) equal(what string, within time.Duration) {
	h.t.Helper()
	want := map[string][]string{}
	for key := range h.here {
		channel, user, _ := strings.Cut(key, " ")
		want[channel] = append(want[channel], user)
	}
	same := func(f *backend.Fold) bool {
		if f.Resets() == 0 || len(f.Channels()) != len(want) {
			return false
		}
		for channel, users := range want {
			slices.Sort(users)
			if !slices.Equal(f.Users(channel), users) {
				return false
			}
		}
		return true
	}
	var stream *backend.Fold
	defer func() {
		if h.t.Failed() {
			h.t.Logf("%s: the back end knows %v in room:0 of %v, the stream tells of %v, want %v\nhooks: %s", what,
				h.sink.Users("room:0"), h.sink.Channels(), stream.Users("room:0"), want, h.list(1))
		}
	}()
	testkit.Within(h.t, what+": both sinks know who is here", within, func() bool {
		stream = h.stream()
		return same(&h.sink.Fold) && same(stream)
	})
	for _, wrong := range append(h.sink.Wrong(), stream.Faults()...) {
		h.t.Errorf("%s: %s", what, wrong)
	}
}

// stream folds what the stream holds.
func (h *hooked) stream() *backend.Fold {
	f := &backend.Fold{}
	entries, err := h.redis.Client().XRange(h.t.Context(), "rollcall:stream:audit", "-", "+").Result()
	if err != nil {
		return f // Redis is away
	}
	for _, e := range entries {
		text, _ := e.Values["event"].(string)
		if err := f.Append(text); err != nil {
			h.t.Error(err)
		}
	}
	return f
}

func (h *hooked) list(node int) string {
	h.t.Helper()
	_, answer, _ := nodetest.Request(h.t.Context(), http.MethodGet, h.nodes[node].Addr(), "/_api/hooks", "",
		"X-API-Key: "+key)
	return answer
}

// state is how the hook crm is.
func (h *hooked) state(node int) (state, lastError string) {
	h.t.Helper()
	var list struct {
		Hooks []struct {
			Name, State string
			LastError   string `json:"last_error"`
		}
	}
	if err := json.Unmarshal([]byte(h.list(node)), &list); err != nil || len(list.Hooks) != 2 {
		h.t.Fatalf("list hooks: %v", err)
	}
	return list.Hooks[0].State, list.Hooks[0].LastError
}

// SPEC 10: each way in which a sink may fail; then it knows all, and was told nothing twice or wrong.
func TestHooksWhenTheSinkFails(t *testing.T) {
	t.Parallel()
	h := startHooked(t, redistest.Standalone(t), backend.NewServer(t))
	h.crowd("before")
	h.equal("when calm", 5*time.Second)
	for i, mode := range backend.Modes() {
		h.sink.Set(mode)
		h.crowd(fmt.Sprint("m", i, "-"))
		if mode != backend.Endless {
			testkit.Within(t, "the state when it "+string(mode), 2*nodetest.Timeout, func() bool {
				state, _ := h.state(i % 3)
				return state == "failing"
			})
		} else {
			h.equal("while it answers with 1 GiB", knows)
		}
		h.sink.Set(backend.OK)
		h.equal("after it "+string(mode), knows)
	}
	if n := h.sink.Written(); n > 64<<20 { // what sockets hold of a few answers
		t.Errorf("%d MiB were taken of answers", n>>20)
	}
	if n := h.sink.Most(); n > 48 {
		t.Errorf("%d requests at a time", n)
	}
}

// "410 pauses the hook in the whole cluster, until sync is asked for".
func TestHooksWhenTheSinkIsGone(t *testing.T) {
	t.Parallel()
	h := startHooked(t, redistest.Standalone(t), backend.NewServer(t))
	h.sink.Set(backend.Gone)
	h.crowd("a")
	for i := range 3 {
		testkit.Within(t, "the pause", nodetest.Timeout, func() bool {
			state, why := h.state(i)
			return state == "paused" && strings.Contains(why, "410")
		})
	}
	h.sink.Set(backend.OK)
	h.crowd("b")
	status, answer, _ := nodetest.Request(t.Context(), http.MethodPost, h.nodes[1].Addr(), "/_api/hooks/crm/sync", "",
		"X-API-Key: "+key)
	if status != http.StatusNoContent {
		t.Fatalf("ask for a synchronisation: %d %s", status, answer)
	}
	h.equal("after a synchronisation", knows)
	if n := h.sink.Resets(); n != 2 {
		t.Errorf("%d resets", n)
	}
	if status, _, _ := nodetest.Request(t.Context(), http.MethodPost, h.nodes[1].Addr(), "/_api/hooks/nobody/sync", "",
		"X-API-Key: "+key); status != http.StatusNotFound {
		t.Errorf("synchronise a hook that is not there: %d", status)
	}
}

// A certificate that nobody knows is an error, and nothing is sent.
func TestHooksWithAWrongCertificate(t *testing.T) {
	t.Parallel()
	sink := backend.NewTLSServer(t)
	nodes := nodetest.StartAll(t, 1, nodetest.Options{Flags: fast, App: hookedApp(t, fmt.Sprintf(
		`hook("crm", { channels = "room:*", url = %q, secret = %q }) hook("x", { channels = "x", stream = "x" })`, sink.URL,
		backend.Secret))})
	h := &hooked{t: t, nodes: nodes}
	testkit.Within(t, "the error", nodetest.Timeout, func() bool {
		_, why := h.state(0)
		return strings.Contains(why, "certificate")
	})
	if sink.Asked() > 0 {
		t.Error("a request was sent")
	}
}

// Promise 8: "after any fault of 5.2": nodes that are killed while they owe, and one that is frozen.
func TestHooksWhenNodesDie(t *testing.T) {
	t.Parallel()
	h := startHooked(t, redistest.Standalone(t), backend.NewServer(t))
	h.crowd("a")
	h.equal("when calm", 5*time.Second)
	h.sink.Set(backend.Hang)
	h.crowd("b")
	h.nodes[0].Kill()
	for key := range h.here { // those on node 0 have gone with it
		if strings.HasSuffix(key, "3") || strings.HasSuffix(key, "0") {
			delete(h.here, key)
		}
	}
	h.sink.Set(backend.OK)
	h.equal("after a node was killed", knows)
	h.nodes[1].Freeze()
	time.Sleep(2 * lease) // longer than the lease; its claims last longer
	h.nodes[1].Thaw()
	h.enter(2, "room:0", "late")
	h.equal("after a node was frozen", knows)
}

// Promise 8: "Redis … wiped", "restarted", "cut off"; those who stayed are never told as gone.
func TestHooksWhenRedisFails(t *testing.T) {
	t.Parallel()
	h := startHooked(t, redistest.Standalone(t), backend.NewServer(t))
	h.crowd("a")
	h.equal("when calm", 5*time.Second)
	h.sink.Log()
	h.redis.FlushAll()
	testkit.Within(t, "a reset", 2*knows, func() bool { return h.sink.Resets() == 2 })
	h.equal("after a wipe", knows)
	h.crowd("b")
	h.redis.Pause()
	time.Sleep(lease)
	h.redis.Resume()
	h.equal("after a stall", knows)
	h.exit("room:0", "a2")
	h.redis.Nodes()[0].RestartEmpty()
	testkit.Within(t, "a reset", 2*knows, func() bool { return h.sink.Resets() == 3 })
	h.equal("after a restart without its data", knows)
	for _, line := range h.sink.Log() {
		if strings.HasPrefix(line, "leave") && line != "leave room:0 a2" && !strings.HasSuffix(line, "b0") &&
			!strings.HasSuffix(line, "b3") {
			t.Errorf("told as gone who stayed: %s", line)
		}
	}
}

// On a Redis Cluster too.
func TestHooksOnACluster(t *testing.T) {
	t.Parallel()
	h := startHooked(t, redistest.Cluster(t), backend.NewServer(t))
	h.crowd("a")
	h.equal("when calm", 5*time.Second)
	h.sink.Set(backend.Error)
	h.crowd("b")
	h.nodes[2].Kill()
	for key := range h.here {
		if strings.HasSuffix(key, "2") || strings.HasSuffix(key, "5") {
			delete(h.here, key)
		}
	}
	h.sink.Set(backend.OK)
	h.equal("after a node was killed", knows)
	h.redis.FlushAll()
	testkit.Within(t, "a reset", 2*knows, func() bool { return h.sink.Resets() >= 2 })
	h.equal("after a wipe", 2*knows)
}
