package history

import (
	"fmt"
	"time"
)

// Why tells why what a client missed cannot be had whole (SPEC 7, recovered = false).
type Why string

// The reasons that clients are told.
const (
	TooMany Why = "too_many" // more came since than is kept, or than the client's queue takes
	Expired Why = "expired"  // its time is over
	Fork    Why = "fork"     // another message has its seq
	Unknown Why = "unknown"  // its seq was never given
)

// beyond says that a ring does not reach back so far: Redis may.
const beyond Why = "beyond"

// Message is one that is kept. B is what the owner of the ring makes of it.
type Message[B any] struct {
	At    Position
	Prev  int64     // MS of the one before it; of the first, when the counting began
	Until time.Time // when it is no longer served
	Size  int       // in bytes
	Body  B
}

// before is where the channel stood before the message.
func (m Message[B]) before() Position { return Position{m.Prev, m.At.Seq - 1} }

// Ring is the newest messages of one channel, without a gap, and where the channel stands. It is a value without a
// clock and without a lock.
//
// Invariant (Check): each message follows the one before it, by its seq and by its Prev; the last is at at. There are
// at most Size of them and they have at most MaxBytes, or there is one; bytes is the sum of their sizes.
type Ring[B any] struct {
	policy   Policy
	at       Position
	messages []Message[B]
	bytes    int
}

// NewRing makes a ring for a channel that stands at a position.
func NewRing[B any](p Policy, at Position) Ring[B] { return Ring[B]{policy: p, at: at} }

// At is where the channel stands.
func (r *Ring[B]) At() Position { return r.at }

// Len is how many messages the ring has, and Bytes what they take.
func (r *Ring[B]) Len() int   { return len(r.messages) }
func (r *Ring[B]) Bytes() int { return r.bytes }

// Reset forgets all messages; the channel stands at a position.
func (r *Ring[B]) Reset(at Position) {
	r.Forget()
	r.at = at
}

// Forget forgets all messages; the channel stands where it stood.
func (r *Ring[B]) Forget() { r.messages, r.bytes = nil, 0 }

// Append adds a message; false: it does not follow the last one, and the ring stays as it was.
func (r *Ring[B]) Append(m Message[B]) bool {
	if m.before() != r.at {
		return false
	}
	r.at = m.At
	r.messages = append(r.messages, m)
	r.bytes += m.Size
	r.trim()
	return true
}

// trim lets the oldest messages go that are too many.
func (r *Ring[B]) trim() {
	n := 0
	for len(r.messages)-n > r.policy.Size || r.bytes > MaxBytes && len(r.messages)-n > 1 {
		r.bytes -= r.messages[n].Size
		n++
	}
	r.cut(n)
}

// expire lets go of messages whose time is over.
func (r *Ring[B]) expire(now time.Time) {
	n := 0
	for n < len(r.messages) && !now.Before(r.messages[n].Until) {
		r.bytes -= r.messages[n].Size
		n++
	}
	r.cut(n)
}

// cut takes the first n messages off; the array behind them is given back when it has grown.
func (r *Ring[B]) cut(n int) {
	clear(r.messages[:n])
	if r.messages = r.messages[n:]; len(r.messages) == 0 {
		r.messages = nil
	}
}

// oldest is the position of the first message; without messages where the channel stands.
func (r *Ring[B]) oldest() Position {
	if len(r.messages) == 0 {
		return r.at
	}
	return r.messages[0].At
}

// has tells whether a position is one of the ring's history, as far as it reaches back.
func (r *Ring[B]) has(p Position) bool {
	if i := p.Seq + 1 - r.oldest().Seq; i >= 0 && i < int64(len(r.messages)) {
		return r.messages[i].before() == p
	}
	return p == r.at
}

// had tells whether a message was appended before, also when the ring has let it go.
func (r *Ring[B]) had(p Position) bool {
	first := r.oldest()
	return r.has(p) || p.Seq < first.Seq && p.MS <= first.MS
}

// Extend takes the older ones of what Redis holds, as far as the ring has room for them.
func (r *Ring[B]) Extend(all []Message[B]) {
	first := r.at // where the channel stood before the ring's first message
	if len(r.messages) > 0 {
		first = r.messages[0].before()
	}
	end := 0 // of the older ones
	for end < len(all) && all[end].At.Seq <= first.Seq {
		end++
	}
	if end == 0 || all[end-1].At != first {
		return
	}
	room, bytes := r.policy.Size-len(r.messages), MaxBytes-r.bytes
	begin := end
	for begin > 0 && room > 0 && all[begin-1].Size <= bytes {
		begin--
		room--
		bytes -= all[begin].Size
		r.bytes += all[begin].Size
	}
	r.messages = append(append([]Message[B](nil), all[begin:end]...), r.messages...)
}

// Since gives the messages after a position, "" as reason; or why they cannot be had, which may be beyond. The messages
// must not be changed.
func (r *Ring[B]) Since(p Position, now time.Time) ([]Message[B], Why) {
	r.expire(now)
	n := int64(len(r.messages))
	oldest, prev := r.at.Seq+1-n, (*int64)(nil)
	if i := p.Seq + 1 - oldest; i >= 0 && i < n {
		prev = &r.messages[i].Prev
	}
	if why := judge(r.policy, p, r.at, oldest, prev); why != "" {
		return nil, why
	}
	return r.messages[n-(r.at.Seq-p.Seq):], ""
}

// judge says whether all after a position can be had of a channel that stands at at and holds its messages from seq
// oldest on, or why not. prev is the Prev of the message after the position, nil when it is not held.
func judge(policy Policy, p, at Position, oldest int64, prev *int64) Why {
	switch {
	case p.Seq > at.Seq:
		return Unknown
	case p == at:
		return ""
	case p.Seq == at.Seq:
		return Fork
	case prev != nil && *prev == p.MS:
		return ""
	case p.Seq+1 >= oldest:
		return Fork
	case at.Seq-p.Seq > int64(policy.Size):
		return TooMany
	}
	return beyond
}

// final is what a client is told when Redis does not reach back so far either; now is its clock, in ms. What is younger
// than the ttl went because the channel had too many bytes.
func (w Why) final(policy Policy, p Position, now int64) Why {
	switch {
	case w != beyond:
		return w
	case now-p.MS < policy.TTL.Milliseconds():
		return TooMany
	}
	return Expired
}

// Check says which invariant is broken, or nil.
func (r *Ring[B]) Check() error {
	bytes := 0
	for i, m := range r.messages {
		bytes += m.Size
		if i > 0 && m.before() != r.messages[i-1].At {
			return fmt.Errorf("%v says that %v is before it, but that is %v", m.At, m.before(), r.messages[i-1].At)
		}
	}
	n := len(r.messages)
	switch {
	case n > 0 && r.messages[n-1].At != r.at:
		return fmt.Errorf("the channel stands at %v, but its last message is %v", r.at, r.messages[n-1].At)
	case bytes != r.bytes:
		return fmt.Errorf("%d bytes are counted as %d", bytes, r.bytes)
	case n > r.policy.Size:
		return fmt.Errorf("%d messages are more than %d", n, r.policy.Size)
	case bytes > MaxBytes && n > 1:
		return fmt.Errorf("%d bytes in %d messages", bytes, n)
	}
	return nil
}
