package stories

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"rollcall/testkit/nodetest"
)

func (s *story) strangeNames() {
	for _, ch := range []string{"{x}", "a{b}c", "}{", "t:{y}", "ü — 漢字 🙂", "a b", strings.Repeat("c", 255),
		strings.Repeat("é", 127), `quote"back\slash`, "*", "#/%"} {
		watch := s.observer(2, "/ws/do", ch)
		c := s.events(0)
		c.Act(nodetest.JSON(map[string]any{"join": ch, "track": map[string]any{"channel": ch, "user_id": ch}}))
		watch.AwaitUsers(ch, ch)
		c.Act(nodetest.JSON(map[string]any{"broadcast_room": "heard"}))
		watch.Until("heard")
		c.Leave(1000, "")
		watch.AwaitUsers(ch)
		watch.CheckPresence()
		watch.Drop()
	}
}

func (s *story) limits() {
	c := s.events(0)
	var channels, tracks []string
	prefix := s.name("c")
	for i := range 128 {
		channels = append(channels, fmt.Sprint(prefix, i))
	}
	for i := range 32 {
		tracks = append(tracks, fmt.Sprintf(`{"channel":%q,"user_id":"u"}`, channels[i]))
	}
	c.Act(fmt.Sprintf(`{"join":%s}`, nodetest.JSON(channels)))
	s.same("the 129th", c.CallError("ws_join", prefix+"more") != "", true)
	s.same("one of the 128 again", c.Call1("ws_join", channels[0]), "true")
	c.Act(fmt.Sprintf(`{"track":[%s]}`, strings.Join(tracks, ",")))
	c.Act(fmt.Sprintf(`{"track":{"channel":%q,"user_id":"u"}}`, channels[40]))
	s.Logs[0].Await(s, "about the 33rd tracking", func(l nodetest.Line) bool {
		return l.Is("handler failed") && strings.Contains(l.Text("error"), "32")
	})
	s.same("presence of the 32nd", s.events(1).Call1("ws_presence_count", channels[31]), "1")
	s.same("presence of the 33rd", s.events(1).Call1("ws_presence_count", channels[40]), "0")
	script := s.commander(0)
	for _, channel := range channels {
		script.Call("solidb.ws.channel.subscribe", channel)
	}
	s.same("the 129th of a script", script.CallError("solidb.ws.channel.subscribe", prefix+"more") != "", true)
	for _, channel := range channels[:32] {
		script.Call("solidb.ws.presence.join", channel, map[string]any{"user_id": "s"})
	}
	s.same("the 33rd of a script",
		script.CallError("solidb.ws.presence.join", channels[40], map[string]any{"user_id": "s"}) != "", true)
	big := s.events(2)
	big.Act(fmt.Sprintf(`{"track":{"channel":%q,"user_id":"big","data":%q}}`, channels[41], strings.Repeat("x", 4200)))
	s.Logs[2].Await(s, "about a meta that is too big", func(l nodetest.Line) bool {
		return l.Is("handler failed") && strings.Contains(l.Text("error"), "4096")
	})
	s.same("presence", s.events(1).Call1("ws_presence_count", channels[41]), "0")
}

// churn lets nine clients on three nodes come, change and go at random; in the end every view is the same, and right.
func (s *story) churn() {
	ch := s.name("room")
	r := rand.New(rand.NewPCG(1, 2))
	var watchers, scripts []*nodetest.Client
	for node := range s.Addrs {
		watchers = append(watchers, s.observer(node, "/ws/do", ch), s.observer(node, "/ws/devices", ch))
		script := s.commander(node)
		script.Call("solidb.ws.channel.subscribe", ch)
		scripts = append(scripts, script)
	}
	type device struct {
		c    *nodetest.Client
		user string
	}
	var devices []device
	for range 150 {
		switch {
		case len(devices) < 3 || len(devices) < 9 && r.IntN(3) == 0:
			user := fmt.Sprint("u", r.IntN(5))
			c := s.events(r.IntN(3))
			c.Send(fmt.Sprintf(`{"raw":{"track":{"channel":%q,"user_id":%q}}}`, ch, user))
			devices = append(devices, device{c, user})
		case r.IntN(3) == 0:
			i := r.IntN(len(devices))
			if r.IntN(2) == 0 {
				devices[i].c.Drop()
			} else {
				devices[i].c.Leave(1000, "")
			}
			devices = append(devices[:i], devices[i+1:]...)
		default:
			devices[r.IntN(len(devices))].c.Send(fmt.Sprintf(`{"raw":{"set_presence":{"channel":%q,"n":%d}}}`, ch, r.IntN(1000)))
		}
	}
	want := map[string]bool{}
	for _, d := range devices {
		d.c.Act(`{}`)
		want[d.user] = true
	}
	var users []string
	for u := range want {
		users = append(users, u)
	}
	s.fence(ch, append(scripts, watchers...)...)
	for _, script := range scripts[1:] {
		s.same("one order that is the same for all of that channel", script.Presence(ch).Told, scripts[0].Presence(ch).Told)
	}
	if n := len(scripts[0].Presence(ch).Told); n < 50 {
		s.Errorf("only %d events", n)
	}
	for i, w := range watchers {
		p := w.AwaitUsers(ch, users...)
		w.CheckPresence()
		for u := range p.Users {
			if joins, leaves := p.Count("join "+u), p.Count("leave "+u); joins != leaves+1 {
				s.Errorf("watcher %d was told %d joins and %d leaves of %s: %v", i, joins, leaves, u, p.Told)
			}
		}
		if i%2 == 1 { // the devices route knows all metas
			n := 0
			for _, metas := range p.Users {
				n += len(metas)
			}
			s.same("metas", n, len(devices))
			s.same("views of all nodes", fmt.Sprint(p.Users), fmt.Sprint(watchers[1].Presence(ch).Users))
		}
	}
	for _, d := range devices {
		d.c.AwaitUsers(ch, users...)
		d.c.CheckPresence()
	}
}
