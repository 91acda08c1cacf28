package presence

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestModel: random joins, leaves, updates, second devices, reaped nodes; lost, repeated and delayed messages; readings
// whose pages are read at different moments; wipes and writing again; flushes and presence_states at random moments.
// In the end every replica, every script and every client knows exactly what is tracked (SPEC 5.1), and on the way no
// user joined twice or left twice, or was told to leave more often than it went: "one leave for each user who really
// went and none for those who stayed".
func TestModel(t *testing.T) {
	for range rounds {
		rapid.Check(t, testModel)
	}
}

// rounds is how often rapid makes its hundred runs: some faults show in one of a thousand.
const rounds = 10

func testModel(t *rapid.T) {
	w := &world{truth: map[string]map[string]Meta{}, went: map[string]int{}, now: time.UnixMilli(1000)}
	w.x.users = map[string]*User{}
	count := rapid.IntRange(1, 3).Draw(t, "nodes")
	w.window = rapid.SampledFrom([]time.Duration{0, 50 * time.Millisecond}).Draw(t, "window")
	for i := range count {
		n := &node{view: view{channel: "C"}, blind: map[string]bool{}, waiting: map[chan struct{}]waiter{}}
		n.listen(i, true)
		w.nodes = append(w.nodes, n)
		w.step(t, n, reread{resyncFirst})
		for n.reading != nil {
			w.read(t, n)
		}
	}
	users := rapid.SampledFrom([]string{"a", "b", "c", "d"})
	conns := rapid.IntRange(1, 3)
	aNode := rapid.IntRange(0, count-1)
	t.Repeat(map[string]func(*rapid.T){
		"track": func(t *rapid.T) {
			id := users.Draw(t, "user")
			conn := id + strconv.Itoa(conns.Draw(t, "conn"))
			m, here := w.truth[id][conn]
			if !here {
				w.lastRef++
				m = Meta{ConnID: conn, Inc: "n-1", Ref: fmt.Sprintf("r%d-", w.lastRef), JoinedAt: int64(w.lastRef),
					Source: FromEvent, NoState: true}
			}
			m.Info = fmt.Sprintf(`{"n":%d}`, rapid.IntRange(0, 3).Draw(t, "n"))
			if w.truth[id] == nil {
				w.truth[id] = map[string]Meta{}
			}
			w.truth[id][conn] = m
			w.x.put(id, m)
			w.publish()
		},
		"untrack": func(t *rapid.T) {
			id := users.Draw(t, "user")
			conn := id + strconv.Itoa(conns.Draw(t, "conn"))
			w.untrack(id, conn)
			w.x.remove(OpLeave, map[string][]string{id: {conn}})
			w.publish()
		},
		"reap": func(t *rapid.T) { // the first connections of all users were on a node that died
			by := map[string][]string{}
			for id := range w.truth {
				w.untrack(id, id+"1")
				by[id] = []string{id + "1"}
			}
			w.x.remove(OpReap, by)
			w.publish()
		},
		"deliver": func(t *rapid.T) {
			n := w.nodes[aNode.Draw(t, "to")]
			for left := rapid.IntRange(1, 5).Draw(t, "messages"); left > 0 && len(n.queue) > 0; left-- {
				w.receive(t, n)
			}
		},
		"lose": func(t *rapid.T) {
			if n := w.nodes[aNode.Draw(t, "at")]; len(n.queue) > 0 {
				n.queue = n.queue[1:]
			}
		},
		"repeat": func(t *rapid.T) {
			if n := w.nodes[aNode.Draw(t, "at")]; len(n.queue) > 0 {
				n.queue = slices.Insert(n.queue, 0, n.queue[0])
			}
		},
		"damage": func(t *rapid.T) {
			if n := w.nodes[aNode.Draw(t, "at")]; len(n.queue) > 0 {
				n.queue = n.queue[1:]
				w.step(t, n, reread{resyncBad})
			}
		},
		"resubscribe": func(t *rapid.T) { w.resubscribe(t, w.nodes[aNode.Draw(t, "at")]) },
		"read": func(t *rapid.T) {
			n := w.nodes[aNode.Draw(t, "at")]
			for left := rapid.IntRange(1, 9).Draw(t, "steps"); left > 0 && n.reading != nil; left-- {
				w.read(t, n)
			}
		},
		"fail to read": func(t *rapid.T) {
			if n := w.nodes[aNode.Draw(t, "at")]; n.reading != nil {
				number := n.reading.number
				n.reading = nil
				w.step(t, n, readOver{number, nil})
			}
		},
		"leave": func(t *rapid.T) { w.leave(t, aNode.Draw(t, "at")) },
		"write": func(t *rapid.T) { // and wait for it
			n := w.nodes[aNode.Draw(t, "at")]
			wait := waiter{at: Position{w.epoch(), w.x.seq}, begun: n.view.begun, done: make(chan struct{})}
			n.waiting[wait.done] = wait
			w.step(t, n, awaits{wait})
		},
		"wait no longer": func(t *rapid.T) {
			n := w.nodes[aNode.Draw(t, "at")]
			late := rapid.Bool().Draw(t, "late")
			for done, wait := range n.waiting { // all: they have no order
				if late {
					w.step(t, n, overdue{wait})
				} else {
					w.step(t, n, gaveUp{wait})
					delete(n.waiting, done)
				}
			}
		},
		"wipe": func(t *rapid.T) {
			w.lose()
			w.x.users, w.x.seq, w.x.past = map[string]*User{}, 0, nil
		},
		"failover": func(t *rapid.T) {
			w.lose()
			w.x.fallBack(rapid.IntRange(1, 5).Draw(t, "lost writes"))
			for id, u := range w.x.users { // whose leave was lost is back until reaped
				for _, m := range u.Metas {
					if _, here := w.truth[id][m.ConnID]; !here {
						w.went[id]++
					}
				}
			}
			for _, n := range w.nodes {
				n.doubt, n.broken = w.now.Add(holdFor), true
			}
		},
		"restore": func(*rapid.T) { w.restore() },
		"pass": func(t *rapid.T) {
			ms := rapid.SampledFrom([]int{1, 20, 60, 600, 15_000}).Draw(t, "ms")
			w.pass(t, time.Duration(ms)*time.Millisecond, rapid.Bool().Draw(t, "lease held"))
		},
		"state": func(t *rapid.T) {
			n := w.nodes[aNode.Draw(t, "at")]
			c := n.clients[rapid.IntRange(0, 2).Draw(t, "client")]
			w.step(t, n, owes{waiter{begun: n.view.begun, conn: c.name, done: make(chan struct{})}})
			w.step(t, n, encoded{time.Millisecond})
		},
	})
	w.settle(t)
	want := w.model()
	for i, v := range w.nodes {
		if len(v.waiting) > 0 {
			t.Fatalf("writers of node %d still wait: %v", i, v.waiting)
		}
		got := map[string][]string{}
		for u := range v.view.replica.users.all() {
			id := u.ID
			for _, m := range u.Metas {
				got[id] = append(got[id], m.Ref+numberIn(m.Info))
			}
		}
		if !maps.EqualFunc(got, want, slices.Equal[[]string]) {
			t.Fatalf("replica of node %d is %v, want %v", i, got, want)
		}
		if got := sorted(v.scripts.present); !slices.Equal(got, sorted(want)) {
			t.Fatalf("scripts of node %d know %v, want %v", i, got, sorted(want))
		}
		for id, n := range v.scripts.left {
			if n > w.went[id] && !v.blind[id] {
				t.Fatalf("scripts of node %d were told %d leaves of %s, who went %d times", i, n, id, w.went[id])
			}
		}
		for _, c := range v.clients {
			for id, n := range c.left {
				if n > w.went[id] && !v.blind[id] {
					t.Fatalf("client %s was told %d leaves of %s, who went %d times", c.name, n, id, w.went[id])
				}
			}
			if c.state == nil {
				continue
			}
			if got := sorted(c.state); !slices.Equal(got, sorted(want)) {
				t.Fatalf("client %s knows %v, want %v", c.name, got, sorted(want))
			}
			if c.devices && !maps.EqualFunc(c.state, want, slices.Equal[[]string]) {
				t.Fatalf("client %s on a devices route knows %v, want %v", c.name, c.state, want)
			}
		}
	}
}
