package app

import (
	"sync"
	"time"

	"rollcall/hub"
)

// inbox is what waits for one connection script: messages of its client and events of its channels, in the order in
// which they came. The reader of the connection and the hub put, the script takes.
//
// Events are bounded; one too many is refused and the connection is closed (SPEC 1.1). Client messages are bounded too,
// and the reader waits for space, so that further ones stay in the socket.
//
//	open ──── end ────▶ ended: what came before is still taken, then "closed"
//	  └────── drop ───▶ dropped: nothing is taken any more (the script closed, or is over)
type inbox struct {
	limit inboxLimit
	wake  chan struct{} // buffer 1: the script may have something to take
	space chan struct{} // buffer 1: the reader may have space

	// Invariant: bytes is the sum of messages' lengths, eventBytes that of events' sizes; an item of a lower seq came
	// earlier.
	mu         sync.Mutex
	events     queue[eventItem]
	messages   queue[messageItem]
	seq        uint64
	bytes      int
	eventBytes int
	ended      bool
	dropped    bool
}

// inboxLimit bounds an inbox.
type inboxLimit struct {
	events     int // waiting events
	eventBytes int // of waiting events together; one event of any size is taken when none waits
	messages   int // waiting client messages
	bytes      int // of waiting client messages together; likewise
}

type eventItem struct {
	seq uint64
	ev  *hub.Event
}

type messageItem struct {
	seq    uint64
	data   string
	binary bool
}

// taken is what a script got: a message, an event, or neither.
type taken struct {
	message *messageItem
	event   *hub.Event
	closed  bool // nothing will come any more
}

func (t taken) something() bool { return t.message != nil || t.event != nil || t.closed }

func newInbox(limit inboxLimit) *inbox {
	return &inbox{limit: limit, wake: make(chan struct{}, 1), space: make(chan struct{}, 1)}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// putEvent queues an event and does not block; false: there was no space.
func (q *inbox) putEvent(ev *hub.Event) bool {
	q.mu.Lock()
	if q.dropped || q.ended {
		q.mu.Unlock()
		return true
	}
	n := q.events.len()
	if n >= q.limit.events || n > 0 && q.eventBytes+ev.Size() > q.limit.eventBytes {
		q.mu.Unlock()
		return false
	}
	q.seq++
	q.events.push(eventItem{q.seq, ev})
	q.eventBytes += ev.Size()
	q.mu.Unlock()
	signal(q.wake)
	return true
}

// fits tells whether so many events of so many bytes together would be taken now.
func (q *inbox) fits(events, bytes int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.events.len()+events <= q.limit.events && q.eventBytes+bytes <= q.limit.eventBytes
}

// putMessage queues a client message; it waits for space until gone is closed, and takes the message even then.
func (q *inbox) putMessage(data string, binary bool, gone <-chan struct{}) {
	for !q.tryMessage(data, binary, false) {
		select {
		case <-q.space:
		case <-gone:
			q.tryMessage(data, binary, true)
			return
		}
	}
}

// tryMessage queues a message if there is space or force, and tells whether it is done with.
func (q *inbox) tryMessage(data string, binary, force bool) bool {
	q.mu.Lock()
	if q.dropped || q.ended {
		q.mu.Unlock()
		return true
	}
	n := q.messages.len()
	if !force && n > 0 && (n >= q.limit.messages || q.bytes+len(data) > q.limit.bytes) {
		q.mu.Unlock()
		return false
	}
	q.seq++
	q.messages.push(messageItem{q.seq, data, binary})
	q.bytes += len(data)
	q.mu.Unlock()
	signal(q.wake)
	return true
}

// end is called when the connection has closed: what has come is still delivered.
func (q *inbox) end() {
	q.mu.Lock()
	q.ended = true
	q.mu.Unlock()
	signal(q.wake)
	signal(q.space)
}

// drop is called when the script closes the connection or is over: what waits is forgotten.
func (q *inbox) drop() {
	q.mu.Lock()
	q.dropped = true
	q.events, q.messages, q.bytes, q.eventBytes = queue[eventItem]{}, queue[messageItem]{}, 0, 0
	q.mu.Unlock()
	signal(q.wake)
	signal(q.space)
}

// take returns the next message, or with any the next of messages and events; nothing when nothing waits.
func (q *inbox) take(any bool) taken {
	q.mu.Lock()
	defer q.mu.Unlock()
	message := q.messages.first()
	if any {
		if ev := q.events.first(); ev != nil && (message == nil || ev.seq < message.seq) {
			got := q.events.pop().ev
			q.eventBytes -= got.Size()
			return taken{event: got}
		}
	}
	if message != nil {
		m := q.messages.pop()
		q.bytes -= len(m.data)
		signal(q.space)
		return taken{message: &m}
	}
	return taken{closed: q.dropped || q.ended}
}

// wait waits until something may be taken or the time is over (below 0: without limit); it is called by one goroutine.
func (q *inbox) wait(any bool, timeout time.Duration) taken {
	var timer <-chan time.Time
	if timeout >= 0 {
		t := time.NewTimer(timeout)
		defer t.Stop()
		timer = t.C
	}
	for {
		if t := q.take(any); t.something() {
			return t
		}
		select {
		case <-q.wake:
		case <-timer:
			return q.take(any)
		}
	}
}

// queue is a first-in first-out list that keeps no memory while it is empty and long unused.
type queue[T any] struct {
	items []T
	head  int
}

func (q *queue[T]) len() int { return len(q.items) - q.head }

func (q *queue[T]) push(v T) {
	if q.head > 0 && len(q.items) == cap(q.items) {
		n := copy(q.items, q.items[q.head:])
		clear(q.items[n:])
		q.items, q.head = q.items[:n], 0
	}
	q.items = append(q.items, v)
}

func (q *queue[T]) first() *T {
	if q.len() == 0 {
		return nil
	}
	return &q.items[q.head]
}

func (q *queue[T]) pop() T {
	v := q.items[q.head]
	var zero T
	q.items[q.head] = zero
	q.head++
	if q.head == len(q.items) {
		if cap(q.items) > 16 {
			q.items = nil
		} else {
			q.items = q.items[:0]
		}
		q.head = 0
	}
	return v
}
