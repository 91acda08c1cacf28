package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"rollcall/broker"
	"rollcall/redisconn"
	"rollcall/testkit"
	"rollcall/testkit/redistest"
)

const (
	testTTL  = time.Second
	testBeat = 50 * time.Millisecond
)

// member is one node of a cluster in this process.
type member struct {
	*Cluster
	t      *testing.T
	redis  *redisconn.Client
	broker *broker.Broker

	mu      sync.Mutex
	incs    []string
	removed []string // "channel incarnation"
	failed  int64    // rounds of removing, when the last began
	fail    error    // what removing answers
	failsIn string   // in this channel alone; "": in all
	awaits  string   // in other channels removing waits until it has begun in this one; "": it waits for none
	remove  func()   // called first; nil: not
	later   int64    // what removing answers
	heard   []string // one-way messages
	answer  func(ctx context.Context, kind, body string) (string, error)
}

func (m *member) RemoveIncarnation(_ context.Context, channel, inc string, _ int64) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if remove := m.remove; remove != nil {
		m.mu.Unlock()
		remove()
		m.mu.Lock()
	}
	m.removed, m.failed = append(m.removed, channel+" "+inc), m.stats.ReapErrors.Load()
	for m.awaits != "" && !slices.Contains(m.removed, m.awaits+" "+inc) {
		m.mu.Unlock()
		time.Sleep(time.Millisecond)
		m.mu.Lock()
	}
	if m.failsIn != "" && m.failsIn != channel {
		return m.later, nil
	}
	return m.later, m.fail
}

func (m *member) OneWay(kind, body string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.heard = append(m.heard, kind+" "+body)
}

func (m *member) Answer(ctx context.Context, kind, body string) (string, error) {
	m.mu.Lock()
	answer := m.answer
	m.mu.Unlock()
	if answer != nil {
		return answer(ctx, kind, body)
	}
	return kind + " " + body + " of " + m.Process(), nil
}

func (m *member) get(read func() string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return read()
}

func (m *member) removals() string {
	return m.get(func() string { return strings.Join(slices.Sorted(slices.Values(m.removed)), ", ") })
}
func (m *member) incarnations() string { return m.get(func() string { return fmt.Sprint(m.incs) }) }

