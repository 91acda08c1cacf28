package simulation

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"rollcall/history"
	"rollcall/hub"
	"rollcall/outbox"
	"rollcall/presence"
)

// follower is a client, of a route with resume = true or a connection script, that goes and comes back, here and there.
// It remembers where it was.
type follower struct {
	// static
	w      *world
	name   string
	script bool
	space  int // so many messages go into its queue at once; 0: all

	// owned by the loop
	n       *node // nil: it is away
	id      string
	sess    *hub.Session
	working bool
	hops    bool // to another node, as soon as it gets a message
	in      map[string]*standing
}

// standing is where a follower is in one channel.
type standing struct {
	position string // the last one that it was given; "": none, or it was told that it is of no use
	behind   int    // items of the channel before it
	it       *item  // that it was given with
	joined   bool
	fed      bool   // it was answered since it joined
	asked    string // the position that it joined with
}

func (f *follower) at(channel string) *standing {
	s := f.in[channel]
	if s == nil {
		s = &standing{}
		f.in[channel] = s
	}
	return s
}

func (f *follower) fail(channel, format string, args ...any) {
	f.w.fail("%s on n%d in %s %s", f.name, f.n.number, channel, fmt.Sprintf(format, args...))
}

// end is one connection of a follower, as the hub has it.
type end struct {
	f  *follower
	n  *node
	id string
}

// tell hands what comes to the loop.
func (e end) tell(do func()) {
	e.n.w.post(e.n, "told "+e.id, func() {
		if e.f.id == e.id {
			do()
		}
	})
}

func (e end) Send(frame outbox.Frame) error {
	e.tell(func() { e.f.hearFrame(frame.Payload()) })
	return nil
}

func (e end) Close(int, string) {}

func (e end) CloseFor(outbox.Why, int, string) {}

func (e end) Fits(frames []outbox.Frame) bool { return e.f.space == 0 || len(frames)-1 <= e.f.space }

// comes connects a follower to a node.
func (f *follower) comes(n *node, positions map[string]history.Position) {
	f.w.serial++
	f.n, f.id = n, fmt.Sprint("k", f.w.serial)
	e := end{f, n, f.id}
	m := hub.Member{ID: f.id, Conn: e, Resume: !f.script, Positions: positions}
	if f.script {
		m.Events = func(event *hub.Event) bool {
			e.tell(func() { f.hearEvent(event) })
			return true
		}
		m.Fits = func(events, _ int) bool { return f.space == 0 || events <= f.space }
	}
	f.sess = n.hub.Enter(m)
	f.w.story.add("n%d: %s comes", n.number, f.name)
}

// goes ends its connection.
func (f *follower) goes(e hub.Ending) {
	f.w.story.add("n%d: %s goes", f.n.number, f.name)
	if !f.n.dead {
		f.sess.Exit(e, presence.CauseClosed)
	}
	f.n, f.sess, f.id, f.working = nil, nil, "", false
	for _, s := range f.in {
		s.joined, s.fed = false, false
	}
}

// entry is one channel that a follower joins: from a position, or "" from now on.
type entry struct{ channel, since string }

// joins enters channels, one after another. said: the connection said where it was when it came.
func (f *follower) joins(said bool, entries ...entry) {
	if len(entries) == 0 {
		return
	}
	e := entries[0]
	s := f.at(e.channel)
	if !s.joined || s.fed { // else it waits since it asked
		s.asked = e.since
	}
	s.joined = true
	again := s.fed
	var since *history.Position
	if p, ok := history.ParsePosition(e.since); ok && !said {
		since = &p
	}
	f.w.story.add("n%d: %s joins %s since %q", f.n.number, f.name, e.channel, e.since)
	sess := f.sess
	f.call("joins "+e.channel, func(ctx context.Context) func() {
		rec, in, err := sess.JoinSince(ctx, e.channel, since)
		return func() {
			f.w.story.add("%s is in %s: %v %v %v", f.name, e.channel, in, rec, err)
			if f.script && err == nil && !again {
				f.answered(e.channel, rec, in)
			}
			f.joins(said, entries[1:]...)
		}
	})
}

// call runs one call of the follower's handler in a goroutine of its own.
func (f *follower) call(what string, do func(context.Context) (then func())) {
	n, id := f.n, f.id
	f.working = true
	f.w.closed.Go(func() {
		ctx, cancel := context.WithTimeout(n.ctx, 2*redisTimeout)
		defer cancel()
		then := do(ctx)
		f.w.post(n, "called "+id+" "+what, func() {
			if f.id == id {
				f.working = false
				then()
			}
		})
	})
}

// answered is what a script is given by subscribe.
func (f *follower) answered(channel string, rec hub.Recovery, in bool) {
	s := f.at(channel)
	switch {
	case !in: // what it missed comes, or it is told that it is lost
		f.stands(channel, s.asked)
	case rec.Asked && !rec.Recovered:
		f.refused(channel, rec.Why)
		s.position = ""
		s.fed = true
	default:
		s.fed = true
		f.stands(channel, rec.Position.String())
	}
}

// stands notes that it was given a position.
func (f *follower) stands(channel, position string) {
	s := f.at(channel)
	s.position, s.behind, s.it = position, 0, nil
	if position == "" {
		return
	}
	var ok bool
	if s.behind, s.it, ok = f.w.archive.shelf(channel).stand(position); !ok {
		s.position = ""
		if s.asked != position {
			f.fail(channel, "is given the position %s, which no message has", position)
		}
	}
}

