package hub

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"rollcall/history"
	"rollcall/presence"
	"rollcall/testkit"
)

func (w *world) keeps(pattern string, size int, ttl time.Duration) {
	w.rules = history.NewRules([]history.Rule{{Pattern: pattern, Policy: history.Policy{Size: size, TTL: ttl}}})
}

// SPEC 7: returning clients are served "by one read of Redis a channel and node, shared by all who wait".
func TestManyWhoComeBackShareOneRead(t *testing.T) {
	w := newWorld(t, worldConfig{})
	w.keeps("room*", 100, time.Minute)
	n1, n2 := w.node("n1"), w.node("n2")
	first := n1.resume("first")
	first.join("room")
	for i := range 20 {
		first.say("room", fmt.Sprint(i))
	}
	n2.proxy.Hold() // so that all are there before Redis answers
	var all []*client
	var done sync.WaitGroup
	for i := range 50 {
		c := n2.resume(fmt.Sprint("c", i), fmt.Sprintf("room=0-%d", i%20))
		all = append(all, c)
		done.Go(func() { must(t, c.Join(t.Context(), "room")) })
	}
	waiting := func() int {
		n2.roomsMu.Lock()
		r := n2.rooms["room"]
		n2.roomsMu.Unlock()
		if r == nil {
			return 0
		}
		r.mu.RLock()
		defer r.mu.RUnlock()
		n := 0
		for _, m := range r.members {
			if m.feedState == waiting {
				n++
			}
		}
		return n
	}
	testkit.Eventually(t, "all wait", func() bool { return waiting() == len(all) })
	n2.proxy.Resume()
	done.Wait()
	for i, c := range all {
		want := []string{fmt.Sprintf("room: joined at 0-%d, recovered %d", i%20, 20-i%20)}
		for j := i % 20; j < 20; j++ {
			want = append(want, fmt.Sprintf("room: message %d at 0-%d", j, j+1))
		}
		c.want(want...)
	}
	if reads := n2.stats.Reads.Load(); reads != 1 {
		t.Errorf("Redis was read %d times", reads)
	}
	late := n2.resume("late", "room=0-19")
	late.join("room")
	late.want("room: joined at 0-19, recovered 1", "room: message 19 at 0-20")
	if reads := n2.stats.Reads.Load(); reads != 1 {
		t.Errorf("then Redis was read %d times", reads)
	}
	if got := n2.stats.Recovered.Load(); got != 51 {
		t.Errorf("%d recovered", got)
	}
}

// SPEC 7: "What nodes keep is bounded (--history-memory)": the coldest go first, and Redis serves their channels.
func TestHistoryMemoryIsBounded(t *testing.T) {
	w := newWorld(t, worldConfig{memory: 10 << 10})
	w.keeps("room*", 100, time.Minute)
	n := w.node("n")
	c := n.resume("c")
	for i := range 10 {
		c.join(fmt.Sprint("room", i))
	}
	for range 4 {
		for i := range 10 {
			c.say(fmt.Sprint("room", i), strings.Repeat("x", 500))
		}
	}
	testkit.Eventually(t, "all came", func() bool { return len(c.got()) == 50 })
	testkit.Eventually(t, "as much is kept as may be", func() bool {
		got := n.rings.total() // noted once a message has been handed out
		return got <= 10<<10 && got >= 8<<10
	})
	reads := n.stats.Reads.Load()
	n.resume("hot").join("room9")
	back := n.resume("back", "room9=0-3")
	back.join("room9")
	if got := n.stats.Reads.Load(); got != reads {
		t.Errorf("the hottest was read %d times", got-reads)
	}
	cold := n.resume("cold", "room0=0-1")
	cold.join("room0")
	if got := n.stats.Reads.Load(); got != reads+1 {
		t.Errorf("the coldest was read %d times", got-reads)
	}
	if got := len(cold.got()); got != 4 {
		t.Errorf("the coldest gave %q", cold.got())
	}
	for _, x := range []*client{c, back, cold} {
		x.Exit(Closed, presence.CauseClosed)
	}
	for _, r := range n.allRooms() {
		for _, m := range r.members {
			m.s.Exit(Closed, presence.CauseClosed)
		}
	}
	testkit.Eventually(t, "nothing is kept for nobody", func() bool { return n.rings.total() == 0 })
}

// SPEC 5.3 and 7: while Redis cannot be reached a join succeeds, and is answered when it is back.
func TestJoinWithHistoryWithoutRedis(t *testing.T) {
	w := newWorld(t, worldConfig{timeout: 500 * time.Millisecond})
	w.keeps("room*", 100, time.Minute)
	n := w.node("n")
	first := n.resume("first")
	first.join("room")
	first.want("room: joined at 0-0")
	n.proxy.Cut()
	n.proxy.Refuse()
	c, s, late := n.resume("c"), n.script("s"), n.script("late")
	var done sync.WaitGroup
	done.Go(func() {
		if _, in, err := late.JoinSince(t.Context(), "room", &history.Position{MS: 1, Seq: 0}); in || err != nil {
			t.Errorf("a script without Redis is in: %v, %v", in, err)
		}
	})
	done.Go(func() { must(t, c.Join(t.Context(), "room")) })
	done.Go(func() { must(t, s.Join(t.Context(), "room")) })
	done.Wait()
	if err := n.Broadcast(t.Context(), "room", Value{Text: "x"}, ""); !isOneOf(err, ErrUnavailable) {
		t.Errorf("a broadcast: %v", err)
	}
	if _, err := n.History(t.Context(), "room", history.Query{Limit: 1}); !isOneOf(err, ErrUnavailable) {
		t.Errorf("reading: %v", err)
	}
	n.proxy.Resume()
	c.want("room: joined at 0-0")
	late.want("room: lost before what follows 0-0, fork") // its call had no answer
	testkit.Eventually(t, "it can be published",
		func() bool { return n.Broadcast(t.Context(), "room", Value{Text: "x"}, "") == nil })
	testkit.Eventually(t, "all hear it",
		func() bool { return len(c.got()) > 0 && len(first.got()) > 0 && len(s.got()) > 0 })
}

// SPEC 6: who leaves after a broadcast of its own still gets that broadcast, and nothing behind it: on a feed too.
func TestOwnBroadcastComesAfterLeaveOfAFeed(t *testing.T) {
	w := newWorld(t, worldConfig{})
	w.keeps("room*", 1000, time.Minute)
	n1, n2 := w.node("n1"), w.node("n2")
	other := n2.event("other")
	for i := range 50 {
		c := n1.resume("c")
		c.join("room")
		c.say("room", fmt.Sprint("own ", i))
		must(t, c.Leave("room"))
		other.say("room", "behind")
		testkit.Eventually(t, "it comes", func() bool { return len(c.got()) == 2 })
		if got := c.got(); !strings.Contains(got[1], fmt.Sprint("message own ", i)) {
			t.Fatalf("%q", got)
		}
		c.Exit(Closed, presence.CauseClosed)
	}
}
