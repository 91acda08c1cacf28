package hooks

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"

	"rollcall/broker"
	"rollcall/presence"
	"rollcall/redisconn"
	"rollcall/testkit/backend"
)

// stage is a miniredis, some nodes with hooks on it, and the sink of hook "h", in a bubble of virtual time.
type stage struct {
	t     *testing.T
	redis *miniredis.Miniredis
	sink  *fakeSink
	nodes []*member

	mu       sync.Mutex
	channels map[string]bool // that somebody was ever in
	conns    int
}

// hold is how long removals are not believed.
const hold = 6 * time.Second

// onStage runs a test with nodes that have some hook, in virtual time.
func onStage(t *testing.T, nodes int, hook Hook, run func(t *testing.T, s *stage)) {
	synctest.Test(t, func(t *testing.T) {
		s := &stage{t: t, redis: miniredis.NewMiniRedis(), channels: map[string]bool{}}
		s.sink = &fakeSink{answer: func(int, *request) error { return nil }}
		first, err := s.redis.Dial()
		if err != nil {
			t.Fatal(err)
		}
		_ = first.Close()
		s.redis.ClockTTL(true)
		for range nodes {
			s.start(hook)
		}
		run(t, s)
		for _, m := range s.nodes {
			m.close()
		}
		s.redis.Close()
		synctest.Wait()
		for _, fault := range s.sink.fold.Faults() {
			t.Error(fault)
		}
	})
}

// member is one node.
type member struct {
	s      *stage
	client *redisconn.Client
	broker *broker.Broker
	store  *presence.Store
	hooks  *Hooks
	conns  map[string]string // channel and connection of those who are present by it → user
	closed bool

	mu   sync.Mutex
	deaf bool // what it has to say of changes is lost
	cut  []net.Conn
	dead bool
}

func (s *stage) start(hook Hook) *member {
	s.t.Helper()
	m := &member{s: s, conns: map[string]string{}}
	var err error
	m.client, err = redisconn.Open(s.t.Context(), redisconn.Config{Gather: -1, Dial: m.dial})
	if err != nil {
		s.t.Fatal(err)
	}
	m.broker = broker.New(broker.Config{Redis: m.client})
	m.store = presence.NewStore(m.client, m.client.Keys())
	if hook.Name == "" {
		hook.Name = "h"
	}
	if hook.Events == nil {
		hook.Events = Kinds()
	}
	if hook.Channels == nil {
		hook.Channels = []string{"*"}
	}
	if hook.Stream == "" {
		hook.Stream = "unused"
	}
	m.hooks, err = New(Config{Hooks: []Hook{hook}, Redis: m.client, Topics: m.broker, Presence: m.store,
		Channels: s.list, Tracked: m.tracked, Process: fmt.Sprint("p", len(s.nodes)+1), Hold: hold, Lease: 6 * time.Second,
		Log: slog.New(slog.NewTextHandler(s.t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))})
	if err != nil {
		s.t.Fatal(err)
	}
	if hook.Stream == "unused" {
		m.hooks.runners[0].sink = s.sink
	}
	m.store.OnChange(func(channel, user string, cause presence.Cause) {
		m.mu.Lock()
		defer m.mu.Unlock()
		if !m.deaf {
			m.hooks.Changed(Change{Channel: channel, User: user, Cause: string(cause)})
		}
	})
	m.hooks.Start()
	s.nodes = append(s.nodes, m)
	return m
}

func (m *member) dial(context.Context) (net.Conn, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dead {
		return nil, errors.New("it is dead")
	}
	here, there := net.Pipe()
	m.cut = append(m.cut, here)
	m.s.redis.Server().ServeConn(there)
	return newBuffered(here), nil
}

// buffered is a pipe that takes what is written at once, as a socket does: else a pipeline and its answers wait for
// each other.
type buffered struct {
	net.Conn
	writes chan []byte
	ended  chan struct{}
	once   sync.Once
}

func newBuffered(c net.Conn) *buffered {
	b := &buffered{Conn: c, writes: make(chan []byte, 1024), ended: make(chan struct{})}
	go func() {
		for {
			select {
			case w := <-b.writes:
				if _, err := c.Write(w); err != nil {
					_ = c.Close()
				}
			case <-b.ended:
				return
			}
		}
	}()
	return b
}

func (b *buffered) Write(p []byte) (int, error) {
	select {
	case b.writes <- slices.Clone(p):
		return len(p), nil
	case <-b.ended:
		return 0, net.ErrClosed
	}
}

func (b *buffered) SetWriteDeadline(time.Time) error { return nil }

