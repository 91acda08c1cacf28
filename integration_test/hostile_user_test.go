package integration_test

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rollcall/testkit"
	"rollcall/testkit/nodetest"
	"rollcall/testkit/redistest"
)

// SPEC 5.5: "A slow or hostile client hurts only itself." Each change tells a user whole, so one user's sockets that
// come and go, or change, as fast as they can must not make the others hear of more than a few changes a second (SPEC
// 6).
func TestUserWhoChangesAllTheTime(t *testing.T) {
	t.Parallel()
	const (
		lasts      = 2 * time.Second // and until there were so many of each, however slow the machine is
		leastCame  = 100
		leastTimes = 50
	)
	nodes := nodetest.StartAll(t, 2, nodetest.Options{Redis: redistest.Standalone(t).URL(), App: app, Flags: fast})
	c := &cast{t: t, nodes: nodes, channel: "room", devices: map[string][]*nodetest.Client{}}
	c.watchFrom(1)
	meta := strings.Repeat("m", 3500)
	changer := nodetest.Dial(t, nodes[0].Addr(), "/ws/do")
	changer.Act(`{"track":{"channel":"room","user_id":"changer"}}`)
	c.plain[0].AwaitUsers("room", "changer")
	heard := func() float64 { return nodetest.Metric(t, nodes[1], "rollcall_redis_messages_received_total") }
	before, began := heard(), time.Now()
	var came atomic.Int64
	var comers sync.WaitGroup
	for range 4 {
		comers.Go(func() {
			for time.Since(began) < lasts || came.Load() < leastCame {
				d, _, err := nodetest.TryDial(t, nodes[0].Addr(), "/ws/do")
				if err != nil {
					t.Error(err)
					return
				}
				d.Act(fmt.Sprintf(`{"track":{"channel":"room","user_id":"comer","m":%q}}`, meta))
				d.Drop()
				came.Add(1)
			}
		})
	}
	changes := 0
	for time.Since(began) < lasts || changes < leastTimes {
		changes++
		changer.Act(fmt.Sprintf(`{"set_presence":{"channel":"room","n":%d,"m":%q}}`, changes, meta))
	}
	comers.Wait()
	took := time.Since(began).Seconds()
	// Of the one who comes and goes 64 at once and 20 a second, of the one who changes 10 at once and 10 a second; beats
	// and echoes besides.
	most := 2*(64+20*took) + 10 + 10*took + 40*took
	if got := heard() - before; got > most {
		t.Errorf("the others heard of %v changes in %.1f s, want %.0f at most", got, took, most)
	}
	c.plain[0].AwaitUsers("room", "changer")
	script := nodetest.Dial(t, nodes[1].Addr(), "/ws/do")
	testkit.Within(t, "the last change is seen", time.Second, func() bool {
		return strings.Contains(nodetest.JSON(script.Call("ws_get_presence", "room", "changer")),
			fmt.Sprintf(`"n":%d`, changes))
	})
	c.stillConnected(c.watchers()...)
}
