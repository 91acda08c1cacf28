package history

import (
	"slices"
	"strings"
)

// View is what one client knows of one room: a reducer over the events of a history. It is another one than package
// roster, which made those events of frames: it judges them, and follows scripts, who are told of changes alone.
type View struct {
	route Route
	self  string            // the user whose events this client is not told of; "" none
	Whole bool              // it has been shown all
	Users map[string]string // to metas
	loose map[string]bool   // script: what has been told of a user since all was shown
}

// NewView is the empty view of a client.
func NewView(c *Client) *View {
	v := &View{route: c.Route, Users: map[string]string{}}
	if c.Route == Script {
		v.self = c.User
	}
	return v
}

// Ignores tells whether the client is not told all of a user: SPEC 1.1, "except the connection that caused them".
func (v *View) Ignores(user string) bool { return v.self != "" && v.self == user }

// Take applies an event. It gives what is wrong with it, or "".
//
// A script subscribes and then asks for the list: events of before the list may come after it. So the first event of
// each user after a list may be any; from then on they alternate.
func (v *View) Take(e Event) (wrong string) {
	switch e.Kind {
	case Whole:
		v.Whole = true
		v.Users = make(map[string]string, len(e.View))
		for u, metas := range e.View {
			v.Users[u] = metas
		}
		if v.route == Script {
			v.loose = map[string]bool{}
		}
	case Join, Leave, Update:
		if v.Ignores(e.User) {
			return ""
		}
		_, here := v.Users[e.User]
		strict := v.Whole
		if v.loose != nil && e.Kind != Update {
			strict = v.loose[e.User]
			v.loose[e.User] = true
		}
		switch {
		case e.Kind == Leave:
			delete(v.Users, e.User)
			if strict && !here {
				return "is told that " + e.User + " leaves, who was not there"
			}
		case e.Kind == Join || v.route != Script:
			v.Users[e.User] = e.Text
			if e.Kind == Join && strict && here {
				return "is told that " + e.User + " joins, who was there"
			}
		}
	case Absurd:
		return "is told nonsense: " + e.Text
	}
	return ""
}

// Metas joins the devices of a user as views have them.
func Metas(devices []string) string {
	slices.Sort(devices)
	return strings.Join(devices, " ")
}
