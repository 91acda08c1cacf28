package simulation

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"rollcall/presence"
	"rollcall/testkit/roster"
)

// room is what the hub has of a channel: it receives the topic, and is the audience of its presence. It stands for one
// connection script, which hears every event, and holds the clients of event handlers. What it is told it hands to the
// world's loop, where all the rest is done.
type room struct {
	// static
	n       *node
	name    string
	ch      *presence.Channel
	opening context.Context // how long a join waits for the room to be read; ends with the room at the latest
	cancel  context.CancelFunc

	// owned by the loop
	refs      int
	closed    bool
	confirmed bool            // the topic was subscribed to once
	present   map[string]bool // what the script knows
	clients   map[string]*client
	caused    map[string]int // of each user's departures, those before the first that may still be told
	ledger
}

// client is a client of an event handler.
type client struct {
	id      string
	devices bool // of a route with presence = "devices"
	waiting bool // for its presence_state: until then the hub sends it no diffs
	roster  roster.Roster
	ledger
}

// entries are a user's connections with their metadata, as the oracle writes them.
func entries(metas []roster.Meta) string {
	var parts []string
	for _, m := range metas {
		var own struct{ N any }
		_ = json.Unmarshal([]byte(m.All), &own) // the roster has read it
		parts = append(parts, fmt.Sprint(m.ConnectionID, "=", own.N))
	}
	return strings.Join(parts, " ")
}

// ledger counts the leaves told of each user, since a moment when so many absences had been counted.
type ledger struct {
	left map[string]int
	base map[string]int
}

// enter gives the node's room of a channel with one reference more.
func (n *node) enter(channel string) *room {
	r := n.rooms[channel]
	if r == nil {
		r = &room{n: n, name: channel, present: map[string]bool{}, clients: map[string]*client{}}
		r.opening, r.cancel = context.WithTimeout(n.ctx, redisTimeout-1) // not together with that of a call
		r.ledger, r.caused = n.w.oracle.ledger(channel), n.w.oracle.departed(channel)
		r.ch = n.tracker.Open(channel, r)
		n.rooms[channel] = r
		n.w.oracle.opened(r)
		if n.wire.Attach(n.w.keys.Topic(channel), r) {
			r.Resubscribed()
		}
	}
	r.refs++
	return r
}

// leave gives a reference back; the last one closes the room.
func (n *node) leave(r *room) {
	if r.refs--; r.refs > 0 || r.closed {
		return
	}
	r.closed = true
	delete(n.rooms, r.name)
	r.cancel()
	n.wire.Unsubscribe(n.w.keys.Topic(r.name), r)
	r.ch.Detach()
	n.w.story.add("n%d closes %s", n.number, r.name)
}

// wait returns when presence has been read, or when that takes too long.
func (r *room) wait(ctx context.Context) {
	select {
	case <-r.ch.Ready():
	case <-r.opening.Done():
	case <-ctx.Done():
	}
}

// Receive takes a message of the topic.
func (r *room) Receive(payload string) {
	if payload[0] == presence.MessagePrefix {
		r.ch.Receive(payload)
	}
}

// Resubscribed reads presence, or reads it again.
func (r *room) Resubscribed() {
	if r.confirmed {
		r.ch.Resubscribed()
		return
	}
	r.confirmed = true
	r.ch.Load(r)
}

// Viewers are always there.
func (r *room) Viewers() presence.Viewers { return presence.Viewers{Plain: true, Scripts: true} }

// PresenceEvents is what scripts hear.
func (r *room) PresenceEvents(es []presence.Event) { r.tell(func() { r.hear(es) }) }

// PresenceDiff is what clients are sent.
func (r *room) PresenceDiff(d *presence.Diff) { r.tell(func() { r.diff(d) }) }

// PresenceState is sent to some clients.
func (r *room) PresenceState(s presence.State) {
	ids := slices.Sorted(slices.Values(s.Conns))
	r.tell(func() { r.state(ids, s.Frame) })
}

func (r *room) tell(do func()) {
	r.n.w.post(r.n, "tell "+r.name, func() {
		if !r.closed {
			r.n.touch(r.name)
			do()
		}
	})
}

func (r *room) fail(format string, args ...any) {
	r.n.w.fail("n%d in %s: %s", r.n.number, r.name, fmt.Sprintf(format, args...))
}

