package hub

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"rollcall/history"
	"rollcall/naming"
	"rollcall/outbox"
	"rollcall/phoenix"
	"rollcall/presence"
	"rollcall/wsconn"
)

// room is one channel while someone on this node is in it or tracked there. It receives the channel's topic, and is the
// audience of its presence.
//
// Invariant (check): members holds each membership that hears or sees something, at its index, and beside it what it
// hears; plain, byRefs and scripts count those who see who is there. Who is leaving is not joined. Who is in the feed
// listens.
type room struct {
	// static
	h         *Hub
	name      string
	presence  *presence.Channel
	feed      *feed         // nil: the channel has no history
	opened    time.Duration // since the hub began
	ofUser    bool          // it is the channel of a user
	confirmed atomic.Bool   // Redis has confirmed the topic once

	refs int32 // guarded by the hub's roomsMu

	plain, byRefs, scripts atomic.Int32 // members who see who is there, by kind: byRefs are clients of Phoenix

	state  stateFrame   // owned by who tells of presence
	pushed *pushedState // likewise; nil: none

	mu      sync.RWMutex // taken after a session's
	members []member
}

// member is a membership and the connection with it: a delivery need not look into the membership, which is in no
// cache.
type member struct {
	*membership
	to      Conn            // hearsLocked()
	fed     bool            // what it hears comes by the room's feed
	phoenix phoenix.Version // the session's
}

// refreshLocked makes what stands beside the membership right.
func (m *member) refreshLocked() {
	m.to, m.fed, m.phoenix = m.hearsLocked(), m.feedState == fed, m.s.phoenix
}

// enter gives the room of a channel, made if need be, with one reference more.
func (h *Hub) enter(name string) *room {
	r, made := h.acquire(name)
	if made && h.cfg.Broker.Attach(h.keys.Topic(name), r) {
		r.Resubscribed()
	}
	return r
}

func (h *Hub) acquire(name string) (r *room, made bool) {
	h.roomsMu.Lock()
	defer h.roomsMu.Unlock()
	r = h.rooms[name]
	if made = r == nil; made {
		r = &room{h: h, name: name, ofUser: naming.IsUserChannel(name), feed: h.newFeed(name),
			opened: time.Since(h.began)}
		r.presence = h.cfg.Tracker.Open(name, r)
		h.rooms[name] = r
	}
	r.refs++
	return r, made
}

// leave gives a reference back; the last one closes the room.
func (h *Hub) leave(r *room) {
	h.roomsMu.Lock()
	defer h.roomsMu.Unlock()
	if r.refs--; r.refs > 0 {
		return
	}
	delete(h.rooms, r.name)
	h.cfg.Broker.Unsubscribe(h.keys.Topic(r.name), r)
	if r.feed != nil {
		r.feed.cancel()
		h.rings.drop(r)
	}
	r.presence.Detach()
}

// wait returns when presence has been read, or when that takes too long: so many joins of a room that Redis does not
// answer for wait only once.
func (r *room) wait(ctx context.Context) {
	ready := r.presence.Ready()
	select {
	case <-ready:
		return
	default:
	}
	late := time.NewTimer(r.opened + waitForRedis - time.Since(r.h.began))
	defer late.Stop()
	select {
	case <-ready:
	case <-late.C:
	case <-ctx.Done():
	case <-r.h.ctx.Done():
	}
}

// Receive takes a message of the channel's topic.
func (r *room) Receive(payload string) {
	if payload == "" {
		return
	}
	switch {
	case payload[0] == presence.MessagePrefix:
		r.presence.Receive(payload)
	case history.IsBroadcast(payload):
		r.fanOut(payload)
	}
}

// Resubscribed says that messages may have been missed: broadcasts are at most once, presence is read, or read again.
func (r *room) Resubscribed() {
	first := !r.confirmed.Swap(true)
	if r.feed != nil {
		r.stepFeed(true, func(g *gate) []effect { g.Broke(); return nil })
	}
	if first {
		r.presence.Load(r)
		return
	}
	r.forgetOwn()
	r.presence.Resubscribed()
}

// fanOut hands one broadcast to all who joined, but those whom the feed serves: one frame a kind of connection, one
// event, shared by all.
func (r *room) fanOut(payload string) {
	b, ok := history.Decode(payload)
	if !ok {
		return
	}
	began := time.Now()
	f := frames{topic: r.name, value: Value{Text: b.Text, JSON: b.JSON, Named: b.Named}}
	var not *Session
	if b.Others {
		not = r.h.session(b.Sender)
	}
	var event *Event
	n := 0
	outbox.SendAll(func(send func(outbox.Sender, outbox.Frame) bool) {
		r.mu.RLock()
		defer r.mu.RUnlock()
		for _, m := range r.members {
			switch {
			case m.fed, not != nil && m.s == not:
				continue
			case m.to != nil:
				send(m.to, f.of(m.phoenix))
			case !m.listensLocked() || m.wantsFeed():
				continue
			default:
				if event == nil {
					event = r.broadcastEvent(b)
				}
				m.s.hear(event)
			}
			n++
		}
	}, false)
	r.heardOwn(b.Sender, false)
	if r.feed != nil {
		r.feedWith(b, len(payload))
	}
	r.h.stats.Fanouts.Add(1)
	r.h.stats.Delivered.Add(int64(n))
	r.h.cfg.Observer.FannedOut(time.Since(began))
}

