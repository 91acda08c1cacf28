package stories

import (
	"fmt"
	"regexp"
	"strings"

	"rollcall/testkit"
	"rollcall/testkit/nodetest"
)

// presenceStories are presence for event handlers: SPEC 1.2's actions and "Presence frames to clients of event
// handlers, exactly".
var presenceStories = []entry{
	{"track", "after track, to the tracking connection: presence_state, complete, with itself in it; to the others presence_diff", (*story).track},
	{"fields", "user_id is required (string or number); other fields become metadata; phx_ref, connection_id and online_at in input are ignored and logged", (*story).trackFields},
	{"devices", "Second device in, or one of several out: no frame; last device: in leaves, with its metas",
		(*story).devices},
	{"devices-route", `a route with presence = "devices" also gets a joins with the full metas`, (*story).devicesRoute},
	{"set_presence", "joins alone with the user's full metas and unchanged phx_refs, to all of them, the sender included",
		(*story).setPresence},
	{"set_presence-untracked", "without tracking: no effect, logged", (*story).setUntracked},
	{"track-again", "Again on the same channel: replaces the metadata like set_presence, phx_ref and online_at kept; with another user_id: leave, then join", (*story).trackAgain},
	{"untrack", "untrack: stop tracking; leave does not untrack", (*story).untrack},
	{"send_presence", "sends this client a presence_state of that channel, tracked or not", (*story).sendPresence},
	{"window", "A join and leave of the same user inside it cancel out; a leave and join become joins alone with the new metas", (*story).window},
	{"one-diff", "changes to a channel that come close together leave as one diff", (*story).oneDiff},
	{"both-kinds", "Users tracked by event handlers appear to scripts with their own fields plus state and user_id; users of scripts appear in metas with their fields at top level", (*story).bothKinds},
	{"causes", "cause of a leave: closed, lost, untracked, kicked, expired, slow, error. Scripts' presence events have it too", (*story).causes},
	{"log", "Connection logs: one line at info for a connection's end (connection, user, route, address, code, cause, seconds)", (*story).ends},
	{"strange-names", "a name: 1 to 255 bytes of UTF-8 without control characters; braces can never move the hash tag",
		(*story).strangeNames},
	{"limits", "128 channels and 32 trackings a connection; one meta at most 4 KiB. Beyond: an error to the handler",
		(*story).limits},
	{"churn", "In any channel, each live node's view equals what the connected clients tracked, and each client is told every change once", (*story).churn},
}

// exact hides what differs from run to run: refs, times.
func exact(text string) string {
	text = regexp.MustCompile(`"phx_ref":"[^"]+"`).ReplaceAllString(text, `"phx_ref":"R"`)
	return regexp.MustCompile(`"online_at":1\d{9}\b`).ReplaceAllString(text, `"online_at":T`)
}

// sameJSON compares two JSON texts without regard to the order of keys.
func (s *story) sameJSON(got, want string) {
	s.Helper()
	var g, w any
	s.decode(regexp.MustCompile(`:T\b`).ReplaceAllString(exact(got), `:"T"`), &g)
	s.decode(regexp.MustCompile(`:T\b`).ReplaceAllString(want, `:"T"`), &w)
	s.same("frame", nodetest.JSON(g), nodetest.JSON(w))
}

// tracked connects to a node and tracks a user; it returns when the client has its presence_state.
func (s *story) tracked(node int, channel, user string) *nodetest.Client {
	s.Helper()
	c := s.events(node)
	c.Act(fmt.Sprintf(`{"track":{"channel":%q,"user_id":%q}}`, channel, user))
	c.AwaitPresence(channel, "presence_state", nodetest.Timeout,
		func(p nodetest.Presence) bool { return len(p.Told) > 0 })
	return c
}

// observer connects to a node and joins a channel without tracking.
func (s *story) observer(node int, path, channel string) *nodetest.Client {
	s.Helper()
	c := s.on(node, path)
	c.Act(fmt.Sprintf(`{"join":%q,"send_presence":%q}`, channel, channel))
	c.Expect(`{"event":"presence_state"…`)
	return c
}

