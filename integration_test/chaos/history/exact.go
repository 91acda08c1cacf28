package history

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// exact compares each view with the truth at each point of rest, and measures how long it took.
func (c *checker) exact() {
	from := time.Duration(-1)
	for _, point := range c.rec.Points {
		c.segment(from, point)
		from = point.At
	}
}

// segment is one stretch up to a point of rest.
func (c *checker) segment(from time.Duration, point Point) {
	want := c.truth.at(point.At)
	s := &segment{checker: c, from: from, point: point, want: want, since: map[place]since{}}
	var kinds []string
	for _, f := range c.rec.Faults {
		if f.Ended <= from || f.Began > point.At {
			continue
		}
		kinds = append(kinds, f.Name)
		s.over = max(s.over, f.Ended)
		s.promises = append(s.promises, Promises[f.Name])
	}
	if kinds == nil {
		kinds = []string{"calm"}
	}
	s.measure.Faults = kinds
	for _, client := range c.rec.Clients {
		s.look(client)
	}
	c.verdict.Measures = append(c.verdict.Measures, s.measure)
}

type segment struct {
	*checker
	from     time.Duration
	point    Point
	want     map[string]map[string]string
	over     time.Duration // the end of the last fault
	promises []Promise
	since    map[place]since
	measure  Measure
}

// since is when the truth about a user last changed, and whether a node's death did it.
type since struct {
	at   time.Duration
	dead bool
}

// causeOf is when what is now true of a user began to be so.
func (s *segment) causeOf(p place) since {
	got, ok := s.since[p]
	if ok {
		return got
	}
	got.at = s.over
	for _, k := range s.truth.stays[p] {
		for _, state := range k.states {
			if state.at <= s.point.At {
				got.at = max(got.at, state.at)
			}
		}
		if k.ended <= s.point.At {
			got.at = max(got.at, k.ended)
		}
		if k.killed && k.ended > s.from && k.ended <= s.point.At {
			got.dead = true
		}
	}
	s.since[p] = got
	return got
}

// look follows one client's views through the segment.
func (s *segment) look(client *Client) {
	views := map[string]*View{}
	open := false
	wrong := map[place]mistake{}
	asked := map[string]bool{} // a list's rooms: it is only known to be wrong from the first answer in the segment on
	metas := client.Route.SeesDevices()
	if n := len(client.Events); n == 0 || client.Events[n-1].Kind == Ended && client.Events[n-1].At <= s.from {
		return
	}
	for _, e := range client.Events {
		if e.At > s.point.At {
			break
		}
		switch {
		case e.Kind == Opened:
			open = true
			continue
		case e.Kind == Ended:
			return
		case e.Kind < Whole || e.Kind > Leave:
			continue
		}
		v := views[e.Room]
		if v == nil {
			v = NewView(client)
			views[e.Room] = v
		}
		known := client.Route != List || asked[e.Room]
		asked[e.Room] = e.At > s.from
		if v.Whole && e.At > s.from && known {
			s.until(v, e, wrong, metas)
		}
		v.Take(e)
	}
	if !open {
		return
	}
	for _, room := range slices.Sorted(maps.Keys(views)) {
		if v := views[room]; v.Whole {
			s.compareAll(client, v, room, metas)
		}
	}
	for p, m := range wrong {
		s.took(client, p, m)
	}
}

// mistake is a difference between a view and the truth: extra when the view only shows what is gone, and until when.
type mistake struct {
	extra bool
	until time.Duration
}

// compareAll holds a view against the truth of the point of rest.
func (s *segment) compareAll(client *Client, v *View, room string, metas bool) {
	users := map[string]bool{}
	for user := range s.want[room] {
		users[user] = true
	}
	for user := range v.Users {
		users[user] = true
	}
	for user := range users {
		if _, differ := s.differ(v, room, user, metas); differ {
			s.violate(Exact, s.point.At, room, user, client.Name, "(%s on %s) has %q of %s, where %q is the truth", client.Route,
				client.Node,
				v.Users[user], user, s.want[room][user])
		}
	}
}

// differ compares what a view has of one user with what will be true at the point of rest.
func (s *segment) differ(v *View, room, user string, metas bool) (m mistake, differ bool) {
	if v.Ignores(user) {
		return m, false
	}
	has, here := v.Users[user]
	want, should := s.want[room][user]
	switch {
	case here != should:
		return mistake{extra: here}, true
	case !metas || has == want:
		return m, false
	}
	shown := strings.Fields(has)
	m.extra = !slices.ContainsFunc(strings.Fields(want), func(one string) bool { return !slices.Contains(shown, one) })
	return m, true
}

// until notes, for the users that an event is about, that the view was wrong up to it.
func (s *segment) until(v *View, e Event, wrong map[place]mistake, metas bool) {
	users := []string{e.User}
	if e.Kind == Whole {
		users = users[:0]
		for u := range e.View {
			users = append(users, u)
		}
		for u := range v.Users {
			if _, both := e.View[u]; !both {
				users = append(users, u)
			}
		}
	}
	for _, u := range users {
		if m, differ := s.differ(v, e.Room, u, metas); differ {
			m.until = e.At
			wrong[place{e.Room, u}] = m
		}
	}
}

// took measures how long a view was wrong about a user, and holds it against the bound.
func (s *segment) took(client *Client, p place, m mistake) {
	until, extra := m.until, m.extra
	cause := s.causeOf(p)
	took := until - cause.at
	if took <= 0 {
		return
	}
	stall := s.stalled(cause.at, until)
	spent := took - stall
	switch {
	case cause.dead && extra:
		s.measure.Killed = max(s.measure.Killed, spent)
	case extra:
		s.measure.Gone = max(s.measure.Gone, spent)
	default:
		s.measure.There = max(s.measure.There, spent)
	}
	bound := Promise{}.bound(s.rec.Times)
	for _, promise := range s.promises {
		bound = max(bound, promise.bound(s.rec.Times))
	}
	switch {
	case took <= bound:
	case spent <= bound:
		s.verdict.Slow++
	default:
		s.violate(InTime, until, p.room, p.user, client.Name,
			"(%s on %s) was wrong about %s until %s after its cause, bound %s", client.Route, client.Node, p.user, seconds(
				took), seconds(bound))
	}
}

// stalled is how much of a time the driver did not run.
func (c *checker) stalled(from, to time.Duration) (sum time.Duration) {
	for _, s := range c.rec.Stalls {
		if a, b := max(s.From, from), min(s.To, to); a < b {
			sum += b - a
		}
	}
	return sum
}