// broadcastEvent is what scripts get.
func (r *room) broadcastEvent(b history.Broadcast) *Event {
	e := &Event{Kind: EventBroadcast, Channel: r.name, Timestamp: b.At.MS, Data: Value{Text: b.Text, JSON: b.JSON},
		SenderID: b.Sender}
	if b.Kept {
		e.Position = b.At.String()
	}
	return e
}

// Viewers tells presence who would see or hear of a change.
func (r *room) Viewers() presence.Viewers {
	return presence.Viewers{Plain: r.plain.Load() > 0, Refs: r.byRefs.Load() > 0, Scripts: r.scripts.Load() > 0}
}

// PresenceEvents tells connection scripts, each but the one whose connection caused the event.
func (r *room) PresenceEvents(es []presence.Event) {
	now := time.Now().UnixMilli()
	for _, e := range es {
		event := &Event{Kind: EventPresence, Channel: r.name, Timestamp: now, Type: e.Type, UserID: e.UserID,
			ConnID: e.Meta.ConnID, UserInfo: e.Meta.UserInfo(e.UserID), Cause: e.Cause}
		r.mu.RLock()
		for _, m := range r.members {
			if m.s.events != nil && m.presentLocked() && m.s.id != event.ConnID {
				m.s.hear(event)
			}
		}
		r.mu.RUnlock()
	}
}

// PresenceDiff sends clients of event handlers and of Phoenix what changed.
func (r *room) PresenceDiff(d *presence.Diff) {
	r.state, r.pushed = stateFrame{}, nil // they are no longer true
	byRefs := diffsByRefs{topic: r.name, payloads: map[diffKind][]string{}, made: map[diffOf][]outbox.Frame{}}
	common := encodeDiff(d)
	fresh := map[*presence.Diff]diffFrames{}
	for _, f := range d.Fresh {
		if _, ok := fresh[f]; !ok {
			fresh[f] = encodeDiff(f)
		}
	}
	outbox.SendAll(func(send func(outbox.Sender, outbox.Frame) bool) {
		r.mu.RLock()
		defer r.mu.RUnlock()
		for _, m := range r.members {
			if m.s.events != nil || m.waiting || !m.presentLocked() {
				continue
			}
			own, newer := d.Fresh[m.s.id]
			switch {
			case m.stay != nil:
				if !newer {
					own = d
				}
				for _, f := range byRefs.of(own, m.membership) {
					send(m.s.conn, f)
				}
			case newer:
				send(m.s.conn, fresh[own].of(m.s))
			default:
				send(m.s.conn, common.of(m.s))
			}
		}
	}, false)
}

// diffFrames are a Diff's texts as frames; the zero Frame is for those who are told nothing.
type diffFrames struct{ plain, devices outbox.Frame }

func encodeDiff(d *presence.Diff) (f diffFrames) {
	if d.Plain != nil {
		f.plain = wsconn.Text(d.Plain)
	}
	if d.Devices != nil {
		f.devices = wsconn.Text(d.Devices)
	}
	return f
}

// of is the frame for a session.
func (f diffFrames) of(s *Session) outbox.Frame {
	if s.devices {
		return f.devices
	}
	return f.plain
}

// stateFrame is the newest presence_state as a frame. While a crowd comes, presence gives the same text again and
// again; in a large channel each copy of it would be larger than all else that a client brings.
type stateFrame struct {
	text  *byte // the first, by which it is known; nil: there is none
	frame outbox.Frame
}

func (f *stateFrame) of(text []byte) outbox.Frame {
	if f.text != &text[0] {
		*f = stateFrame{&text[0], wsconn.Text(text)}
	}
	return f.frame
}

// PresenceState sends a presence_state to the connections that asked for it.
func (r *room) PresenceState(st presence.State) {
	var frame outbox.Frame
	if len(st.Conns) > 0 {
		frame = r.state.of(st.Frame)
	}
	outbox.SendAll(func(send func(outbox.Sender, outbox.Frame) bool) {
		r.stateByRefs(st, send)
		for _, id := range st.Conns {
			s := r.h.session(id)
			if s == nil {
				continue
			}
			if m := s.find(r.name); m != nil {
				m.change(func() { m.waiting = false })
			}
			send(s.conn, frame)
		}
	}, true)
}
