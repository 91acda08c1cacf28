package nodetest

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Meta is one device of a user.
type Meta struct {
	PhxRef       string  `json:"phx_ref"`
	ConnectionID string  `json:"connection_id"`
	State        string  `json:"state"`
	OnlineAt     float64 `json:"online_at"`
	All          string  `json:"-"` // the whole object
}

// Roster is what one client knows of one channel's presence, kept as SPEC 1.2 tells clients to: a presence_state is all,
// joins replace users, leaves delete them. It notes what it was told, and what no right server tells.
//
// Scripts' events are noted too, where the script passes them on as {"type":"presence","event":…}.
type Roster struct {
	users  map[string][]Meta
	told   []string // "state", "join u", "update u", "leave u"
	faults []string
	whole  bool // there was a presence_state: whoever leaves must have been there
}

// presenceFrame reads a frame; nil when it is none of presence.
func presenceFrame(text string) (channel string, apply func(*Roster)) {
	if !strings.HasPrefix(text, "{") {
		return "", nil
	}
	var f struct {
		Event   json.RawMessage
		Type    string
		Channel string
		Payload json.RawMessage
	}
	if json.Unmarshal([]byte(text), &f) != nil {
		return "", nil
	}
	switch {
	case string(f.Event) == `"presence_state"`:
		return f.Channel, func(r *Roster) { r.state(f.Payload) }
	case string(f.Event) == `"presence_diff"`:
		return f.Channel, func(r *Roster) { r.diff(f.Payload) }
	case f.Type == "presence":
		var e struct {
			EventType string `json:"event_type"`
			Channel   string `json:"channel"`
			UserID    string `json:"user_id"`
		}
		if json.Unmarshal(f.Event, &e) == nil {
			return e.Channel, func(r *Roster) { r.event(e.EventType, e.UserID) }
		}
	}
	return "", nil
}

type userMap map[string]struct {
	Metas []json.RawMessage `json:"metas"`
}

func (r *Roster) fault(format string, args ...any) {
	r.faults = append(r.faults, fmt.Sprintf(format, args...))
}

func (r *Roster) state(payload json.RawMessage) {
	var all userMap
	if err := json.Unmarshal(payload, &all); err != nil || all == nil {
		r.fault("presence_state with payload %s", payload)
		return
	}
	r.users, r.whole = map[string][]Meta{}, true
	r.told = append(r.told, "state")
	for u := range all {
		r.users[u] = r.metas(u, all[u].Metas)
	}
}

func (r *Roster) metas(user string, raw []json.RawMessage) []Meta {
	if len(raw) == 0 {
		r.fault("%s without metas", user)
	}
	metas := make([]Meta, len(raw))
	for i, m := range raw {
		if err := json.Unmarshal(m, &metas[i]); err != nil || metas[i].PhxRef == "" || metas[i].ConnectionID == "" || metas[i].State == "" || metas[i].OnlineAt == 0 {
			r.fault("%s has the meta %s", user, m)
		}
		metas[i].All = string(m)
	}
	return metas
}

func (r *Roster) diff(payload json.RawMessage) {
	var d struct{ Joins, Leaves userMap }
	if err := json.Unmarshal(payload, &d); err != nil || d.Joins == nil || d.Leaves == nil {
		r.fault("presence_diff with payload %s", payload)
		return
	}
	if len(d.Joins)+len(d.Leaves) == 0 {
		r.fault("an empty presence_diff")
	}
	if r.users == nil {
		r.users = map[string][]Meta{} // a client that joined without tracking has no list to begin with
	}
	for _, u := range slices.Sorted(maps.Keys(d.Joins)) {
		if _, both := d.Leaves[u]; both {
			r.fault("%s in both halves of a diff", u)
		}
		metas := r.metas(u, d.Joins[u].Metas)
		switch old, here := r.users[u]; {
		case !here:
			r.told = append(r.told, "join "+u)
		case slices.Equal(old, metas):
			r.fault("%s was told again, with nothing new", u)
		default:
			r.told = append(r.told, "update "+u)
		}
		r.users[u] = metas
	}
	for _, u := range slices.Sorted(maps.Keys(d.Leaves)) {
		r.metas(u, d.Leaves[u].Metas)
		if _, here := r.users[u]; !here && r.whole {
			r.fault("%s leaves, who was not there", u)
		}
		r.event("leave", u)
		delete(r.users, u)
	}
}

// event notes what a connection script was told; a leave of plain clients comes by here too.
func (r *Roster) event(kind, user string) {
	r.told = append(r.told, kind+" "+user)
}

// Presence is what a client knows of a channel at one moment.
type Presence struct {
	Users  map[string][]Meta
	Told   []string // "state", "join u", "update u", "leave u", in order
	Faults []string
}

// Names are the users, sorted.
func (p Presence) Names() []string { return slices.Sorted(maps.Keys(p.Users)) }

// Count counts how often something was told.
func (p Presence) Count(what string) (n int) {
	for _, told := range p.Told {
		if told == what {
			n++
		}
	}
	return n
}

// Presence is what this client knows of a channel.
func (c *Client) Presence(channel string) Presence {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.presenceLocked(channel)
}

func (c *Client) presenceLocked(channel string) Presence {
	r := c.rosters[channel]
	if r == nil {
		return Presence{}
	}
	return Presence{maps.Clone(r.users), slices.Clone(r.told), slices.Clone(r.faults)}
}

// AwaitPresence waits until what this client knows of a channel is as wanted.
func (c *Client) AwaitPresence(channel, what string, within time.Duration, ok func(Presence) bool) Presence {
	c.t.Helper()
	var p Presence
	if !c.await(within, func() bool { p = c.presenceLocked(channel); return ok(p) }) {
		c.t.Fatalf("not within %v: %s; the client sees %v and was told %v", within, what, p.Names(), p.Told)
	}
	return p
}

// AwaitUsers waits until the client sees exactly these users.
func (c *Client) AwaitUsers(channel string, users ...string) Presence {
	c.t.Helper()
	return c.AwaitUsersWithin(Patience, channel, users...)
}

// AwaitUsersWithin is AwaitUsers with a time.
func (c *Client) AwaitUsersWithin(within time.Duration, channel string, users ...string) Presence {
	c.t.Helper()
	slices.Sort(users)
	return c.AwaitPresence(channel, fmt.Sprintf("users %v", users), within, func(p Presence) bool { return slices.Equal(p.Names(), users) })
}

// Forget lets the rosters forget what they were told, and keep who is there.
func (c *Client) Forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.rosters {
		r.told = nil
	}
}

// CheckPresence fails the test when the client was told something that no right server tells.
func (c *Client) CheckPresence() {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for channel, r := range c.rosters {
		for _, fault := range r.faults {
			c.t.Errorf("presence of %s: %s (told: %v)", channel, fault, r.told)
		}
	}
}
