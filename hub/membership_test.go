package hub

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"rollcall/history"
	"rollcall/phoenix"
	"rollcall/presence"
	"rollcall/testkit"
	"rollcall/wsconn"
)

// Whatever connections do at the same time, each room's members are right at any moment, and nothing of them stays.
func TestMembersStayRight(t *testing.T) {
	_, n1, n2 := quick(t)
	rules := history.NewRules([]history.Rule{{Pattern: "r1*", Policy: history.Policy{Size: 5, TTL: time.Minute}}})
	n1.SetHistory(rules)
	n2.SetHistory(rules)
	var done sync.WaitGroup
	for i := range 8 {
		m := Member{Resume: i%3 == 1}
		if i%3 == 2 {
			m.Phoenix = phoenix.V2
		}
		c := []*node{n1, n2}[i%2].enter(fmt.Sprint("c", i), m, i%3 == 0)
		random := rand.New(rand.NewPCG(1, uint64(i)))
		done.Go(func() {
			defer c.Exit(Closed, presence.CauseClosed)
			for range 150 {
				room := fmt.Sprint("r", random.IntN(3))
				var err error
				switch kind := random.IntN(7); {
				case kind <= 1 && m.Phoenix != 0:
					err = c.Begin(t.Context(), room, Stay{JoinRef: `"1"`}, wsconn.TextString("ok"))
				case kind <= 1:
					err = c.Join(t.Context(), room)
				case kind == 2 && m.Phoenix != 0:
					c.Silence(room)
				case kind == 2:
					err = c.Leave(room)
				case kind == 3:
					err = c.Track(t.Context(), room, fmt.Sprint("u", random.IntN(2)), nil)
				case kind == 4:
					err = c.Untrack(t.Context(), room)
				default:
					err = c.h.Broadcast(t.Context(), room, Value{Text: "x"}, c.id)
				}
				if err != nil {
					t.Error(err)
				}
				n1.check()
				n2.check()
			}
		})
	}
	done.Wait()
	for _, n := range []*node{n1, n2} {
		testkit.Eventually(t, "the rooms are closed", func() bool { return n.Load().Channels == 0 })
	}
}
