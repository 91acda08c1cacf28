package history

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Gate decides when what was published in one channel may pass on to those of this node who are promised every message
// once and in order (SPEC 7): its listeners, all of whom stand where its ring does. Who comes in waits, until what it
// missed is at hand; then it gets that and is a listener, in one step. It is a value: what happens is told by a method
// with the moment, and what is to be done is returned.
//
//	       a message is missing, the subscription broke
//	sure ────────────────────────────────────────────────▶ unsure: messages are held back, Redis is to be read
//	  ▲                                                       │
//	  └──── what was read leads on, or listeners are told ────┘
//
// Invariant (Check): while sure, nothing is held back, and nobody waits but who may be told more by Redis than by the
// ring. What is held back has bounds: beyond them it is dropped and read again.
type Gate[B, W any] struct {
	policy Policy
	ring   Ring[B]

	sure      bool // nothing was missed since where the ring stands
	listeners int
	waiting   []Waiter[W]

	held      []heard[B]
	heldBytes int
	again     bool // something was dropped, or broke, since the last read began: its end does not make sure
}

// Waiter is one who comes in. Since is nil when it begins now.
type Waiter[W any] struct {
	Who   W
	Since *Position

	asked bool // a read of all has begun since it came: what that has not is not there
}

// heard is a message that came while the gate was unsure; nil: one that is not kept.
type heard[B any] struct {
	kept *Message[B]
	body B
	size int
	read bool // it came before the read began that is under way
}

// Bounds of what is held back.
const (
	maxHeld      = MaxSize
	maxHeldBytes = MaxBytes
)

// Read says what has to be read of Redis.
type Read int

// What can be needed.
const (
	ReadNothing  Read = iota
	ReadPosition      // where the channel stands
	ReadAll           // its messages too
)

// Held is what was read: where a channel stands, the messages that Redis holds, and its clock then in ms. After a
// ReadPosition there are no messages.
type Held[B any] struct {
	What     Read
	At       Position
	Messages []Message[B]
	Now      int64
}

// Effect is one thing to be done, in order: Pass, Lost or Answer.
type Effect[B, W any] struct {
	Pass   *Passed[B]
	Lost   *Loss
	Answer *Answer[B, W]
}

// Passed is a message for all listeners; Kept tells whether it has a position.
type Passed[B any] struct {
	Kept bool
	At   Position
	Body B
}

// Loss tells all listeners that messages are missing before the one that follows At.
type Loss struct {
	At  Position
	Why Why
}

// Answer tells one who waited where it begins; from now on it is a listener. With Since and no Why it gets Missed
// first, which is valid until the gate's next method.
type Answer[B, W any] struct {
	Waiter[W]
	At     Position
	Why    Why
	Missed []Message[B]
}

// NewGate makes the gate of a channel of which nothing is known.
func NewGate[B, W any](p Policy) *Gate[B, W] {
	return &Gate[B, W]{policy: p, ring: NewRing[B](p, Position{})}
}

// Forget gives the ring's memory back, unless somebody waits for what is to go before it.
func (g *Gate[B, W]) Forget() {
	if len(g.waiting) == 0 {
		g.ring.Forget()
	}
}

// Bytes is what the ring and what is held back take.
func (g *Gate[B, W]) Bytes() int { return g.ring.Bytes() + g.heldBytes }

// Needs says what has to be read now, for whom there is.
func (g *Gate[B, W]) Needs() Read {
	switch {
	case len(g.waiting) == 0 && (g.sure || g.listeners == 0):
		return ReadNothing
	case g.listeners > 0 || slices.ContainsFunc(g.waiting, func(w Waiter[W]) bool { return w.Since != nil }):
		return ReadAll
	}
	return ReadPosition
}

// At is where the listeners stand.
func (g *Gate[B, W]) At() Position { return g.ring.At() }

// Begin says that a read begins: what was held back before is in it, or in Redis no more. What is dropped from now on
// it may not have.
func (g *Gate[B, W]) Begin() {
	g.again = false
	if g.Needs() == ReadAll {
		for i := range g.waiting {
			g.waiting[i].asked = true
		}
	}
	for i := range g.held {
		g.held[i].read = true
	}
}

// Hear takes a message that is kept.
func (g *Gate[B, W]) Hear(m Message[B]) (out []Effect[B, W]) {
	switch {
	case !g.sure && (g.listeners > 0 || len(g.waiting) > 0):
		g.hold(heard[B]{kept: &m, size: m.Size})
		return nil
	case !g.sure: // nobody is told; the ring begins anew with it
		g.ring.Reset(m.before())
		g.sure = true
	}
	return g.follow(nil, m)
}

// follow passes a message on if it is the next one.
func (g *Gate[B, W]) follow(out []Effect[B, W], m Message[B]) []Effect[B, W] {
	switch {
	case g.ring.Append(m):
	case g.ring.had(m.At): // it was read before it came
		return out
	case m.At.MS > g.ring.At().MS && (m.At.Seq == 1 || g.listeners == 0):
		// The first of a new counting: all before it came, as nothing broke. Or nobody is told.
		g.ring.Reset(m.before())
		g.ring.Append(m)
	case g.listeners == 0:
		g.sure = false
		return out
	default:
		g.sure = false
		g.hold(heard[B]{kept: &m, size: m.Size})
		return out
	}
	if g.listeners == 0 {
		return out
	}
	return append(out, Effect[B, W]{Pass: &Passed[B]{Kept: true, At: m.At, Body: m.Body}})
}

