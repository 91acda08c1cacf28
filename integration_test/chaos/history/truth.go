package history

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"time"
)

// forever is the end of what has none.
const forever = time.Duration(math.MaxInt64)

// tracking is one device's stay in a room.
type tracking struct {
	client    *Client
	device    string // its name in metas
	dialed    time.Duration
	asked     time.Duration
	shown     time.Duration // when it was shown itself; forever: never
	confirmed time.Duration // from when on the cluster surely has it
	ended     time.Duration // the client's own end of it, or that of its connection
	held      time.Duration // until when the cluster surely keeps it: ended, but later after its node was killed
	killed    bool          // its node died then
	sent      *Fault        // by which its node sent it away, to come back
	states    []stated      // what it asked for, in order
}

// stated is a state from a time on.
type stated struct {
	at    time.Duration
	state string
}

// meta is the device as views have it at a time.
func (k *tracking) meta(at time.Duration) string {
	state := ""
	for _, s := range k.states {
		if s.at <= at {
			state = s.state
		}
	}
	return k.device + "=" + state
}

// there tells whether a client tracked at a time, by what it did itself.
func (k *tracking) there(at time.Duration) bool { return k.asked <= at && at < k.ended }

type place struct{ room, user string }

// truth is what the clients did.
type truth struct {
	rec   *Record
	stays map[place][]*tracking
}

func truthOf(r *Record) *truth {
	t := &truth{rec: r, stays: map[place][]*tracking{}}
	for _, c := range r.Clients {
		t.add(c)
	}
	for _, stays := range t.stays {
		for _, k := range stays {
			k.shown = k.confirmed
			k.confirmed = t.sureOf(k)
			k.killed = k.ended < forever && t.diedWith(k.client.Node, k.ended) != nil
		}
		for _, k := range stays {
			if k.sent != nil {
				k.held = t.lingersUntil(k, stays)
			}
		}
	}
	return t
}

func (t *truth) add(c *Client) {
	var dialed time.Duration
	now := map[string]*tracking{} // by room
	for _, e := range c.Events {
		switch e.Kind {
		case Dialed:
			dialed = e.At
		case Asked:
			k := &tracking{client: c, device: e.Device, dialed: dialed, asked: e.At, confirmed: forever, ended: forever,
				held: forever, states: []stated{{e.At, e.Text}}}
			now[e.Room] = k
			at := place{e.Room, c.User}
			t.stays[at] = append(t.stays[at], k)
		case Confirmed:
			if k := now[e.Room]; k != nil && k.confirmed == forever {
				k.confirmed = e.At
			}
		case Changed:
			if k := now[e.Room]; k != nil {
				k.states = append(k.states, stated{e.At, e.Text})
			}
		case Withdrew:
			if k := now[e.Room]; k != nil {
				k.ended, k.held = e.At, e.At
				delete(now, e.Room)
			}
		case Ended:
			for _, k := range now {
				k.ended, k.held = e.At, t.cutAt(c.Node, k.asked, e.At)
				if e.Text != "left" {
					k.held = t.heldAfter(c.Node, k.asked, e.At)
				}
				if strings.HasPrefix(e.Text, "closed 1012") {
					k.sent = t.sentBy(c.Node, e.At)
				}
			}
			clear(now)
		}
	}
}

// sureOf is from when on the cluster surely has a device that was shown itself. A script reads its own writes even
// while they wait for Redis; so in a fault that shows nothing, and sure is the next point of rest.
func (t *truth) sureOf(k *tracking) time.Duration {
	if k.client.Route == Script && k.confirmed < forever {
		for _, f := range t.rec.Faults {
			if Promises[f.Name].Disturbs && f.strikes(k.client.Node) && f.Began <= k.confirmed &&
				t.restAfter(f.Ended) >= k.asked {
				return t.restAfter(k.confirmed)
			}
		}
	}
	// At a point of rest all views were exact.
	return min(k.confirmed, max(t.restAfter(k.asked), k.asked))
}

