package redistest

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// Shape is what a Cluster is made of.
type Shape struct {
	Masters  int      // they share the slots evenly; 0: three
	Replicas bool     // one for each master
	Proxied  bool     // clients reach every node through a Proxy, see Redis.Proxy
	Args     []string // added to each server's command line
}

// member is one process of a Cluster.
type member struct {
	bus   int // port
	id    string
	proxy *Proxy // nil: none
}

const clusterSlots = 16384

// Cluster starts three masters that share the slots. A dead one makes the whole Cluster
// refuse until it is back (it has no replica).
func Cluster(t testing.TB) *Redis {
	t.Helper()
	return ClusterOf(t, Shape{})
}

// ClusterOf starts a Cluster that fails over within about four seconds where there are replicas (and at least
// three masters: the others have to agree).
func ClusterOf(t testing.TB, shape Shape) *Redis {
	t.Helper()
	if shape.Masters == 0 {
		shape.Masters = 3
	}
	r := &Redis{t: t, kind: "cluster", members: make(map[*Process]*member)}
	var addrs []string
	for range shape.Masters {
		addrs = append(addrs, r.join(shape))
	}
	ctx, cancel := context.WithTimeout(context.Background(), startWithin)
	defer cancel()
	for i, p := range slices.Clone(r.nodes) {
		from, to := i*clusterSlots/shape.Masters, (i+1)*clusterSlots/shape.Masters-1
		if err := p.Client().ClusterAddSlotsRange(ctx, from, to).Err(); err != nil {
			t.Fatalf("assign slots: %v", err)
		}
		if shape.Replicas {
			r.join(shape)
		}
	}
	r.url = "redis://" + strings.Join(addrs, ",")
	r.client = redis.NewClusterClient(
		&redis.ClusterOptions{Addrs: addrs, Protocol: 2, DisableIdentity: true, DialerRetries: 1,
			DialTimeout: time.Second, ClusterStateReloadInterval: time.Second})
	r.closeWithTest()
	r.WaitReady()
	if shape.Replicas {
		for i, replica := range r.nodes[shape.Masters:] {
			if err := replica.Client().ClusterReplicate(ctx, r.members[r.nodes[i]].id).Err(); err != nil {
				t.Fatalf("replicate: %v", err)
			}
		}
		r.waitUntil("the replicas follow, and all know it", func(ctx context.Context) bool {
			for i, p := range r.nodes {
				info, err := p.Client().Info(ctx, "replication").Result()
				if err != nil || i >= shape.Masters && !strings.Contains(info, "master_link_status:up") {
					return false
				}
				nodes, err := p.Client().ClusterNodes(ctx).Result()
				if err != nil || strings.Count(nodes, "slave ") != shape.Masters {
					return false
				}
			}
			return true
		})
	}
	return r
}

// join starts a process, introduces it to the others, and returns its address for clients.
func (r *Redis) join(shape Shape) (addr string) {
	r.t.Helper()
	m := new(member)
	p := newProcess(r.t, "redis", func(p *Process) []string {
		m.bus = FreePort(r.t)
		args := append(serverArgs(p), "--cluster-enabled", "yes", "--cluster-port", strconv.Itoa(m.bus),
			"--cluster-node-timeout", "2000", "--cluster-config-file", "nodes.conf", "--repl-diskless-sync-delay", "0")
		addr = p.Addr()
		if shape.Proxied {
			m.proxy = NewProxy(r.t, p.Addr())
			addr = m.proxy.Addr()
			_, port, _ := net.SplitHostPort(addr)
			args = append(args, "--cluster-announce-ip", "127.0.0.1", "--cluster-announce-port", port)
		}
		return append(args, shape.Args...)
	})
	ctx, cancel := context.WithTimeout(context.Background(), startWithin)
	defer cancel()
	id, err := p.Client().ClusterMyID(ctx).Result()
	if err != nil {
		r.t.Fatalf("cluster id: %v", err)
	}
	m.id = id
	for _, other := range r.nodes {
		if err := p.Client().Do(ctx, "cluster", "meet", "127.0.0.1", other.port, r.members[other].bus).Err(); err != nil {
			r.t.Fatalf("cluster meet: %v", err)
		}
	}
	r.nodes = append(r.nodes, p)
	r.members[p] = m
	return addr
}

// AddMaster starts one more master of a Cluster, without slots.
func (r *Redis) AddMaster() *Process {
	r.t.Helper()
	r.join(Shape{})
	r.WaitReady()
	return r.nodes[len(r.nodes)-1]
}

// Proxy is what clients reach p through, in a Cluster with Shape.Proxied.
func (r *Redis) Proxy(p *Process) *Proxy { return r.members[p].proxy }

// ID is the name by which the nodes of a Cluster know p.
func (r *Redis) ID(p *Process) string { return r.members[p].id }

// Owner is the master that serves slot, as those who live see it; nil: none that lives.
func (r *Redis) Owner(slot int) *Process {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startWithin)
	defer cancel()
	for _, p := range r.nodes {
		if !p.Running() {
			continue
		}
		shards, err := p.Client().ClusterShards(ctx).Result()
		if err != nil {
			continue
		}
		for _, shard := range shards {
			if !slices.ContainsFunc(shard.Slots,
				func(s redis.SlotRange) bool { return s.Start <= int64(slot) && int64(slot) <= s.End }) {
				continue
			}
			for _, n := range shard.Nodes {
				for _, owner := range r.nodes {
					if n.Role == "master" && r.members[owner].id == n.ID && owner.Running() {
						return owner
					}
				}
			}
		}
	}
	return nil
}

// MoveSlot moves a slot and its keys to another master, as redis-cli does.
func (r *Redis) MoveSlot(slot int, to *Process) {
	r.t.Helper()
	from := r.Owner(slot)
	if from == to {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), startWithin)
	defer cancel()
	must := func(what string, err error) {
		r.t.Helper()
		if err != nil {
			r.t.Fatalf("move slot %d: %s: %v", slot, what, err)
		}
	}
	must("import", r.SetSlot(to, slot, "importing", r.ID(from)))
	must("migrate", r.SetSlot(from, slot, "migrating", r.ID(to)))
	for {
		keys, err := from.Client().ClusterGetKeysInSlot(ctx, slot, 100).Result()
		must("list keys", err)
		if len(keys) == 0 {
			break
		}
		args := []any{"migrate", "127.0.0.1", to.port, "", 0, 5000, "keys"}
		for _, key := range keys {
			args = append(args, key)
		}
		must("move keys", from.Client().Do(ctx, args...).Err())
	}
	for _, p := range append([]*Process{to, from}, r.nodes...) {
		if err := r.SetSlot(p, slot, "node", r.ID(to)); p == to || p == from {
			must("assign", err) // a replica refuses: it hears it from its master
		}
	}
}

// SetSlot is CLUSTER SETSLOT at p.
func (r *Redis) SetSlot(p *Process, slot int, args ...any) error {
	ctx, cancel := context.WithTimeout(context.Background(), startWithin)
	defer cancel()
	if err := p.Client().Do(ctx, append([]any{"cluster", "setslot", slot}, args...)...).Err(); err != nil {
		return fmt.Errorf("cluster setslot: %w", err)
	}
	return nil
}
