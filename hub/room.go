package hub

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"rollcall/history"
	"rollcall/outbox"
	"rollcall/presence"
	"rollcall/wsconn"
)

// room is one channel while someone on this node is in it or tracked there. It receives the channel's topic, and is the
// audience of its presence.
//
// Invariant (check): members holds each membership that is joined, tracked or leaving, at its index, and beside it what
// it hears; plain and scripts count them. Who is leaving is not joined. Who is in the feed listens.
type room struct {
	// static
	h         *Hub
	name      string
	presence  *presence.Channel
	feed      *feed         // nil: the channel has no history
	opened    time.Duration // since the hub began
	confirmed atomic.Bool   // Redis has confirmed the topic once

	refs int32 // guarded by the hub's roomsMu

	plain, scripts atomic.Int32 // members by kind

	state stateFrame // owned by who tells of presence

	mu      sync.RWMutex // taken after a session's
	members []member
}

// member is a membership and the connection with it: a delivery need not look into the membership, which is in no
// cache.
type member struct {
	*membership
	to  Conn // hearsLocked()
	fed bool // what it hears comes by the room's feed
}

// refreshLocked makes what stands beside the membership right.
func (m *member) refreshLocked() { m.to, m.fed = m.hearsLocked(), m.place == fed }

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
		r = &room{h: h, name: name, feed: h.newFeed(name), opened: time.Since(h.began)}
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
	switch payload[0] {
	case presence.MessagePrefix:
		r.presence.Receive(payload)
	case 'b', 'j': // history.IsBroadcast
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

// fanOut hands one broadcast to all who joined, but those whom the feed serves: one frame, one event, shared by all.
func (r *room) fanOut(payload string) {
	b, ok := history.Decode(payload)
	if !ok {
		return
	}
	began := time.Now()
	var frame outbox.Frame
	var made bool
	var event *Event
	n := 0
	outbox.SendAll(func(send func(outbox.Sender, outbox.Frame) bool) {
		r.mu.RLock()
		defer r.mu.RUnlock()
		for _, m := range r.members {
			switch {
			case m.fed:
				continue
			case m.to != nil:
				if !made {
					frame, made = wsconn.TextString(b.Text), true
				}
				send(m.to, frame)
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
func (r *room) Viewers() (plain, scripts bool) { return r.plain.Load() > 0, r.scripts.Load() > 0 }

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

// PresenceDiff sends clients of event handlers what changed.
func (r *room) PresenceDiff(d *presence.Diff) {
	r.state = stateFrame{} // it is no longer true
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
			f := common
			if own, ok := d.Fresh[m.s.id]; ok {
				f = fresh[own]
			}
			send(m.s.conn, f.of(m.s))
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
	text  []byte
	frame outbox.Frame
}

func (f *stateFrame) of(text []byte) outbox.Frame {
	if len(f.text) == 0 || &f.text[0] != &text[0] {
		*f = stateFrame{text, wsconn.Text(text)}
	}
	return f.frame
}

// PresenceState sends a presence_state to the connections that asked for it.
func (r *room) PresenceState(connIDs []string, text []byte) {
	frame := r.state.of(text)
	outbox.SendAll(func(send func(outbox.Sender, outbox.Frame) bool) {
		for _, id := range connIDs {
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