// notice is how long a node may take to hear of what a client did, and a client of the death of its node.
const notice = time.Second

// diedWith finds the fault by which a node died about when something ended: it may not have heard of that end any more,
// so that what it had stays until it is reaped.
func (t *truth) diedWith(node string, at time.Duration) *Fault {
	for i, f := range t.rec.Faults {
		if Promises[f.Name].Dies && slices.Contains(f.Nodes, node) && f.Began-notice <= at && at <= f.Ended+notice {
			return &t.rec.Faults[i]
		}
	}
	return nil
}

// cutAt is when a node may have seen the end of a connection that its client noticed at a time: a cut that was done to
// it, it may have seen first.
func (t *truth) cutAt(node string, asked, at time.Duration) time.Duration {
	for _, f := range t.rec.Faults {
		p := Promises[f.Name]
		if p.Ends && !p.Silent && asked <= f.Began && slices.Contains(f.Nodes, node) && f.Began <= at &&
			at <= f.Ended+notice {
			return f.Began
		}
	}
	return at
}

// heldAfter says until when the cluster surely keeps what a node had, when a connection to it was cut at a time: SPEC
// 5.2, "A client that reconnects elsewhere before its dead node is reaped makes no leave and no join".
func (t *truth) heldAfter(node string, asked, at time.Duration) time.Duration {
	died := t.diedWith(node, at)
	if died == nil {
		return t.cutAt(node, asked, at)
	}
	times := t.rec.Times
	// The last heartbeat was at most a heartbeat before, and a little: it takes its time. It was before a fault that began
	// earlier and may have kept heartbeats from Redis.
	last := died.Ended
	for _, f := range t.rec.Faults {
		if Promises[f.Name].Disturbs && f.strikes(node) && f.Began < last && f.Ended+notice > died.Began {
			last = f.Began
		}
	}
	until := last + times.Lease + times.Grace - times.Heartbeat - 500*time.Millisecond
	for _, f := range t.rec.Faults {
		if Promises[f.Name].Wipes && f.Ended >= at-times.Gone() && f.Began < until {
			until = at // nobody is left who would write it again
		}
	}
	return max(until, at)
}

// sentBy finds the fault by which a node sent a client away.
func (t *truth) sentBy(node string, at time.Duration) *Fault {
	for i, f := range t.rec.Faults {
		if Promises[f.Name].Lingers && slices.Contains(f.Nodes, node) && f.Began <= at && at <= f.Ended+notice {
			return &t.rec.Faults[i]
		}
	}
	return nil
}

// lingersUntil says until when the cluster surely keeps a device that was sent away: SPEC 3, --restart-grace. "It keeps
// a user, not a device": the next device of its user takes its place, and with one that is there already it goes at
// once. Of devices that are sent away together one stays, whichever.
func (t *truth) lingersUntil(k *tracking, stays []*tracking) time.Duration {
	until := k.ended + t.rec.Times.Restart
	for _, f := range t.rec.Faults {
		if p := Promises[f.Name]; (p.Disturbs || p.Loses || p.Dies) && f.Began < until && f.Ended+notice > k.ended {
			return k.ended // it may not have been noted that it lingers, or be lost
		}
	}
	for _, o := range stays {
		if o == k || o.sent == k.sent || o.asked > until || t.seenUntil(o) <= k.ended {
			continue
		}
		begins := o.confirmed
		if o.confirmed >= o.held {
			begins = o.asked // it may have come and gone unseen
		}
		until = min(until, max(begins, k.ended))
	}
	return until
}

// seenUntil is how long the cluster may take a device for one that is there: its node may not have heard yet that it
// ended, while it is frozen or cut off all the more.
func (t *truth) seenUntil(k *tracking) time.Duration {
	if k.ended == forever {
		return forever
	}
	until := max(k.held, k.ended) + notice
	for _, f := range t.rec.Faults {
		if f.strikes(k.client.Node) && f.Began <= k.ended && k.ended <= f.Ended+notice {
			until = max(until, f.Ended+notice)
		}
	}
	return until
}

