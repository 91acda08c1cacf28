package hub

import (
	"context"
	"time"

	"rollcall/history"
	"rollcall/outbox"
	"rollcall/redisconn"
)

// feed is what a room of a channel with history has for those members who are promised each message, once and in order
// (SPEC 7): connections of routes with resume = true, and scripts. It is where its gate says that they stand; other
// members get what Redis publishes, as it comes.
type feed struct {
	// static
	policy  history.Policy
	ctx     context.Context // ends with the room
	cancel  context.CancelFunc
	channel string
	name    []byte // of the channel, as JSON

	// guarded by the room's mu
	gate    *gate
	reading bool // a goroutine reads Redis
}

type (
	gate   = history.Gate[*delivery, *membership]
	effect = history.Effect[*delivery, *membership]
)

// feedState is where a membership is in its room's feed.
//
//	outside ── Join ──▶ waiting ── what it missed is at hand ──▶ fed
//	   ▲                   │                                      │
//	   └───────────────────┴──────── listens no more ─────────────┘
type feedState byte

const (
	outside feedState = iota
	waiting
	fed
)

// Recovery is how a connection came into a channel with history.
type Recovery struct {
	Asked     bool // a position was given; else only Position counts
	Recovered bool
	Missed    int         // messages that came since
	Why       history.Why // not recovered
	Position  history.Position
}

func (h *Hub) newFeed(name string) *feed {
	policy, ok := h.rules.Load().For(name)
	if !ok {
		return nil
	}
	f := &feed{policy: policy, channel: name, name: quote(name), gate: history.NewGate[*delivery, *membership](policy)}
	f.ctx, f.cancel = context.WithCancel(h.ctx)
	return f
}

// wantsFeed tells whether a membership gets its broadcasts by the room's feed.
func (m *membership) wantsFeed() bool {
	return m.room.feed != nil && !m.room.ofUser && (m.s.resume || m.s.events != nil)
}

// stepFeed tells the gate something and does what it says. Everything happens under the room's lock, so what goes to
// one connection is in one order.
func (r *room) stepFeed(prompt bool, step func(*gate) []effect) {
	var delivered, bytes int
	var own []string // senders of what was passed on
	outbox.SendAll(func(send func(outbox.Sender, outbox.Frame) bool) {
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, e := range step(r.feed.gate) {
			switch {
			case e.Pass != nil:
				delivered += r.passLocked(e.Pass, send)
				own = append(own, e.Pass.Body.Sender)
			case e.Lost != nil:
				r.lostLocked(e.Lost, send)
			default:
				delivered += r.answerLocked(e.Answer, send)
			}
		}
		r.readLocked()
		bytes = r.feed.gate.Bytes()
	}, prompt)
	r.h.stats.Delivered.Add(int64(delivered))
	for _, sender := range own {
		r.heardOwn(sender, true)
	}
	r.h.rings.note(r, bytes)
}

// feedWith hands a broadcast of the topic, of so many bytes, to the feed.
func (r *room) feedWith(b history.Broadcast, size int) {
	d := &delivery{Broadcast: b}
	r.stepFeed(false, func(g *gate) []effect {
		if !b.Kept {
			return g.HearTransient(d, size)
		}
		return g.Hear(history.Message[*delivery]{At: b.At, Prev: b.Prev, Until: time.Now().Add(r.feed.policy.TTL),
			Size: size, Body: d})
	})
}

// passLocked hands a broadcast to all who are fed.
func (r *room) passLocked(p *history.Passed[*delivery], send func(outbox.Sender, outbox.Frame) bool) (n int) {
	for _, m := range r.members {
		switch {
		case !m.fed, p.Body.Others && m.s.id == p.Body.Sender:
			continue
		case m.to != nil:
			send(m.to, p.Body.frame(r))
		default:
			m.s.hear(p.Body.event(r))
		}
		n++
	}
	return n
}

// lostLocked tells all who are fed that messages are missing.
func (r *room) lostLocked(l *history.Loss, send func(outbox.Sender, outbox.Frame) bool) {
	frame := r.feed.lostFrame(l)
	event := r.lostEvent(l.At, l.Why)
	for _, m := range r.members {
		switch {
		case !m.fed:
		case m.to != nil:
			send(m.to, frame)
		default:
			m.s.hear(event)
		}
	}
}

// lostEvent tells scripts that messages are missing before the one that follows a position.
func (r *room) lostEvent(at history.Position, why history.Why) *Event {
	return &Event{Kind: EventLost, Channel: r.name, Timestamp: time.Now().UnixMilli(), Position: at.String(),
		Why: string(why)}
}

