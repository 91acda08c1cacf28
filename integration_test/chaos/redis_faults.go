package chaos

import (
	"context"
	"strings"
	"time"

	"rollcall/integration_test/chaos/history"
	"rollcall/testkit/redistest"
)

// redisFaults are what can become of Redis.
func redisFaults() []kind {
	sentinel, many := []string{"sentinel"}, []string{"standalone", "cluster"}
	return []kind{
		{"redis-restart-empty", many, func(n *nemesis) *blow { return restart(n, (*redistest.Process).RestartEmpty) }},
		{"redis-restart-data", many, func(n *nemesis) *blow { return restart(n, (*redistest.Process).Restart) }},
		{"redis-flush", everywhere, func(n *nemesis) *blow { n.run.site.redis.FlushAll(); return &blow{} }},
		{"redis-freeze", everywhere, freezeRedis},
		{"redis-kill-pubsub", everywhere, func(n *nemesis) *blow { return killClients(n, "pubsub") }},
		{"redis-kill-normal", everywhere, func(n *nemesis) *blow { return killClients(n, "normal") }},
		{"redis-overflow", everywhere, overflow},
		{"redis-failover", sentinel, func(n *nemesis) *blow { return failover(n, 0) }},
		{"redis-failover-lossy", sentinel,
			func(n *nemesis) *blow { return failover(n, n.between(200*time.Millisecond, time.Second)) }},
	}
}

// victim is a process that holds data and serves: one of a Cluster's, the master of Sentinel.
func (n *nemesis) victim() *redistest.Process {
	r := n.run.site.redis
	if r.Kind() == "sentinel" {
		return r.Master()
	}
	return r.Nodes()[n.rng.IntN(len(r.Nodes()))]
}

// restart kills a Redis process and starts it again after a time, with its data or without.
func restart(n *nemesis, again func(*redistest.Process)) *blow {
	p := n.victim()
	lasts := n.between(0, n.run.plan.Times.Gone())
	p.Kill()
	return &blow{note: note("away for %v", lasts), lasts: lasts, end: func() {
		again(p)
		n.run.site.redis.WaitReady()
	}}
}

// freezeRedis stops Redis for a time. A master that is watched by Sentinel is only stopped for less than makes a
// failover, and Sentinel waits longer meanwhile: a machine that is busy adds to the time.
func freezeRedis(n *nemesis) *blow {
	r, p := n.run.site.redis, n.victim()
	longest, downAfter := n.run.plan.Freeze, func(time.Duration) {}
	if r.Kind() == "sentinel" {
		longest, downAfter = 700*time.Millisecond, r.SetDownAfter
	}
	lasts := n.between(200*time.Millisecond, longest)
	downAfter(time.Minute)
	p.Pause()
	return &blow{note: note("for %v", lasts), lasts: lasts, end: func() {
		p.Resume()
		r.WaitReady()
		downAfter(redistest.DownAfter)
	}}
}

// do runs a command on every process that serves; an answer is not needed, since some of these cut our own connection.
func (n *nemesis) do(args ...any) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	for _, p := range n.run.site.redis.Nodes() {
		if p.Running() {
			_ = p.Client().Do(ctx, args...).Err()
		}
	}
}

func killClients(n *nemesis, which string) *blow {
	n.do("client", "kill", "type", which)
	return &blow{}
}

// overflow has Redis close pub/sub connections because their output buffer is over its limit: any that is sent one long
// broadcast.
func overflow(n *nemesis) *blow {
	n.do("config", "set", "client-output-buffer-limit", "pubsub 30000 0 0")
	rooms := n.rng.Perm(n.run.plan.Rooms)[:1+n.rng.IntN(n.run.plan.Rooms)]
	for _, h := range n.run.site.all() {
		if d := n.run.watcher(h, history.Plain); d != nil {
			for _, room := range rooms {
				d.say(roomName(room), strings.Repeat("x", 60_000))
			}
			break
		}
	}
	return &blow{lasts: 300 * time.Millisecond, end: func() {
		n.do("config", "set", "client-output-buffer-limit", "pubsub 33554432 8388608 60")
	}}
}

// failover kills the master. With lossy not 0 the replica did not hear of the last writes, of so long.
func failover(n *nemesis, lossy time.Duration) *blow {
	r := n.run.site.redis
	old := r.Master()
	var replica *redistest.Process
	for _, p := range r.Nodes() {
		if p != old {
			replica = p
		}
	}
	n.awaitInSync(old)
	if lossy > 0 {
		// It follows nobody: a replica that is only frozen finds what it missed in its socket, even when the master is dead.
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		err := replica.Client().Do(ctx, "replicaof", "127.0.0.1", 1).Err()
		cancel()
		if err != nil {
			n.run.t.Fatalf("stop replication: %v", err)
		}
		time.Sleep(lossy)
	}
	old.Kill()
	n.onRepair(func(ctx context.Context) { n.follow(ctx, old, replica) })
	return &blow{note: note("%v of writes lost", lossy), end: func() {
		within, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		for r.Master() != replica || replica.Client().Set(within, "chaos", "ready", time.Second).Err() != nil {
			if within.Err() != nil {
				n.run.t.Errorf("sentinel has not failed over")
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
	}}
}

// awaitInSync waits until the replica has what its master has now: an earlier fault may have broken their link, and
// then a failover would lose all since, not the time that it is to lose.
func (n *nemesis) awaitInSync(master *redistest.Process) {
	n.run.t.Helper()
	const timeout = 20 * time.Second
	ctx, cancel := context.WithTimeout(context.Background(), timeout+time.Second)
	defer cancel()
	conn := master.Client().Conn() // WAIT is for what was written on its connection, so for all before that, too
	defer func() { _ = conn.Close() }()
	began := time.Now()
	err := conn.Set(ctx, "chaos", "in sync", time.Second).Err()
	if err == nil {
		var replicas int64
		if replicas, err = conn.Wait(ctx, 1, timeout).Result(); err == nil && replicas == 0 {
			err = context.DeadlineExceeded
		}
	}
	if err != nil {
		n.run.t.Fatalf("the replica does not follow: %v", err)
	}
	if took := time.Since(began); took > 100*time.Millisecond {
		n.run.t.Logf("the replica was %v behind", took)
	}
}

// follow starts the old master again, as the replica of the new one.
func (n *nemesis) follow(ctx context.Context, old, master *redistest.Process) {
	n.run.t.Helper()
	old.Restart()
	within, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for within.Err() == nil {
		_ = old.Client().Do(within, "replicaof", "127.0.0.1", master.Port()).Err() // sentinel may do it too
		info, err := old.Client().Info(within, "replication").Result()
		if err == nil && strings.Contains(info, "master_link_status:up") {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	n.run.t.Errorf("the old master does not follow the new one")
}