// at gives who is where at a time: room to user to metas.
func (t *truth) at(when time.Duration) map[string]map[string]string {
	devices := map[place][]string{}
	for p, stays := range t.stays {
		for _, k := range stays {
			if k.there(when) {
				devices[p] = append(devices[p], k.meta(when))
			}
		}
	}
	all := map[string]map[string]string{}
	for p, list := range devices {
		if all[p.room] == nil {
			all[p.room] = map[string]string{}
		}
		all[p.room][p.user] = Metas(list)
	}
	return all
}

// gap is a time in which a user may have been away: in none of it is a device of theirs surely there.
type gap struct {
	from, to time.Duration
	// causes is how many leaves there may be at most: devices that ended, that were given up for dead, or that may
	// have come and gone unseen.
	causes int
	// until is when the last of them must have been told: the first point of rest after the beginning.
	until time.Duration
}

// gaps are the gaps of one user in a room, in order.
func (t *truth) gaps(p place) []gap {
	stays := t.stays[p]
	var sure []Span
	type cause struct{ from, to time.Duration }
	var causes []cause
	for _, k := range stays {
		if k.confirmed >= k.held {
			causes = append(causes, cause{k.asked, t.restAfter(k.held)}) // it may have come and gone at any time
			for _, away := range t.aways(k) {
				causes = append(causes, cause{away.From, away.To})
			}
			continue
		}
		from := k.confirmed
		for _, away := range t.aways(k) {
			causes = append(causes, cause{away.From, away.To})
			if away.From > from {
				sure = append(sure, Span{from, min(away.From, k.held)})
			}
			from = max(from, away.To)
		}
		if from < k.held {
			sure = append(sure, Span{from, k.held})
		}
		if k.held < forever {
			causes = append(causes, cause{k.held, k.held})
		}
	}
	slices.SortFunc(sure, func(a, b Span) int { return cmp.Compare(a.From, b.From) })
	var gaps []gap
	end := time.Duration(math.MinInt64)
	for _, s := range append(sure, Span{forever, forever}) {
		if s.From > end {
			gaps = append(gaps, gap{from: end, to: s.From})
		}
		end = max(end, s.To)
	}
	for i := range gaps {
		g := &gaps[i]
		g.until = t.exactAfter(max(g.from, 0))
		for _, c := range causes {
			if c.from <= g.to && c.to >= g.from {
				g.causes++
				g.until = max(g.until, t.exactAfter(c.to))
			}
		}
	}
	return gaps
}

// exactAfter is when all that was true at a time is surely told: at the next point of rest, but when Redis may have
// lost writes shortly before that, not before Times.Gone is over. Views that told a leave themselves hide it that Redis
// has lost it; one that is opened then shows the user until the reaper comes.
func (t *truth) exactAfter(at time.Duration) time.Duration {
	rest := t.restAfter(at)
	for _, f := range t.rec.Faults {
		if over := f.Ended + t.rec.Times.Gone(); Promises[f.Name].Loses && f.Began <= rest && over > rest {
			return over
		}
	}
	return rest
}

// aways are the times in which others may take the node of a device for dead, though it lives.
func (t *truth) aways(k *tracking) (spans []Span) {
	for _, f := range t.rec.Faults {
		p := Promises[f.Name]
		if !p.Away || len(f.Nodes) > 0 && !slices.Contains(f.Nodes, k.client.Node) || f.Ended-f.Began < t.rec.Times.Lease {
			continue
		}
		// It may not have heard of the end any more: then it writes again, when it is back, what left.
		if until := t.restAfter(f.Ended); f.Began-notice < k.held && until > k.asked {
			spans = append(spans, Span{f.Began, until})
		}
	}
	return spans
}

// restAfter is the first point of rest at or after a time.
func (t *truth) restAfter(at time.Duration) time.Duration {
	for _, p := range t.rec.Points {
		if p.At >= at {
			return p.At
		}
	}
	return forever
}
