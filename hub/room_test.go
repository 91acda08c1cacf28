package hub

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"rollcall/presence"
	"rollcall/testkit"
)

// SPEC 1.1: subscribe: "when it returns, every later broadcast reaches this connection; twice is once"; broadcast: "to
// every subscriber in the cluster, the sender included if subscribed … need not be subscribed".
func TestBroadcast(t *testing.T) {
	w := newWorld(t, worldConfig{})
	n1, n2 := w.node("n1"), w.node("n2")
	a, b, s, out := n1.event("a"), n2.event("b"), n2.script("s"), n1.event("out")
	for _, c := range []*client{a, b, s} {
		c.join("room", "room")
	}
	a.say("room", "hello")
	for _, c := range []*client{a, b} {
		c.want("hello")
	}
	s.want("room: hello from a")
	out.say("room", "from outside")
	must(t, n1.Broadcast(t.Context(), "room", Value{Text: `{"x":[]}`, JSON: true}, ""))
	a.want("from outside", `{"x":[]}`)
	b.want("from outside", `{"x":[]}`)
	s.want("room: from outside from out", `room: {"x":[]} from nobody`)
	out.want()
	must(t, a.Leave("room"))
	must(t, a.Leave("room"))
	must(t, a.Leave("never joined"))
	b.say("room", "later")
	b.want("later")
	a.want()
	must(t, n2.Broadcast(t.Context(), "nobody is here", Value{Text: "x"}, "")) // true also with no subscribers
}

// SPEC 6: "leave does not untrack": who is tracked and has left hears of users, and no broadcast.
func TestNoBroadcastAfterLeave(t *testing.T) {
	_, n1, _ := quick(t)
	tracked, joined := n1.event("tracked"), n1.event("joined")
	tracked.join("room")
	tracked.track("room", "ann", "")
	tracked.want("room: state ann[tracked]")
	joined.join("room")
	must(t, tracked.Leave("room"))
	joined.say("room", "one")
	joined.want("one")
	tracked.want()
	tracked.join("room")
	joined.say("room", "two")
	joined.want("two")
	tracked.want("two")
}

// SPEC 1.2, broadcast: "to every connection of the cluster"; SPEC 6: it reaches "connections of both kinds, as raw
// text".
func TestBroadcastAll(t *testing.T) {
	w := newWorld(t, worldConfig{})
	n1, n2 := w.node("n1"), w.node("n2")
	a, b, s := n1.event("a"), n2.event("b"), n2.script("s")
	testkit.Eventually(t, "both nodes hear everything", func() bool {
		must(t, n1.BroadcastAll(t.Context(), Value{Text: "probe"}))
		return len(a.got()) > 0 && len(b.got()) > 0 && len(s.got()) > 0
	})
	must(t, n2.BroadcastAll(t.Context(), Value{Text: "last"}))
	for _, c := range []*client{a, b, s} {
		testkit.Eventually(t, c.name+" got it", func() bool { return slices.Contains(c.got(), "last") })
	}
}

// SPEC 5.3: "in the same order for all subscribers of a channel from one sender", and all of what one goroutine sends.
func TestBroadcastOrder(t *testing.T) {
	w := newWorld(t, worldConfig{})
	n1, n2 := w.node("n1"), w.node("n2")
	a, b, c := n1.event("a"), n2.event("b"), n2.script("c")
	for _, x := range []*client{a, b, c} {
		x.join("room")
	}
	var wg sync.WaitGroup
	for _, from := range []*client{a, b} {
		wg.Go(func() {
			for i := range 100 {
				from.say("room", fmt.Sprint(from.name, i))
			}
		})
	}
	wg.Wait()
	var all [][]string
	for _, x := range []*client{a, b, c} {
		testkit.Eventually(t, x.name+" got all", func() bool { return len(x.got()) == 200 })
		lines := x.got()
		for i := range lines {
			lines[i], _, _ = strings.Cut(strings.TrimPrefix(lines[i], "room: "), " from")
		}
		all = append(all, lines)
		for _, from := range []string{"a", "b"} {
			i := 0
			for _, line := range lines {
				if strings.HasPrefix(line, from) {
					if line != fmt.Sprint(from, i) {
						t.Fatalf("%s got %s, want %s%d", x.name, line, from, i)
					}
					i++
				}
			}
		}
	}
	if !slices.Equal(all[0], all[1]) || !slices.Equal(all[0], all[2]) {
		t.Error("subscribers of one channel saw different orders")
	}
}

// SPEC 1.1, list: "in subscription order".
func TestRooms(t *testing.T) {
	w := newWorld(t, worldConfig{})
	c := w.node("n1").event("c")
	c.join("b", "a", "c", "a")
	must(t, c.Leave("b"))
	c.join("b")
	c.track("tracked", "u", "")
	if got := fmt.Sprint(c.Rooms()); got != "[a c b]" {
		t.Errorf("rooms %s", got)
	}
}