// refused checks that it is told the truth when it is told that what it missed can't be had.
func (f *follower) refused(channel string, why history.Why) {
	f.told(channel, f.at(channel).asked, why)
}

// told checks why messages are missing after a position, when nothing has disturbed what this node knows.
func (f *follower) told(channel, position string, why history.Why) {
	f.w.story.add("%s is told of %s after %s in %s", f.name, why, position, channel)
	if time.Since(f.w.trouble) < 2*time.Second || f.n.dim || f.n.shaken() {
		return
	}
	if !f.w.archive.deserved(channel, position, f.space, why) {
		f.fail(channel, "is told of %q after %s, which is not true", why, position)
	}
}

// frame is what a client of a route with resume = true is sent.
type frame struct {
	Event, Channel, Position string
	Why                      history.Why
	Data                     string
	Recovered                *bool
	Missed                   int
}

func (f *follower) hearFrame(text []byte) {
	var m frame
	if err := json.Unmarshal(text, &m); err != nil {
		f.w.fail("%s is sent %s", f.name, text)
		return
	}
	f.w.story.add("%s is sent %s", f.name, text)
	s := f.at(m.Channel)
	switch {
	case m.Event == "message":
		f.hears(m.Channel, m.Position, m.Data)
	case m.Event == "lost":
		f.told(m.Channel, s.position, m.Why)
		f.stands(m.Channel, m.Position)
	case m.Event != "joined":
		f.fail(m.Channel, "is sent %s", text)
	case m.Recovered == nil:
		if s.fed && s.position != "" && s.position != m.Position {
			f.fail(m.Channel, "is at %s, and joins again at %s", s.position, m.Position)
		}
		s.fed = true
		f.stands(m.Channel, m.Position)
	case *m.Recovered:
		if m.Position != s.asked {
			f.fail(m.Channel, "asked for what comes after %s, and is given it after %s", s.asked, m.Position)
		}
		s.fed = true
		s.asked = ""
		f.stands(m.Channel, m.Position)
	default:
		f.refused(m.Channel, m.Why)
		s.fed = true
		f.stands(m.Channel, m.Position)
	}
}

func (f *follower) hearEvent(e *hub.Event) {
	f.w.story.add("%s gets %d %s at %q %s", f.name, e.Kind, e.Data.Text, e.Position, e.Why)
	switch e.Kind {
	case hub.EventBroadcast:
		f.hears(e.Channel, e.Position, e.Data.Text)
	case hub.EventLost:
		f.told(e.Channel, f.at(e.Channel).position, history.Why(e.Why))
		f.stands(e.Channel, e.Position)
	case hub.EventPresence:
	}
}

// hears takes a message.
func (f *follower) hears(channel, position, text string) {
	if transient := text[0] == 't'; transient || position == "" {
		if !transient || position != "" {
			f.fail(channel, "gets %s at %q", text, position)
		}
		return
	}
	s, shelf := f.at(channel), f.w.archive.shelf(channel)
	index, it := shelf.find(position, text)
	switch {
	case it == nil:
		f.fail(channel, "is given %s at %s, where it never was", text, position)
		return
	case s.position != "":
		if wrong := shelf.next(f.n, *s, index); wrong != "" {
			f.fail(channel, "%s", wrong)
		}
	}
	if age := f.w.clock().UnixMilli() - it.at.MS; age > f.w.plan.Keep.TTL.Milliseconds()+1000 &&
		it.at.MS > f.w.trouble.UnixMilli()+2000 {
		f.fail(channel, "is given %s %d ms after it was published", text, age)
	}
	s.position, s.behind, s.it = position, index+1, it
	if f.hops && !f.working {
		f.hops = false
		f.w.after(1, f.hop)
	}
}

// sendAway ends the connections to a node that stops.
func (w *world) sendAway(n *node) {
	for _, f := range w.followers {
		if f.n == n {
			f.goes(hub.SentAway)
		}
	}
}

// caughtUp is what must hold after a time of quiet: all who are there have all, and calls have ended.
func (w *world) caughtUp() {
	for _, f := range w.followers {
		if f.n == nil || f.n.dead || f.n.stopping {
			continue
		}
		if f.working {
			w.fail("a call of %s on n%d has not ended", f.name, f.n.number)
		}
		for i := range w.plan.Channels {
			channel := "c" + strconv.Itoa(i)
			s, shelf := f.at(channel), w.archive.shelf(channel)
			if !s.joined || shelf.head == history.Never {
				continue
			}
			if s.position != "" && s.position != shelf.head.String() && !shelf.silent(f.n, *s) {
				f.fail(channel, "stands at %s in the end, and the channel at %v", s.position, shelf.head)
			}
		}
	}
}

// away lists the followers that may come back.
func (w *world) gone() (out []*follower) {
	return slices.DeleteFunc(slices.Clone(w.followers), func(f *follower) bool { return f.n != nil })
}

// here lists the followers that may be asked to do something.
func (w *world) here() (out []*follower) {
	for _, f := range w.followers {
		if f.n != nil && f.n.dead {
			f.goes(hub.Dropped)
		}
		if f.n != nil && !f.n.stopping && !f.working {
			out = append(out, f)
		}
	}
	return out
}
