package compose_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"
)

const (
	// SPEC 5.1: "A killed node's users leave within lease + grace + one heartbeat +
	// 1 s (10 s with the defaults)". The slack is for a busy machine.
	leaveWithin = 10 * time.Second
	slack       = 5 * time.Second
)

// Nine users behind the balancer, three on each node. One node is killed while they
// are connected. One of its users comes back at once: nobody hears of it. The others
// come back once they were seen to leave: one leave and one join each. Then the node
// is started again and takes clients again.
func TestUsersSeeEachOtherAndSurviveAKilledNode(t *testing.T) {
	s := startStack(t)
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	const room = "lobby"

	// not for the outside
	for path, want := range map[string]int{"/metrics": 404, "/readyz": 404, "/healthz": 404, "/_api/nodes": 403} {
		if got := s.status(t, path); got != want {
			t.Errorf("%s: %d, want %d", path, got, want)
		}
	}

	checkBoxes(ctx, t, s)

	var all []string
	on := map[string][]*client{} // by node
	for i := range 9 {
		c := mustConnect(ctx, t, s, room, fmt.Sprintf("user%d", i+1), connect)
		all = append(all, c.user)
		on[c.server] = append(on[c.server], c)
	}
	slices.Sort(all)
	checkSpread(t, on)
	everyone := func(v view) bool { return slices.Equal(v.online, all) }
	for _, c := range slices.Concat(slices.Collect(maps.Values(on))...) {
		awaitWithin(ctx, t, c, 10*time.Second, everyone)
		c.forget()
	}

	victim := slices.MaxFunc(slices.Collect(maps.Keys(on)), func(a, b string) int { return len(on[a]) - len(on[b]) })
	lost := on[victim]
	delete(on, victim)
	watchers := slices.Concat(slices.Collect(maps.Values(on))...)
	quick, slow := lost[0], lost[1:]
	if len(slow) == 0 {
		t.Fatalf("%s has one user only: nobody left to be seen leaving", victim)
	}

	s.signal(t, victim, "kill", "-s", "KILL")
	killed := time.Now()
	for _, c := range lost {
		select {
		case <-c.done:
		case <-time.After(slack):
			t.Fatalf("%s still has a connection %v after its node %s was killed", c.user, slack, victim)
		}
	}
	// SPEC 5.2: "A client that reconnects elsewhere before its dead node is reaped
	// makes no leave and no join."
	again := mustConnect(ctx, t, s, room, quick.user, reconnect)
	t.Logf("%s was back on %s %v after %s was killed", again.user, again.server, since(killed), victim)
	newcomers := []*client{again}

	wantGone := map[string]int{}
	for _, c := range slow {
		wantGone[c.user] = 1
	}
	for _, w := range watchers {
		left := time.Until(killed.Add(leaveWithin + slack))
		awaitWithin(ctx, t, w, left, func(v view) bool { return maps.Equal(v.went, wantGone) })
	}
	t.Logf("all leaves were seen %v after the kill", since(killed))

	for _, c := range slow {
		newcomers = append(newcomers, mustConnect(ctx, t, s, room, c.user, reconnect))
	}
	for _, c := range newcomers {
		if c.server == victim {
			t.Errorf("%s is on %s, which is dead", c.user, victim)
		}
		awaitWithin(ctx, t, c, 10*time.Second, everyone)
	}
	for _, w := range watchers {
		awaitWithin(ctx, t, w, 10*time.Second, func(v view) bool { return everyone(v) && maps.Equal(v.came, wantGone) })
	}

	s.signal(t, victim, "start")
	guests := connectUntil(ctx, t, s, room, victim)
	wantCame := maps.Clone(wantGone)
	for _, c := range guests {
		all = append(all, c.user)
		wantCame[c.user] = 1
	}
	slices.Sort(all)
	for _, w := range slices.Concat(watchers, newcomers, guests) {
		awaitWithin(ctx, t, w, 10*time.Second, everyone)
	}

	for _, w := range watchers {
		v, _ := w.view()
		if !maps.Equal(v.went, wantGone) || !maps.Equal(v.came, wantCame) || len(v.wrong) > 0 {
			t.Errorf("%s on %s saw leaves %v, want %v; joins %v, want %v; wrong frames: %q",
				w.user, w.server, v.went, wantGone, v.came, wantCame, v.wrong)
		}
	}
	checkRedis(ctx, t, s)
}

// checkSpread fails unless the clients are on at least two nodes, by the balancer's
// word and by the nodes' own.
func checkSpread(t *testing.T, on map[string][]*client) {
	t.Helper()
	processes := map[string]string{}
	for server, clients := range on {
		t.Logf("%s has %d users", server, len(clients))
		for _, c := range clients {
			if other, seen := processes[c.process]; seen && other != server {
				t.Errorf("%s and %s say they are the same process %s", server, other, c.process)
			}
			processes[c.process] = server
		}
	}
	if len(on) < 2 || len(processes) != len(on) {
		t.Fatalf("want users on at least two nodes, one process each: nodes %d, processes %v", len(on), processes)
	}
}

// connectUntil connects guests to the room until the balancer gives one to that node.
func connectUntil(ctx context.Context, t *testing.T, s *stack, room, server string) (guests []*client) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, 40*time.Second)
	defer cancel()
	began := time.Now()
	every := time.NewTicker(250 * time.Millisecond)
	defer every.Stop()
	for {
		c := mustConnect(ctx, t, s, room, fmt.Sprintf("guest%d", len(guests)+1), connect)
		guests = append(guests, c)
		if c.server == server {
			t.Logf("%s takes clients again %v after its start", server, since(began))
			return guests
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s takes no clients %v after its start", server, since(began))
		case <-every.C:
		}
	}
}

// awaitWithin fails the test unless the client's view becomes as wanted in time.
func awaitWithin(ctx context.Context, t *testing.T, c *client, d time.Duration, want func(view) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	if err := c.await(ctx, want); err != nil {
		t.Fatal(err)
	}
}

func since(at time.Time) time.Duration { return time.Since(at).Round(10 * time.Millisecond) }
