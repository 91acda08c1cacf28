package simulation

import (
	"time"
)

// network is everything between the nodes and Redis, and whether Redis itself answers. It belongs to the world's loop.
type network struct {
	w         *world
	scripts   map[string]string // names by SHA1
	downTill  time.Time
	stallTill time.Time
}

// path is one node's way to Redis.
type path struct {
	upTill   time.Time // nothing of the node arrives before
	backTill time.Time // nothing arrives at the node before
	slowTill time.Time
	lossy    bool // what is held up may be lost

	straggles, mutes bool // see the faults; for one pipeline
	drops            bool // likewise, for one message
}

func (net *network) down() bool { return time.Now().Before(net.downTill) }

// refuses: a new connection is answered at once with a refusal.
func (net *network) refuses(n *node) bool { return net.down() }

// latency is how long a packet takes, odd nanoseconds apart from others.
func (net *network) latency(*node) time.Duration {
	return 50*time.Microsecond + time.Duration(net.w.rng.Int64N(int64(net.w.plan.Latency)))
}

// lateness is what a node's requests take longer while its way is slow: often so long that nobody waits any more, and
// what is sent meanwhile, on another connection, overtakes them.
func (net *network) lateness(n *node) time.Duration {
	if time.Now().Before(n.path.slowTill) && net.w.rng.IntN(2) == 0 {
		return net.between(redisTimeout/2, 2*redisTimeout)
	}
	return 0
}

func (net *network) between(a, b time.Duration) time.Duration {
	return a + time.Duration(net.w.rng.Int64N(int64(b-a)))
}

// again is how long after a break of the network a packet is sent again, which may be long after new connections work.
func (net *network) again(over bool) time.Duration {
	if over && net.w.rng.IntN(2) == 0 {
		return net.between(0, redisTimeout)
	}
	return 0
}

// heldUp tells until when what a node sent does not arrive.
func (net *network) heldUp(n *node) (until time.Time, held bool) {
	until = n.path.upTill
	if net.stallTill.After(until) {
		until = net.stallTill
	}
	return until, time.Now().Before(until)
}

// heldBack tells until when nothing arrives at a node.
func (net *network) heldBack(n *node) (until time.Time, held bool) {
	until = n.path.backTill
	return until, time.Now().Before(until)
}

func (net *network) loses(n *node) bool { return n.path.lossy && net.w.rng.IntN(3) == 0 }

// publish is called by the model of Redis.
func (net *network) publish(topic, payload string) {
	for _, n := range net.w.nodes {
		for _, s := range n.wire.subs {
			if s.linked && s.server[topic] {
				s.push(func() { s.deliver(topic, payload) })
			}
		}
	}
}