// fence lets a user come and go in a channel and waits until these clients have seen it: whatever was told before has
// come.
func (s *story) fence(channel string, clients ...*nodetest.Client) {
	s.Helper()
	user := s.name("fence")
	c := s.tracked(1, channel, user)
	for _, o := range clients {
		o.AwaitPresence(channel, "the fence", nodetest.Timeout,
			func(p nodetest.Presence) bool { return p.Count("join "+user) == 1 })
	}
	c.Leave(1000, "")
	for _, o := range clients {
		o.AwaitPresence(channel, "the fence's end", nodetest.Timeout,
			func(p nodetest.Presence) bool { return p.Count("leave "+user) == 1 })
	}
}

// told is what a client was told of a channel, without fences and states.
func told(c *nodetest.Client, channel string) string {
	var list []string
	for _, t := range c.Presence(channel).Told {
		if !strings.Contains(t, " fence") && t != "state" {
			list = append(list, t)
		}
	}
	return strings.Join(list, ", ")
}

func (s *story) track() {
	ch := s.name("room")
	q := nodetest.JSON(ch)
	watch, a, b := s.events(2), s.events(0), s.events(1)
	watch.Act(fmt.Sprintf(`{"join":%q}`, ch))
	a.Act(fmt.Sprintf(`{"track":{"channel":%q,"user_id":"a","color":"red"}}`, ch))
	metaA := fmt.Sprintf(`{"phx_ref":"R","connection_id":%q,"state":"online","online_at":T,"color":"red"}`, s.id(a))
	s.sameJSON(a.Next(), fmt.Sprintf(`{"event":"presence_state","channel":%s,"payload":{"a":{"metas":[%s]}}}`, q, metaA))
	s.sameJSON(watch.Next(), fmt.Sprintf(
		`{"event":"presence_diff","channel":%s,"payload":{"joins":{"a":{"metas":[%s]}},"leaves":{}}}`, q, metaA))
	b.Act(fmt.Sprintf(`{"track":{"channel":%q,"user_id":"b","state":"away"}}`, ch))
	metaB := fmt.Sprintf(`{"phx_ref":"R","connection_id":%q,"state":"away","online_at":T}`, s.id(b))
	s.sameJSON(b.Next(), fmt.Sprintf(
		`{"event":"presence_state","channel":%s,"payload":{"a":{"metas":[%s]},"b":{"metas":[%s]}}}`, q, metaA, metaB))
	joins := fmt.Sprintf(`{"event":"presence_diff","channel":%s,"payload":{"joins":{"b":{"metas":[%s]}},"leaves":{}}}`, q,
		metaB)
	s.sameJSON(a.Next(), joins)
	s.sameJSON(watch.Next(), joins)
	a.Leave(1000, "")
	leaves := fmt.Sprintf(`{"event":"presence_diff","channel":%s,"payload":{"joins":{},"leaves":{"a":{"metas":[%s]}}}}`, q,
		metaA)
	s.sameJSON(b.Next(), leaves)
	s.sameJSON(watch.Next(), leaves)
	for _, c := range []*nodetest.Client{watch, b} {
		s.same("more frames", c.Pending(), []string{})
		c.CheckPresence()
	}
}

