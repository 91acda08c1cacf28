package broker

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"time"

	"rollcall/redisconn"
)

var errTimeout = errors.New("no answer in time")

// Receiver takes the messages of a topic. All calls for one topic come from one goroutine, one at a time, in the
// order of Redis. They must not block: every topic of the same connection waits meanwhile. They must not call
// Subscribe. They may call Unsubscribe. The value must be comparable (a pointer), since it
// is what Unsubscribe finds the subscription by.
type Receiver interface {
	// Receive takes one message.
	Receive(payload string)
	// Resubscribed says that messages may have been missed: the subscription had been lost, and Redis has
	// confirmed it again. Every message after it is received again.
	Resubscribed()
}

func (b *Broker) group(topic string) *group {
	return b.groups[maphash.String(b.seed, topic)%uint64(len(b.groups))]
}

// Subscribe returns nil once Redis has confirmed that every later message of topic
// reaches r. Several receivers of a topic share one Redis subscription; one that is
// added twice counts once. After an error (ErrUnavailable: no confirmation
// within Config.Timeout, or ctx ended) r is not subscribed, unless it was before.
func (b *Broker) Subscribe(ctx context.Context, topic string, r Receiver) error {
	g := b.group(topic)
	t, reg := g.register(topic, r, false)
	if reg == nil {
		return nil
	}
	timeout := time.NewTimer(b.cfg.Timeout)
	defer timeout.Stop()
	var err error
	select {
	case <-reg.ready:
		err = nil
	case <-ctx.Done():
		err = context.Cause(ctx)
	case <-timeout.C:
		err = errTimeout
	case <-b.ctx.Done():
		err = redisconn.ErrClosed
	}
	if err != nil && !g.giveUp(t, reg) {
		return fmt.Errorf("subscribe: %w: %w", redisconn.ErrUnavailable, err)
	}
	g.arrived(reg)
	return nil
}

// Attach subscribes r without waiting. It reports whether Redis has confirmed the subscription already (others share
// it); if not, Resubscribed tells when it has, however long that takes. So it may be used while Redis can't be reached.
func (b *Broker) Attach(topic string, r Receiver) (confirmed bool) {
	_, reg := b.group(topic).register(topic, r, true)
	return reg == nil
}

// Unsubscribe ends the subscription of r. After it has returned r is not called again for this topic:
// it waits for a call that is running, so the caller must not hold a lock that Receive takes. Called from inside
// a Receive or Resubscribed (any receiver's) it does not wait, as that could never end; no call starts after it
// there either, and the one that is running goes on to its end. UNSUBSCRIBE is sent later, with others.
func (b *Broker) Unsubscribe(topic string, r Receiver) {
	b.group(topic).unregister(topic, r)
}

// register adds r to the topic. It returns no registration when the topic is confirmed for r already.
// attach: nobody waits for the confirmation, so that Resubscribed must tell of it.
func (g *group) register(name string, r Receiver, attach bool) (*topic, *registration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	t := g.topics[name]
	if t == nil {
		t = &topic{name: name}
		g.topics[name] = t
		g.addLocked(t)
	}
	reg := t.find(r)
	if reg == nil {
		reg = &registration{receiver: r, ready: make(chan struct{})}
		t.add(reg)
		if t.sub.live() {
			reg.confirmLocked()
		}
	}
	if t.conn != nil && t.sub.next(!t.moving) == subscribe {
		t.conn.toSubscribe = append(t.conn.toSubscribe, t)
		t.conn.notify()
	}
	if reg.confirmed && t.sub.live() {
		return t, nil
	}
	if attach {
		reg.attached = true
	} else {
		reg.waiting++
	}
	return t, reg
}

// arrived ends a wait of Subscribe that had success.
func (g *group) arrived(reg *registration) {
	g.mu.Lock()
	reg.waiting--
	g.mu.Unlock()
}

// giveUp ends a wait of Subscribe that had none. It reports true if the confirmation came after all.
func (g *group) giveUp(t *topic, reg *registration) (confirmed bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if reg.confirmed {
		return true
	}
	if reg.waiting--; reg.waiting == 0 && !reg.attached && !reg.gone.Load() {
		g.removeLocked(t, reg)
	}
	return false
}

func (g *group) unregister(name string, r Receiver) {
	g.mu.Lock()
	defer g.mu.Unlock()
	t := g.topics[name]
	if t == nil {
		return
	}
	reg := t.find(r)
	if reg == nil {
		return
	}
	g.removeLocked(t, reg)
	g.waitForDeliveryLocked(t)
}

// removeLocked takes reg off the topic and has the topic unsubscribed when it was the last.
func (g *group) removeLocked(t *topic, reg *registration) {
	t.remove(reg)
	if t.wanted() {
		return
	}
	if t.sub.over() {
		delete(g.topics, t.name)
		return
	}
	t.conn.toUnsubscribe = append(t.conn.toUnsubscribe, t)
	t.conn.notify()
}
