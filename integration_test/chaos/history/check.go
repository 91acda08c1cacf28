package history

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Rule names what was broken.
type Rule string

// The rules, each with its sentence of SPEC.
const (
	Exact  Rule = "view"      // 5.1: "each live node's view equals what the connected clients tracked"
	InTime Rule = "late"      // 5.1: "every view is exact again in that time"
	Stayed Rule = "told gone" // 5.1: "one leave for each user who really went and none for those who stayed"
	Ghost  Rule = "ghost"     // 5.4: "nothing a dead or fenced node still had in flight can bring a user back"
	// 5.1: "each client is told every change once": no join of who is there, no leave of who is not
	Once  Rule = "once"
	Order Rule = "order" // 5.1: "in one order that is the same for all of that channel"
	// 5.3: "at most once and in the same order for all subscribers of a channel from one sender"
	AtMost   Rule = "broadcast"
	Cut      Rule = "cut off" // 5.2: "its clients stay connected"
	Recovery Rule = "history" // 7, Promise 7
	Told     Rule = "hook"    // 8: "the set it has folded equals presence"; 10: joins and leaves in turn
	// 9: "`last_seen` after a node's death is the time of its last heartbeat at the earliest, its lease's end at the
	// latest"
	Seen    Rule = "last_seen"
	Unknown Rule = "record" // the record itself is at odds: a fault of the driver
)

// Violation is one broken promise.
type Violation struct {
	Rule   Rule
	At     time.Duration
	Room   string
	User   string
	Client string // who was told wrongly
	Text   string
	Other  string // a second user, "" none
	Beside string // a second client, "" none
	Story  []string
}

