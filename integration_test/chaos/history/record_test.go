package history

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// times are those of the tests: a killed node's devices are surely kept for 1.5 s, and shown for 4 s at most.
var times = Times{Lease: 1500 * time.Millisecond, Grace: time.Second, Heartbeat: 500 * time.Millisecond,
	Ping: time.Second, Restart: 2 * time.Second}

// record reads a history as the tests write it: one event a line, "<ms> <client> <what> …". A client is declared by
// "client <name> <user or -> <route> <node>"; a fault is "fault <name> <from> <to> <nodes…>"; a point of rest "rest
// <ms>"; what a node says at it "seen <ms> <user> <online, never or the ms>".
func record(t *testing.T, text string) *Record {
	t.Helper()
	r := &Record{Times: times}
	clients := map[string]*Client{}
	frame := 0
	ms := func(text string) time.Duration {
		var n int
		if _, err := fmt.Sscan(text, &n); err != nil {
			t.Fatalf("%q is no time: %v", text, err)
		}
		return time.Duration(n) * time.Millisecond
	}
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) == 0 {
			continue
		}
		switch f[0] {
		case "client":
			c := &Client{Name: f[1], User: strings.Trim(f[2], "-"),
				Route: Route(slices.Index([]string{"plain", "devices", "script", "phoenix", "list"}, f[3])), Node: f[4]}
			clients[f[1]] = c
			r.Clients = append(r.Clients, c)
			continue
		case "fault":
			if _, known := Promises[f[1]]; !known {
				t.Fatalf("no fault %s", f[1])
			}
			r.Faults = append(r.Faults, Fault{Name: f[1], Began: ms(f[2]), Ended: ms(f[3]), Nodes: f[4:]})
			continue
		case "rest":
			r.Points = append(r.Points, Point{Quiet: ms(f[1]), At: ms(f[1])})
			continue
		case "seen":
			s := Sighting{At: ms(f[1]), User: f[2], Online: f[3] == "online", LastSeen: Never}
			if !s.Online && f[3] != "never" {
				s.LastSeen = ms(f[3])
			}
			r.Sightings = append(r.Sightings, s)
			continue
		case "stall":
			r.Stalls = append(r.Stalls, Span{ms(f[1]), ms(f[2])})
			continue
		}
		c := clients[f[1]]
		if c == nil {
			t.Fatalf("no client %s", f[1])
		}
		frame++
		c.Events = append(c.Events, event(t, c, Event{At: ms(f[0]), Room: "r", Frame: frame}, f[2], f[3:]))
	}
	return r
}

func event(t *testing.T, c *Client, e Event, what string, args []string) Event {
	t.Helper()
	arg := func(i int) string {
		if i < len(args) {
			return args[i]
		}
		return ""
	}
	switch what {
	case "opened":
		e.Kind, e.Room = Opened, ""
	case "asked":
		e.Kind, e.Device, e.Text = Asked, c.Name, "on"
	case "sure":
		e.Kind = Confirmed
	case "state":
		e.Kind, e.Text = Changed, arg(0)
	case "withdrew":
		e.Kind = Withdrew
	case "ended":
		e.Kind, e.Room, e.Text = Ended, "", strings.Join(args, " ")
	case "all":
		e.Kind, e.View = Whole, map[string]string{}
		for _, one := range args {
			user, metas, _ := strings.Cut(one, ":")
			e.View[user] = strings.ReplaceAll(metas, ",", " ")
		}
	case "join", "update", "leave", "again":
		e.Kind = map[string]Kind{"join": Join, "update": Update, "leave": Leave, "again": Again}[what]
		e.User, e.Text = arg(0), strings.ReplaceAll(arg(1), ",", " ")
	case "heard":
		e.Kind, e.Device = Heard, arg(0)
		if _, err := fmt.Sscan(arg(1), &e.Number); err != nil {
			t.Fatal(err)
		}
	case "absurd":
		e.Kind, e.Text = Absurd, strings.Join(args, " ")
	default:
		t.Fatalf("no event %s", what)
	}
	return e
}

// rules are what a verdict says, each rule once.
func rules(v *Verdict) string {
	var names []string
	for _, one := range v.Violations {
		names = append(names, string(one.Rule))
	}
	slices.Sort(names)
	return strings.Join(slices.Compact(names), ", ")
}

func expect(t *testing.T, story, want string) {
	t.Helper()
	v := Check(record(t, story))
	if got := rules(v); got != want {
		t.Errorf("broken rules: %q, want %q", got, want)
		for _, one := range v.Violations {
			t.Log(one)
		}
	}
}
