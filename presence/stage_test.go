package presence

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"rollcall/redisconn"
)

// stage is a miniredis and some trackers on it, in a bubble of virtual time. Everything that goes over a wire goes
// through pipes within the bubble.
type stage struct {
	t      *testing.T
	m      *miniredis.Miniredis
	client *redis.Client
	keys   redisconn.Keys
	actors []*actor
}

const (
	stageTTL    = 6 * time.Second
	stageWindow = 50 * time.Millisecond
)

// onStage runs a test in virtual time.
func onStage(t *testing.T, run func(t *testing.T, s *stage)) {
	synctest.Test(t, func(t *testing.T) {
		s := &stage{t: t, m: miniredis.NewMiniRedis(), keys: redisconn.NewKeys("stage", 0)}
		s.client = redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", Protocol: 2,
			MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
			DisableIdentity:          true, MaxRetries: -1,
			Dialer: func(context.Context, string, string) (net.Conn, error) { return s.m.Dial() }})
		for _, src := range []string{messageSrc + joinSrc, messageSrc + leaveSrc, messageSrc + reapSrc,
			messageSrc + lingerSrc, registerSrc} {
			if err := s.client.ScriptLoad(t.Context(), src).Err(); err != nil {
				t.Fatal(err)
			}
		}
		defer s.close()
		run(t, s)
	})
}

func (s *stage) close() {
	for _, a := range s.actors {
		a.close()
	}
	if err := s.client.Close(); err != nil {
		s.t.Error(err)
	}
	s.m.Close()
}

// actor is one node on the stage, which ends with it.
type actor struct {
	s      *stage
	name   string
	t      *Tracker
	store  *Store
	topics []*redis.PubSub
	done   sync.WaitGroup
	closed bool

	mu       sync.Mutex
	gen      int
	deadline int64
	away     bool              // the lease is in doubt
	fail     error             // what every command answers
	failsFor string            // or those alone that name this
	failed   func(name string) // asked before each script
	lossy    bool              // messages to this node are lost
	renewals int
	disowned []string
	dead     map[string]bool // incarnations that hold no lease
}

func (s *stage) actor(name string) *actor {
	a := &actor{s: s, name: name, gen: 1, dead: map[string]bool{}}
	a.renew()
	a.store = NewStore(a, s.keys)
	a.t = NewTracker(Config{Store: a.store, Lease: a, TTL: stageTTL, Window: stageWindow,
		Log: slog.New(slog.DiscardHandler)})
	s.actors = append(s.actors, a)
	return a
}

func (a *actor) inc() string { return fmt.Sprintf("%s-%d", a.name, a.gen) }

func (a *actor) renew() {
	a.deadline = time.Now().Add(stageTTL).UnixMilli()
	a.s.client.ZAdd(context.Background(), a.s.keys.Nodes(), redis.Z{Score: float64(a.deadline), Member: a.inc()})
}

// beat keeps the lease for a while, in place of the cluster's loop, and lets time pass.
func (a *actor) Renew(context.Context) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.renewals++
	if a.fail != nil {
		return a.fail
	}
	a.renew()
	return nil
}

func (a *actor) Lease() (string, int64, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.inc(), a.deadline, !a.away
}

func (a *actor) Disown(inc, why string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.disowned = append(a.disowned, inc)
	a.away = true
}

// next takes a new incarnation.
func (a *actor) next() {
	a.mu.Lock()
	a.gen++
	a.away = false
	a.renew()
	a.mu.Unlock()
	a.t.NewIncarnation(false)
}

func (a *actor) IncarnationAlive(ctx context.Context, inc string) (bool, error) {
	err := a.s.client.ZScore(ctx, a.s.keys.Nodes(), inc).Err()
	if errors.Is(err, redis.Nil) {
		return false, nil
	}
	return err == nil, err
}

// Run and Batch are the store's Redis.
func (a *actor) Run(ctx context.Context, sc *redisconn.Script, keys []string, args ...any) (any, error) {
	if err := a.failure("run", keys); err != nil {
		return nil, err
	}
	cmd := sc.Command(ctx, keys, args...)
	_ = a.s.client.Process(ctx, cmd)
	return cmd.Result()
}

func (a *actor) Batch(ctx context.Context, cmds []redis.Cmder) error {
	if err := a.failure("batch", cmds); err != nil {
		return err
	}
	for few := range slices.Chunk(cmds, 16) { // more, and both ends of a pipe would write and none read
		pipe := a.s.client.Pipeline()
		for _, c := range few {
			_ = pipe.Process(ctx, c)
		}
		if _, err := pipe.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
			return err
		}
	}
	return nil
}

func (a *actor) failure(what string, of any) error {
	a.mu.Lock()
	ask, err, failsFor := a.failed, a.fail, a.failsFor
	a.mu.Unlock()
	if ask != nil {
		ask(what)
	}
	if !strings.Contains(fmt.Sprint(of), failsFor) {
		return nil
	}
	return err
}

func (a *actor) set(change func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	change()
}

