package presence

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"rollcall/broker"
	"rollcall/redisconn"
	"rollcall/testkit"
	"rollcall/testkit/redistest"
)

// bench is one Redis for the conformance suite, under a prefix of its own, with everything that the channel "room"
// says.
type bench struct {
	t      *testing.T
	redis  *redistest.Redis
	b      *redisconn.Client
	topics *broker.Broker
	s      *Store
	topic  *testkit.Listener
}

const room = "room {1}%"

func newBench(t *testing.T, r *redistest.Redis, prefix string) *bench {
	t.Helper()
	b, err := redisconn.Open(t.Context(), redisconn.Config{URL: r.URL(), Prefix: prefix})
	if err != nil {
		t.Fatal(err)
	}
	topics := broker.New(broker.Config{Redis: b})
	t.Cleanup(func() { topics.Close(); _ = b.Close() })
	be := &bench{t: t, redis: r, b: b, topics: topics, s: NewStore(b, b.Keys()), topic: testkit.NewListener()}
	topics.Attach(b.Keys().Topic(room), be.topic)
	be.topic.Ready()
	return be
}

// now is the clock of Redis in ms.
func (b *bench) now() int64 {
	b.t.Helper()
	res, err := b.b.Do(b.t.Context(), "time")
	if err != nil {
		b.t.Fatal(err)
	}
	var sec, us int64
	if _, err := fmt.Sscan(fmt.Sprint(res.([]any)[0], " ", res.([]any)[1]), &sec, &us); err != nil {
		b.t.Fatal(err)
	}
	return sec*1000 + us/1000
}

// do runs one command, and gives its answer as text.
func (b *bench) do(args ...any) string {
	b.t.Helper()
	res, err := b.b.Do(b.t.Context(), args...)
	if err != nil {
		b.t.Fatal(err)
	}
	return fmt.Sprint(res)
}

func (b *bench) lease(inc string) Lease { return Lease{inc, b.now() + 60000} }

func (b *bench) join(inc, uid string, m Meta) Position {
	b.t.Helper()
	at, err := b.s.Join(b.t.Context(), b.lease(inc), room, uid, &m, false, "", "epoch-"+newRef())
	if err != nil {
		b.t.Fatal(err)
	}
	return at
}

func (b *bench) leave(inc, uid, conn string) Position {
	b.t.Helper()
	at, err := b.s.Leave(b.t.Context(), b.lease(inc), room, uid, conn, "epoch-"+newRef(), CauseKicked)
	if err != nil {
		b.t.Fatal(err)
	}
	return at
}

// next is the next message of the channel.
func (b *bench) next() Change {
	b.t.Helper()
	select {
	case text := <-b.topic.Heard:
		c, err := parseChange(text)
		if err != nil {
			b.t.Fatal(err)
		}
		return c
	case <-time.After(10 * time.Second):
		b.t.Fatal("no message came")
		panic("unreachable")
	}
}

// silent makes sure that nothing was published: a broadcast sent now is the next message.
func (b *bench) silent() {
	b.t.Helper()
	if err := b.topics.Publish(b.t.Context(), b.b.Keys().Topic(room), []byte("b mark")); err != nil {
		b.t.Fatal(err)
	}
	if text := <-b.topic.Heard; text != "b mark" {
		b.t.Fatalf("was told %q", text)
	}
}

func (b *bench) view() string {
	b.t.Helper()
	snap, err := b.s.Snapshot(b.t.Context(), room)
	if err != nil {
		b.t.Fatal(err)
	}
	var us []*User
	for _, u := range snap.Users {
		us = append(us, u)
	}
	sortUsers(us)
	return show(us)
}

func (b *bench) wantView(want string) {
	b.t.Helper()
	if got := b.view(); got != want {
		b.t.Fatalf("Redis holds %q, want %q", got, want)
	}
}

func (b *bench) entries(inc string) int64 {
	b.t.Helper()
	_, n, err := b.s.Standings(b.t.Context(), nil, inc, []string{room})
	if err != nil {
		b.t.Fatal(err)
	}
	return n[0]
}

