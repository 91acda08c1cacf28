package hub

import (
	"encoding/json"
	"fmt"
	"strings"

	"rollcall/history"
)

// resume is a connection of a route with resume = true; "room=0-1" is where it was.
func (n *node) resume(name string, positions ...string) *client {
	m := Member{Resume: true, Positions: map[string]history.Position{}}
	for _, p := range positions {
		channel, at, _ := strings.Cut(p, "=")
		m.Positions[channel] = n.w.position(at)
	}
	return n.enter(name, m, false)
}

// position reads one that since wrote.
func (w *world) position(text string) history.Position {
	w.t.Helper()
	p, ok := history.ParsePosition(text)
	if !ok {
		w.t.Fatalf("%q is no position", text)
	}
	p.MS += w.began.UnixMilli()
	return p
}

// since writes a position with its ms since the world began.
func (w *world) since(text string) string {
	p, ok := history.ParsePosition(text)
	if !ok {
		return "no position " + text
	}
	p.MS -= w.began.UnixMilli()
	return p.String()
}

// shortHistory writes frames as "room: message hello at 0-1", "room: joined at 0-1, recovered 2".
func (w *world) shortHistory(text string) string {
	var f struct {
		Event, Channel, Position, Why string
		Data                          any
		Recovered                     *bool
		Missed                        *int
	}
	if err := json.Unmarshal([]byte(text), &f); err != nil {
		return text
	}
	line := f.Channel + ": " + f.Event
	if f.Data != nil {
		line += fmt.Sprint(" ", f.Data)
	}
	if f.Position != "" {
		line += " at " + w.since(f.Position)
	}
	switch {
	case f.Recovered != nil && *f.Recovered && f.Missed != nil:
		line += fmt.Sprint(", recovered ", *f.Missed)
	case f.Recovered != nil:
		line += ", not recovered"
	}
	if f.Why != "" {
		line += ", " + f.Why
	}
	return line
}