func newMember(t *testing.T, url string, ttl time.Duration) *member {
	t.Helper()
	redis, err := redisconn.Open(t.Context(), redisconn.Config{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	b := broker.New(broker.Config{Redis: redis})
	m := &member{t: t, redis: redis, broker: b, later: math.MaxInt64}
	m.Cluster = New(Config{Redis: redis, Broker: b, Process: NewProcess(), TTL: ttl, Heartbeat: testBeat, Remover: m,
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
		Node: Node{Address: "here", Version: "v", PID: 7,
			StartedAt: time.UnixMilli(12345)}, Load: func() Load { return Load{3, 2} }})
	m.Handle(m)
	m.OnIncarnation(func(inc string) {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.incs = append(m.incs, inc)
	})
	m.Start()
	t.Cleanup(func() {
		_ = m.Close(context.Background())
		b.Close()
		_ = redis.Close()
	})
	testkit.Eventually(t, "the lease is held", func() bool { return m.Phase() == Held })
	return m
}

// kill ends a member as kill -9 does: its loop stops, its lease stays. A heartbeat on its way would renew it later.
func (m *member) kill() {
	m.t.Helper()
	m.cancel()
	m.done.Wait()
	m.calls.close()
	if _, err := m.redis.Do(context.Background(), "ping"); err != nil { // behind what is on its way
		m.t.Fatal(err)
	}
}

// mini is a miniredis whose clock stands still until the test moves it.
func mini(t *testing.T) (r *redistest.Redis, forward func(time.Duration)) {
	r = redistest.Mini(t)
	now := time.Unix(1700000000, 0)
	r.Mini().SetTime(now)
	return r, func(d time.Duration) {
		now = now.Add(d)
		r.Mini().FastForward(d)
		r.Mini().SetTime(now)
	}
}

func (m *member) inc() string { inc, _, _ := m.Lease(); return inc }

// register puts channels on an incarnation's list, as presence does.
func (m *member) register(channels ...string) {
	m.t.Helper()
	for _, c := range channels {
		if _, err := m.redis.Do(m.t.Context(), "sadd", m.keys.NodeChannels(m.inc()), c); err != nil {
			m.t.Fatal(err)
		}
	}
}

func TestMembersSeeEachOther(t *testing.T) {
	r, _ := mini(t)
	a, b := newMember(t, r.URL(), testTTL), newMember(t, r.URL(), testTTL)
	for _, m := range []*member{a, b} {
		testkit.Eventually(t, "both are in the registry", func() bool { return len(m.Nodes()) == 2 })
		for _, n := range m.Nodes() {
			if n.Address != "here" || n.Version != "v" || n.PID != 7 || n.Load != (Load{3, 2}) ||
				!n.StartedAt.Equal(time.UnixMilli(12345)) {
				t.Errorf("node %+v", n)
			}
		}
		testkit.Eventually(t, "an echo came back", func() bool { return m.Ready() == nil })
	}
	if alive, err := a.Alive(t.Context(), b.Process()); !alive || err != nil {
		t.Errorf("b is alive: %v, %v", alive, err)
	}
	if alive, err := a.Alive(t.Context(), "ffffffffffff"); alive || err != nil {
		t.Errorf("nobody is alive: %v, %v", alive, err)
	}
	late := newMember(t, r.URL(), testTTL) // not yet in a's registry, perhaps
	if alive, err := a.Alive(t.Context(), late.Process()); !alive || err != nil {
		t.Errorf("a new node is alive: %v, %v", alive, err)
	}
	if err := b.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, "the one that stopped is gone", func() bool { return len(a.Nodes()) == 2 })
	if alive, err := a.IncarnationAlive(t.Context(), b.inc()); alive || err != nil {
		t.Errorf("its incarnation is alive: %v, %v", alive, err)
	}
	r.Kill()
	if alive, err := a.Alive(t.Context(), "ffffffffffff"); alive || err == nil {
		t.Errorf("without Redis: %v, %v", alive, err)
	}
	if _, err := a.IncarnationAlive(t.Context(), a.inc()); err == nil {
		t.Error("without Redis an incarnation is known")
	}
}

// DESIGN 3: "Losing the lease (declared dead, or wiped): new incarnation".
func TestNewIncarnation(t *testing.T) {
	r, _ := mini(t)
	m := newMember(t, r.URL(), testTTL)
	p := m.Process()
	if got := m.incarnations(); got != "["+p+"-1]" {
		t.Fatalf("incarnations %s", got)
	}
	m.Renounce("test")
	testkit.Eventually(t, "it has a second one",
		func() bool { return m.incarnations() == "["+p+"-1 "+p+"-2]" && m.Phase() == Held })
	if alive, err := m.IncarnationAlive(t.Context(), p+"-1"); !alive || err != nil {
		t.Errorf("the first one expires by itself: %v, %v", alive, err)
	}
	m.Disown(p+"-1", "late news")
	if _, _, held := m.Lease(); !held {
		t.Error("news of an old incarnation cost the present one")
	}
	m.Disown(p+"-2", "news")
	testkit.Eventually(t, "it has a third one", func() bool { return m.inc() == p+"-3" && m.Phase() == Held })
	r.FlushAll()
	testkit.Eventually(t, "it has a fourth one after a wipe",
		func() bool { return m.inc() == p+"-4" && m.Phase() == Held })
	if _, err := m.redis.Do(t.Context(), "zrem", m.keys.Nodes(), p+"-4"); err != nil { // as declared dead
		t.Fatal(err)
	}
	testkit.Eventually(t, "it has a fifth one", func() bool { return m.inc() == p+"-5" && m.Phase() == Held })
}

// DESIGN 3: "A late heartbeat still renews, as long as no one has declared the incarnation dead".
func TestLateHeartbeat(t *testing.T) {
	r, forward := mini(t)
	m := newMember(t, r.URL(), testTTL)
	_, before, _ := m.Lease()
	forward(time.Hour)
	if err := m.Renew(t.Context()); err != nil {
		t.Fatal(err)
	}
	inc, after, held := m.Lease()
	if inc != m.Process()+"-1" || !held || after != before+time.Hour.Milliseconds() {
		t.Errorf("after an hour: %s, held %v, deadline %d later", inc, held, after-before)
	}
}

// While Redis does not answer the lease is in doubt, and comes back as it was.
func TestInDoubt(t *testing.T) {
	r, _ := mini(t)
	m := newMember(t, r.URL(), 300*time.Millisecond)
	inc := m.inc()
	r.Kill()
	testkit.Eventually(t, "the lease is in doubt", func() bool { return m.Phase() == InDoubt })
	if err := m.Ready(); err == nil {
		t.Error("ready without a lease")
	}
	if err := r.Mini().Restart(); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, "it is held again", func() bool { return m.Phase() == Held })
	if m.inc() != inc {
		t.Errorf("incarnation %s, was %s", m.inc(), inc)
	}
}

func TestRenewAfterClose(t *testing.T) {
	r, _ := mini(t)
	m := newMember(t, r.URL(), testTTL)
	if err := m.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := m.Renew(context.Background()); !errors.Is(err, ErrClosed) {
		t.Errorf("renew after close: %v", err)
	}
	if _, _, held := m.Lease(); held {
		t.Error("the lease is held after close")
	}
	never := New(Config{Redis: m.redis, Broker: m.broker, Process: NewProcess(), TTL: testTTL, Heartbeat: testBeat,
		Log: slog.New(slog.DiscardHandler)})
	if err := never.Close(t.Context()); err != nil {
		t.Errorf("close of what never started: %v", err)
	}
}

// What a stopping node could not remove is reaped at once, not after its deadline.
func TestCloseLeavesTheRestToReapers(t *testing.T) {
	r, _ := mini(t)
	a, b := newMember(t, r.URL(), 200*time.Millisecond), newMember(t, r.URL(), 200*time.Millisecond)
	inc := b.inc()
	b.register("C")
	if err := b.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, "the rest was removed", func() bool { return a.removals() == "C "+inc })
	testkit.Eventually(t, "it is forgotten", func() bool {
		alive, err := a.IncarnationAlive(t.Context(), inc)
		return err == nil && !alive
	})
}

// SPEC 5.4: "nothing a dead or fenced node still had in flight can bring a user back": an incarnation with a write of
// unknown outcome keeps its lease when its node stops, so that Redis knows whose the write is until the fence shuts it
// out.
func TestCloseKeepsWhatWasRenounced(t *testing.T) {
	r, _ := mini(t)
	m := newMember(t, r.URL(), testTTL)
	first := m.inc()
	m.Renounce("a write had no answer")
	if err := m.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := do(t, m.redis, "zscore", m.keys.Nodes(), first); got == nil {
		t.Errorf("%s was taken off the list when its node stopped", first)
	}
}
