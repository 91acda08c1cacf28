package history

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// heard checks what a client heard: none of a sender's broadcasts twice, and each sender's in the order they were sent.
// One that raised because its outcome was unknown may arrive after the sender's next ones; that all hear it alike
// compare checks.
func (c *checker) heard(client *Client) {
	type sender struct{ room, device string }
	last, all := map[sender]int{}, map[sender]map[int]bool{}
	for _, e := range client.Events {
		if e.Kind != Heard {
			continue
		}
		c.verdict.Heard++
		from := sender{e.Room, e.Device}
		if all[from] == nil {
			all[from] = map[int]bool{}
		}
		switch {
		case all[from][e.Number]:
			c.violate(AtMost, e.At, e.Room, "", client.Name, "hears number %d of %s twice", e.Number, e.Device)
		case e.Number < last[from] && !c.late(e.Device, e.At):
			c.violate(AtMost, e.At, e.Room, "", client.Name, "hears number %d of %s after number %d", e.Number, e.Device,
				last[from])
		}
		all[from][e.Number] = true
		last[from] = max(last[from], e.Number)
	}
}

// late tells whether the way from a sender's node to Redis is or was just disturbed, so that broadcasts of it raised.
func (c *checker) late(sender string, at time.Duration) bool {
	if c.nodes == nil {
		c.nodes = map[string]string{}
		for _, client := range c.rec.Clients {
			c.nodes[client.Name] = client.Node
		}
	}
	return slices.ContainsFunc(c.rec.Faults, func(f Fault) bool {
		return Promises[f.Name].Disturbs && f.strikes(c.nodes[sender]) && f.Began <= at && at <= f.Ended+c.rec.Times.Gone()
	})
}

// line is what one client was told in one room in one segment, in order: what it was, and in which frame.
type line struct {
	client *Client
	at     []time.Duration
	what   []string
	frame  []int
}

// order compares all clients of a room pair by pair: of any two changes that both were told, the first is the same; the
// same for broadcasts. Two changes of one frame have no order.
func (c *checker) order() {
	for _, told := range []struct {
		rule Rule
		of   func(*Client, Event) string
	}{
		{Order, func(cl *Client, e Event) string {
			if e.Kind == Join || e.Kind == Leave {
				return e.Kind.String()[len("is told: "):] + " " + e.User + " " + devices(e.Text)
			}
			return ""
		}},
		{AtMost, func(cl *Client, e Event) string {
			if e.Kind == Heard {
				return fmt.Sprint(e.Device, " #", e.Number)
			}
			return ""
		}},
	} {
		for _, lines := range c.lines(told.of) {
			c.compare(told.rule, lines)
		}
	}
}

// lines gathers what is told, by room and segment.
func (c *checker) lines(of func(*Client, Event) string) map[string][]*line {
	all := map[string][]*line{}
	for _, client := range c.rec.Clients {
		if client.Route == List {
			continue
		}
		own := map[string]*line{}
		segment := 0
		for _, e := range client.Events {
			for segment < len(c.rec.Points) && e.At > c.rec.Points[segment].At {
				segment++
			}
			what := of(client, e)
			if what == "" || e.Kind != Heard && c.misses(segment, client.Node) {
				continue
			}
			key := fmt.Sprint(segment, " ", e.Room)
			l := own[key]
			if l == nil {
				l = &line{client: client}
				own[key] = l
				all[key] = append(all[key], l)
			}
			l.at, l.what, l.frame = append(l.at, e.At), append(l.what, e.Room+"\x00"+what), append(l.frame, e.Frame)
		}
	}
	return all
}

// misses tells whether a node may have missed messages in a segment, or read rooms again for those it missed before.
func (c *checker) misses(segment int, node string) bool {
	from, to := time.Duration(-1), forever
	if segment > 0 {
		from = c.rec.Points[segment-1].At
	}
	if segment < len(c.rec.Points) {
		to = c.rec.Points[segment].At
	}
	return slices.ContainsFunc(c.rec.Faults, func(f Fault) bool {
		return Promises[f.Name].Misses && f.strikes(node) && f.Began <= to && f.Ended+c.rec.Times.Gone() > from
	})
}

// compare looks for two things that two clients were told the other way round. What anyone was told twice does not
// count: it cannot be said which is which.
func (c *checker) compare(rule Rule, lines []*line) {
	index := make([]map[string]int, len(lines))
	twice := map[string]bool{}
	for i, l := range lines {
		index[i] = map[string]int{}
		for j, what := range l.what {
			if _, before := index[i][what]; before {
				twice[what] = true
			}
			index[i][what] = j
		}
	}
	for i, a := range lines {
		for _, b := range lines[i+1:] {
			if !c.agree(rule, a, b, index[i], twice) {
				return // one story for each room and segment is enough
			}
		}
	}
}

// agree compares two clients; ia says where in a something is.
func (c *checker) agree(rule Rule, a, b *line, ia map[string]int, twice map[string]bool) bool {
	// places in a, of the latest frame there: of all in b so far, and of those in b's earlier frames
	last, latest := -1, -1
	frame := 0
	for j, what := range b.what {
		i, ok := ia[what]
		if !ok || twice[what] {
			continue
		}
		if b.frame[j] != frame {
			frame, latest = b.frame[j], last
		}
		if latest >= 0 && a.frame[i] < a.frame[latest] {
			c.disagree(rule, a, b, i, latest, j)
			return false
		}
		if last < 0 || a.frame[i] > a.frame[last] {
			last = i
		}
	}
	return true
}

func (c *checker) disagree(rule Rule, a, b *line, i, latest, j int) {
	room, first := split(a.what[i])
	_, second := split(a.what[latest])
	c.violate(rule, b.at[j], room, userOf(first), b.client.Name, "is told %q after %q; %s is told %q first", first, second,
		a.client.Name, first)
	v := &c.verdict.Violations[len(c.verdict.Violations)-1]
	v.Other, v.Beside = userOf(second), a.client.Name
}

// split parts what a line holds.
func split(what string) (room, text string) {
	room, text, _ = strings.Cut(what, "\x00")
	return room, text
}

// userOf reads the user of "join u d1 d2".
func userOf(change string) string {
	if fields := strings.Fields(change); len(fields) > 1 {
		return fields[1]
	}
	return ""
}

// devices are the names in metas, without the states.
func devices(metas string) string {
	names := strings.Fields(metas)
	for i, n := range names {
		names[i], _, _ = strings.Cut(n, "=")
	}
	return strings.Join(names, " ")
}