func (s *story) trackFields() {
	ch := s.name("room")
	c := s.events(0)
	c.Act(fmt.Sprintf(`{"track":{"channel":%q,"user_id":7,"nested":{"list":[],"null":null},"phx_ref":"mine","connection_id":"mine","online_at":1}}`, ch))
	c.AwaitUsers(ch, "7")
	m := c.Presence(ch).Users["7"][0]
	s.same("nested", s.field(m.All, "nested"), `{"list":[],"null":null}`)
	if m.PhxRef == "mine" || m.ConnectionID != s.id(c) || m.OnlineAt == 1 {
		s.Errorf("meta is %s", m.All)
	}
	ignored := func(node int, text string) {
		s.Logs[node].Await(s, "about an ignored field",
			func(l nodetest.Line) bool { return strings.Contains(l.Text("msg"), text) })
	}
	ignored(0, `track: the field "phx_ref" is ignored`)
	c.Act(fmt.Sprintf(`{"set_presence":{"channel":%q,"state":"away","phx_ref":"mine","connection_id":"mine","online_at":1}}`, ch))
	testkit.Within(s, "the new state", nodetest.Timeout,
		func() bool { return c.Presence(ch).Users["7"][0].State == "away" })
	ignored(0, `set_presence: the field "connection_id" is ignored`)
	if now := c.Presence(ch).Users["7"][0]; now.PhxRef != m.PhxRef || now.ConnectionID != m.ConnectionID ||
		now.OnlineAt != m.OnlineAt {
		s.Errorf("meta was %s, is %s", m.All, now.All)
	}
	script := s.commander(1)
	script.Call("solidb.ws.presence.join", ch,
		map[string]any{"user_id": "s", "phx_ref": "mine", "connection_id": "mine", "online_at": 1, "own": 2})
	ignored(1, "is ignored")
	c.AwaitUsers(ch, "7", "s")
	if m := c.Presence(ch).Users["s"][0]; m.PhxRef == "mine" || m.ConnectionID != s.id(script) || m.OnlineAt == 1 ||
		s.field(m.All, "own") != "2" {
		s.Errorf("meta of a script is %s", m.All)
	}
	s.same("its user_info", strings.Contains(script.Call1("solidb.ws.presence.list", ch), "mine"), false)
	c.Send(fmt.Sprintf(`{"raw":{"track":{"channel":%q},"send":"must not run"}}`, ch))
	s.Logs[0].Await(s, "about the missing user_id", func(l nodetest.Line) bool {
		return l.Is("handler failed") && strings.Contains(l.Text("error"), "user_id must be a string or a number")
	})
}

func (s *story) devices() {
	ch := s.name("room")
	watch := s.observer(2, "/ws/do", ch)
	one := s.tracked(0, ch, "u")
	two := s.tracked(1, ch, "u") // a user with two devices on two nodes
	s.same("metas in the second device's state", len(two.Presence(ch).Users["u"]), 2)
	three := s.tracked(1, ch, "u")
	s.fence(ch, watch)
	s.same("told", told(watch, ch), "join u")
	two.Leave(1000, "")
	one.Drop()
	s.fence(ch, watch)
	s.same("told", told(watch, ch), "join u")
	three.Leave(1000, "")
	watch.AwaitUsers(ch)
	s.same("told", told(watch, ch), "join u, leave u")
	s.same("told to a device that was there", told(three, ch), "")
	watch.CheckPresence()
}

func (s *story) devicesRoute() {
	ch := s.name("room")
	watch, plain := s.observer(2, "/ws/devices", ch), s.observer(2, "/ws/do", ch)
	metas := func(n int) {
		s.Helper()
		watch.AwaitPresence(ch, fmt.Sprint(n, " metas"), nodetest.Timeout,
			func(p nodetest.Presence) bool { return len(p.Users["u"]) == n })
	}
	one := s.tracked(0, ch, "u")
	metas(1)
	ref := watch.Presence(ch).Users["u"][0]
	two := s.tracked(1, ch, "u")
	metas(2)
	s.same("the first device is first, its meta as it was", watch.Presence(ch).Users["u"][0], ref)
	two.Leave(1000, "")
	metas(1)
	s.same("the first device's meta as it was", watch.Presence(ch).Users["u"][0], ref)
	one.Leave(1000, "")
	metas(0)
	plain.AwaitUsers(ch)
	s.same("told on the devices route", told(watch, ch), "join u, update u, update u, leave u")
	s.same("told on a plain route", told(plain, ch), "join u, leave u")
	watch.CheckPresence()
}