// hear is the script. SPEC 1.1: "`join` is sent when a user's first connection enters, `leave` when the last one
// exits".
func (r *room) hear(es []presence.Event) {
	w := r.n.w
	for _, e := range es {
		w.story.add("n%d tells %s: %s %s %s", r.n.number, r.name, e.Type, e.UserID, e.Cause)
		switch here := r.present[e.UserID]; {
		case e.Type == "join" && here:
			r.fail("a script is told that %s joins, who is there", e.UserID)
		case e.Type == "leave" && !here, e.Type == "update" && !here:
			r.fail("a script is told of a %s of %s, who is not there", e.Type, e.UserID)
		case e.Type == "join":
			r.present[e.UserID] = true
		case e.Type == "leave":
			delete(r.present, e.UserID)
			r.gone(r, e.UserID, "a script")
			r.because(e)
		}
	}
}

// gone counts a leave told of a user. SPEC 5.1: "one leave for each user who really went and none for those who
// stayed".
func (l *ledger) gone(r *room, user, who string) {
	l.left[user]++
	o := r.n.w.oracle
	if may := o.absences(r.name, user) - l.base[user]; l.left[user] > may && !o.blind(r, user) {
		r.fail("%s is told leave %d of %s, who went %d times", who, l.left[user], user, may)
	}
}

func (r *room) diff(d *presence.Diff) {
	plain, devices := r.parse(d.Plain), r.parse(d.Devices)
	if plain != nil {
		r.n.w.story.add("n%d sends %s: joins %v leaves %v", r.n.number, r.name,
			slices.Sorted(maps.Keys(plain.Joins)), slices.Sorted(maps.Keys(plain.Leaves)))
	}
	for _, id := range slices.Sorted(maps.Keys(r.clients)) {
		c := r.clients[id]
		if c.waiting {
			continue
		}
		f := plain
		if c.devices {
			f = devices
		}
		if own := d.Fresh[id]; own != nil {
			f = r.parse(own.Plain)
			if c.devices {
				f = r.parse(own.Devices)
			}
		}
		if f != nil && c.roster.Users != nil {
			c.take(r, f)
		}
	}
}

// parse reads a frame; nil when there is none. SPEC 1.2: "One user is never in both halves of one diff".
func (r *room) parse(text []byte) *roster.Frame {
	if text == nil {
		return nil
	}
	f, faults := roster.Read(text)
	if f == nil {
		r.fail("no frame of presence: %s", text)
	}
	for _, fault := range faults {
		r.fail("%s", fault)
	}
	return f
}

// take is one diff for one client. SPEC 1.2: "what a `presence_state` holds is never told again by a later diff". Who
// is on a plain route may be told what they know: second devices came and went without a frame.
func (c *client) take(r *room, f *roster.Frame) {
	_, faults := c.roster.Take(f)
	for _, fault := range faults {
		if c.devices || fault.Kind != roster.Again {
			r.fail("client %s: %s", c.id, fault)
		}
	}
	for _, user := range slices.Sorted(maps.Keys(f.Leaves)) {
		c.gone(r, user, "client "+c.id)
	}
}

func (r *room) state(ids []string, text []byte) {
	f := r.parse(text)
	if f == nil {
		return
	}
	r.n.w.story.add("n%d sends %s: state %v to %v", r.n.number, r.name, slices.Sorted(maps.Keys(f.Joins)), ids)
	for _, id := range ids {
		c := r.clients[id]
		if c == nil {
			continue
		}
		c.waiting = false
		c.roster.Take(f)
		c.ledger = ledger{left: map[string]int{}, base: maps.Clone(r.base)}
		for user, n := range r.left {
			c.base[user] += n // the view may be behind, and the state with it
		}
	}
}

// users is what the view of the room shows: user to connections.
func (r *room) users() map[string]string {
	out := map[string]string{}
	us, _ := r.ch.List("")
	for _, u := range us {
		var parts []string
		for _, m := range u.Metas {
			var info struct{ N any }
			_ = json.Unmarshal([]byte(m.Info), &info) // checked when it was encoded
			parts = append(parts, fmt.Sprint(m.ConnID, "=", info.N))
		}
		out[u.ID] = strings.Join(parts, " ")
	}
	return out
}
