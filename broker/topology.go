package broker

import (
	"context"

	"github.com/redis/go-redis/v9"

	"rollcall/redisconn"
)

// master is where a topic is subscribed: at the master that serves its slot. The zero value is plain pub/sub, at any
// node.
type master struct {
	addr string // as go-redis names it
	node *redis.Client
}

// masterOf returns where topic is to be subscribed now, as the topology has it that commands go by too. Where a slot
// has no master it is any node, which will refuse.
func (b *Broker) masterOf(ctx context.Context, topic string) (master, error) {
	cluster, ok := b.redis.GoRedis().(*redis.ClusterClient)
	if !ok || !b.keys.Sharded(topic) {
		return master{}, nil
	}
	node, err := cluster.MasterForKey(ctx, topic)
	if err != nil {
		return master{}, err
	}
	return master{addr: node.Options().Addr, node: node}, nil
}

// rereadTopology has go-redis read the slots of a Cluster again, in the background and not too often.
func (b *Broker) rereadTopology(ctx context.Context) {
	if cluster, ok := b.redis.GoRedis().(*redis.ClusterClient); ok {
		cluster.ReloadState(ctx)
	}
}

// mismatchLimit is how often in a row the topology must name another master for a slot before a group
// believes it against a connection that still stands. As a rule the old master itself ends the
// subscriptions of a slot that leaves it, and that is the better sign: from then on nobody can publish there.
const mismatchLimit = 2

// views is what checkTopology remembers. Owned by group.run.
type views struct {
	seen       []*conn // by slot: a connection with topics of the slot
	samples    []sample
	mismatches map[int]int // slot → checks in a row in which the topology named another master
}

// sample stands for the topics of one slot on one connection.
type sample struct {
	slot  int
	topic string
	conn  *conn
}

// checkTopology looks whether connections stand at the masters that the topology names for their topics. Topics leave
// those that do not. It is for masters that can't say that a slot left them: one that became a replica
// and still hears its shard, or one cut off from the others.
func (g *group) checkTopology(ctx context.Context) {
	v := &g.views
	g.sample(v)
	mismatches := make(map[int]int)
	masters := make(map[int]string)
	for _, s := range v.samples {
		if m, err := g.masterOf(ctx, s.topic); err == nil && m.addr != s.conn.addr {
			mismatches[s.slot], masters[s.slot] = v.mismatches[s.slot]+1, m.addr
		}
	}
	v.mismatches = mismatches
	for slot, n := range mismatches {
		if n < mismatchLimit {
			delete(masters, slot)
		}
	}
	if len(masters) > 0 {
		g.move(masters)
	}
}

// sample fills v.samples.
func (g *group) sample(v *views) {
	if v.seen == nil {
		v.seen = make([]*conn, redisconn.Slots)
	}
	clear(v.seen)
	clear(v.samples)
	v.samples = v.samples[:0]
	g.mu.Lock()
	defer g.mu.Unlock()
	for name, t := range g.topics {
		if c := t.conn; c != nil && c.sharded() && v.seen[t.slot] != c {
			v.seen[t.slot] = c
			v.samples = append(v.samples, sample{t.slot, name, c})
		}
	}
}

// move has the topics of slots leave every connection but that of the slot's address.
func (g *group) move(masters map[int]string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, t := range g.topics {
		c := t.conn
		if c == nil || t.moving || !c.sharded() {
			continue
		}
		if addr, ok := masters[t.slot]; ok && addr != c.addr {
			t.moving = true
			c.toUnsubscribe = append(c.toUnsubscribe, t)
			c.notify()
			g.releaseLocked(t)
		}
	}
}
