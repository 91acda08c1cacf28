package stories

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"rollcall/testkit"
	"rollcall/testkit/nodetest"
)

// connection is one of SPEC 2's {id,node,route,channels,user,connected_at}.
type connection struct {
	ID, Node, Route string
	Channels        []string
	User            map[string]any
	ConnectedAt     time.Time `json:"connected_at"`
}

// page is any list of the API.
type page struct {
	Connections []connection
	Channels    []struct {
		Channel     string
		Connections int
	}
	Users []struct {
		UserID string `json:"user_id"`
		Metas  []map[string]any
	}
	Next       string
	Unanswered []string
}

// list asks for page after page, on each node in turn.
func (s *story) list(path string, limit int) (pages []page) {
	s.Helper()
	cursor := ""
	for n := 0; n < 10_000; n++ {
		var p page
		s.decode(s.get200(n%len(s.Addrs), fmt.Sprintf("%s?limit=%d&cursor=%s", path, limit, url.QueryEscape(cursor))), &p)
		if len(p.Unanswered) > 0 {
			s.Fatalf("%s: %v did not answer", path, p.Unanswered)
		}
		size := len(p.Connections) + len(p.Channels) + len(p.Users)
		if size > limit || p.Next != "" && size != limit {
			s.Fatalf("%s: a page of %d with the limit %d, next %q", path, size, limit, p.Next)
		}
		if pages = append(pages, p); p.Next == "" {
			return pages
		}
		cursor = p.Next
	}
	s.Fatal("the pages do not end")
	return nil
}

// connectionIDs lists ids page by page.
func (s *story) connectionIDs(path string, limit int) (ids []string) {
	s.Helper()
	for _, p := range s.list(path, limit) {
		for _, c := range p.Connections {
			ids = append(ids, c.ID)
		}
	}
	return ids
}

// alone waits until the clients of the stories before have gone, on every node: what counts everybody cannot tell them
// apart.
func (s *story) alone() {
	s.Helper()
	testkit.Within(s, "nobody is left of the story before", nodetest.Timeout, func() bool {
		for node := range s.Addrs {
			if connections, channels := s.totals(node); connections > 0 || channels > 0 {
				return false
			}
		}
		return true
	})
}

// totals asks a node for the connections and channels of all nodes.
func (s *story) totals(node int) (connections, channels int) {
	s.Helper()
	var v struct{ Nodes, Connections, Channels int }
	s.decode(s.get200(node, "/_api/stats"), &v)
	s.same("nodes", v.Nodes, len(s.Addrs))
	return v.Connections, v.Channels
}

func (s *story) apiConnections() {
	s.alone()
	channel := s.name("room")
	began := time.Now()
	mine := map[string]string{}
	for i, c := range s.members(channel) {
		mine[s.id(c)] = fmt.Sprint(c.Node, []string{" /ws/do", " /api/custom/test/do"}[i%2], " [", channel,
			"] map[authenticated:false username:]")
	}
	for _, limit := range []int{1, 2, 3, 7, 1000} {
		var ids []string
		seen := map[string]string{}
		for _, p := range s.list("/_api/connections", limit) {
			for _, c := range p.Connections {
				ids = append(ids, c.ID)
				if mine[c.ID] == "" {
					continue // of another story
				}
				seen[c.ID] = fmt.Sprint(c.Node, " ", c.Route, " ", c.Channels, " ", c.User)
				if c.ConnectedAt.Before(began.Add(-2*time.Second)) || c.ConnectedAt.After(time.Now().Add(2*time.Second)) ||
					c.ConnectedAt.Location() != time.UTC {
					s.Errorf("connected at %v", c.ConnectedAt)
				}
			}
		}
		if !slices.IsSorted(ids) || len(slices.Compact(ids)) != len(ids) {
			s.Errorf("limit %d: the ids are %v", limit, ids)
		}
		s.same(fmt.Sprint("connections with limit ", limit), seen, mine)
	}
	// Without a limit: 100. In capitals a cursor is the same.
	var whole, again page
	s.decode(s.get200(1, "/_api/connections"), &whole)
	s.decode(s.get200(1, "/_api/connections?cursor="+strings.ToUpper(whole.Connections[0].ID)), &again)
	s.same("after the first", fmt.Sprint(again.Connections), fmt.Sprint(whole.Connections[1:]))
	// A cursor need not be there any more.
	s.decode(s.get200(2, "/_api/connections?cursor=00000000-0000-8000-8000-000000000000"), &again)
	s.same("after nobody", len(again.Connections), len(whole.Connections))
	s.decode(s.get200(2, "/_api/connections?cursor=ffffffff-ffff-ffff-ffff-ffffffffffff"), &again)
	s.same("after everybody", fmt.Sprint(len(again.Connections), again.Next), "0")
	for _, cursor := range []string{"x", "0", strings.Repeat("a", 36), whole.Connections[0].ID[1:], "%00"} {
		s.refused(422, "query.cursor")(s.api("GET", 0, "/_api/connections?cursor="+cursor, ""))
		s.refused(422, "query.cursor")(s.api("GET", 0, "/_api/channels/x/connections?cursor="+cursor, ""))
	}
}

