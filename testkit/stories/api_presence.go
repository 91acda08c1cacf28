package stories

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"

	"rollcall/testkit"
	"rollcall/testkit/nodetest"
)

// apiPresenceStories are SPEC 2's rows of presence.
var apiPresenceStories = []entry{
	{"list", "GET .../presence: {users:[{user_id,metas}],next} with ?limit=&cursor=", (*story).apiPresence},
	{"count", "GET .../presence/count: {count}", (*story).apiPresenceCount},
	{"user", "GET .../presence/{user_id}: one user as {user_id,metas} or 404", (*story).apiPresenceUser},
	{"paging-under-churn", "issue: paging with cursors that stay right while connections come and go",
		(*story).apiPresenceChurn},
	{"bad-names", "Bad channel name: 422", (*story).apiBadNames},
}

// present lets a client track a user.
func (s *story) present(node int, channel, user, more string) *nodetest.Client {
	s.Helper()
	c := s.events(node)
	c.Act(`{"track":{"channel":` + nodetest.JSON(channel) + `,"user_id":` + nodetest.JSON(user) + more + `}}`)
	return c
}

func (s *story) apiPresence() {
	channel := s.name("a/b")
	path := "/_api/channels/" + url.PathEscape(channel) + "/presence"
	s.same("nobody", s.get200(0, path), `{"users":[],"next":""}`)
	names := []string{"zoë", "a/b", "count", "%2F", "a b+c&d=e", "{x}", "ada", strings.Repeat("u", 255)}
	for i, name := range names {
		s.present(i%2, channel, name, `,"n":{"deep":[1]}`)
	}
	second := s.present(1, channel, "ada", `,"state":"away"`)
	s.commander(1).Call("solidb.ws.presence.join", channel, map[string]any{"user_id": "script", "x": 1})
	slices.Sort(names)
	want := append([]string{}, names...)
	want = append(want, "script")
	slices.Sort(want)
	for node := range s.Addrs { // the third one has nobody in it, and asks Redis
		testkit.Within(s, "all are there", nodetest.Timeout, func() bool {
			return s.get200(node, path+"/count") == fmt.Sprintf(`{"count":%d}`, len(want))
		})
	}
	for _, limit := range []int{1, 2, 3, len(want), 10_000} {
		var got []string
		for _, p := range s.list(path, limit) {
			for _, u := range p.Users {
				got = append(got, u.UserID)
				if len(u.Metas) != map[bool]int{false: 1, true: 2}[u.UserID == "ada"] {
					s.Errorf("%s has the metas %v", u.UserID, u.Metas)
				}
				if u.UserID == "ada" {
					s.same("the second device", fmt.Sprint(u.Metas[1]["state"], u.Metas[1]["connection_id"]), "away"+s.id(second))
				}
			}
		}
		s.same(fmt.Sprint("limit ", limit), strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for _, cursor := range []string{"%00", "%ff", strings.Repeat("x", 256)} {
		s.refused(422, "query.cursor")(s.api("GET", 0, path+"?cursor="+cursor, ""))
	}
}

func (s *story) apiPresenceCount() {
	channel := s.name("room")
	path := "/_api/channels/" + url.PathEscape(channel) + "/presence/count"
	s.same("nobody", s.get200(0, path), `{"count":0}`)
	for i := range 6 {
		s.present(i%2, channel, fmt.Sprint("u", i/2), "")
	}
	for node := range s.Addrs {
		testkit.Within(s, "users are counted once", nodetest.Timeout,
			func() bool { return s.get200(node, path) == `{"count":3}` })
	}
}

func (s *story) apiPresenceUser() {
	channel := s.name("room")
	path := "/_api/channels/" + url.PathEscape(channel) + "/presence/"
	for _, name := range []string{"ada", "a/b", "é%", "co unt"} {
		c := s.present(0, channel, name, `,"mood":"fine"`)
		for node := range s.Addrs {
			var u struct {
				UserID string `json:"user_id"`
				Metas  []map[string]any
			}
			s.decode(s.get200(node, path+url.PathEscape(name)), &u)
			if u.UserID != name || len(u.Metas) != 1 || u.Metas[0]["mood"] != "fine" || u.Metas[0]["connection_id"] != s.id(c) ||
				u.Metas[0]["phx_ref"] == "" {
				s.Errorf("%s is %+v", name, u)
			}
		}
		c.Leave(1000, "")
		for node := range s.Addrs {
			testkit.Within(s, "404", nodetest.Timeout,
				func() bool { return first(s.api("GET", node, path+url.PathEscape(name), "")) == 404 })
			s.refused(404, "path.user_id")(s.api("GET", node, path+url.PathEscape(name), ""))
		}
	}
	for _, bad := range []string{"%00", "%ff", strings.Repeat("x", 256)} {
		s.refused(422, "path.user_id")(s.api("GET", 0, path+bad, ""))
	}
}

func (s *story) apiPresenceChurn() {
	channel := s.name("room")
	path := "/_api/channels/" + url.PathEscape(channel) + "/presence"
	var stay []string
	var devices []*nodetest.Client
	for i := range 12 {
		stay = append(stay, fmt.Sprintf("u%02d stays", i))
		devices = append(devices, s.present(i%2, channel, stay[i], ""))
		s.present((i+1)%2, channel, stay[i], "") // the second device stays
	}
	for node := range s.Addrs {
		testkit.Within(s, "all are there", nodetest.Timeout,
			func() bool { return s.get200(node, path+"/count") == `{"count":12}` })
	}
	stop := make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() { // others come and go; of those who stay the first device goes, so they have been there less long
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			if i < len(devices) {
				devices[i].Leave(1000, "")
			}
			c := s.events(i % 3)
			c.Act(fmt.Sprintf(`{"track":{"channel":%s,"user_id":"u%02d comes"}}`, nodetest.JSON(channel), i%12))
			c.Drop()
		}
	})
	for round := range 15 {
		var got []string
		for _, p := range s.list(path, 1+round%4) {
			for _, u := range p.Users {
				if strings.HasSuffix(u.UserID, "stays") {
					got = append(got, u.UserID)
				}
			}
		}
		s.same("those who stay", got, stay)
	}
	close(stop)
	all.Wait()
}

func (s *story) apiBadNames() {
	for _, name := range []string{"%00", "a%0Ab", "%7F", "%C2%85", "%ff", "%e2%82", strings.Repeat("x", 256),
		strings.Repeat("%C3%A9", 128)} {
		for _, rest := range []string{"/connections", "/presence", "/presence/count", "/presence/u"} {
			s.refused(422, "path.channel")(s.api("GET", 0, "/_api/channels/"+name+rest, ""))
		}
		s.refused(422, "path.channel")(s.apiPost(0, "/_api/channels/"+name+"/broadcast", `{"message":1}`))
	}
}
