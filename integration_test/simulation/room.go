package simulation

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"rollcall/presence"
)

// room is what the hub has of a channel: it receives the topic, and is the audience of its presence. It stands for one
// connection script, which hears every event, and holds the clients of event handlers. What it is told it hands to the
// world's loop, where all the rest is done.
type room struct {
	// static
	n      *node
	name   string
	ch     *presence.Channel
	ctx    context.Context // ends when the room is closed
	cancel context.CancelFunc
	first  chan struct{} // closed when the room is open, or when it is clear that Redis does not answer

	// owned by the loop
	refs    int
	closed  bool
	present map[string]bool // what the script knows
	clients map[string]*client
	ledger
}

// client is a client of an event handler, as SPEC 1.2 thinks of it: it replaces users on joins and deletes them on leaves.
type client struct {
	id      string
	devices bool // of a route with presence = "devices"
	waiting bool // for its presence_state: until then the hub sends it no diffs
	state   map[string]known
	ledger
}

// known is what a client knows of a user: connections with their metadata, as the oracle writes them, and all of it.
type known struct{ conns, all string }

// ledger counts the leaves told of each user, since a moment when so many absences had been counted.
type ledger struct {
	left map[string]int
	base map[string]int
}

// enter gives the node's room of a channel with one reference more.
func (n *node) enter(channel string) *room {
	r := n.rooms[channel]
	if r == nil {
		r = &room{n: n, name: channel, first: make(chan struct{}), present: map[string]bool{}, clients: map[string]*client{}}
		r.ctx, r.cancel = context.WithCancel(n.ctx)
		r.ledger = n.w.oracle.ledger(channel)
		r.ch = n.tracker.Open(channel, r)
		n.rooms[channel] = r
		n.w.oracle.opened(r)
		n.w.closed.Go(r.open)
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

// open subscribes and reads presence, as the hub's room does.
func (r *room) open() {
	topic := r.n.w.keys.Topic(r.name)
	told := false
	for wait := 20 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		err := r.n.wire.Subscribe(r.ctx, topic, r)
		if err == nil || r.ctx.Err() != nil {
			break
		}
		if !told {
			told = true
			close(r.first)
		}
		select {
		case <-time.After(wait):
		case <-r.ctx.Done():
		}
	}
	if r.ctx.Err() == nil {
		r.ch.Load(r)
		late := time.NewTimer(patience)
		defer late.Stop()
		select {
		case <-r.ch.Ready():
		case <-late.C:
		case <-r.ctx.Done():
		}
	}
	if !told {
		close(r.first)
	}
}

// Receive takes a message of the topic.
func (r *room) Receive(payload string) {
	if payload[0] == presence.MessagePrefix {
		r.ch.Receive(payload)
	}
}

// Resubscribed passes it on.
func (r *room) Resubscribed() { r.ch.Resubscribed() }

// Viewers are always there.
func (r *room) Viewers() (plain, scripts bool) { return true, true }

// PresenceEvents is what scripts hear.
func (r *room) PresenceEvents(es []presence.Event) { r.tell(func() { r.hear(es) }) }

// PresenceDiff is what clients are sent.
func (r *room) PresenceDiff(d *presence.Diff) { r.tell(func() { r.diff(d) }) }

// PresenceState is sent to some clients.
func (r *room) PresenceState(connIDs []string, text []byte) {
	ids := slices.Sorted(slices.Values(connIDs))
	r.tell(func() { r.state(ids, text) })
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

// hear is the script. SPEC 1.1: "`join` is sent when a user's first connection enters, `leave` when the last one exits".
func (r *room) hear(es []presence.Event) {
	w := r.n.w
	for _, e := range es {
		w.story.add("n%d tells %s: %s %s", r.n.number, r.name, e.Type, e.UserID)
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
		}
	}
}

// gone counts a leave told of a user. SPEC 5.1: "one leave for each user who really went and none for those who stayed".
func (l *ledger) gone(r *room, user, who string) {
	l.left[user]++
	o := r.n.w.oracle
	if may := o.absences(r.name, user) - l.base[user]; l.left[user] > may && !o.blind(r, user) {
		r.fail("%s is told leave %d of %s, who went %d times", who, l.left[user], user, may)
	}
}

// frame is a presence_diff.
type frame struct {
	Payload struct{ Joins, Leaves map[string]metas }
}

type metas struct{ Metas []map[string]any }

func (m metas) known() known {
	var conns, all []string
	for _, meta := range m.Metas {
		part := fmt.Sprint(meta["connection_id"], "=", meta["n"])
		conns, all = append(conns, part), append(all, part+" "+fmt.Sprint(meta["phx_ref"]))
	}
	return known{strings.Join(conns, " "), strings.Join(all, " ")}
}

func (r *room) diff(d *presence.Diff) {
	plain, devices := r.parse(d.Plain), r.parse(d.Devices)
	if plain != nil {
		r.n.w.story.add("n%d sends %s: joins %v leaves %v", r.n.number, r.name,
			slices.Sorted(maps.Keys(plain.Payload.Joins)), slices.Sorted(maps.Keys(plain.Payload.Leaves)))
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
		if f != nil && c.state != nil {
			c.take(r, f)
		}
	}
}

func (r *room) parse(text []byte) *frame {
	if text == nil {
		return nil
	}
	var f frame
	if err := json.Unmarshal(text, &f); err != nil {
		r.fail("a diff cannot be read: %v: %s", err, text)
		return nil
	}
	return &f
}

// take is one diff for one client. SPEC 1.2: "One user is never in both halves of one diff"; "what a `presence_state` holds
// is never told again by a later diff".
func (c *client) take(r *room, f *frame) {
	for _, user := range slices.Sorted(maps.Keys(f.Payload.Joins)) {
		m := f.Payload.Joins[user]
		if _, both := f.Payload.Leaves[user]; both {
			r.fail("%s is in both halves of a diff", user)
		}
		now := m.known()
		if c.devices && c.state[user] == now {
			r.fail("client %s is told again what it knows of %s: %s", c.id, user, now.conns)
		}
		c.state[user] = now
	}
	for _, user := range slices.Sorted(maps.Keys(f.Payload.Leaves)) {
		if _, here := c.state[user]; !here {
			r.fail("client %s is told that %s leaves, who is not there", c.id, user)
			return
		}
		delete(c.state, user)
		c.gone(r, user, "client "+c.id)
	}
}

func (r *room) state(ids []string, text []byte) {
	var f struct{ Payload map[string]metas }
	if err := json.Unmarshal(text, &f); err != nil {
		r.fail("a state cannot be read: %v: %s", err, text)
		return
	}
	r.n.w.story.add("n%d sends %s: state %v to %v", r.n.number, r.name, slices.Sorted(maps.Keys(f.Payload)), ids)
	for _, id := range ids {
		c := r.clients[id]
		if c == nil {
			continue
		}
		c.waiting = false
		c.state = map[string]known{}
		for user, m := range f.Payload {
			c.state[user] = m.known()
		}
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
