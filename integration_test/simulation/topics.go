package simulation

import (
	"hash/fnv"
	"maps"
	"slices"
	"time"

	"rollcall/broker"
)

// unsubscribeDelay is how long an UNSUBSCRIBE waits for a change of mind, and watch after how long a silent connection
// is replaced.
const (
	unsubscribeDelay = 50 * time.Millisecond
	watch            = 2 * time.Second
)

// sub is one pub/sub connection of a node. Messages and confirmations come in one order.
//
//	up ──── unplugged, or Redis went away ────▶ broken, nobody knows ──── noticed: OnBreak ────▶ down
//	 ▲                                                                                            │
//	 └──────────── connected: OnBreak; all topics are asked for again; Resubscribed ──────────────┘
type sub struct {
	// static
	w *world
	n *node

	// owned by the loop
	up       bool // the node believes so
	linked   bool // it is true
	life     int  // counts connections
	server   map[string]bool
	queue    []func() // on the way to the node
	due      []time.Time
	last     time.Time // when the last of them arrives
	lastUp   time.Time // when the last command arrives
	failures int

	// guarded by w.mu
	topics map[string]*topic
	asked  int // counts SUBSCRIBEs
}

// topic is one that a node wants.
type topic struct {
	receivers []broker.Receiver
	asked     int // the number of the last SUBSCRIBE
	live      bool
}

func (x *wire) sub(name string) *sub {
	h := fnv.New32a()
	_, _ = h.Write([]byte(name)) // never an error
	return x.subs[h.Sum32()%uint32(len(x.subs))]
}

// Attach is broker.Attach.
func (x *wire) Attach(name string, r broker.Receiver) (confirmed bool) {
	s, w := x.sub(name), x.w
	w.mu.Lock()
	t := s.topics[name]
	if t == nil {
		t = &topic{}
		s.topics[name] = t
	}
	if !slices.Contains(t.receivers, r) {
		t.receivers = append(t.receivers, r)
	}
	confirmed = t.live
	w.mu.Unlock()
	w.post(x.n, "subscribe "+name, func() { s.ask(name) })
	return confirmed
}

// Unsubscribe is broker.Unsubscribe.
func (x *wire) Unsubscribe(name string, r broker.Receiver) {
	s, w := x.sub(name), x.w
	w.mu.Lock()
	if t := s.topics[name]; t != nil {
		t.receivers = slices.DeleteFunc(t.receivers, func(o broker.Receiver) bool { return o == r })
	}
	w.mu.Unlock()
	w.post(x.n, "unsubscribe "+name, func() { w.after(unsubscribeDelay, func() { s.drop(name) }) })
}

// ask sends SUBSCRIBE when the topic needs it.
func (s *sub) ask(name string) {
	s.w.mu.Lock()
	t := s.topics[name]
	wanted := t != nil && len(t.receivers) > 0 && !t.live && s.up
	number := 0
	if wanted {
		s.asked++
		t.asked = s.asked
		number = t.asked
	}
	s.w.mu.Unlock()
	if !wanted {
		return
	}
	s.command(func() {
		s.server[name] = true
		s.push(func() { s.confirm(name, number) })
	})
}

// drop sends UNSUBSCRIBE when nobody has changed their mind.
func (s *sub) drop(name string) {
	s.w.mu.Lock()
	t := s.topics[name]
	over := t != nil && len(t.receivers) == 0
	if over {
		delete(s.topics, name)
	}
	s.w.mu.Unlock()
	if over {
		s.command(func() { delete(s.server, name) })
	}
}

// command reaches Redis after those before it, if the connection lives.
func (s *sub) command(do func()) {
	life := s.life
	at := time.Now().Add(s.w.net.latency(s.n))
	if !at.After(s.lastUp) {
		at = s.lastUp.Add(1)
	}
	s.lastUp = at
	var arrive func()
	arrive = func() {
		if until, held := s.w.net.heldUp(s.n); held && s.linked && s.life == life {
			s.lastUp = until.Add(time.Duration(s.life))
			s.w.at(s.lastUp, arrive)
			return
		}
		if s.linked && s.life == life {
			do()
		}
	}
	s.w.at(at, arrive)
}

