package nodetest

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"rollcall/testkit/roster"
)

// channelPresence is what a client knows of one channel's presence, and what it was told. Scripts' events are noted
// too, where the script passes them on as {"type":"presence","event":…}.
type channelPresence struct {
	roster roster.Roster
	told   []string // "state", "join u", "update u", "leave u"
	causes map[string]string
	faults []roster.Fault
	left   map[string][]roster.Meta // by the last frame
}

// hearLocked takes a frame; nil when it is none of presence.
func (c *Client) hearLocked(text string) (channel string, p *channelPresence) {
	f, faults := roster.Read([]byte(text))
	var e event
	if f != nil {
		channel = f.Channel
	} else if e = scriptEvent(text); e.Type == "" {
		return "", nil
	} else {
		channel = e.Channel
	}
	if p = c.presence[channel]; p == nil {
		p = &channelPresence{causes: map[string]string{}}
		c.presence[channel] = p
	}
	if f == nil {
		p.told = append(p.told, e.Type+" "+e.UserID)
		if e.Type == "leave" {
			p.causes[e.UserID] = e.Cause
		}
		return channel, p
	}
	news, wrong := p.roster.Take(f)
	p.told, p.faults, p.left = append(p.told, news...), append(append(p.faults, faults...), wrong...), f.Leaves
	return channel, p
}

// event is a presence event as scripts get it.
type event struct {
	Type    string `json:"event_type"`
	Channel string `json:"channel"`
	UserID  string `json:"user_id"`
	Cause   string `json:"cause"`
}

// scriptEvent reads an event that a script has passed on; the zero event when it is none.
func scriptEvent(text string) (e event) {
	if !strings.HasPrefix(text, "{") {
		return event{}
	}
	var f struct {
		Type  string
		Event json.RawMessage
	}
	if json.Unmarshal([]byte(text), &f) != nil || f.Type != "presence" || json.Unmarshal(f.Event, &e) != nil {
		return event{}
	}
	return e
}

// Presence is what a client knows of a channel at one moment.
type Presence struct {
	Users  map[string][]roster.Meta
	Told   []string // "state", "join u", "update u", "leave u", in order
	Faults []roster.Fault
	Causes map[string]string // of the last leave of each user, as a script was told; "": of none
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
	p := c.presence[channel]
	if p == nil {
		return Presence{}
	}
	return Presence{maps.Clone(p.roster.Users), slices.Clone(p.told), slices.Clone(p.faults), maps.Clone(p.causes)}
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
	return c.AwaitUsersWithin(Timeout, channel, users...)
}

// AwaitUsersWithin is AwaitUsers with a time.
func (c *Client) AwaitUsersWithin(within time.Duration, channel string, users ...string) Presence {
	c.t.Helper()
	slices.Sort(users)
	return c.AwaitPresence(channel, fmt.Sprintf("users %v", users), within,
		func(p Presence) bool { return slices.Equal(p.Names(), users) })
}

// Forget lets the client forget what it was told, and keep who is there.
func (c *Client) Forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.presence {
		p.told = nil
	}
}

// CheckPresence fails the test when the client was told something that no right server tells.
func (c *Client) CheckPresence() {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for channel, p := range c.presence {
		for _, fault := range p.faults {
			c.t.Errorf("presence of %s: %s (told: %v)", channel, fault, p.told)
		}
	}
}