func (s *story) setPresence() {
	ch := s.name("room")
	watch := s.observer(2, "/ws/do", ch)
	one, two := s.events(0), s.events(1)
	one.Act(fmt.Sprintf(`{"track":{"channel":%q,"user_id":"u","mood":"good","old":1}}`, ch))
	two.Act(fmt.Sprintf(`{"track":{"channel":%q,"user_id":"u"}}`, ch))
	s.fence(ch, watch, one, two) // what follows is in another window
	before := two.Presence(ch).Users["u"]
	one.Act(fmt.Sprintf(`{"set_presence":{"channel":%q,"state":"away","mood":"better","old":null,"new":[1]}}`, ch))
	for _, c := range []*nodetest.Client{watch, one, two} { // the sender included
		p := c.AwaitPresence(ch, "an update", nodetest.Timeout,
			func(p nodetest.Presence) bool { return p.Count("update u") == 1 })
		metas := p.Users["u"]
		if len(metas) != 2 || metas[0].PhxRef != before[0].PhxRef || metas[1] != before[1] ||
			metas[0].OnlineAt != before[0].OnlineAt {
			s.Fatalf("metas are %v, were %v", metas, before)
		}
		s.same("changed fields", s.field(metas[0].All, "state")+s.field(metas[0].All, "mood")+s.field(metas[0].All, "old")+
			s.field(metas[0].All, "new"), `"away""better"nothing[1]`)
		c.CheckPresence()
	}
	// An update that changes nothing is no news.
	one.Act(fmt.Sprintf(`{"set_presence":{"channel":%q,"state":"away"}}`, ch))
	s.fence(ch, watch)
	s.same("told", told(watch, ch), "join u, update u")
}

func (s *story) setUntracked() {
	ch := s.name("room")
	watch, c := s.observer(1, "/ws/do", ch), s.events(0)
	c.Act(fmt.Sprintf(`{"set_presence":{"channel":%q,"state":"away"},"send":"goes on"}`, ch))
	c.Expect("goes on")
	s.Logs[0].Await(s, "about set_presence without tracking", func(l nodetest.Line) bool {
		return l.Is("action without effect", "action", "set_presence", "channel", ch)
	})
	s.fence(ch, watch)
	s.same("told", told(watch, ch), "")
}

func (s *story) trackAgain() {
	ch := s.name("room")
	watch := s.observer(2, "/ws/do", ch)
	c := s.events(0)
	c.Act(fmt.Sprintf(`{"track":{"channel":%q,"user_id":"u","a":1}}`, ch))
	watch.AwaitUsers(ch, "u")
	before := watch.Presence(ch).Users["u"][0]
	c.Act(fmt.Sprintf(`{"track":{"channel":%q,"user_id":"u","b":2}}`, ch))
	p := watch.AwaitPresence(ch, "an update", nodetest.Timeout,
		func(p nodetest.Presence) bool { return p.Count("update u") == 1 })
	after := p.Users["u"][0]
	if after.PhxRef != before.PhxRef || after.OnlineAt != before.OnlineAt || s.field(after.All, "a") != "nothing" ||
		s.field(after.All, "b") != "2" {
		s.Errorf("meta is %s, was %s", after.All, before.All)
	}
	c.Act(fmt.Sprintf(`{"track":{"channel":%q,"user_id":"v"}}`, ch))
	p = watch.AwaitUsers(ch, "v")
	if p.Users["v"][0].PhxRef == before.PhxRef {
		s.Error("another user has the same phx_ref")
	}
	s.same("told", len(p.Told), 5) // the state, join u, update u, and both of the change, in one diff or two
	s.same("leaves", fmt.Sprint(p.Count("leave u"), p.Count("join v")), "1 1")
	c.AwaitUsers(ch, "v")
	watch.CheckPresence()
}

func (s *story) untrack() {
	ch := s.name("room")
	watch := s.observer(2, "/ws/do", ch)
	c := s.events(0)
	c.Act(fmt.Sprintf(`{"join":%q,"track":{"channel":%q,"user_id":"u"}}`, ch, ch))
	watch.AwaitUsers(ch, "u")
	c.Act(fmt.Sprintf(`{"leave":%q}`, ch))
	s.fence(ch, watch)
	s.same("leave does not untrack", watch.Presence(ch).Names(), []string{"u"})
	c.Act(fmt.Sprintf(`{"untrack":[%q]}`, ch))
	watch.AwaitUsers(ch)
	c.Act(fmt.Sprintf(`{"untrack":%q}`, ch)) // again: nothing
	s.fence(ch, watch)
	s.same("told", told(watch, ch), "join u, leave u")
}