func (b *buffered) SetDeadline(t time.Time) error { return b.SetReadDeadline(t) }

func (b *buffered) Close() error {
	b.once.Do(func() { close(b.ended) })
	return b.Conn.Close()
}

// kill ends a node as SIGKILL does, as far as Redis and the sink can see.
func (m *member) kill() {
	m.mu.Lock()
	m.dead = true
	for _, c := range m.cut {
		_ = c.Close()
	}
	m.mu.Unlock()
	m.close()
}

func (m *member) close() {
	if m.closed {
		return
	}
	m.closed = true
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	m.hooks.Close(ctx)
	m.broker.Close()
	_ = m.client.Close()
}

func (s *stage) list(context.Context) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.channels)), nil
}

func (m *member) tracked() (channels []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for key := range m.conns {
		channel, _, _ := strings.Cut(key, "\n")
		channels = append(channels, channel)
	}
	slices.Sort(channels)
	return slices.Compact(channels)
}

// join lets a connection enter, and names it.
func (m *member) join(channel, user, fields string) (conn string) {
	m.s.t.Helper()
	m.s.mu.Lock()
	m.s.channels[channel] = true
	m.s.conns++
	conn = fmt.Sprint("c", m.s.conns)
	m.s.mu.Unlock()
	m.write(channel, user, conn, fields)
	return conn
}

// write writes its entry.
func (m *member) write(channel, user, conn, fields string) {
	m.s.t.Helper()
	if fields == "" {
		fields = "{}"
	}
	meta := &presence.Meta{ConnID: conn, Ref: "r" + conn, JoinedAt: time.Now().UnixMilli(), Source: presence.FromEvent,
		Info: fields}
	m.mu.Lock()
	m.conns[channel+"\n"+conn] = user
	m.mu.Unlock()
	if _, err := m.store.Join(m.s.t.Context(), m.lease(), channel, user, meta, true, "", "e"+conn); err != nil {
		m.s.t.Fatal(err)
	}
}

func (m *member) leave(channel, user, conn string) {
	m.s.t.Helper()
	m.mu.Lock()
	delete(m.conns, channel+"\n"+conn)
	m.mu.Unlock()
	if _, err := m.store.Leave(m.s.t.Context(), m.lease(), channel, user, conn, "e"+conn,
		presence.CauseClosed); err != nil {
		m.s.t.Fatal(err)
	}
}

func (m *member) lease() presence.Lease {
	return presence.Lease{Inc: m.hooks.cfg.Process + "-1", Deadline: time.Now().Add(time.Hour).UnixMilli()}
}

// after lets time pass, and then checks what the sink was told meanwhile.
func (s *stage) after(d time.Duration, want ...string) {
	s.t.Helper()
	time.Sleep(d)
	synctest.Wait()
	if got := s.sink.fold.Log(); !slices.Equal(got, want) {
		s.t.Errorf("the sink was told\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

// equal checks that the sink knows who is present.
func (s *stage) equal(d time.Duration) {
	s.t.Helper()
	time.Sleep(d)
	synctest.Wait()
	s.compare(&s.sink.fold)
}

// compare checks that a fold is who is present.
func (s *stage) compare(fold *backend.Fold) {
	s.t.Helper()
	live := s.nodes[slices.IndexFunc(s.nodes, func(m *member) bool { return !m.closed })]
	for channel := range s.channels {
		ids, err := live.store.UserIDs(s.t.Context(), channel)
		if err != nil {
			s.t.Fatal(err)
		}
		if got, want := fold.Users(channel), slices.Sorted(maps.Keys(ids)); !slices.Equal(got, want) {
			s.t.Errorf("the sink knows %v in %s, present are %v", got, channel, want)
		}
	}
}

// fakeSink takes requests, or fails.
type fakeSink struct {
	fold backend.Fold

	mu     sync.Mutex
	tries  int
	answer func(try int, r *request) error // of each try; nil: it is taken
	asked  []string                        // ids
}

func (f *fakeSink) deliver(ctx context.Context, _ claim, r *request) error {
	f.mu.Lock()
	f.tries++
	try, answer := f.tries, f.answer
	f.asked = append(f.asked, r.ID)
	f.mu.Unlock()
	if err := answer(try, r); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return f.fold.Take(r.Body)
}

func (f *fakeSink) close() {}

func (f *fakeSink) set(answer func(try int, r *request) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tries, f.asked, f.answer = 0, nil, answer
}

func (f *fakeSink) asks() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.asked)
}

func works(int, *request) error { return nil }

var errSink = errors.New("the sink answered 500")

func fails(int, *request) error { return errSink }