func (s *story) apiChurn() {
	channel := s.name("room")
	join := `{"join":` + nodetest.JSON(channel) + `}`
	stay := map[string]bool{}
	for i := range 30 {
		c := s.events(i % 3)
		c.Act(join)
		stay[s.id(c)] = true
	}
	stop := make(chan struct{})
	var all sync.WaitGroup
	for node := range s.Addrs {
		all.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				c, _, err := nodetest.TryDial(s, s.Addrs[node], "/ws/do")
				if err != nil {
					s.Error(err)
					return
				}
				c.Act(join)
				c.Drop()
			}
		})
	}
	for round := range 12 {
		for _, path := range []string{"/_api/connections", "/_api/channels/" + url.PathEscape(channel) + "/connections"} {
			ids := s.connectionIDs(path, 1+round%4)
			if !slices.IsSorted(ids) || len(slices.Compact(slices.Clone(ids))) != len(ids) {
				s.Errorf("somebody is told twice: %v", ids)
			}
			left := len(stay)
			for _, id := range ids {
				if stay[id] {
					left--
				}
			}
			if left != 0 {
				s.Errorf("%s: %d who stay are left out", path, left)
			}
		}
	}
	close(stop)
	all.Wait()
}

func (s *story) apiConnection() {
	for node := range s.Addrs {
		c := s.events(node)
		id, other := s.id(c), (node+1)%3
		for _, name := range []string{id, strings.ToUpper(id)} {
			answer := s.get200(other, "/_api/connections/"+name)
			s.same("id", s.field(answer, "id"), nodetest.JSON(id))
			s.same("node", s.field(answer, "node"), nodetest.JSON(c.Node))
			s.same("channels", s.field(answer, "channels"), "[]")
		}
		c.Leave(1000, "")
		testkit.Within(s, "404", nodetest.Timeout,
			func() bool { return first(s.api("GET", other, "/_api/connections/"+id, "")) == 404 })
	}
	s.unknownConnections("GET", "", "")
}

// unknownConnections are all 404.
func (s *story) unknownConnections(method, suffix, body string) {
	s.Helper()
	process := s.events(0).Node
	for _, id := range []string{"ffffffff-ffff-8fff-bfff-ffffffffffff",
		process[:8] + "-" + process[8:] +
			"-8fff-bfff-ffffffffffff", "x", "a%2Fb", strings.Repeat("x",
			64), "%00", "%ff", "urn:uuid:ffffffff-ffff-8fff-bfff-ffffffffffff"} {
		for node := range s.Addrs {
			s.refused(404, "path.id")(s.api(method, node, "/_api/connections/"+id+suffix, body, jsonBody))
		}
	}
	s.refused(422, "path.id")(s.api(method, 0, "/_api/connections/"+strings.Repeat("x", 65)+suffix, body, jsonBody))
}

func (s *story) apiSend() {
	for i, c := range s.members(s.name("room")) {
		id := s.id(c)
		for node := range s.Addrs {
			for _, tt := range []struct{ message, want string }{{`"a  b\n"`, "a  b\n"}, {`{"a": [ ]}`, `{"a":[]}`}, {"7", "7"},
				{"null", "null"}, {`""`, ""}} {
				status, answer := s.apiPost(node, "/_api/connections/"+id+"/send", `{"message":`+tt.message+`}`)
				s.same(fmt.Sprint("send to ", i), fmt.Sprint(status, answer), "204")
				c.Expect(tt.want)
			}
		}
	}
	s.unknownConnections("POST", "/send", `{"message":1}`)
}

