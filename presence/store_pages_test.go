package presence

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"

	"rollcall/redisconn"
)

// DESIGN 3, reaper: "remove entries that still belong to that incarnation, one message with all the leaves".
func testReap(b *bench) {
	b.join("n-1", "a", device("c1"))
	b.join("m-1", "a", device("d2"))
	b.join("n-1", "b", device("c3"))
	b.join("n-1", "c", device("c4"))
	b.join("m-1", "z", device("d5"))
	moved := b.join("n-2", "c", device("c4"))
	for range 5 {
		b.next()
	}
	if _, err := b.s.RemoveIncarnation(b.t.Context(), room, "n-1", 0); err != nil {
		b.t.Fatal(err)
	}
	c := b.next()
	if c.Op != OpReap || c.Seq != moved.Seq+1 || len(c.Gone) != 2 || len(c.Users) != 2 {
		b.t.Fatalf("message %+v", c)
	}
	if n := b.s.reaped.Load(); n != 2 {
		b.t.Errorf("%d entries counted as reaped, want 2", n)
	}
	for _, u := range c.Users {
		if u.ID == "a" && showUser(&u) != "a[d2]" || u.ID == "b" && len(u.Metas) != 0 {
			b.t.Errorf("user %+v", u)
		}
	}
	b.silent()
	b.wantView("a[d2] c[c4] z[d5]")
	if n := b.entries("n-1"); n != 0 {
		b.t.Errorf("%d entries are left", n)
	}
	if _, err := b.s.RemoveIncarnation(b.t.Context(), room, "n-1", 0); err != nil {
		b.t.Fatal(err)
	}
	b.silent()
}

func testReapPages(b *bench) {
	const n = 2*pageSize + 50
	var wg sync.WaitGroup
	slots := make(chan struct{}, 32)
	for i := range n {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			b.join("n-1", fmt.Sprint("u", i), device(fmt.Sprintf("c%03d", i)))
		})
	}
	wg.Wait()
	b.join("m-1", "stays", device("d1"))
	for range n + 1 {
		b.next()
	}
	if _, err := b.s.RemoveIncarnation(b.t.Context(), room, "n-1", 0); err != nil {
		b.t.Fatal(err)
	}
	gone, messages := 0, 0
	for gone < n {
		c := b.next()
		gone, messages = gone+len(c.Gone), messages+1
		if len(c.Gone) > pageSize {
			b.t.Errorf("%d in one script", len(c.Gone))
		}
	}
	if messages != 3 {
		b.t.Errorf("%d messages, want 3", messages)
	}
	b.silent()
	b.wantView("stays[d1]")
}

// DESIGN 2: channels of an incarnation are "written before the first entry there (refused when the lease is gone)".
func testRegister(b *bench) {
	ctx, k := b.t.Context(), b.b.Keys()
	if held, err := b.s.Register(ctx, "n-1", room); held || err != nil {
		b.t.Errorf("without a lease: %v, %v", held, err)
	}
	if _, err := b.b.Do(ctx, "zadd", k.Nodes(), b.now()+1000, "n-1"); err != nil {
		b.t.Fatal(err)
	}
	for range 2 {
		if held, err := b.s.Register(ctx, "n-1", room); !held || err != nil {
			b.t.Errorf("with a lease: %v, %v", held, err)
		}
	}
	if held, err := b.s.Register(ctx, "n-1", "other"); !held || err != nil {
		b.t.Errorf("other channel: %v, %v", held, err)
	}
	list := func() any {
		res, err := b.b.Do(ctx, "smembers", k.NodeChannels("n-1"))
		if err != nil {
			b.t.Fatal(err)
		}
		return len(res.([]any))
	}
	if n := list(); n != 2 {
		b.t.Errorf("%v channels listed", n)
	}
	if err := b.s.Unregister(ctx, "n-1", []string{room, "other"}); err != nil {
		b.t.Fatal(err)
	}
	if n := list(); n != 0 {
		b.t.Errorf("%v channels listed after unregister", n)
	}
}

// slowRedis changes the channel before each page is read.
type slowRedis struct {
	*redisconn.Client
	between func()
}

func (r slowRedis) Batch(ctx context.Context, cmds []redis.Cmder) error {
	r.between()
	return r.Client.Batch(ctx, cmds)
}

func testPages(b *bench) {
	const n = 3 * pageSize
	ids := func(i int) (uid string, m Meta) { return fmt.Sprint("u", i), device(fmt.Sprintf("c%03d", i)) }
	var wg sync.WaitGroup
	for w := range 16 {
		wg.Go(func() {
			for i := w; i < n; i += 16 {
				uid, m := ids(i)
				b.join("n-1", uid, m)
			}
		})
	}
	wg.Wait()
	for range n {
		b.next()
	}
	step := 0
	s := NewStore(slowRedis{b.b, func() {
		step++
		for j := range 7 { // leaves, comes back, changes, and a new one
			uid, m := ids((step*37 + j*101) % n)
			switch j % 3 {
			case 0:
				b.leave("n-1", uid, m.ConnID)
			case 1:
				b.leave("n-1", uid, m.ConnID)
				b.join("n-1", uid, anew(m.ConnID, `{"back":true}`))
			default:
				b.join("n-1", uid, anew(m.ConnID, fmt.Sprintf(`{"step":%d}`, step)))
			}
		}
		b.join("n-1", fmt.Sprint("new", step), device(fmt.Sprintf("d%03d", step)))
	}}, b.b.Keys())
	snap, err := s.Snapshot(b.t.Context(), room)
	if err != nil {
		b.t.Fatal(err)
	}
	if snap.End <= snap.Seq {
		b.t.Fatalf("nothing happened between %d and %d", snap.Seq, snap.End)
	}
	for snap.Seq < snap.End {
		c := b.next()
		if !snap.Advance(&c) {
			b.t.Fatalf("change %d does not fit the snapshot at %d", c.Seq, snap.Seq)
		}
	}
	r := &Replica{}
	r.Reset(snap, 0)
	if fault := r.Check(); fault != "" {
		b.t.Error(fault)
	}
	b.silent()
	if got, want := show(r.List()), b.view(); got != want {
		b.t.Errorf("the snapshot differs from Redis:\n%s\n%s", got, want)
	}
}

