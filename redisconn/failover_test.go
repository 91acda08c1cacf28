package redisconn_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/redisconn"
	"rollcall/testkit"
	"rollcall/testkit/redistest"
)

// A master of a Cluster that restarts empty is told of, though no command of ours met it.
func TestRestartIsTold(t *testing.T) {
	server := redistest.Cluster(t)
	cfg := fast(server.URL())
	b := open(t, cfg)
	time.Sleep(5 * cfg.WatchEvery) // it has looked once
	for i, node := range server.Nodes() {
		server.WaitReady()
		time.Sleep(5 * cfg.WatchEvery)
		before := b.Breaks()
		node.Restart()
		testkit.Eventually(t, fmt.Sprintf("the restart of node %d is told", i), func() bool { return b.Breaks() > before })
	}
}

// DESIGN 2: "all keys of one channel live in one Cluster slot". A slot that moves to another master under
// load loses no command: MOVED and ASK are followed in pipelines too.
func TestSlotMoves(t *testing.T) {
	server := redistest.Cluster(t)
	b := open(t, redisconn.Config{URL: server.URL()})
	ctx := t.Context()
	key := func(i int) string { return fmt.Sprintf("{moving}:%d", i) }
	slot := redisconn.Slot("{moving}")
	from, to := owner(t, server, slot), (*redistest.Process)(nil)
	for _, node := range server.Nodes() {
		if node != from {
			to = node
		}
	}
	id := func(p *redistest.Process) string {
		id, err := p.Client().Do(ctx, "cluster", "myid").Text()
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	setSlot := func(p *redistest.Process, args ...any) {
		t.Helper()
		if err := p.Client().Do(ctx, append([]any{"cluster", "setslot", slot}, args...)...).Err(); err != nil {
			t.Fatal(err)
		}
	}

	const keys = 50
	rounds := 0
	round := func() {
		t.Helper()
		rounds++
		var all sync.WaitGroup
		for i := range keys {
			all.Go(func() {
				got, err := b.Run(ctx, addScript, []string{key(i)}, 1)
				if err != nil || fmt.Sprint(got) != fmt.Sprintf("[%s %d]", key(i), rounds) {
					t.Errorf("round %d: %v, %v", rounds, got, err)
				}
			})
		}
		all.Wait()
		var cmds []redis.Cmder
		for i := range keys {
			cmds = append(cmds, redis.NewIntCmd(ctx, "incrby", key(i), 0),
				redis.NewIntCmd(ctx, "incr", fmt.Sprint("elsewhere", i)))
		}
		if err := b.Batch(ctx, cmds); err != nil {
			t.Errorf("round %d: %v", rounds, err)
		}
		for i, cmd := range cmds {
			if n, err := cmd.(*redis.IntCmd).Result(); err != nil || n != int64(rounds) {
				t.Errorf("round %d, command %d: %v, %v", rounds, i, n, err)
			}
		}
		message := redis.NewCmd(ctx, "publish", "{moving}", "x")
		message.SetFirstKeyPos(1)
		if _, err := b.Process(ctx, message); err != nil {
			t.Errorf("round %d: %v", rounds, err)
		}
	}
	round()
	setSlot(to, "importing", id(from))
	setSlot(from, "migrating", id(to))
	round() // all still at the old master
	for i := 0; i < keys; i += 2 {
		if err := from.Client().Migrate(ctx, "127.0.0.1", fmt.Sprint(to.Port()), key(i), 0, time.Second).Err(); err != nil {
			t.Fatal(err)
		}
	}
	round() // half of them answered with ASK
	for i := 1; i < keys; i += 2 {
		if err := from.Client().Migrate(ctx, "127.0.0.1", fmt.Sprint(to.Port()), key(i), 0, time.Second).Err(); err != nil {
			t.Fatal(err)
		}
	}
	setSlot(to, "node", id(to))
	setSlot(from, "node", id(to))
	for range 3 {
		round() // answered with MOVED, then known
	}
	if b.Breaks() != 0 {
		t.Errorf("%d breaks, want 0", b.Breaks())
	}
}

// owner returns the node that serves slot.
func owner(t *testing.T, server *redistest.Redis, slot int) *redistest.Process {
	t.Helper()
	shards, err := server.Nodes()[0].Client().ClusterShards(t.Context()).Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, shard := range shards {
		for _, r := range shard.Slots {
			for _, node := range server.Nodes() {
				if r.Start <= int64(slot) && int64(slot) <= r.End && int64(node.Port()) == shard.Nodes[0].Port {
					return node
				}
			}
		}
	}
	t.Fatalf("nobody serves slot %d", slot)
	return nil
}

// A Cluster is recognized from one of its hosts.
func TestClusterBySeed(t *testing.T) {
	server := redistest.Cluster(t)
	seed := server.Nodes()[1].Addr()
	for _, url := range []string{"redis://" + seed, "redis://" + seed + "?cluster=true", server.URL()} {
		b := open(t, redisconn.Config{URL: url})
		if !b.Cluster() {
			t.Errorf("%s: not recognized as a Cluster", url)
		}
		works(t, b)
	}
}
