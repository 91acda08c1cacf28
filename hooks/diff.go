package hooks

import "strconv"

// look is one user of a channel: as the sink was told, and as it is.
type look struct {
	channel, user string

	told  string // metas as the sink was told, a JSON array; "": it knows nothing of the user
	is    string // metas as they are; "": the user is not there
	since int64  // ms: when the user came; 0: is not there

	at    int64  // ms of Redis: when the last change was noted
	cause string // of a leave, "" not known
	wakes string // what Redis holds about it, for mark

	users    int    // of whom the sink was told in the channel
	position string // where the channel's presence stood before it was read
	doubt    bool   // that the user is not there may be for a while only: Redis may have lost data
}

// difference is how told and true differ.
func (l *look) difference() Kind {
	switch {
	case l.told == l.is:
		return ""
	case l.told == "":
		return Join
	case l.is == "":
		return Leave
	}
	return Update
}

// settling is a difference that is not told yet.
type settling struct {
	kind  Kind
	since int64 // ms
}

// pair names a user in a channel.
type pair struct{ channel, user string }

// op is one line of mark.lua.
type op struct {
	Do, Channel, User, Value string
}

// batch is what follows from some looks: the events of one request with what is noted after its acknowledgement, and
// what is noted at once.
type batch struct {
	events []Event
	acked  []op
	now    []op
}

// differ makes events of differences. It is a pure value.
//
// Invariant: for each user and channel the events are join and leave in turn, updates between; a channel is occupied
// before the first join and vacated after the last leave.
type differ struct {
	wants     func(Kind) bool
	settle    int64 // ms
	hold      int64 // ms: for leaves in doubt
	unsettled map[pair]settling
}

// waits says for how many ms a difference is not told yet.
func (d *differ) waits(l *look, now int64) int64 {
	kind, p := l.difference(), pair{l.channel, l.user}
	least := d.settle
	if kind == Leave && l.doubt {
		least = max(least, d.hold)
	}
	if least == 0 {
		return 0
	}
	was, ok := d.unsettled[p]
	if !ok || was.kind != kind {
		was = settling{kind, now}
		d.unsettled[p] = was
	}
	return max(0, was.since+least-now)
}

// make decides about looks, each of another user; now is in ms of Redis.
func (d *differ) make(looks []look, now int64) (b batch) {
	users, size := map[string]int{}, 0
	var ready []*look
	for _, leaves := range []bool{false, true} { // so that a channel is not vacated while somebody comes
		for i := range looks {
			if l := &looks[i]; (l.difference() == Leave) == leaves {
				users[l.channel] = l.users
				switch wait := d.waits(l, now); {
				case l.difference() == "":
					delete(d.unsettled, pair{l.channel, l.user})
					b.now = append(b.now, op{"done", l.channel, l.user, l.wakes})
				case wait > 0:
					b.now = append(b.now, op{"later", l.channel, l.user, strconv.FormatInt(wait, 10) + " " + l.wakes})
				default:
					ready = append(ready, l)
				}
			}
		}
	}
	for _, l := range ready {
		events, marks := d.tell(l, users[l.channel])
		bytes := 0
		for i := range events {
			bytes += len(encode(&events[i])) + 1
		}
		switch {
		case len(events) == 0:
			b.now = append(b.now, marks...)
		case len(b.events)+len(events) > MaxEvents || size+bytes > maxEvents:
			continue // it stays due
		default:
			b.events, b.acked, size = append(b.events, events...), append(b.acked, marks...), size+bytes
		}
		switch l.difference() {
		case Join:
			users[l.channel]++
		case Leave:
			users[l.channel]--
		}
		delete(d.unsettled, pair{l.channel, l.user})
	}
	return b
}

// tell gives the events of one difference, and what is noted once they are acknowledged; users are those that the sink
// knows in the channel.
func (d *differ) tell(l *look, users int) (events []Event, marks []op) {
	add := func(e Event) {
		if d.wants(e.Type) {
			events = append(events, e)
		}
	}
	switch kind := l.difference(); kind {
	case Leave:
		add(Event{Type: Leave, Channel: l.channel, UserID: l.user, Metas: raw(l.told), Cause: l.cause,
			At: l.at})
		if users == 1 {
			add(Event{Type: Vacated, Channel: l.channel, At: l.at})
		}
		marks = append(marks, op{"del", l.channel, l.user, ""})
	default:
		at := l.at
		if kind == Join {
			at = l.since
			if users == 0 {
				add(Event{Type: Occupied, Channel: l.channel, At: at})
			}
		}
		add(Event{Type: kind, Channel: l.channel, UserID: l.user, Metas: raw(l.is), At: at})
		marks = append(marks, op{"set", l.channel, l.user, l.is})
	}
	return events, append(marks, op{"at", l.channel, l.position, ""}, op{"done", l.channel, l.user, l.wakes})
}
