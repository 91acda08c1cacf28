package broker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall/redisconn"
	"rollcall/testkit/storytext"
)

// actor is a receiver that writes down its calls.
type actor struct {
	name  string
	story *groupStory
}

func (a *actor) Receive(payload string) { a.story.say("%s receives %s", a.name, payload) }
func (a *actor) Resubscribed()          { a.story.say("%s is resubscribed", a.name) }

// refusal is an error that Redis answered.
type refusal string

func (r refusal) Error() string { return string(r) }
func (r refusal) RedisError()   {}

// groupStory plays a group without connections: the test is Redis, and the clock.
type groupStory struct {
	g      *group
	actors map[string]*actor
	owners map[string]string // topic → the address of its master; none: plain
	now    time.Time
	out    strings.Builder
}

func newGroupStory() *groupStory {
	s := &groupStory{
		g:      newGroup(&Broker{keys: redisconn.NewKeys("k", 0), cfg: Config{}.defaults()}, "id"),
		actors: map[string]*actor{},
		owners: map[string]string{},
		now:    time.Now(),
	}
	s.g.jitter = 1
	s.g.now = func() time.Time { return s.now }
	s.g.masterOf = func(_ context.Context, topic string) (master, error) {
		if s.owners[topic] == "unknown" {
			return master{}, errors.New("no topology")
		}
		return master{addr: s.owners[topic]}, nil
	}
	return s
}

func (s *groupStory) say(format string, args ...any) { fmt.Fprintf(&s.out, format+"\n", args...) }

// sends prints what each connection sends to Redis now.
func (s *groupStory) sends(o order) {
	for _, addr := range slices.Sorted(maps.Keys(s.g.conns)) {
		c := s.g.conns[addr]
		list := &c.toSubscribe
		if o == unsubscribe {
			list = &c.toUnsubscribe
		}
		slices.SortFunc(*list, func(a, b *topic) int { return strings.Compare(a.name, b.name) })
		for _, cmd := range c.take(list, o) {
			s.saySent(c, cmd)
		}
	}
}

func (s *groupStory) saySent(c *conn, cmd command) {
	name := map[order]string{subscribe: "SUBSCRIBE", unsubscribe: "UNSUBSCRIBE"}[cmd.order]
	if c.sharded() {
		name = c.addr + ": S" + name
	}
	s.say("%s %s", name, strings.Join(cmd.names, " "))
}

// assign has the group do its rounds.
func (s *groupStory) assign(t *testing.T) {
	slices.SortFunc(s.g.unassigned, func(a, b *topic) int { return strings.Compare(a.name, b.name) })
	made, next := s.g.assign(t.Context(), s.now)
	for _, c := range made {
		if c.sharded() {
			s.say("%s: connection made", c.addr)
			s.saySent(c, c.subscribeEcho())
			c.answer("ssubscribe", c.echoTopic)
		}
	}
	if !next.IsZero() {
		s.say("next look in %v", next.Sub(s.now))
	}
}

