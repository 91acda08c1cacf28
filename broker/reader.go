package broker

import (
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// read receives until the connection ends and returns why. All calls to
// receivers of this connection's topics are made from here.
func (c *conn) read() error {
	for {
		message, err := c.pubsub.Receive(c.noDial)
		if err != nil && !c.refused(err) {
			return err
		}
		switch m := message.(type) {
		case *redis.Message:
			c.deliver(m.Channel, m.Payload)
		case *redis.Subscription:
			c.answered.Add(1)
			c.answer(m.Kind, m.Channel)
		default: // a pong, or a refusal
			c.answered.Add(1)
		}
	}
}

// deliver hands one message to the receivers of its topic.
func (c *conn) deliver(name, payload string) {
	g := c.g
	g.mu.Lock()
	g.messages++
	t := g.topics[name]
	if t == nil || t.conn != c {
		echo := name == c.echoTopic
		g.mu.Unlock()
		if echo {
			c.echo(payload)
		}
		return
	}
	regs := c.beginDeliveryLocked(t)
	g.mu.Unlock()
	for _, reg := range regs {
		if !reg.gone.Load() {
			reg.receiver.Receive(payload)
		}
	}
	c.endDelivery()
}

// answer takes Redis's answer to a SUBSCRIBE or UNSUBSCRIBE, plain or sharded, or the notice that a subscription
// is over because its slot has left the master.
func (c *conn) answer(kind, name string) {
	o := subscribe
	if kind == "unsubscribe" || kind == "sunsubscribe" {
		o = unsubscribe
	}
	g := c.g
	g.mu.Lock()
	c.pending.answered(o, name)
	t := g.topics[name]
	if t == nil || t.conn != c {
		if o == unsubscribe && name == c.echoTopic {
			c.echoLost, c.suspect = true, true
			c.notify()
		}
		g.mu.Unlock()
		return
	}
	var confirmed bool
	if o == unsubscribe && t.sub.unsubs == 0 {
		t.sub, t.moving = t.sub.ended(), true
	} else {
		t.sub, confirmed = t.sub.answered(o)
	}
	if !confirmed {
		g.releaseLocked(t)
		g.mu.Unlock()
		return
	}
	t.pause, t.lost = nil, false
	regs := c.beginDeliveryLocked(t)
	g.mu.Unlock()
	for _, reg := range regs {
		if !reg.gone.Load() {
			reg.receiver.Resubscribed()
		}
	}
	c.endDelivery()
}

// refused takes an error of the connection. It reports true if that is a master's answer to one command, which says
// that it does not serve the slot: those topics have to be asked for elsewhere, or later.
func (c *conn) refused(err error) bool {
	if !c.sharded() {
		return false
	}
	slot := -1
	switch {
	case redis.HasErrorPrefix(err, "MOVED"):
		if _, scanErr := fmt.Sscanf(err.Error(), "MOVED %d", &slot); scanErr != nil {
			return false
		}
	case !redis.HasErrorPrefix(err, "CLUSTERDOWN"):
		return false
	}
	g := c.g
	g.mu.Lock()
	defer g.mu.Unlock()
	cmd, ok := c.pending.refused(slot)
	if !ok {
		return true // to an UNSUBSCRIBE for what had been ended already
	}
	for _, name := range cmd.names {
		if name == c.echoTopic {
			c.echoLost = true
		}
		if t := g.topics[name]; t != nil && t.conn == c {
			t.sub, t.moving = t.sub.refused(cmd.order), true
			g.releaseLocked(t)
		}
	}
	return true
}

// beginDeliveryLocked notes that the receivers of t are about to be called.
func (c *conn) beginDeliveryLocked(t *topic) []*registration {
	c.delivering = t
	c.deliveries++
	return t.regs
}

func (c *conn) endDelivery() {
	g := c.g
	g.mu.Lock()
	c.delivering = nil
	if g.waiters > 0 {
		g.idle.Broadcast()
	}
	g.mu.Unlock()
}

// waitForDeliveryLocked waits until no call that began before is still running for t.
// The lock is given up while it waits.
func (g *group) waitForDeliveryLocked(t *topic) {
	c := t.conn
	if c == nil || c.delivering != t {
		return
	}
	number := c.deliveries
	g.waiters++
	for c.delivering == t && c.deliveries == number {
		g.idle.Wait()
	}
	g.waiters--
}

// echo takes what checkAlive published: its number, and when, in ns since the broker was opened.
func (c *conn) echo(payload string) {
	text, sent, _ := strings.Cut(payload, " ")
	number, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return
	}
	raise(&c.echoed, number)
	if ns, err := strconv.ParseInt(sent, 10, 64); err == nil {
		c.g.b.cfg.Observer.Echoed(c.g.b.now() - time.Duration(ns))
	}
}

// raise sets v to at least n.
func raise(v *atomic.Uint64, n uint64) {
	for {
		old := v.Load()
		if old >= n || v.CompareAndSwap(old, n) {
			return
		}
	}
}
