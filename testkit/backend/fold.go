// Package backend is a back end for tests. It takes the requests of a hook as docs/hooks.md tells receivers to, and
// keeps who is in which channel by them alone. It notes what no hook may send. Its server can also fail, in many ways.
package backend

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"
)

// Event is one event of a request.
type Event struct {
	Type    string          `json:"type"`
	Channel string          `json:"channel"`
	UserID  string          `json:"user_id"`
	Metas   json.RawMessage `json:"metas"`
	Cause   string          `json:"cause"`
	Users   []struct {
		UserID string          `json:"user_id"`
		Metas  json.RawMessage `json:"metas"`
	} `json:"users"`
	Part  int   `json:"part"`
	Parts int   `json:"parts"`
	At    int64 `json:"at"`
}

// Request is the body of one.
type Request struct {
	ID     string  `json:"id"`
	SentAt int64   `json:"sent_at"`
	Events []Event `json:"events"`
}

// Bounds of a request (SPEC 10).
const (
	maxEvents = 100
	maxBytes  = 256 << 10
)

// Fold is the state of a back end. The zero value is one that has heard nothing. Safe for concurrent use.
type Fold struct {
	mu       sync.Mutex
	bodies   map[string]string            // of the requests that were taken, by id
	channels map[string]map[string]string // user → metas
	occupied map[string]bool
	parts    map[string]int // of a sync: the last part of each channel
	begun    bool           // a reset came
	log      []string       // what happened, one line an event
	faults   []string
	resets   int
}

// Take takes a request; one that comes again is taken once. An error is one of the request itself.
func (f *Fold) Take(body []byte) error {
	var r Request
	if err := json.Unmarshal(body, &r); err != nil {
		return fmt.Errorf("decode a request: %w", err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.bodies == nil {
		f.bodies, f.channels, f.occupied, f.parts = map[string]string{}, map[string]map[string]string{},
			map[string]bool{}, map[string]int{}
	}
	if before, again := f.bodies[r.ID]; again {
		if before != string(body) {
			f.fault("request %s came again, but not as it was", r.ID)
		}
		return nil
	}
	f.bodies[r.ID] = string(body)
	if len(r.Events) == 0 || len(r.Events) > maxEvents || len(body) > maxBytes {
		f.fault("a request of %d events and %d bytes", len(r.Events), len(body))
	}
	for i := range r.Events {
		f.apply(&r.Events[i])
	}
	return nil
}

// Append takes one event, as consumers of a stream do.
func (f *Fold) Append(text string) error {
	var e Event
	if err := json.Unmarshal([]byte(text), &e); err != nil {
		return fmt.Errorf("decode an event: %w", err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.channels == nil {
		f.channels, f.occupied, f.parts = map[string]map[string]string{}, map[string]bool{}, map[string]int{}
	}
	f.apply(&e)
	return nil
}

func (f *Fold) fault(format string, args ...any) {
	f.faults = append(f.faults, fmt.Sprintf(format, args...))
}

func (f *Fold) apply(e *Event) {
	line := e.Type
	for _, word := range []string{e.Channel, e.UserID, e.Cause} {
		if word != "" {
			line += " " + word
		}
	}
	if !f.begun && e.Type != "reset" {
		f.fault("%s before the first reset", line)
	}
	users := f.channels[e.Channel]
	_, here := users[e.UserID]
	switch e.Type {
	case "reset":
		f.begun, f.resets = true, f.resets+1
		f.channels, f.occupied, f.parts = map[string]map[string]string{}, map[string]bool{}, map[string]int{}
	case "sync":
		if f.parts[e.Channel]++; f.parts[e.Channel] != e.Part || e.Part > e.Parts {
			f.fault("part %d of %d of the sync of %s as number %d", e.Part, e.Parts, e.Channel, f.parts[e.Channel])
		}
		for _, u := range e.Users {
			line += " " + u.UserID
			f.put(e.Channel, u.UserID, u.Metas)
		}
		f.occupied[e.Channel] = true
	case "join", "update":
		if here == (e.Type == "join") {
			f.fault("%s, who is there: %v", line, here)
		}
		f.put(e.Channel, e.UserID, e.Metas)
	case "leave":
		if !here {
			f.fault("%s, who is not there", line)
		}
		if delete(users, e.UserID); len(users) == 0 {
			delete(f.channels, e.Channel)
		}
	case "occupied", "vacated":
		if len(users) > 0 || f.occupied[e.Channel] == (e.Type == "occupied") {
			f.fault("%s with %d users, occupied: %v", line, len(users), f.occupied[e.Channel])
		}
		f.occupied[e.Channel] = e.Type == "occupied"
	default:
		f.fault("an event of type %q", e.Type)
	}
	f.log = append(f.log, line)
}

func (f *Fold) put(channel, user string, metas json.RawMessage) {
	if f.channels[channel] == nil {
		f.channels[channel] = map[string]string{}
	}
	f.channels[channel][user] = string(metas)
}

// Users lists who is in a channel, by id.
func (f *Fold) Users(channel string) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Sorted(maps.Keys(f.channels[channel]))
}

// Channels lists those that somebody is in, by name.
func (f *Fold) Channels() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Sorted(maps.Keys(f.channels))
}

// Metas are those of a user, as they came last; "" when the user is not there.
func (f *Fold) Metas(channel, user string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.channels[channel][user]
}

// Log is what happened since the last call, one line an event: type, channel, user, cause; of a sync its users.
func (f *Fold) Log() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	log := f.log
	f.log = nil
	return log
}

// Faults are what no hook may send.
func (f *Fold) Faults() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.faults)
}

// Resets counts them.
func (f *Fold) Resets() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.resets
}