func (s *story) sendPresence() {
	ch, empty := s.name("room"), s.name("empty")
	s.tracked(0, ch, "u")
	for node := range s.Addrs {
		c := s.events(node)
		c.Act(fmt.Sprintf(`{"send_presence":[%q,%q]}`, ch, empty))
		first, second := c.Next(), c.Next()
		s.contains(first, `{"event":"presence_state","channel":`+nodetest.JSON(ch), `"u":{"metas":[{`)
		s.same("an empty channel", second, fmt.Sprintf(`{"event":"presence_state","channel":%q,"payload":{}}`, empty))
	}
}

func (s *story) window() {
	ch := s.name("room")
	watch := s.observer(2, "/ws/do", ch)
	c := s.events(0)
	c.Act(fmt.Sprintf(`[{"track":{"channel":%q,"user_id":"brief"}},{"untrack":%q}]`, ch, ch))
	s.fence(ch, watch)
	s.same("a join and leave inside the window", told(watch, ch), "")
	c.Act(fmt.Sprintf(`{"track":{"channel":%q,"user_id":"u"}}`, ch))
	watch.AwaitUsers(ch, "u")
	before := watch.Presence(ch).Users["u"][0]
	c.Act(fmt.Sprintf(`[{"untrack":%q},{"track":{"channel":%q,"user_id":"u","again":true}}]`, ch, ch))
	p := watch.AwaitPresence(ch, "the new metas", nodetest.Timeout, func(p nodetest.Presence) bool {
		return len(p.Users["u"]) == 1 && p.Users["u"][0].PhxRef != before.PhxRef
	})
	s.same("a leave and join are joins alone", p.Count("leave u"), 0)
	watch.CheckPresence()
}

func (s *story) oneDiff() {
	ch := s.name("room")
	watch := s.observer(2, "/ws/do", ch)
	var clients []*nodetest.Client
	for i := range 20 {
		clients = append(clients, s.events(i%3))
	}
	for i, c := range clients {
		c.Send(fmt.Sprintf(`{"raw":{"track":{"channel":%q,"user_id":"u%02d"}}}`, ch, i))
	}
	watch.AwaitPresence(ch, "twenty users", nodetest.Timeout,
		func(p nodetest.Presence) bool { return len(p.Users) == 20 })
	if n := len(watch.Pending()); n > 10 {
		s.Errorf("20 joins came in %d diffs", n)
	}
	watch.CheckPresence()
}

func (s *story) bothKinds() {
	ch := s.name("room")
	plain := s.events(0)
	script, watch := s.commander(1), s.commander(2)
	watch.Call("solidb.ws.channel.subscribe", ch)
	plain.Act(fmt.Sprintf(`{"track":{"channel":%q,"user_id":"p","color":"red"}}`, ch))
	got := watch.Next()
	s.same("user_info of an event handler's user", s.field(got, "event", "user_info"),
		`{"color":"red","state":"online","user_id":"p"}`)
	script.Call("solidb.ws.presence.join", ch, map[string]any{"user_id": "s", "mood": "good"})
	p := plain.AwaitUsers(ch, "p", "s")
	m := p.Users["s"][0]
	s.same("metas of a script's user", s.field(m.All, "mood")+s.field(m.All, "user_id")+s.field(m.All, "state"),
		`"good""s""online"`)
	s.same("event", s.field(watch.Next(), "event", "user_info"), `{"mood":"good","user_id":"s"}`)
	plain.Act(fmt.Sprintf(`{"set_presence":{"channel":%q,"state":"away"}}`, ch))
	got = watch.Next()
	s.same("update", s.field(got, "event", "event_type")+s.field(got, "event", "user_info", "state"), `"update""away"`)
	got = nodetest.JSON(s.commander(0).Call("solidb.ws.presence.list", ch)[0])
	s.contains(got, `"color":"red"`, `"state":"away"`, `"mood":"good"`)
	plain.CheckPresence()
}
