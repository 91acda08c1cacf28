package hub

import (
	"context"

	"rollcall/outbox"
	"rollcall/phoenix"
	"rollcall/presence"
	"rollcall/wsconn"
)

// Stay is how a client of Phoenix is in a channel: a join of its own, of which the connection may have many, one after
// another in one channel.
//
//	(none) ── Begin ──▶ stays ── AskPresence, track ──▶ hears of presence
//	                      └────────────┴── Silence ──▶ (none), but for its tracking, which Untrack ends
//
// Nothing of the channel reaches the client before Begin's answer, and nothing after Silence's last frames.
type Stay struct {
	JoinRef  string // JSON, as the client named the join
	EachUser bool   // a presence_diff tells of one user at a time

	asked bool // for a presence_state; guarded by the room's mu
}

// Begin joins a channel as a client of Phoenix does: answer leaves before anything of the channel. While Redis cannot
// be reached it succeeds too, as Join.
func (s *Session) Begin(ctx context.Context, channel string, stay Stay, answer outbox.Frame) error {
	return s.with(channel, func(m *membership) error {
		m.room.wait(ctx)
		m.change(func() {
			m.order, m.stay, m.waiting = s.joins.Add(1), &stay, true
			_ = s.conn.Send(answer) // a closed client need not know
		})
		return nil
	})
}

// Silence ends a stay: the last frames leave, then nothing of the channel. The connection stays tracked.
func (s *Session) Silence(channel string, last ...outbox.Frame) {
	_ = s.within(channel, nil, func(m *membership) error {
		m.change(func() {
			m.order, m.stay, m.waiting = 0, nil, true
			for _, f := range last {
				_ = s.conn.Send(f) // a closed client need not know
			}
		})
		return nil
	})
}

// askPresence asks for the presence_state of a stay.
func (m *membership) askPresence(ctx context.Context) error {
	m.change(func() {
		if m.stay != nil {
			m.stay.asked = true
		}
	})
	return m.room.presence.StateByRefs(ctx, m.s.id)
}

// unheard tells whether a stay hears nothing of presence yet.
func (m *membership) unheard() bool {
	m.room.mu.RLock()
	defer m.room.mu.RUnlock()
	return m.stay != nil && m.waiting
}

// Push sends the client of a stay an event in a channel. A value is what Value.EventOf makes of it.
func (s *Session) Push(channel string, v Value) error {
	m := s.find(channel)
	if m == nil {
		return ErrNotJoined
	}
	m.room.mu.RLock()
	defer m.room.mu.RUnlock()
	if m.stay == nil {
		return ErrNotJoined
	}
	event, payload := v.phoenix().EventOf()
	return s.conn.Send(wsconn.Text(s.phoenix.Push(m.stay.JoinRef, channel, event, payload)))
}

// NodeTopic is the topic under which clients of Phoenix get what is sent to a connection or to all.
const NodeTopic = "rollcall"

// frames are a value as frames: one for each kind of connection, made when it is needed.
type frames struct {
	topic  string // for clients of Phoenix
	value  Value
	plain  outbox.Frame
	v1, v2 outbox.Frame
}

// of is the frame for a kind of connection; 0: it is none of Phoenix's.
func (f *frames) of(v phoenix.Version) outbox.Frame {
	made := &f.plain
	switch v {
	case phoenix.V1:
		made = &f.v1
	case phoenix.V2:
		made = &f.v2
	}
	if !made.IsZero() {
		return *made
	}
	if v == 0 {
		*made = wsconn.TextString(f.value.Text)
	} else {
		*made = wsconn.Text(v.Broadcast(f.topic, f.value.phoenix()))
	}
	return *made
}

func (v Value) phoenix() phoenix.Value {
	return phoenix.Value{Text: v.Text, JSON: v.JSON, Named: v.Named}
}

// diffsByRefs are the frames of a presence_diff for clients of Phoenix: one for all whose joins have one name.
type diffsByRefs struct {
	topic    string
	payloads map[diffKind][]string
	made     map[diffOf][]outbox.Frame
}

// diffKind is what a payload depends on, diffOf what a frame does.
type (
	diffKind struct {
		d    *presence.Diff
		each bool
	}
	diffOf struct {
		diffKind
		version phoenix.Version
		joinRef string
	}
)

func (r *diffsByRefs) of(d *presence.Diff, m *membership) []outbox.Frame {
	if len(d.ByRefs) == 0 {
		return nil
	}
	key := diffOf{diffKind{d, m.stay.EachUser}, m.s.phoenix, m.stay.JoinRef}
	frames, ok := r.made[key]
	if !ok {
		for _, payload := range r.payloadsOf(key.diffKind) {
			frames = append(frames, wsconn.Text(key.version.Push(key.joinRef, r.topic, quotedDiff, payload)))
		}
		r.made[key] = frames
	}
	return frames
}

func (r *diffsByRefs) payloadsOf(k diffKind) []string {
	ps, ok := r.payloads[k]
	switch {
	case ok:
		return ps
	case k.each:
		for i := range k.d.ByRefs {
			ps = append(ps, phoenix.DiffPayload(k.d.ByRefs[i:i+1]))
		}
	default:
		ps = []string{phoenix.DiffPayload(k.d.ByRefs)}
	}
	r.payloads[k] = ps
	return ps
}

const (
	quotedState = `"` + phoenix.StateEvent + `"`
	quotedDiff  = `"` + phoenix.DiffEvent + `"`
)

// stateKind is what the frame of a presence_state for clients of Phoenix depends on besides its payload.
type stateKind struct {
	version phoenix.Version
	joinRef string
}

// pushedState is such a frame, the newest: most clients name their first join alike.
type pushedState struct {
	payload *byte // the first, by which presence's payload is known
	kind    stateKind
	frame   outbox.Frame
}

// stateByRefs sends a presence_state to the clients of Phoenix that asked for it. A stay that has not asked, or is
// over, is sent none: what came late is of an earlier one.
func (r *room) stateByRefs(s presence.State, send func(outbox.Sender, outbox.Frame) bool) {
	if len(s.ByRefs) == 0 {
		return
	}
	made := map[stateKind]outbox.Frame{}
	if p := r.pushed; p != nil && p.payload == &s.Payload[0] {
		made[p.kind] = p.frame
	}
	for _, id := range s.ByRefs {
		sess := r.h.session(id)
		if sess == nil {
			continue
		}
		m := sess.find(r.name)
		if m == nil {
			continue
		}
		m.change(func() {
			if m.stay == nil || !m.stay.asked {
				return
			}
			m.waiting = false
			k := stateKind{sess.phoenix, m.stay.JoinRef}
			if made[k].IsZero() {
				made[k] = wsconn.Text(k.version.Push(k.joinRef, r.name, quotedState, string(s.Payload)))
				r.pushed = &pushedState{&s.Payload[0], k, made[k]}
			}
			send(sess.conn, made[k])
		})
	}
}
