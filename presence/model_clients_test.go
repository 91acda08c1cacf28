package presence

import (
	"fmt"
	"strings"

	"pgregory.net/rapid"
)

// client is a Phoenix-style reducer.
type client struct {
	name    string
	devices bool
	state   map[string][]string // user id to refs and metadata; nil before its first presence_state
	left    map[string]int      // leaves told
}

// scriptClient hears events.
type scriptClient struct {
	present map[string]bool
	left    map[string]int // leaves told
}

func (s *scriptClient) hear(t *rapid.T, es []Event) {
	for _, e := range es {
		switch e.Type {
		case "join":
			if s.present[e.UserID] {
				t.Fatalf("script: %s joins twice", e.UserID)
			}
			s.present[e.UserID] = true
		case "leave":
			if !s.present[e.UserID] {
				t.Fatalf("script: %s leaves and was not here", e.UserID)
			}
			delete(s.present, e.UserID)
			s.left[e.UserID]++
		default:
			if !s.present[e.UserID] {
				t.Fatalf("script: %s changes and is not here", e.UserID)
			}
		}
	}
}

func pictures(ms metas) []string {
	var out []string
	for _, m := range ms.Metas {
		out = append(out, fmt.Sprint(m["phx_ref"], m["n"]))
	}
	return out
}

// take is what SPEC 1.2 promises about: "a client that replaces users on `joins` and deletes them on `leaves`".
func (c *client) take(t *rapid.T, text []byte) {
	if text == nil {
		return
	}
	f := parseFrame(t, text)
	if c.state == nil {
		c.state = map[string][]string{}
	}
	for id, m := range f.Payload.Joins {
		if _, both := f.Payload.Leaves[id]; both {
			t.Fatalf("%s is in both halves of %s", id, text)
		}
		c.state[id] = pictures(m)
	}
	for id := range f.Payload.Leaves {
		if _, here := c.state[id]; !here {
			t.Fatalf("%s: %s leaves and was not here: %s", c.name, id, text)
		}
		delete(c.state, id)
		c.left[id]++
	}
}

func numberIn(info string) string { return strings.TrimSuffix(strings.TrimPrefix(info, `{"n":`), "}") }