// command runs one line. A line that begins with "at ADDR" is about that master's connection, others about the plain
// one.
func (s *groupStory) command(t *testing.T, words []string) {
	addr := ""
	if words[0] == "at" {
		addr, words = words[1], words[2:]
	}
	c := s.g.conns[addr]
	topic, who := "", ""
	if len(words) > 1 {
		topic = words[1]
	}
	if len(words) > 2 {
		who = words[2]
	}
	r := s.actors[who]
	if r == nil {
		r = &actor{name: who, story: s}
		s.actors[who] = r
	}
	switch words[0] {
	case "attach":
		if s.g.attach(topic, r) {
			s.say("confirmed")
		}
	case "unsubscribe":
		s.g.unsubscribe(topic, r)
	case "wake":
		s.assign(t)
		s.sends(subscribe)
	case "unsubscribes-leave":
		s.sends(unsubscribe)
	case "answer":
		c.answer(words[1], words[2])
	case "error": // Redis refuses a command
		if !c.refused(refusal(strings.Join(words[1:], " "))) {
			s.say("%s: the connection is given up", addr)
		}
	case "message":
		c.deliver(topic, who)
	case "reconnect":
		if c != nil {
			s.g.ended(c)
		}
		s.now = s.now.Add(time.Second)
		s.assign(t)
		s.sends(subscribe)
	case "ends": // its connection
		s.g.ended(c)
	case "later":
		d, err := time.ParseDuration(words[1])
		if err != nil {
			t.Fatal(err)
		}
		s.now = s.now.Add(d)
	case "owner": // what the topology says
		for _, name := range words[2:] {
			s.owners[name] = words[1]
		}
	case "check-topology":
		s.g.checkTopology(t.Context())
	case "new-echo-topic":
		switch cmd, err := c.newEchoTopic(); {
		case err != nil:
			s.say("%s: %v", addr, err)
		case len(cmd.names) > 0:
			s.saySent(c, cmd)
		default:
			s.say("%s: not yet", addr)
		}
	case "topics":
		var names []string
		for name, t := range s.g.topics {
			text := fmt.Sprintf("%s:%d", name, len(t.regs))
			if t.conn != nil && t.conn.sharded() {
				text += "@" + t.conn.addr
			}
			names = append(names, text)
		}
		slices.Sort(names)
		s.say("%s", strings.Join(names, " "))
	default:
		t.Fatalf("unknown command %q", words[0])
	}
	s.check(t)
}

// check tests the invariants of topics.
func (s *groupStory) check(t *testing.T) {
	for name, topic := range s.g.topics {
		if topic.name != name {
			t.Fatalf("topic %q is kept as %q", topic.name, name)
		}
		if !topic.wanted() && topic.sub.over() {
			t.Fatalf("topic %q is kept for nothing", name)
		}
		if topic.sub.subs < 0 || topic.sub.unsubs < 0 {
			t.Fatalf("topic %q: %+v", name, topic.sub)
		}
		if topic.conn == nil && (topic.sub != subscription{} || topic.moving) {
			t.Fatalf("topic %q is unassigned: %+v", name, topic.sub)
		}
		if topic.conn == nil && !slices.Contains(s.g.unassigned, topic) {
			t.Fatalf("topic %q is unassigned and waits for nothing", name)
		}
		if topic.conn != nil && s.g.conns[topic.conn.addr] != topic.conn {
			t.Fatalf("topic %q is on a connection that has ended", name)
		}
	}
}

func TestGroupStories(t *testing.T) {
	storytext.Run(t, "group", func(t *testing.T) func([]string) string {
		s := newGroupStory()
		return func(words []string) string {
			s.out.Reset()
			s.command(t, words)
			return s.out.String()
		}
	})
}

// In a Cluster with sharded pub/sub.
func TestConnStories(t *testing.T) {
	storytext.Run(t, "conn", func(t *testing.T) func([]string) string {
		s := newGroupStory()
		s.g.b.sharded = true
		return func(words []string) string {
			s.out.Reset()
			s.command(t, words)
			return s.out.String()
		}
	})
}

func TestLivenessStories(t *testing.T) {
	storytext.Run(t, "liveness", func(t *testing.T) func([]string) string {
		l := &liveness{every: time.Second}
		start := time.Now()
		return func(words []string) string {
			// check AT answers N sent N echoed N
			var at float64
			var answered, sent, echoed uint64
			if _, err := fmt.Sscanf(strings.Join(words, " "), "check %fs answers %d sent %d echoed %d", &at, &answered, &sent,
				&echoed); err != nil {
				t.Fatalf("%v: %v", words, err)
			}
			err := l.check(start.Add(time.Duration(at*float64(time.Second))), answered, sent, echoed)
			if err != nil {
				return err.Error() + "\n"
			}
			return "fine\n"
		}
	})
}