// wantChange checks a message: op, the users in it with all metas, and who is gone, as "conn=cause".
func (b *bench) wantChange(at Position, op Op, users, gone string) {
	b.t.Helper()
	c := b.next()
	var us []*User
	for i := range c.Users {
		us = append(us, &c.Users[i])
	}
	if (Position{c.Epoch, c.Seq}) != at || c.Op != op || show(us) != users || showGone(&c) != gone {
		b.t.Fatalf("message %+v\nwant %v %c %s gone %q", c, at, op, users, gone)
	}
}

// TestStore is one suite for every kind of Redis (STYLE 21).
func TestStore(t *testing.T) {
	tests := []struct {
		name string
		run  func(b *bench)
	}{
		{"one script, one change, one message", testChanges},
		{"repeating what holds changes nothing and tells nothing", testRepeats},
		{"writes past their deadline are refused", testFence},
		{"an earlier incarnation cannot touch a later one's entry", testStale},
		{"an entry moves to the next incarnation without a word", testMove},
		{"reaping takes own entries only, one message a page", testReap},
		{"reaping many, in pages", testReapPages},
		{"register is refused without a lease", testRegister},
		{"pages read while the channel changes make one moment", testPages},
		{"users and channels with any text", testNames},
		{"a channel that empties is forgotten after a day", testForget},
		{"a head that was lost does not stop anything", testLostHead},
		{"a wipe begins another epoch", testWipe},
		{"a user may have so much", testBounds},
		{"what lingers ends with a join", testLingerEndsWithAJoin},
		{"nothing lingers beside a connection", testLingerBesideAConnection},
		{"a reaper leaves what lingers", testReapLingering},
		{"what lingers is written again after a wipe", testLingerAfterAWipe},
		{"those who are reaped leave for what ended their connection", testReapCauses},
		{"what lingers is read whatever version wrote it", testLingerVersions},
	}
	redistest.EveryKind(t, func(t *testing.T, r *redistest.Redis) {
		for i, test := range tests {
			t.Run(test.name, func(t *testing.T) { test.run(newBench(t, r, fmt.Sprintf("presence%d", i))) })
		}
	})
}

// DESIGN 3: "join, leave, update and reap each change the hashes, raise `seq` and `PUBLISH` the change … for each user
// concerned all metas after the change".
func testChanges(b *bench) {
	c1, c2, away := device("c1"), device("c2"), device("c1", `{"state":"away"}`)
	first := b.join("n-1", "a", c1)
	if first.Seq != 1 || first.Epoch == "" {
		b.t.Fatalf("first position %v", first)
	}
	at := func(seq int64) Position { return Position{first.Epoch, seq} }
	b.wantChange(at(1), OpJoin, "a[c1]", "")
	if got := b.join("n-1", "a", c2); got != at(2) {
		b.t.Errorf("second join at %v", got)
	}
	b.wantChange(at(2), OpJoin, "a[c1 c2]", "")
	b.join("n-1", "a", away)
	b.wantChange(at(3), OpUpdate, `a[c1{"state":"away"} c2]`, "")
	b.join("n-2", "b", device("d5"))
	b.wantChange(at(4), OpJoin, "b[d5]", "")
	b.wantView(`a[c1{"state":"away"} c2] b[d5]`)
	b.leave("n-1", "a", "c1")
	b.wantChange(at(5), OpLeave, "a[c2]", "c1=kicked")
	b.leave("n-1", "a", "c2")
	b.wantChange(at(6), OpLeave, "a[]", "c2=kicked")
	b.wantView("b[d5]")
	if n := b.entries("n-1"); n != 0 {
		b.t.Errorf("%d entries are left of n-1", n)
	}
	if n := b.entries("n-2"); n != 1 {
		b.t.Errorf("%d entries of n-2, want 1", n)
	}
	u, err := b.s.User(b.t.Context(), room, "b")
	if err != nil || u == nil || u.Seq != 4 ||
		u.Metas[0] != (Meta{ConnID: "d5", Inc: "n-2", Ref: "ref-d5", JoinedAt: '5' * 1000, Source: FromEvent, NoState: true,
			Info: "{}"}) {
		b.t.Errorf("user b is %+v, %v", u, err)
	}
	if u, err := b.s.User(b.t.Context(), room, "a"); u != nil || err != nil {
		b.t.Errorf("user a is %+v, %v", u, err)
	}
}