func testNames(b *bench) {
	for i, uid := range []string{"a b", "1:x", "ü☃", `"\'`, "{x}", strings.Repeat("y", 255), "s", "users", "%7B"} {
		m := device(fmt.Sprint("c", i), `{"a b":"c d {}","n":"\n"}`)
		b.join("n-1", uid, m)
		if c := b.next(); c.Users[0].ID != uid || c.Users[0].Metas[0].Info != m.Info {
			b.t.Errorf("%q came as %+v", uid, c)
		}
		u, err := b.s.User(b.t.Context(), room, uid)
		if err != nil || u == nil || u.Metas[0].Info != m.Info {
			b.t.Errorf("%q is read as %+v, %v", uid, u, err)
		}
		b.leave("n-1", uid, m.ConnID)
		b.next()
	}
	b.wantView("")
}

func (b *bench) ttl() int64 {
	b.t.Helper()
	res, err := b.b.Do(b.t.Context(), "pttl", b.b.Keys().Head(room))
	if err != nil {
		b.t.Fatal(err)
	}
	return res.(int64)
}

func testForget(b *bench) {
	const day = 24 * 60 * 60 * 1000
	soon := func(what string) {
		b.t.Helper()
		if ttl := b.ttl(); ttl < day-60000 || ttl > day {
			b.t.Errorf("%s: the head expires in %d ms", what, ttl)
		}
	}
	one := b.join("n-1", "a", device("c1"))
	if ttl := b.ttl(); ttl != -1 {
		b.t.Errorf("occupied: the head expires in %d ms", ttl)
	}
	b.leave("n-1", "a", "c1")
	soon("after the last leave")
	if at := b.join("n-1", "a", device("c1")); at != (Position{one.Epoch, 3}) {
		b.t.Errorf("the history does not go on: %v", at)
	}
	if ttl := b.ttl(); ttl != -1 {
		b.t.Errorf("occupied again: the head expires in %d ms", ttl)
	}
	if _, err := b.s.RemoveIncarnation(b.t.Context(), room, "n-1", 0); err != nil {
		b.t.Fatal(err)
	}
	soon("after reaping the last")
}

// Redis must not evict; if it does all the same, writes go on and the views are read again.
func testLostHead(b *bench) {
	b.join("n-1", "a", device("c1"))
	b.join("n-1", "b", device("c2"))
	b.next()
	one := b.next()
	if _, err := b.b.Do(b.t.Context(), "del", b.b.Keys().Head(room)); err != nil {
		b.t.Fatal(err)
	}
	if at := b.leave("n-1", "a", "c1"); at.Epoch == "" || at.Epoch == one.Epoch || at.Seq != 1 {
		b.t.Errorf("leave at %v", at)
	}
	if c := b.next(); c.Epoch == one.Epoch || c.Seq != 1 {
		b.t.Errorf("message %+v", c)
	}
	if _, err := b.b.Do(b.t.Context(), "del", b.b.Keys().Head(room)); err != nil {
		b.t.Fatal(err)
	}
	if at := b.join("n-1", "b", device("c2")); at != (Position{}) {
		b.t.Errorf("a join that holds already is at %v", at)
	}
	if _, err := b.s.RemoveIncarnation(b.t.Context(), room, "n-1", 0); err != nil {
		b.t.Fatal(err)
	}
	if c := b.next(); c.Seq != 1 || c.Op != OpReap {
		b.t.Errorf("message %+v", c)
	}
}

func testWipe(b *bench) {
	one := b.join("n-1", "a", device("c1"))
	b.next()
	b.redis.FlushAll()
	if at, err := b.s.Positions(b.t.Context(), []string{room, "other"}); err != nil || at[0] != (Position{}) ||
		at[1] != (Position{}) {
		b.t.Errorf("positions %v, %v", at, err)
	}
	if at := b.leave("n-1", "a", "c1"); at != (Position{}) {
		b.t.Errorf("leave in nothing is at %v", at)
	}
	b.silent()
	two := b.join("n-1", "a", device("c1"))
	if two.Epoch == one.Epoch || two.Seq != 1 {
		b.t.Errorf("after the wipe at %v, before at %v", two, one)
	}
	b.wantChange(two, OpJoin, "a[c1]", "")
}

// anew is a device that tracks again: with another phx_ref.
func anew(conn, info string) Meta {
	m := device(conn, info)
	m.Ref = newRef()
	return m
}
