package hooks

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// Promise 8, with faults in any order: sinks that fail or whose answers are lost, nodes that are killed, wipes, wakings
// that are lost, synchronisations. At rest the set is equal, joins and leaves alternate (backend.Fold), and who stays
// is never told as gone.
func TestRandomFaults(t *testing.T) {
	for seed := range uint64(12) {
		for _, settle := range []time.Duration{0, 700 * time.Millisecond} {
			t.Run(fmt.Sprint(seed, " ", settle), func(t *testing.T) {
				t.Parallel()
				onStage(t, 3, Hook{Settle: settle}, func(t *testing.T, s *stage) {
					(&unrest{s: s, rng: rand.New(rand.NewPCG(seed, 1)), settle: settle}).run(t)
				})
			})
		}
	}
}

// unrest is what happens to a stage.
type unrest struct {
	s      *stage
	rng    *rand.Rand
	settle time.Duration
}

func (u *unrest) run(t *testing.T) {
	stays := u.s.nodes[0]
	stays.join("room0", "resident", "")
	time.Sleep(10 * time.Second)
	u.s.sink.fold.Log()
	for range 5 {
		for range 20 {
			u.step()
			time.Sleep(time.Duration(u.rng.IntN(900)) * time.Millisecond)
		}
		u.s.sink.set(works)
		for _, m := range u.s.nodes {
			m.mu.Lock()
			m.deaf = false
			m.mu.Unlock()
			m.hooks.Suspect() // as when the failover is noticed that lost the wakings; else audits of quiet channels are rare
		}
		u.s.equal(hold + 31*time.Second + u.settle) // an audit finds what nobody was woken for
		for _, line := range u.s.sink.fold.Log() {
			if strings.Contains(line, "resident") && !strings.HasPrefix(line, "sync") && !strings.HasPrefix(line, "update") {
				t.Errorf("told of who stayed: %s", line)
			}
		}
	}
}

// node is one that lives.
func (u *unrest) node() *member {
	live := slices.DeleteFunc(slices.Clone(u.s.nodes), func(m *member) bool { return m.closed })
	return live[u.rng.IntN(len(live))]
}

func (u *unrest) step() {
	m := u.node()
	switch u.rng.IntN(20) {
	default:
		m.join(fmt.Sprint("room", u.rng.IntN(3)), fmt.Sprint("u", u.rng.IntN(6)), "")
	case 0, 1, 2, 3, 4, 5, 6, 7:
		for key, user := range m.conns {
			if channel, conn, _ := strings.Cut(key, "\n"); user != "resident" {
				m.leave(channel, user, conn)
				break
			}
		}
	case 8:
		u.s.sink.set(fails)
	case 9:
		u.s.sink.set(works)
	case 10:
		u.s.sink.set(func(_ int, r *request) error {
			_ = u.s.sink.fold.Take(r.Body)
			return errSink
		})
	case 11:
		if m != u.s.nodes[0] {
			u.kill(m)
		}
	case 12:
		u.wipe()
	case 13:
		if err := m.hooks.Sync(u.s.t.Context(), "h"); err != nil {
			u.s.t.Error(err)
		}
	case 14:
		m.mu.Lock()
		m.deaf = !m.deaf
		m.mu.Unlock()
	}
}

// kill ends a node; others reap it after a while, and another starts.
func (u *unrest) kill(m *member) {
	m.kill()
	time.Sleep(3 * time.Second)
	for _, channel := range m.tracked() {
		_, err := u.s.nodes[0].store.RemoveIncarnation(context.Background(), channel, m.lease().Inc, 0)
		if err != nil {
			u.s.t.Error(err)
		}
	}
	u.s.start(Hook{Settle: u.settle})
}

// wipe takes all from Redis; the nodes write again who is with them.
func (u *unrest) wipe() {
	u.s.redis.FlushAll()
	time.Sleep(time.Duration(u.rng.IntN(2000)) * time.Millisecond)
	for _, m := range u.s.nodes {
		if m.closed {
			continue
		}
		m.hooks.Suspect() // its heartbeat is answered that it has no lease
		for key, user := range maps.Clone(m.conns) {
			channel, conn, _ := strings.Cut(key, "\n")
			m.write(channel, user, conn, "")
		}
	}
}