// DESIGN 3: "Repeating a write that already holds changes nothing and publishes nothing."
func testRepeats(b *bench) {
	one := b.join("n-1", "a", device("c1"))
	b.next()
	if again := b.join("n-1", "a", device("c1")); again != one {
		b.t.Errorf("the same join again is at %v, not %v", again, one)
	}
	if at := b.leave("n-1", "a", "c9"); at != one {
		b.t.Errorf("leave of nobody is at %v", at)
	}
	if at := b.leave("n-1", "z", "c1"); at != one {
		b.t.Errorf("leave of no user is at %v", at)
	}
	two := b.leave("n-1", "a", "c1")
	b.next()
	if again := b.leave("n-1", "a", "c1"); again != two {
		b.t.Errorf("the same leave again is at %v, not %v", again, two)
	}
	b.silent()
	b.wantView("")
}

// DESIGN 3: "Every presence script is given the writer's deadline and refuses once Redis TIME is past it".
func testFence(b *bench) {
	b.join("n-1", "a", device("c1"))
	b.next()
	late := Lease{"n-1", b.now() - 1}
	m := device("c2")
	if _, err := b.s.Join(b.t.Context(), late, room, "a", &m, false, "", "e"); !errors.Is(err, errFenced) {
		b.t.Errorf("late join: %v", err)
	}
	same := device("c1")
	if _, err := b.s.Join(b.t.Context(), late, room, "a", &same, false, "", "e"); !errors.Is(err, errFenced) {
		b.t.Errorf("late repetition: %v", err)
	}
	if _, err := b.s.Leave(b.t.Context(), late, room, "a", "c1", "e", CauseClosed); !errors.Is(err, errFenced) {
		b.t.Errorf("late leave: %v", err)
	}
	if _, err := b.s.Join(b.t.Context(), b.lease("n-1"), room, "a", &m, false, "another epoch", "e"); !errors.Is(err,
		errFenced) {
		b.t.Errorf("join after a wipe: %v", err)
	}
	b.silent()
	b.wantView("a[c1]")
}

func testStale(b *bench) {
	b.join("n-10", "a", device("c1"))
	b.next()
	m := device("c1", `{"x":1}`)
	if _, err := b.s.Join(b.t.Context(), b.lease("n-9"), room, "a", &m, false, "", "e"); !errors.Is(err, errStale) {
		b.t.Errorf("join of an earlier incarnation: %v", err)
	}
	if _, err := b.s.Leave(b.t.Context(), b.lease("n-9"), room, "a", "c1", "e", CauseClosed); !errors.Is(err, errStale) {
		b.t.Errorf("leave of an earlier incarnation: %v", err)
	}
	b.silent()
	b.wantView("a[c1]")
	b.leave("n-11", "a", "c1")
	b.wantView("")
	if n := b.entries("n-10"); n != 0 {
		b.t.Errorf("%d entries of n-10", n)
	}
}

// DESIGN 3: "an entry moves from the old incarnation to the new without a leave or a join if it is still there".
func testMove(b *bench) {
	one := b.join("n-1", "a", device("c1"))
	b.next()
	if at := b.join("n-2", "a", device("c1")); at != one {
		b.t.Errorf("moved at %v, want %v", at, one)
	}
	b.silent()
	if old, now := b.entries("n-1"), b.entries("n-2"); old != 0 || now != 1 {
		b.t.Errorf("entries: old %d, new %d", old, now)
	}
	if _, err := b.s.RemoveIncarnation(b.t.Context(), room, "n-1", 0); err != nil {
		b.t.Fatal(err)
	}
	b.silent()
	b.wantView("a[c1]")
	b.join("n-3", "a", device("c1", `{"x":1}`)) // moves and changes at once
	if c := b.next(); c.Op != OpUpdate || c.Users[0].Metas[0].Inc != "n-3" {
		b.t.Errorf("message %+v", c)
	}
	if old, now := b.entries("n-2"), b.entries("n-3"); old != 0 || now != 1 {
		b.t.Errorf("entries: old %d, new %d", old, now)
	}
}