// HearTransient takes a message that is not kept. It keeps its place among the others.
func (g *Gate[B, W]) HearTransient(body B, size int) []Effect[B, W] {
	switch {
	case g.listeners == 0:
		return nil
	case !g.sure:
		g.hold(heard[B]{body: body, size: size})
		return nil
	}
	return []Effect[B, W]{{Pass: &Passed[B]{Body: body}}}
}

func (g *Gate[B, W]) hold(h heard[B]) {
	if len(g.held) >= maxHeld || len(g.held) > 0 && g.heldBytes+h.size > maxHeldBytes {
		g.held, g.heldBytes, g.again = nil, 0, true // Redis has what is kept
		return
	}
	g.held = append(g.held, h)
	g.heldBytes += h.size
}

// Broke says that messages may have been missed until now. What is held back may be of a history that is lost.
func (g *Gate[B, W]) Broke() {
	g.sure, g.again = false, true
	g.held, g.heldBytes = nil, 0
}

// Join takes one who comes in.
func (g *Gate[B, W]) Join(w Waiter[W], now time.Time) (out []Effect[B, W]) {
	if g.sure {
		if a, ok := g.answer(w, now, Held[B]{}); ok {
			return append(out, a)
		}
	}
	g.waiting = append(g.waiting, w)
	return nil
}

// answer makes a waiter a listener, unless Redis may know more than the ring: messages that the ring has not, or that
// this node is behind, or that its history is over. read is what Redis has, if it was read.
func (g *Gate[B, W]) answer(w Waiter[W], now time.Time, read Held[B]) (e Effect[B, W], ok bool) {
	a := &Answer[B, W]{Waiter: w, At: g.ring.At()}
	if w.Since != nil {
		a.Missed, a.Why = g.ring.Since(*w.Since, now)
		switch {
		case a.Why == "", a.Why == TooMany:
		case !w.asked:
			return e, false
		default:
			a.Why = a.Why.final(g.policy, *w.Since, read.Now)
		}
	}
	g.listeners++
	return Effect[B, W]{Answer: a}, true
}

// Leave says that a listener has gone.
func (g *Gate[B, W]) Leave() {
	g.listeners--
	g.letGo()
}

// Drop takes out those who wait no more.
func (g *Gate[B, W]) Drop(gone func(W) bool) {
	g.waiting = slices.DeleteFunc(g.waiting, func(w Waiter[W]) bool { return gone(w.Who) })
	g.letGo()
}

// letGo drops what is held back for nobody.
func (g *Gate[B, W]) letGo() {
	if g.listeners == 0 && len(g.waiting) == 0 {
		g.held, g.heldBytes = nil, 0
	}
}

// Got takes what was read.
func (g *Gate[B, W]) Got(h Held[B], now time.Time) (out []Effect[B, W]) {
	if h.What == ReadAll && !g.ring.had(h.At) { // messages are under way, or Redis has begun another history
		g.sure = false
	}
	if !g.sure {
		if out = g.resume(h, now); !g.sure {
			return out
		}
	}
	g.ring.Extend(h.Messages)
	still := g.waiting[:0]
	for _, w := range g.waiting {
		if e, ok := g.answer(w, now, h); ok {
			out = append(out, e)
		} else {
			still = append(still, w)
		}
	}
	clear(g.waiting[len(still):])
	g.waiting = still
	return out
}

// resume makes an unsure gate sure with what was read: listeners get what they missed, or are told that they lost it,
// and then what was held back.
func (g *Gate[B, W]) resume(h Held[B], now time.Time) (out []Effect[B, W]) {
	var missed []Message[B]
	read := h.ring(g.policy)
	switch {
	case g.listeners > 0:
		var why Why
		if missed, why = read.Since(g.ring.At(), now); why != "" {
			out = append(out, Effect[B, W]{Lost: &Loss{At: h.At, Why: why.final(g.policy, g.ring.At(), h.Now)}})
			g.ring = read
		}
	case h.What == ReadAll:
		g.ring = read
	case g.ring.At() != h.At:
		g.ring.Reset(h.At)
	}
	var held []heard[B]
	if g.sure = !g.again; g.sure { // else what is held back follows something that the read may not have
		held, g.held, g.heldBytes = g.held, nil, 0
	}
	for _, item := range held {
		switch {
		case !g.sure:
			g.hold(item)
		case item.kept == nil:
			out = append(out, g.HearTransient(item.body, item.size)...)
		default:
			for len(missed) > 0 && item.kept.before() != g.ring.At() && !g.ring.had(item.kept.At) {
				out, missed = g.follow(out, missed[0]), missed[1:]
			}
			if item.read && item.kept.before() != g.ring.At() {
				continue // passed on, or lost by Redis
			}
			out = g.follow(out, *item.kept)
		}
	}
	for _, m := range missed {
		out = g.follow(out, m)
	}
	return out
}

// ring makes a ring of what was read.
func (h Held[B]) ring(p Policy) Ring[B] {
	r := NewRing[B](p, Position{})
	for _, m := range h.Messages {
		if !r.Append(m) {
			r.Reset(m.before())
			r.Append(m)
		}
	}
	if r.At() != h.At {
		r.Reset(h.At)
	}
	return r
}

// Check says which invariant is broken, or nil.
func (g *Gate[B, W]) Check() error {
	switch {
	case g.sure && (len(g.held) > 0 || g.heldBytes > 0):
		return errors.New("something is held back for nothing")
	case g.listeners < 0:
		return fmt.Errorf("%d listeners", g.listeners)
	}
	return g.ring.Check()
}
