package presence

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"testing"

	"pgregory.net/rapid"
)

// TestModel: random joins, leaves, updates, second devices, reaped nodes; lost, repeated and delayed messages; readings
// whose pages are read at different moments; wipes and writing again; flushes and presence_states at random moments.
// In the end every replica, every script and every client knows exactly what is tracked (SPEC 5.1), and on the way no user
// joined twice or left twice, or was told to leave more often than it went: "one leave for each user who really went and
// none for those who stayed".
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &world{truth: map[string]map[string]Meta{}, went: map[string]int{}, now: 1000}
		w.x.users = map[string]*User{}
		nodes := rapid.IntRange(1, 3).Draw(t, "nodes")
		for i := range nodes {
			v := &view{r: NewReplica(), blind: map[string]bool{}, scripts: scriptClient{map[string]bool{}, map[string]int{}}}
			for j, devices := range []bool{false, true, false} {
				c := &client{name: fmt.Sprintf("%d.%d", i, j), devices: devices, left: map[string]int{}}
				if j < 2 {
					c.state = map[string][]string{} // in the channel while it was empty
				}
				v.clients = append(v.clients, c)
			}
			w.views = append(w.views, v)
		}
		users := rapid.SampledFrom([]string{"a", "b", "c", "d"})
		conns := rapid.IntRange(1, 3)
		aView := rapid.IntRange(0, nodes-1)
		t.Repeat(map[string]func(*rapid.T){
			"track": func(t *rapid.T) {
				id := users.Draw(t, "user")
				conn := id + strconv.Itoa(conns.Draw(t, "conn"))
				m, here := w.truth[id][conn]
				if !here {
					w.lastRef++
					m = Meta{ConnID: conn, Inc: "n-1", Ref: fmt.Sprintf("r%d-", w.lastRef), JoinedAt: int64(w.lastRef), Source: FromEvent, NoState: true}
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
				if v := w.views[aView.Draw(t, "to")]; len(v.queue) > 0 {
					w.receive(t, v)
				}
			},
			"lose": func(t *rapid.T) {
				if v := w.views[aView.Draw(t, "at")]; len(v.queue) > 0 {
					v.queue = v.queue[1:]
				}
			},
			"repeat": func(t *rapid.T) {
				if v := w.views[aView.Draw(t, "at")]; len(v.queue) > 0 {
					v.queue = slices.Insert(v.queue, 0, v.queue[0])
				}
			},
			"resubscribe": func(t *rapid.T) {
				v := w.views[aView.Draw(t, "at")]
				v.queue = nil
				w.read(v)
			},
			"page": func(t *rapid.T) {
				if v := w.views[aView.Draw(t, "of")]; v.reading != nil {
					w.page(t, v)
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
				for _, v := range w.views {
					v.broke = true
				}
			},
			"restore": func(*rapid.T) { w.restore() },
			"expire": func(t *rapid.T) {
				if w.lost {
					return // holds are longer than it takes to write again
				}
				v := w.views[aView.Draw(t, "at")]
				w.note(t, v, v.r.Expire(w.now))
			},
			"flush": func(t *rapid.T) { w.flush(t, w.views[aView.Draw(t, "at")]) },
			"state": func(t *rapid.T) {
				v := w.views[aView.Draw(t, "at")]
				w.state(t, v, v.clients[rapid.IntRange(0, 2).Draw(t, "client")])
			},
		})
		w.settle(t)
		want := w.model()
		for i, v := range w.views {
			got := map[string][]string{}
			for id, u := range v.r.users {
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
	})
}