// SPEC 1.3: `ws_clients()`, `ws_clients_in(channel)`, `ws_count()`, cluster-wide.
func TestClients(t *testing.T) {
	w := newWorld(t, worldConfig{})
	n1, n2 := w.node("n1"), w.node("n2")
	a, b, s := n1.event("a"), n2.event("b"), n2.script("s")
	a.join("room")
	s.join("room")
	b.track("room", "u", "")
	for _, n := range []*node{n1, n2} {
		testkit.Eventually(t, "both are known", func() bool { return len(n.cluster.Nodes()) == 2 && n.Count() == 3 })
		all, err := n.Clients(t.Context())
		if want := []string{a.id, b.id, s.id}; err != nil || !sameSet(all, want) {
			t.Errorf("clients %v, %v; want %v", all, err, want)
		}
		in, err := n.ClientsIn(t.Context(), "room")
		if want := []string{a.id, s.id}; err != nil || !sameSet(in, want) {
			t.Errorf("clients in room %v, %v; want %v", in, err, want)
		}
		if in, err := n.ClientsIn(t.Context(), "empty"); err != nil || in == nil || len(in) != 0 {
			t.Errorf("clients in empty %v, %v", in, err)
		}
	}
	a.Exit(Closed, presence.CauseClosed)
	testkit.Eventually(t, "the count follows", func() bool { return n2.Count() == 2 })
}

func sameSet(a, b []string) bool {
	a, b = slices.Clone(a), slices.Clone(b)
	slices.Sort(a)
	slices.Sort(b)
	return slices.Equal(a, b)
}

// A room lives as long as someone is in it.
func TestRoomsClose(t *testing.T) {
	w := newWorld(t, worldConfig{})
	n := w.node("n1")
	a, b := n.event("a"), n.event("b")
	topic := n.keys.Topic("room")
	listeners := func() int { return w.redis.Mini().PubSubNumSub(topic)[topic] }
	a.join("room")
	b.track("room", "u", "")
	if n.Load().Channels != 1 || listeners() != 1 {
		t.Errorf("%d rooms, %d subscriptions", n.Load().Channels, listeners())
	}
	must(t, a.Leave("room"))
	if n.Load().Channels != 1 {
		t.Error("the room closed though someone is tracked in it")
	}
	must(t, b.Untrack(t.Context(), "room"))
	if n.Load().Channels != 0 {
		t.Error("the room stays though nobody is in it")
	}
	testkit.Eventually(t, "the subscription ends", func() bool { return listeners() == 0 })
	must(t, b.SendPresence(t.Context(), "room"))
	b.want("room: state u[b]", "room: state")
	if n.Load().Channels != 0 {
		t.Error("a room stays after send_presence")
	}
}

// Many join and leave one channel at once; whoever is in it at the end gets the broadcast, and no other.
func TestJoinAndLeaveRace(t *testing.T) {
	w := newWorld(t, worldConfig{})
	n := w.node("n1")
	var clients []*client
	for i := range 20 {
		clients = append(clients, n.event(fmt.Sprint("c", i)))
	}
	var wg sync.WaitGroup
	for i, c := range clients {
		wg.Go(func() {
			for range 30 {
				c.join("room")
				if err := c.Leave("room"); err != nil {
					t.Error(err)
				}
			}
			if i%2 == 0 {
				c.join("room")
			}
		})
	}
	wg.Wait()
	clients[1].say("room", "now")
	for i, c := range clients {
		if i%2 == 0 {
			c.want("now")
		} else {
			c.want()
		}
	}
}

// Joins that end because the connection goes, in the midst of it.
func TestExitWhileJoining(t *testing.T) {
	w := newWorld(t, worldConfig{})
	n := w.node("n1")
	var wg sync.WaitGroup
	for i := range 50 {
		c := n.event(fmt.Sprint("c", i))
		wg.Go(func() {
			for j := range 5 {
				if err := c.Join(t.Context(), fmt.Sprint("room", j%3)); err != nil && !isOneOf(err, ErrGone) {
					t.Error(err)
				}
				if err := c.Track(t.Context(), fmt.Sprint("room", j%3), "u", nil); err != nil && !isOneOf(err, ErrGone) {
					t.Error(err)
				}
			}
		})
		wg.Go(func() { c.Exit(Closed, presence.CauseClosed) })
	}
	wg.Wait()
	testkit.Eventually(t, "all rooms are closed",
		func() bool { return n.Load().Channels == 0 && n.Load().Connections == 0 })
	for j := range 3 {
		w.wantViews(fmt.Sprint("room", j), "")
	}
}

// A script whose queue is full hears nothing more (Member.Events).
func TestFullScriptHearsNothingMore(t *testing.T) {
	w := newWorld(t, worldConfig{})
	n := w.node("n1")
	s, ok := n.script("s"), n.event("ok")
	s.join("room")
	ok.join("room")
	s.full = true
	for i := range 3 {
		ok.say("room", fmt.Sprint(i))
	}
	ok.want("0", "1", "2")
	s.want("full")
}

// A client whose socket is gone does not keep others from anything.
func TestDeadSocketHurtsNobody(t *testing.T) {
	w := newWorld(t, worldConfig{})
	n := w.node("n1")
	a, b := n.event("a"), n.event("b")
	a.join("room")
	b.join("room")
	a.mu.Lock()
	a.refuse = true
	a.mu.Unlock()
	b.say("room", "x")
	b.track("room", "u", "")
	b.want("x", "room: state u[b]")
}

// A handler that waits for Redis is bounded by its context.
func TestJoinIsBoundedByContext(t *testing.T) {
	w := newWorld(t, worldConfig{})
	n := w.node("n1")
	c := n.event("c")
	n.proxy.Drop()
	defer n.proxy.Resume()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	began := time.Now()
	if err := c.Join(ctx, "room"); err != nil {
		t.Errorf("join: %v", err)
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("it took %v", took)
	}
}
