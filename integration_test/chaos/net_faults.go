package chaos

import (
	"time"

	"rollcall/testkit/redistest"
)

var proxied = []string{"standalone"}

// netFaults are what can become of the ways between a node and Redis, and between clients and a node.
func netFaults() []kind {
	return []kind{
		{"node-cut", proxied, func(n *nemesis) *blow {
			return cutOff(n, (*redistest.Proxy).Refuse,
				(*redistest.Proxy).Resume)
		}},
		{"node-half-open", proxied, func(n *nemesis) *blow { return cutOff(n, (*redistest.Proxy).Drop, reset) }},
		{"node-deaf", proxied, func(n *nemesis) *blow { return cutOff(n, (*redistest.Proxy).DropAnswers, reset) }},
		{"node-dumb", proxied, func(n *nemesis) *blow { return cutOff(n, (*redistest.Proxy).DropRequests, reset) }},
		{"node-late", proxied, func(n *nemesis) *blow {
			return cutOff(n, (*redistest.Proxy).Hold,
				(*redistest.Proxy).Resume)
		}},
		{"node-slow", proxied, slowNode},
		{"node-unheard", proxied, func(n *nemesis) *blow { return cutOff(n, (*redistest.Proxy).DropSubscriptions, reset) }},
		{"node-kill-late", proxied, killLate},
		{"client-cut", everywhere, func(n *nemesis) *blow {
			h := n.host()
			if h == nil {
				return nil
			}
			h.front.Cut()
			return &blow{hosts: []*host{h}}
		}},
		{"client-half-open", everywhere, silenceClients},
	}
}

// reset ends a fault that lost bytes: the connections that lost some are closed, as the peers' TCP would find.
func reset(p *redistest.Proxy) {
	p.Cut()
	p.Resume()
}

// cutOff disturbs the way between a node and Redis for a time, which may be shorter or longer than the lease.
func cutOff(n *nemesis, begin, end func(*redistest.Proxy)) *blow {
	h := n.host()
	if h == nil {
		return nil
	}
	lasts := n.between(n.run.plan.Times.Lease/5, n.run.plan.Times.Gone()*3/2)
	begin(h.redis)
	return &blow{hosts: []*host{h}, note: note("for %v", lasts), lasts: lasts, end: func() { end(h.redis) }}
}

// killLate kills a node whose last writes are still on their way, and lets them arrive when it has been reaped.
func killLate(n *nemesis) *blow {
	h := n.host()
	if h == nil {
		return nil
	}
	h.redis.Hold()
	time.Sleep(n.between(100*time.Millisecond, 300*time.Millisecond)) // clients go on to write
	h.node.Kill()
	return &blow{hosts: []*host{h}, lasts: n.run.plan.Times.Gone(), echo: h.redis.Resume}
}

func slowNode(n *nemesis) *blow {
	h := n.host()
	if h == nil {
		return nil
	}
	by := n.between(5*time.Millisecond, 150*time.Millisecond)
	h.redis.Slow(by)
	return &blow{hosts: []*host{h}, note: note("by %v", by), lasts: n.between(time.Second, 3*time.Second),
		end: h.redis.Resume}
}

// silenceClients lets a node's clients vanish without a word: nothing reaches it from them, and no end of a connection.
func silenceClients(n *nemesis) *blow {
	h := n.host()
	if h == nil {
		return nil
	}
	h.front.Drop()
	for _, d := range n.run.connected() {
		if d.host == h {
			d.leave(0)
		}
	}
	return &blow{hosts: []*host{h}, lasts: 3*n.run.plan.Times.Ping + n.run.plan.Times.Ping/2,
		end: func() { reset(h.front) }}
}
