package presence

import (
	"strconv"
	"strings"
	"testing"
	"time"
)

// showGone writes who is gone by a change as "c1=lost c2".
func showGone(c *Change) string {
	var out []string
	for _, conn := range c.Gone {
		if why := c.cause(conn); why != CauseUnknown {
			conn += "=" + string(why)
		}
		out = append(out, conn)
	}
	return strings.Join(out, " ")
}

// SPEC 10: a leave has the cause of its connection's end, also when its node did not live to tell it; else the node is
// what was lost.
func testReapCauses(b *bench) {
	at := b.join("n-1", "a", device("c1"))
	b.next()
	for _, conn := range []string{"c2", "c3", "c4", "c5"} {
		b.join("n-1", "u"+conn, device(conn))
		b.next()
	}
	for conn, why := range map[string]Cause{"c2": CauseDrained, "c3": CauseLost, "c4": CauseClosed} {
		m := device(conn)
		l := b.lease("n-1")
		_, err := b.s.Linger(b.t.Context(), l, room, "u"+conn, &m, "", "", 0, at.Epoch, why)
		if err != nil {
			b.t.Fatal(err)
		}
	}
	refs := []entryRef{{"c1", "a"}, {"c2", "uc2"}, {"c3", "uc3"}, {"c4", "uc4"}, {"c5", "uc5"}}
	if n, _, err := b.s.remove(b.t.Context(), room, "n-1", removeAll, 0, refs); err != nil || n != 5 {
		b.t.Fatalf("%d, %v", n, err)
	}
	c := b.next()
	if got, want := showGone(&c), "c1=node_lost c2=drained c3=lost c4=closed c5=node_lost"; got != want {
		b.t.Errorf("gone %s, want %s", got, want)
	}
}

// Versions may be mixed. One that is older than causes writes `~<deadline>`, and must read the deadline of this one.
// The pattern is that of its message.lua.
func testLingerVersions(b *bench) {
	at := b.join("n-1", "a", device("c1"))
	b.next()
	if err := b.linger("n-1", "a", device("c1"), time.Minute, at.Epoch); err != nil {
		b.t.Fatal(err)
	}
	key := b.s.keys.User(room, "a")
	entry := b.do("hget", key, "c1")
	const old = `return string.match(redis.call('HGET', KEYS[1], 'c1'), '^%S+ %S+ %S+ [^ ~]+~(%d+) ')`
	till, err := strconv.ParseInt(b.do("eval", old, 1, key), 10, 64)
	if err != nil || till < b.now()+50_000 || till > b.now()+60_000 {
		b.t.Errorf("an older node reads the deadline %d, %v, of %q", till, err, entry)
	}
	b.do("hset", key, "c1", strings.Replace(entry, "~00", "~", 1))
	if later, err := b.s.RemoveIncarnation(b.t.Context(), room, "n-1", 0); err != nil || later < b.now()+50_000 {
		b.t.Errorf("what an older node wrote is due at %d, %v", later, err)
	}
	refs := []entryRef{{"c1", "a"}}
	if _, _, err := b.s.remove(b.t.Context(), room, "n-1", removeAll, 0, refs); err != nil {
		b.t.Fatal(err)
	}
	at.Seq++
	b.wantChange(at, OpReap, "a[]", "c1=node_lost")
}

// A view tells the cause of each leave that it knows.
func TestTransitionCauses(t *testing.T) {
	left := func(seq int64, conn string, why Cause, users ...User) *Change {
		c := change("e", seq, conn, users...)
		c.Op, c.causes = OpLeave, []Cause{why}
		return c
	}
	causes := func(ts []Transition) string {
		var out []string
		for _, t := range ts {
			out = append(out, t.ID()+"="+string(t.Cause))
		}
		return strings.Join(out, " ")
	}
	full := snapshot("e", 5, user("ann", 1, device("c1"), device("c2")), user("bob", 2, device("c3")))
	tests := []struct {
		name string
		do   func(r *Replica) []Transition
		want string
	}{
		{"one of two", func(r *Replica) []Transition {
			ts, _ := r.Apply(left(6, "c2", CauseLost, user("ann", 6, device("c1"))))
			return ts
		}, "ann="},
		{"the last", func(r *Replica) []Transition {
			_, _ = r.Apply(left(6, "c2", CauseLost, user("ann", 6, device("c1"))))
			ts, _ := r.Apply(left(7, "c1", CauseKicked, user("ann", 7)))
			return ts
		}, "ann=kicked"},
		{"an older node's", func(r *Replica) []Transition {
			ts, _ := r.Apply(change("e", 6, "c3", user("bob", 6)))
			return ts
		}, "bob="},
		{"read again, and changes came meanwhile", func(r *Replica) []Transition {
			s := snapshot("e", 6, user("bob", 2, device("c3")))
			s.End = 7
			s.Advance(left(7, "c3", CauseExpired, user("bob", 7)))
			return r.Reset(s, 0)
		}, "ann= bob=expired"},
		{"never written again after a wipe", func(r *Replica) []Transition {
			r.Reset(snapshot("", 0), 100)
			return r.Expire(100)
		}, "ann=node_lost bob=node_lost"},
		{"missed while a connection to Redis broke", func(r *Replica) []Transition {
			r.Reset(snapshot("e", 7), 100)
			return r.Expire(100)
		}, "ann= bob="},
	}
	for _, test := range tests {
		r := &Replica{}
		r.Reset(full, 0)
		if got := causes(test.do(r)); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}
