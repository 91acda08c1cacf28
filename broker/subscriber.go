package broker

import "hash/maphash"

// Receiver takes the messages of a topic. All calls for one topic come from one goroutine, one at a time, in the
// order of Redis. They must not block: every topic of the same connection waits meanwhile. They must not call
// Unsubscribe, which would wait for the call it is made from; another goroutine has to do that. The value must be
// comparable (a pointer), since it is what Unsubscribe finds the subscription by.
type Receiver interface {
	// Receive takes one message.
	Receive(payload string)
	// Resubscribed says that Redis has confirmed the subscription: for the first time, or after it had been lost.
	// Messages may have been missed until now; every later one is received.
	Resubscribed()
}

func (b *Broker) group(topic string) *group {
	return b.groups[maphash.String(b.seed, topic)%uint64(len(b.groups))]
}

// Attach subscribes r. It does not wait. It reports whether Redis has confirmed the subscription already (others share
// it); if not, Resubscribed tells when it has, however long that takes. So it may be used while Redis can't be reached.
// Several receivers of a topic share one Redis subscription; one that is added twice counts once.
func (b *Broker) Attach(topic string, r Receiver) (confirmed bool) {
	return b.group(topic).attach(topic, r)
}

// Unsubscribe ends the subscription of r. After it has returned r is not called again for this topic. It waits for a
// call that is running: so it must not be called from a receiver, or under a lock that one takes. UNSUBSCRIBE is sent
// later, with others.
func (b *Broker) Unsubscribe(topic string, r Receiver) { b.group(topic).unsubscribe(topic, r) }

func (g *group) attach(name string, r Receiver) (confirmed bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	t := g.topics[name]
	if t == nil {
		t = &topic{name: name}
		g.topics[name] = t
		g.addLocked(t)
	}
	if t.find(r) == nil {
		t.add(&registration{receiver: r})
	}
	if t.conn != nil && t.sub.next(!t.moving) == subscribe {
		t.conn.toSubscribe = append(t.conn.toSubscribe, t)
		t.conn.notify()
	}
	return t.sub.live()
}

func (g *group) unsubscribe(name string, r Receiver) {
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
	t.remove(reg)
	switch {
	case t.wanted():
	case t.sub.over():
		delete(g.topics, t.name)
	default:
		t.conn.toUnsubscribe = append(t.conn.toUnsubscribe, t)
		t.conn.notify()
	}
	g.waitForDeliveryLocked(t)
}