func (s *story) apiClose() {
	clients := s.members(s.name("room"))
	for i, c := range clients {
		reason := []string{"", "be gone  now", strings.Repeat("é", 61) + "x", "a b+c%"}[i%4]
		status, answer := s.api("DELETE", (i/2+1)%3, "/_api/connections/"+s.id(c)+"?reason="+url.QueryEscape(reason), "")
		s.same("DELETE", fmt.Sprint(status, answer), "204")
		c.ExpectClosed(1000, reason)
	}
	c := s.events(0)
	id := s.id(c)
	for _, reason := range []string{strings.Repeat("x", 124), strings.Repeat("%C3%A9", 62), "%ff"} {
		s.refused(422, "query.reason")(s.api("DELETE", 1, "/_api/connections/"+id+"?reason="+reason, ""))
	}
	c.Act(`{}`)
	s.unknownConnections("DELETE", "", "")
}

func (s *story) apiChannels() {
	var mine []string
	for i := range 7 {
		channel := s.name(strings.Repeat("é/", i))
		for n := range i + 1 {
			s.events(n % 3).Act(`{"join":` + nodetest.JSON(channel) + `}`)
		}
		mine = append(mine, fmt.Sprint(channel, " ", i+1))
	}
	tracked := s.name("only tracked")
	s.events(0).Act(`{"track":{"user_id":"u","channel":` + nodetest.JSON(tracked) + `}}`)
	slices.Sort(mine)
	for _, limit := range []int{1, 2, 3, 1000} {
		var names, found []string
		for _, p := range s.list("/_api/channels", limit) {
			for _, c := range p.Channels {
				names = append(names, c.Channel)
				if strings.HasPrefix(c.Channel, "channels ") {
					found = append(found, fmt.Sprint(c.Channel, " ", c.Connections))
				}
			}
		}
		if !slices.IsSorted(names) || len(slices.Compact(names)) != len(names) {
			s.Errorf("limit %d: channels are %q", limit, names)
		}
		slices.Sort(found)
		s.same(fmt.Sprint("channels with limit ", limit), strings.Join(found, "\n"), strings.Join(mine, "\n"))
	}
	for _, cursor := range []string{"%00", "%ff", strings.Repeat("x", 256)} {
		s.refused(422, "query.cursor")(s.api("GET", 0, "/_api/channels?cursor="+cursor, ""))
	}
}

func (s *story) apiChannelConnections() {
	channel := s.name("a/b {c}")
	path := "/_api/channels/" + url.PathEscape(channel) + "/connections"
	var want []string
	for _, c := range s.members(channel) {
		want = append(want, s.id(c))
	}
	slices.Sort(want)
	tracked := s.events(1)
	tracked.Act(`{"track":{"user_id":"u","channel":` + nodetest.JSON(channel) + `}}`) // is not in the channel
	for _, limit := range []int{1, 2, 5, 6, 7} {
		s.same(fmt.Sprint("limit ", limit), s.connectionIDs(path, limit), want)
	}
	s.same("of nobody", s.get200(0, "/_api/channels/nobody/connections"), `{"connections":[],"next":""}`)
}

func (s *story) apiNodes() {
	for i := range 4 {
		s.events(i % 2).Act(`{"join":` + nodetest.JSON(s.name("room")) + `}`)
	}
	type node struct {
		ID, Address, Version       string
		PID, Connections, Channels int
		StartedAt                  time.Time `json:"started_at"`
	}
	for asked := range s.Addrs {
		testkit.Within(s, "the load of each node", nodetest.Timeout, func() bool {
			var list struct{ Nodes []node }
			s.decode(s.get200(asked, "/_api/nodes"), &list)
			good := 0
			for _, n := range list.Nodes {
				i := slices.Index(s.Addrs, n.Address)
				if i < 0 || len(n.ID) != 12 || n.Version == "" || n.PID == 0 || time.Since(n.StartedAt) > time.Hour ||
					n.StartedAt.Location() != time.UTC {
					s.Fatalf("a node is %+v", n)
				}
				if n.Connections >= []int{2, 2, 0}[i] && n.Channels >= []int{2, 2, 0}[i] {
					good++
				}
			}
			return good == len(s.Addrs) && len(list.Nodes) == len(s.Addrs)
		})
	}
}

func (s *story) apiStats() {
	s.alone()
	both, one := s.name("both"), s.name("one")
	for node := range s.Addrs {
		s.events(node).Act(`{"join":` + nodetest.JSON(both) + `}`)
	}
	s.events(1).Act(`{"join":` + nodetest.JSON(one) + `}`)
	s.events(2).Act(`{"track":{"user_id":"u","channel":` + nodetest.JSON(s.name("tracked")) + `}}`)
	for node := range s.Addrs {
		connections, channels := s.totals(node)
		s.same("connections, channels", fmt.Sprint(connections, channels), "5 2")
	}
}
