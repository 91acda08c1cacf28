package integration_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"rollcall/redisconn"
	"rollcall/testkit"
	"rollcall/testkit/nodetest"
	"rollcall/testkit/redistest"
)

// slotsInUse are those of the room and of the leases.
func slotsInUse(c *cast) []int {
	keys := redisconn.NewKeys("rollcall", 0)
	return []int{redisconn.Slot(keys.Topic(c.channel)), redisconn.Slot(keys.Nodes())}
}

// SPEC 5.1: "each client is told every change once", while the slots of a Redis Cluster move from master to master.
func TestSlotsMoveUnderPeople(t *testing.T) {
	t.Parallel()
	redis := redistest.Cluster(t)
	c := assembleOn(t, redis)
	move := func(i int) {
		t.Helper()
		for _, slot := range slotsInUse(c) {
			redis.MoveSlot(slot, redis.Nodes()[i%3])
		}
	}
	var want []string
	for i := range 6 {
		user := fmt.Sprint("u", i)
		d := c.enter(user, i%3)
		move(i) // while the join is on its way
		for _, w := range c.plain {
			w.AwaitPresence(c.channel, "join of "+user, gone,
				func(p nodetest.Presence) bool { return p.Count("join "+user) == 1 })
		}
		want = append(want, "join "+user)
		if i%2 == 0 {
			d.Leave(1000, "")
			move(i + 1)
			for _, w := range c.plain {
				w.AwaitPresence(c.channel, "leave of "+user, gone,
					func(p nodetest.Presence) bool { return p.Count("leave "+user) == 1 })
			}
		}
	}
	want = append(want, "leave u0", "leave u2", "leave u4")
	c.fence(c.watchers(), 0)
	c.expectTold(strings.Join(want, ", "))
	// What the API publishes by a script goes the same way.
	for i, n := range append(c.nodes, c.nodes[0]) {
		status, answer, _ := nodetest.Request(t.Context(), http.MethodPost, n.Addr(),
			"/_api/channels/"+c.channel+"/broadcast",
			`{"message":"by the API"}`, "X-API-Key: "+
				key, "Content-Type: application/json", fmt.Sprint("Idempotency-Key: call", i%3))
		if status != http.StatusOK {
			t.Fatalf("broadcast: %d %s", status, answer)
		}
	}
	for _, w := range c.plain {
		for range 3 {
			w.Until("by the API")
		}
	}
	c.expectLists(gone, 10, []int{0, 1, 2}, append([]string{"u1", "u3", "u5"}, everybody...)...)
	c.expectRedisTruth()
}

// SPEC 5.2: "Redis … failed over to a replica". Here it is one master of a Cluster: the room's, which is killed, or
// asked to.
func TestShardFailsOver(t *testing.T) {
	for name, fault := range map[string]func(t *testing.T, master, replica *redistest.Process){
		"killed": func(_ *testing.T, master, _ *redistest.Process) { master.Kill() },
		"asked to": func(t *testing.T, _, replica *redistest.Process) {
			if err := replica.Client().ClusterFailover(t.Context()).Err(); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			redis := redistest.ClusterOf(t, redistest.Shape{Replicas: true})
			c := assembleOn(t, redis)
			master := redis.Owner(slotsInUse(c)[0])
			for i, p := range redis.Nodes()[:3] {
				if p == master {
					fault(t, master, redis.Nodes()[i+3])
				}
			}
			testkit.Within(t, "another master", 15*time.Second, func() bool {
				now := redis.Owner(slotsInUse(c)[0])
				return now != nil && now != master
			})
			c.recovers(gone)
		})
	}
}