// push lets something come to the node after all before it.
func (s *sub) push(do func()) {
	at := time.Now().Add(s.w.net.latency(s.n))
	if !at.After(s.last) {
		at = s.last.Add(1)
	}
	s.last = at
	s.queue, s.due = append(s.queue, do), append(s.due, at)
	if len(s.queue) == 1 {
		life := s.life
		s.w.at(at, func() { s.pump(life) })
	}
}

// pump brings the next thing to the node.
func (s *sub) pump(life int) {
	if s.life != life || !s.linked || len(s.queue) == 0 {
		return
	}
	if until, held := s.w.net.heldBack(s.n); held {
		s.w.at(until.Add(time.Duration(1+s.life)), func() { s.pump(life) })
		return
	}
	do := s.queue[0]
	s.queue, s.due = s.queue[1:], s.due[1:]
	if len(s.queue) > 0 {
		at := s.due[0]
		if now := time.Now(); !at.After(now) {
			at = now.Add(1)
		}
		s.w.at(at, func() { s.pump(life) })
	}
	do()
}

func (s *sub) receivers(name string) []broker.Receiver {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	if t := s.topics[name]; t != nil {
		return slices.Clone(t.receivers)
	}
	return nil
}

func (s *sub) deliver(name, payload string) {
	if channel, ok := s.w.keys.ChannelOf(name); ok {
		if s.n.path.drops {
			s.n.path.drops = false
			s.w.archive.dropped(s.n, channel, payload)
			s.w.story.add("n%d never receives %s", s.n.number, s.w.oracle.message(channel, payload))
			return
		}
		s.w.story.add("n%d receives %s", s.n.number, s.w.oracle.message(channel, payload))
		s.n.touch(channel)
	}
	for _, r := range s.receivers(name) {
		r.Receive(payload)
	}
}

// confirm is the answer to a SUBSCRIBE.
func (s *sub) confirm(name string, number int) {
	s.w.mu.Lock()
	t := s.topics[name]
	last := t != nil && t.asked == number
	if last {
		t.live = true
	}
	s.w.mu.Unlock()
	if !last {
		return
	}
	for _, r := range s.receivers(name) {
		s.w.story.add("n%d is subscribed to %s", s.n.number, name)
		r.Resubscribed()
	}
}

// unplug breaks the connection; what was on its way is lost. The node notices after a while.
func (s *sub) unplug(notice time.Duration) {
	if !s.linked {
		return
	}
	s.linked = false
	s.life++
	s.queue, s.due, s.server = nil, nil, map[string]bool{}
	s.w.after(notice, s.notice)
}

func (s *sub) notice() {
	if s.n.dead || s.linked || !s.up {
		return
	}
	s.w.story.add("n%d sees that a subscription is broken", s.n.number)
	s.up = false
	s.w.mu.Lock()
	for _, t := range s.topics {
		t.live = false
	}
	s.w.mu.Unlock()
	s.n.broke()
	s.failures = 0
	s.connect()
}

// connect tries to connect until it can.
func (s *sub) connect() {
	s.failures++
	pause := min(25*time.Millisecond<<min(s.failures, 10), time.Second)
	s.w.after(pause/2+time.Duration(s.w.rng.Int64N(int64(pause/2))), func() {
		if s.n.dead {
			return
		}
		_, up := s.w.net.heldUp(s.n)
		_, back := s.w.net.heldBack(s.n)
		if up || back || s.w.net.down() {
			s.connect()
			return
		}
		s.open()
		s.n.broke()
	})
}

// open makes the connection and asks for all topics.
func (s *sub) open() {
	s.up, s.linked, s.server = true, true, map[string]bool{}
	s.life++
	s.w.mu.Lock()
	names := slices.Sorted(maps.Keys(s.topics))
	s.w.mu.Unlock()
	for _, name := range names {
		s.ask(name)
	}
}