// open takes a place in a channel, as the hub does: subscribe, then load.
func (a *actor) open(channel string) *seat {
	st := newSeat(a)
	st.c = a.t.Open(channel, st)
	ps := a.s.client.Subscribe(context.Background(), a.s.keys.Topic(channel))
	if _, err := ps.Receive(context.Background()); err != nil {
		a.s.t.Fatal(err)
	}
	a.topics = append(a.topics, ps)
	a.done.Go(func() {
		for {
			m, err := ps.ReceiveMessage(context.Background())
			if err != nil {
				return
			}
			a.mu.Lock()
			lossy := a.lossy
			a.mu.Unlock()
			if !lossy {
				st.c.Receive(m.Payload)
			}
		}
	})
	st.c.Load(st)
	synctest.Wait()
	return st
}

// close ends the node; only the first call counts.
func (a *actor) close() {
	if a.closed {
		return
	}
	a.closed = true
	for _, ps := range a.topics {
		_ = ps.Close()
	}
	a.t.Close()
	a.done.Wait()
}

// seat is an audience that writes down what it is told.
type seat struct {
	a              *actor
	c              *Channel
	plain, scripts bool

	mu     sync.Mutex
	told   []string
	states [][]byte // the encodings of presence_state that it was sent, each once
}

func newSeat(a *actor) *seat { return &seat{a: a, plain: true, scripts: true} }

func (st *seat) Viewers() Viewers { return Viewers{Plain: st.plain, Scripts: st.scripts} }

func (st *seat) add(format string, args ...any) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.told = append(st.told, fmt.Sprintf(format, args...))
}

func (st *seat) PresenceEvents(es []Event) {
	for _, e := range es {
		st.add("%s %s %s", e.Type, e.UserID, e.Meta.ConnID)
	}
}

func (st *seat) PresenceDiff(d *Diff) {
	line := shortFrame(st.a.s.t, d.Plain)
	if dev := shortFrame(st.a.s.t, d.Devices); dev != line {
		line += " devices " + dev
	}
	for _, conn := range sorted(d.Fresh) {
		line += " " + conn + " " + shortFrame(st.a.s.t, d.Fresh[conn].Plain)
	}
	st.add("diff %s", line)
}

func (st *seat) PresenceState(s State) {
	st.mu.Lock()
	if !slices.ContainsFunc(st.states, func(b []byte) bool { return &b[0] == &s.Frame[0] }) {
		st.states = append(st.states, s.Frame)
	}
	st.mu.Unlock()
	conns := s.Conns
	slices.Sort(conns)
	state := parseState(st.a.s.t, s.Frame)
	var users []string
	for _, id := range sorted(state) {
		users = append(users, id+"["+strings.Join(state[id].conns(), " ")+"]")
	}
	st.add("state to %s: %s", strings.Join(conns, " "), strings.Join(users, " "))
}

func shortFrame(t *testing.T, text []byte) string {
	if text == nil {
		return "nothing"
	}
	f := readFrame(t, text)
	var out []string
	for _, id := range sorted(f.Payload.Joins) {
		out = append(out, "+"+id+"["+strings.Join(f.Payload.Joins[id].conns(), " ")+"]")
	}
	for _, id := range sorted(f.Payload.Leaves) {
		out = append(out, "-"+id+"["+strings.Join(f.Payload.Leaves[id].conns(), " ")+"]")
	}
	return strings.Join(out, " ")
}

// want lets time pass and then checks what was told meanwhile.
func (st *seat) want(after time.Duration, told ...string) {
	st.a.s.t.Helper()
	time.Sleep(after)
	synctest.Wait()
	st.mu.Lock()
	defer st.mu.Unlock()
	if got := st.told; !slices.Equal(got, told) {
		st.a.s.t.Errorf("%s was told\n\t%s\nwant\n\t%s", st.a.name, strings.Join(got, "\n\t"), strings.Join(told, "\n\t"))
	}
	st.told = nil
}

func (st *seat) wantView(want string) {
	st.a.s.t.Helper()
	if got := show(st.list("")); got != want {
		st.a.s.t.Errorf("%s sees %q, want %q", st.a.name, got, want)
	}
}

// list is what a connection reads.
func (st *seat) list(conn string) []*User {
	us, ok := st.c.List(conn)
	if !ok {
		st.a.s.t.Errorf("%s has no list", st.a.name)
	}
	return us
}

func (st *seat) track(conn, uid string, text ...string) (pending bool) {
	st.a.s.t.Helper()
	return st.trackAs(FromEvent, false, conn, uid, text...)
}

func (st *seat) trackAs(src Source, announce bool, conn, uid string, text ...string) (pending bool) {
	st.a.s.t.Helper()
	f := Fields{}
	if len(text) > 0 {
		f = fields(st.a.s.t, text[0])
	}
	e, err := Encode(src, f)
	if err != nil {
		st.a.s.t.Fatal(err)
	}
	pending, err = st.c.Track(context.Background(), conn, uid, e, announce)
	if err != nil {
		st.a.s.t.Errorf("track %s %s: %v", conn, uid, err)
	}
	return pending
}
