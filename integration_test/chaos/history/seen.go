package history

import "time"

// beat is how late a heartbeat may be.
const beat = 500 * time.Millisecond

// seen checks when those who are gone were there last: of each user whose last connection ended since the point of rest
// before, what nodes say then.
func (c *checker) seen() {
	for _, s := range c.rec.Sightings {
		if s.Online {
			continue // a run has no rest before nodes and clients agree on that
		}
		from := time.Duration(-1)
		for _, p := range c.rec.Points {
			if p.At < s.At {
				from = p.At
			}
		}
		least, most, judged := c.lastSeen(s, from)
		if judged && (s.LastSeen < least || s.LastSeen > most) {
			c.violate(Seen, s.At, "@"+s.User, s.User, "a node", "says that %s was last seen at %s, not from %s to %s", s.User,
				moment(s.LastSeen), moment(least), moment(most))
		}
	}
}

// lastSeen gives the bounds of a sighting; judged is false of a user who went before from.
func (c *checker) lastSeen(s Sighting, from time.Duration) (least, most time.Duration, judged bool) {
	first, over, bound, loses := s.At, Never, notice, false
	for _, f := range c.rec.Faults {
		if p := Promises[f.Name]; f.Ended > from && f.Began <= s.At {
			first, over = min(first, f.Began), max(over, f.Ended)
			bound = max(bound, p.bound(c.rec.Times))
			loses = loses || p.Loses && len(f.Nodes) == 0 // Redis may have lost it
		}
	}
	least, most = Never, Never
	for _, client := range c.rec.Clients {
		if client.User != s.User || !client.Route.Identifies() {
			continue
		}
		ended, sure := identified(client, s.At, from, first)
		most = max(most, ended)
		if sure && ended > from { // what ended before was judged then; Redis may have lost it since
			least = max(least, ended)
		}
	}
	if judged = most > from; !judged {
		return 0, 0, false
	}
	stalled := c.stalled(from, s.At)
	most = min(max(most, over)+bound+stalled, s.At) + beat
	switch {
	case loses: // then it may also be when the user was removed: the lease is not known any more
		least, most = Never, s.At+beat
	case least != Never:
		least = min(least, first-c.rec.Times.Heartbeat) - stalled - beat
	}
	return least, most, true
}

// identified gives when a client's connection ended, as of at, and whether the cluster surely knew then whose it was:
// it was shown itself by the point of rest, from, or before the first fault since.
func identified(client *Client, at, from, first time.Duration) (ended time.Duration, sure bool) {
	ended = Never
	for _, e := range client.Events {
		switch {
		case e.At > at:
			return ended, sure
		case e.Kind == Confirmed:
			sure = sure || e.At <= from || e.At+notice < first
		case e.Kind == Ended:
			ended = e.At
		}
	}
	return ended, sure
}

func moment(at time.Duration) string {
	if at == Never {
		return "never"
	}
	return seconds(at)
}