// answerLocked makes a member who waited one who is fed, and gives it what it missed, unless that is more than its
// queue takes.
func (r *room) answerLocked(a *history.Answer[*delivery, *membership], send func(outbox.Sender, outbox.Frame) bool) (
	n int,
) {
	m := a.Who
	rec := Recovery{Asked: a.Since != nil, Recovered: a.Since != nil && a.Why == "", Missed: len(a.Missed), Why: a.Why,
		Position: a.At}
	if rec.Recovered {
		rec.Position = *a.Since
	}
	m.feedState = fed
	r.members[m.index].refreshLocked()
	missed := a.Missed
	if m.s.events == nil {
		frames := r.feed.missedFrames(r, rec, missed)
		if rec.Recovered && !m.s.conn.Fits(frames) {
			rec, missed = rec.refused(a.At), nil
			frames = r.feed.missedFrames(r, rec, nil)
		}
		for _, f := range frames {
			send(m.s.conn, f)
		}
	} else {
		bytes := 0
		for _, d := range missed {
			bytes += d.Body.event(r).Size()
		}
		if rec.Recovered && !m.s.fits(len(missed), bytes) {
			rec, missed = rec.refused(a.At), nil
		}
		if m.late && rec.Asked && !rec.Recovered { // nobody takes the answer any more
			m.s.hear(r.lostEvent(rec.Position, rec.Why))
		}
		for _, d := range missed {
			m.s.hear(d.Body.event(r))
		}
	}
	r.h.stats.recovered(rec)
	m.tellLocked(rec)
	return len(missed)
}

// refused is the recovery of one whose queue takes no more.
func (rec Recovery) refused(at history.Position) Recovery {
	return Recovery{Asked: true, Why: history.TooMany, Position: at}
}

// tellLocked tells the call that waits.
func (m *membership) tellLocked(rec Recovery) {
	select {
	case m.answered <- rec:
	default:
	}
}

// enterFeed takes a member into the feed, and waits until it is in, or until that has taken too long: then it is when
// Redis is back. One who is in is answered again.
func (m *membership) enterFeed(ctx context.Context, since *history.Position, until time.Time) (rec Recovery, in bool) {
	r := m.room
	r.stepFeed(true, func(g *gate) []effect {
		m.late = false
		switch {
		case !m.listensLocked(): // gone meanwhile
			m.answered = make(chan Recovery, 1)
			m.tellLocked(rec)
		case m.feedState == outside:
			m.feedState, m.answered = waiting, make(chan Recovery, 1)
			return g.Join(history.Waiter[*membership]{Who: m, Since: since}, time.Now())
		case m.feedState == fed:
			m.answered = make(chan Recovery, 1)
			rec := Recovery{Position: g.At()}
			if m.s.events == nil {
				_ = m.s.conn.Send(r.feed.joinedFrame(rec)) // a closed client need not know
			}
			m.tellLocked(rec)
		}
		return nil
	})
	select {
	case rec = <-m.answered: // mostly it is there
		return rec, true
	default:
	}
	ctx, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	select {
	case rec = <-m.answered:
		return rec, true
	case <-ctx.Done():
		return m.waitNoMore()
	}
}

// waitNoMore ends the wait for an answer, unless that has come just now.
func (m *membership) waitNoMore() (rec Recovery, in bool) {
	m.room.mu.Lock()
	defer m.room.mu.Unlock()
	select {
	case rec = <-m.answered:
		return rec, true
	default:
		m.late = true
		return rec, false
	}
}

// leaveFeedLocked takes out a member who listens no more.
func (m *membership) leaveFeedLocked() {
	switch m.feedState {
	case fed:
		m.room.feed.gate.Leave()
	case waiting:
		m.room.feed.gate.Drop(func(who *membership) bool { return who == m })
		m.tellLocked(Recovery{})
	}
	m.feedState = outside
}

// readLocked begins to read Redis if the gate needs it.
func (r *room) readLocked() {
	f := r.feed
	if !f.reading && r.confirmed.Load() && f.gate.Needs() != history.ReadNothing {
		f.reading = r.h.background(r.read)
	}
}

// read reads Redis for all who wait, until nobody does.
func (r *room) read() {
	f := r.feed
	for tries := 0; ; tries++ {
		if tries > 1 { // the first may have found out that more is to be read
			f.pause(redisconn.Backoff(tries - 1))
		}
		what, over := r.beginRead()
		if over {
			return
		}
		r.h.stats.Reads.Add(1)
		held, err := r.h.history.Read(f.ctx, r.name, f.policy, what)
		switch {
		case err == nil:
			r.stepFeed(true, func(g *gate) []effect { return g.Got(deliveries(held), time.Now()) })
		case tries == 0 && f.ctx.Err() == nil:
			r.h.cfg.Log.Warn("history cannot be read; it is tried again", "channel", r.name, "error", err)
		}
	}
}

// beginRead says what is to be read; over: nothing, and the reading is over.
func (r *room) beginRead() (what history.Read, over bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f := r.feed
	what = f.gate.Needs()
	if what == history.ReadNothing || f.ctx.Err() != nil {
		f.reading = false
		return what, true
	}
	f.gate.Begin()
	return what, false
}

func (f *feed) pause(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-f.ctx.Done():
	}
}