func (v Violation) String() string {
	text := fmt.Sprintf("%s: at %s in %s: %s %s", v.Rule, seconds(v.At), v.Room, v.Client, v.Text)
	if len(v.Story) > 0 {
		text += "\n    " + strings.Join(v.Story, "\n    ")
	}
	return text
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.3fs", d.Seconds()) }

// Measure is how long one segment's faults kept any view from being exact, without the time in which the driver did not
// run.
type Measure struct {
	Faults []string      // the kinds; "calm" alone when there was none
	There  time.Duration // until everyone who was there was seen, from the last fault's end or their own coming
	Gone   time.Duration // until nobody was seen who had gone, likewise
	Killed time.Duration // the same for users of killed nodes
}

// Verdict is what a record shows.
type Verdict struct {
	Violations []Violation
	Measures   []Measure // one for each point
	Told       int       // joins and leaves that were told
	Heard      int       // broadcasts that were heard
	Followed   int       // messages of channels with a history that followers got
	Recovered  int       // times that a follower came back and got what it had missed
	Slow       int       // times past a bound only because the driver itself did not run
}

// checker goes through one record.
type checker struct {
	rec     *Record
	truth   *truth
	gaps    map[place][]gap
	nodes   map[string]string // of clients, by name; made when first needed
	verdict Verdict
}

// Check judges a record.
func Check(r *Record) *Verdict {
	c := &checker{rec: r, truth: truthOf(r), gaps: map[place][]gap{}}
	for _, client := range r.Clients {
		c.told(client)
		c.heard(client)
		c.life(client)
	}
	c.recovery()
	c.shown()
	c.order()
	c.exact()
	c.seen()
	slices.SortStableFunc(c.verdict.Violations, func(a, b Violation) int { return int(a.At - b.At) })
	for i := range c.verdict.Violations {
		v := &c.verdict.Violations[i]
		v.Story = c.story(v)
	}
	c.verdict.Violations = append(c.verdict.Violations, r.Hooks...)
	return &c.verdict
}

func (c *checker) violate(rule Rule, at time.Duration, room, user, client, format string, args ...any) {
	c.verdict.Violations = append(c.verdict.Violations,
		Violation{Rule: rule, At: at, Room: room, User: user, Client: client, Text: fmt.Sprintf(format, args...)})
}

func (c *checker) gapsOf(p place) []gap {
	g, ok := c.gaps[p]
	if !ok {
		g = c.truth.gaps(p)
		c.gaps[p] = g
	}
	return g
}

// told checks what a client was told of presence, each event against those before and against the truth.
func (c *checker) told(client *Client) {
	if client.Route == List {
		return
	}
	views := map[string]*View{}
	leaves := map[place][]time.Duration{}
	for _, e := range client.Events {
		if e.Kind < Whole || e.Kind == Heard {
			continue
		}
		v := views[e.Room]
		if v == nil {
			v = NewView(client)
			views[e.Room] = v
		}
		if wrong := v.Take(e); wrong != "" {
			c.violate(Once, e.At, e.Room, e.User, client.Name, "%s", wrong)
		}
		if v.Ignores(e.User) {
			continue
		}
		switch e.Kind {
		case Join:
			c.verdict.Told++
			if !c.mayBeThere(place{e.Room, e.User}, e.At) {
				c.violate(Ghost, e.At, e.Room, e.User, client.Name, "is told that %s joins, who is nowhere", e.User)
			}
		case Leave:
			c.verdict.Told++
			p := place{e.Room, e.User}
			leaves[p] = append(leaves[p], e.At)
		case Again:
			if !c.mayHaveBeenAway(client, place{e.Room, e.User}, e.At) {
				c.violate(Once, e.At, e.Room, e.User, client.Name, "is told of %s again, with nothing new", e.User)
			}
		case Whole:
			for user := range e.View {
				if !c.mayBeThere(place{e.Room, user}, e.At) {
					c.violate(Ghost, e.At, e.Room, user, client.Name, "is shown %s, who is nowhere", user)
				}
			}
		}
	}
	for p, times := range leaves {
		c.explain(client, p, times)
	}
}

// explain finds a cause for each leave that a client was told of one user.
func (c *checker) explain(client *Client, p place, times []time.Duration) {
	gaps := c.gapsOf(p)
	used := make([]int, len(gaps))
	for _, at := range times {
		found := false
		for i, g := range gaps {
			if g.from <= at && at <= g.until && used[i] < g.causes {
				used[i]++
				found = true
				break
			}
		}
		if !found {
			c.violate(Stayed, at, p.room, p.user, client.Name, "is told that %s leaves, without a reason", p.user)
		}
	}
}

// mayHaveBeenAway tells whether a client can have been told of a user again, with the metas that it knew: one of a
// plain route is not told of second devices, and learns nothing when the first goes and comes back meanwhile. SPEC 1.2:
// "left and came back within a window: joins alone".
func (c *checker) mayHaveBeenAway(client *Client, p place, at time.Duration) bool {
	return client.Route == Plain &&
		slices.ContainsFunc(c.gapsOf(p), func(g gap) bool { return g.causes > 0 && g.from <= at && at <= g.until })
}

// mayBeThere tells whether anything can have brought a user there: a device that asked for it before, and has not ended
// before the last point of rest.
func (c *checker) mayBeThere(p place, at time.Duration) bool {
	rest := time.Duration(-1)
	for _, point := range c.rec.Points {
		if c.truth.exactAfter(point.At) < at {
			rest = point.At
		}
	}
	return slices.ContainsFunc(c.truth.stays[p], func(k *tracking) bool { return k.asked <= at && k.ended > rest })
}

// shown checks that each device that tracked by an event handler has been shown itself by the next point of rest: SPEC
// 1.2, "after track, to the tracking connection: … complete, with itself in it". When Redis may have lost that write,
// it may be told of itself later.
func (c *checker) shown() {
	for p, stays := range c.truth.stays {
		for _, k := range stays {
			rest := c.truth.restAfter(k.asked)
			lost := slices.ContainsFunc(c.rec.Faults, func(f Fault) bool {
				return Promises[f.Name].Loses && f.Began <= rest && f.Ended+c.rec.Times.Gone() > k.asked
			})
			if !lost && k.client.Route != Script && rest < forever && k.ended > rest && k.shown > rest {
				c.violate(Once, rest, p.room, p.user, k.client.Name, "has not been shown itself")
			}
		}
	}
}

// life checks that a connection ended only for a reason.
func (c *checker) life(client *Client) {
	for _, e := range client.Events {
		if e.Kind != Ended || e.Text == "left" || client.Route == List {
			continue
		}
		if !slices.ContainsFunc(c.rec.Faults, func(f Fault) bool {
			p := Promises[f.Name]
			return (p.Dies || p.Ends) && slices.Contains(f.Nodes, client.Node) && f.Began <= e.At+time.Second &&
				e.At <= f.Ended+10*time.Second
		}) {
			c.violate(Cut, e.At, "", client.User, client.Name, "on %s lost its connection: %s", client.Node, e.Text)
		}
	}
}
