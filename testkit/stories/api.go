package stories

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"rollcall/testkit/nodetest"
)

// apiStories are the rows of SPEC 2, asked on nodes that do not hold the connection. Every answer is held against the
// OpenAPI document (see Contract).
var apiStories = []entry{
	{"broadcast", "POST /_api/broadcast {message}", (*story).apiBroadcast},
	{"channel-broadcast", "POST /_api/channels/{channel}/broadcast; channels percent-encoded as one segment (%2F)",
		(*story).apiChannelBroadcast},
	{"batch", "issue: POST /_api/batch for many broadcasts in one call", (*story).apiBatch},
	{"batch-whole", "issue: POST /_api/batch: all is checked before anything is sent", (*story).apiBatchWhole},
	{"once", "issue: an idempotency key makes a repeated broadcast one", (*story).apiOnce},
	{"once-batch", "issue: an idempotency key makes a repeated broadcast one: over a batch too", (*story).apiOnceBatch},
	{"connections", "GET /_api/connections: {connections:[{id,node,route,channels,user,connected_at}],next} with ?limit=&cursor=; cluster-wide", (*story).apiConnections},
	{"paging-under-churn", "issue: paging with cursors that stay right while connections come and go", (*story).apiChurn},
	{"connection", "GET /_api/connections/{id}; unknown connection: 404", (*story).apiConnection},
	{"send", "POST /_api/connections/{id}/send", (*story).apiSend},
	{"close", "DELETE /_api/connections/{id}?reason=; 1000: the API's close", (*story).apiClose},
	{"channels", "GET /_api/channels", (*story).apiChannels},
	{"channel-connections", "GET /_api/channels/{channel}/connections", (*story).apiChannelConnections},
	{"nodes", "GET /_api/nodes: every live node with its load", (*story).apiNodes},
	{"stats", "GET /_api/stats: {connections,channels,…}", (*story).apiStats},
	{"audit", "issue: every change is an audit log line (who, what, from where)", (*story).apiAudit},
	{"methods", "Errors are RFC 9457 problem documents: 405 with Allow, 404", (*story).apiMethods},
	{"every-row", "every row of SPEC 2 answers as its OpenAPI document says", (*story).apiEveryRow},
}

const jsonBody = "Content-Type: application/json"

// apiPost posts JSON with the key.
func (s *story) apiPost(node int, path, body string, header ...string) (int, string) {
	s.Helper()
	return s.api("POST", node, path, body, append(header, jsonBody)...)
}

// sent checks that a broadcast was answered as taken.
func (s *story) sent(n int) func(status int, answer string) {
	return func(status int, answer string) {
		s.Helper()
		s.same("answer", fmt.Sprint(status, " ", answer), fmt.Sprintf(`200 {"sent":%d}`, n))
	}
}

// get200 is a GET with the key that must answer 200.
func (s *story) get200(node int, path string) string {
	s.Helper()
	status, answer := s.api("GET", node, path, "")
	if status != http.StatusOK {
		s.Fatalf("GET %s: %d %s", path, status, answer)
	}
	return answer
}

// refused checks an answer that is a problem document which names a part of the request.
func (s *story) refused(want int, location string) func(status int, answer string) {
	return func(status int, answer string) {
		s.Helper()
		if status != want || !strings.Contains(answer, `"location":`+nodetest.JSON(location)) {
			s.Errorf("%d %.300s, want %d that names %s", status, answer, want, location)
		}
	}
}

// members are a client of each kind on each node, in a channel.
func (s *story) members(channel string) (all []*nodetest.Client) {
	s.Helper()
	for node := range s.Addrs {
		event, script := s.events(node), s.commander(node)
		event.Act(`{"join":` + nodetest.JSON(channel) + `}`)
		script.Call("solidb.ws.channel.subscribe", channel)
		all = append(all, event, script)
	}
	return all
}

// heard are the frames that an event handler's client got before the fence that is sent now.
func (s *story) heard(channel string, clients ...*nodetest.Client) (all [][]string) {
	s.Helper()
	fence := s.name("fence")
	s.sent(1)(s.apiPost(0, "/_api/channels/"+url.PathEscape(channel)+"/broadcast", `{"message":`+nodetest.JSON(fence)+`}`))
	for _, c := range clients {
		all = append(all, c.Until(fence))
	}
	return all
}

func (s *story) apiBroadcast() {
	clients := s.members(s.name("room"))
	for node := range s.Addrs {
		mine := s.name("m")
		for _, tt := range []struct{ message, want string }{
			{nodetest.JSON(mine), mine}, {`{ "b" : [1, 2.50, {"a":null}] }`, `{"b":[1,2.50,{"a":null}]}`}, {"[]", "[]"}, {"null",
				"null"}, {"true", "true"}, {"1e2", "1e2"},
			{`"\u00e9\n"`, "é\n"}, {`""`, ""}, {`"{\"x\":1}"`, `{"x":1}`},
		} {
			s.sent(1)(s.apiPost(node, "/_api/broadcast", `{"message":`+tt.message+`}`))
			for _, c := range clients {
				c.Expect(tt.want)
			}
		}
	}
}

func (s *story) apiChannelBroadcast() {
	for i, channel := range []string{s.name("plain"), s.name("a/b/c"), s.name("é ☃ 50% {x} }{ %2F ?&=#+"),
		strings.Repeat("c", 255), "..", "%", ":id", "presence"} {
		clients := s.members(channel)
		outside := s.events(i % 3)
		message := s.name("m")
		path := "/_api/channels/" + strings.ReplaceAll(url.PathEscape(channel), "..", "%2E%2E") + "/broadcast"
		s.sent(1)(s.apiPost((i+1)%3, path, `{"message":{"text":`+nodetest.JSON(message)+`}}`))
		for n, c := range clients {
			if n%2 == 0 {
				c.Expect(`{"text":` + nodetest.JSON(message) + `}`)
				continue
			}
			got := c.Next()
			s.same("what a script gets", s.field(got, "event", "data")+s.field(got, "event", "channel"),
				`{"text":`+nodetest.JSON(message)+`}`+nodetest.JSON(channel))
			s.same("its sender", s.field(got, "event", "sender_id"), "nothing")
		}
		outside.Act(`{}`)
		s.same("outside", outside.Pending(), "[]")
	}
}

func (s *story) apiBatch() {
	one, two := s.name("one"), s.name("two")
	in1, in2 := s.events(0), s.events(1)
	in1.Act(`{"join":` + nodetest.JSON(one) + `}`)
	in2.Act(`{"join":` + nodetest.JSON(two) + `}`)
	var body []string
	want := map[string][]string{}
	for i := range 1000 {
		channel := []string{one, two}[i*i%3%2]
		body = append(body, fmt.Sprintf(`{"channel":%s,"message":"%s %d"}`, nodetest.JSON(channel), channel, i))
		want[channel] = append(want[channel], fmt.Sprint(channel, " ", i))
	}
	s.sent(1000)(s.apiPost(2, "/_api/batch", `{"broadcasts":[`+strings.Join(body, ",")+`]}`))
	in1.Expect(want[one]...)
	in2.Expect(want[two]...)
	// Without a channel: everyone.
	s.sent(2)(s.apiPost(2, "/_api/batch",
		fmt.Sprintf(`{"broadcasts":[{"message":%s},{"channel":%s,"message":[]}]}`, nodetest.JSON(one), nodetest.JSON(two))))
	in1.Expect(one)
	got := []string{in2.Next(), in2.Next()}
	slices.Sort(got) // they travel on different topics
	s.same("both", got, []string{"[]", one})
}

func (s *story) apiBatchWhole() {
	channel := s.name("room")
	c := s.events(0)
	c.Act(`{"join":` + nodetest.JSON(channel) + `}`)
	good := fmt.Sprintf(`{"channel":%s,"message":"must not come"}`, nodetest.JSON(channel))
	for bad, location := range map[string]string{
		`{"channel":"","message":1}`:        "body.broadcasts[2].channel",
		`{"channel":"a\u0000","message":1}`: "body.broadcasts[2].channel", `{"channel":"x"}`: "body.broadcasts[2].message",
		`{"channel":null,"message":1}`: "body.broadcasts[2].channel", `{"channel":"` + strings.Repeat("x", 256) +
			`","message":1}`: "body.broadcasts[2].channel",
		`{"message":"` + strings.Repeat("x", 1<<20) +
			`"}`: "body.broadcasts[2].message", `{"message":1,"to":"x"}`: "body.broadcasts[2].to", `7`: "body.broadcasts[2]",
	} {
		s.refused(http.StatusUnprocessableEntity,
			location)(s.apiPost(1, "/_api/batch", `{"broadcasts":[`+good+`,`+good+`,`+bad+`]}`))
	}
	s.refused(http.StatusUnprocessableEntity, "body.broadcasts")(s.apiPost(1, "/_api/batch", `{"broadcasts":[]}`))
	s.refused(http.StatusUnprocessableEntity,
		"body.broadcasts")(s.apiPost(1, "/_api/batch", `{"broadcasts":[`+good+strings.Repeat(","+good, 1000)+`]}`))
	s.same("heard", s.heard(channel, c), "[[]]")
}

func (s *story) apiOnce() {
	channel := s.name("room")
	path := "/_api/channels/" + url.PathEscape(channel) + "/broadcast"
	c := s.events(0)
	c.Act(`{"join":` + nodetest.JSON(channel) + `}`)
	for round := range 10 { // at the same time, over all nodes
		var all sync.WaitGroup
		var mu sync.Mutex
		replayed := 0
		for node := range s.Addrs {
			for range 2 {
				all.Go(func() {
					status, answer, head := s.call("POST", node, path, fmt.Sprintf(`{"message":"round %d"}`, round), jsonBody,
						"X-API-Key: "+Key, fmt.Sprintf("Idempotency-Key: %s %d", channel, round))
					mu.Lock()
					defer mu.Unlock()
					if status != 200 || answer != `{"sent":1}` {
						s.Errorf("%d %s", status, answer)
					}
					if head.Get("Idempotent-Replayed") == "true" {
						replayed++
					}
				})
			}
		}
		all.Wait()
		s.same("replayed", replayed, 2*len(s.Addrs)-1)
	}
	var want []string
	for round := range 10 {
		want = append(want, fmt.Sprint("round ", round))
	}
	s.same("heard", s.heard(channel, c), [][]string{want})
	key := "Idempotency-Key: " + channel + " 0"
	s.refused(422, "header.Idempotency-Key")(s.apiPost(1, path, `{"message":"another"}`, key))
	s.refused(422, "header.Idempotency-Key")(s.apiPost(2, "/_api/broadcast", `{"message":"round 0"}`, key))
	s.refused(422, "header.Idempotency-Key")(s.apiPost(2, "/_api/channels/other/broadcast", `{"message":"round 0"}`, key))
	s.refused(422, "header.Idempotency-Key")(s.apiPost(2, path, `{"message":"x"}`,
		"Idempotency-Key: "+strings.Repeat("k", 256)))
	s.sent(1)(s.apiPost(2, path, `{"message":"without a key"}`))
	s.sent(1)(s.apiPost(2, path, `{"message":"without a key"}`))
	// A call that was refused has not used its key up.
	s.refused(422, "body.message")(s.apiPost(0, path, `{}`, "Idempotency-Key: "+channel+" new"))
	s.sent(1)(s.apiPost(0, path, `{"message":"new"}`, "Idempotency-Key: "+channel+" new"))
	s.same("heard", s.heard(channel, c), "[[without a key without a key new]]")
}

func (s *story) apiOnceBatch() {
	var channels []string
	var clients []*nodetest.Client
	var body []string
	for i := range 4 {
		channels = append(channels, s.name("room"))
		c := s.events(i % 3)
		c.Act(`{"join":` + nodetest.JSON(channels[i]) + `}`)
		clients = append(clients, c)
	}
	for i := range 40 {
		body = append(body, fmt.Sprintf(`{"channel":%s,"message":"%d"}`, nodetest.JSON(channels[i%4]), i))
	}
	var all sync.WaitGroup
	for node := range s.Addrs {
		all.Go(func() {
			s.sent(40)(s.apiPost(node, "/_api/batch", `{"broadcasts":[`+strings.Join(body, ",")+`]}`,
				"Idempotency-Key: batch "+channels[0]))
		})
	}
	all.Wait()
	for i, c := range clients {
		var want []string
		for n := i; n < 40; n += 4 {
			want = append(want, fmt.Sprint(n))
		}
		s.same(channels[i], s.heard(channels[i], c), [][]string{want})
	}
	s.refused(422, "header.Idempotency-Key")(s.apiPost(0, "/_api/batch", `{"broadcasts":[`+body[0]+`]}`,
		"Idempotency-Key: batch "+channels[0]))
}

func (s *story) apiAudit() {
	c := s.events(0)
	id := s.id(c)
	channel := s.name("room")
	s.sent(1)(s.apiPost(1, "/_api/channels/"+url.PathEscape(channel)+"/broadcast", `{"message":"secret text"}`))
	s.sent(1)(s.apiPost(1, "/_api/broadcast", `{"message":"secret text"}`))
	s.sent(2)(s.apiPost(1, "/_api/batch",
		`{"broadcasts":[{"message":1},{"channel":`+nodetest.JSON(channel)+`,"message":1}]}`))
	s.same("send", first(s.apiPost(1, "/_api/connections/"+id+"/send", `{"message":"secret text"}`)), 204)
	s.same("close", first(s.api("DELETE", 1, "/_api/connections/"+id+"?reason=enough", "")), 204)
	s.same("register", first(s.api("POST", 1, "/_api/custom/audit/x", "-- secret text")), 201)
	s.same("remove", first(s.api("DELETE", 1, "/_api/custom/audit/x", "")), 204)
	for _, want := range []map[string]string{
		{"what": "broadcast", "channels": "[" + channel + "]", "messages": "1"}, {"what": "broadcast", "channels": "[*]",
			"messages": "1"}, {"what": "broadcast", "channels": "[* " + channel + "]", "messages": "2"},
		{"what": "send", "connection": id}, {"what": "close", "connection": id, "reason": "enough"},
		{"what": "register script", "db": "audit", "path": "x", "method": "WS"}, {"what": "remove script", "db": "audit",
			"path": "x", "method": "WS"},
	} {
		want["key"], want["from"], want["outcome"] = "default", "127.0.0.1", "done"
		s.Logs[1].Await(s, fmt.Sprint("of ", want), func(l nodetest.Line) bool {
			for name, value := range want {
				if l.Text(name) != value {
					return false
				}
			}
			return l.Is("audit")
		})
	}
	before := len(s.Logs[1].Lines())
	s.api("GET", 1, "/_api/connections", "")
	s.apiPost(1, "/_api/broadcast", `{}`)
	s.api("DELETE", 1, "/_api/connections/"+id, "")
	s.api("DELETE", 1, "/_api/custom/audit/x", "")
	for _, line := range s.Logs[1].Lines()[before:] {
		if line.Is("audit", "connection", id) || line.Is("audit", "path", "x") || line.Is("audit", "what", "broadcast") {
			s.Errorf("an audit line, but nothing changed: %v", line)
		}
	}
	if log := s.Logs[1].Text(); strings.Contains(log, "secret text") || strings.Contains(log, Key) {
		s.Error("the log has a message or the key in it")
	}
}

func (s *story) apiMethods() {
	for _, tt := range []struct {
		method, path string
		want         int
		allow        string
	}{
		{"GET", "/_api/broadcast", 405, "POST"}, {"PUT", "/_api/broadcast", 405, "POST"}, {"OPTIONS", "/_api/broadcast", 405,
			"POST"}, {"HEAD", "/_api/broadcast", 405, "POST"},
		{"POST", "/_api/connections", 405, "GET, HEAD"}, {"PATCH", "/_api/connections/x", 405, "GET, HEAD, DELETE"}, {"POST",
			"/_api/nodes", 405, "GET, HEAD"}, {"OPTIONS", "/_api/channels/a%2Fb/presence/c", 405, "GET, HEAD"},
		{"PUT", "/_api/custom/a/b/c", 405, "GET, HEAD, POST, DELETE"}, {"TRACE", "/_api/stats", 405, "GET, HEAD"}, {"DELETE",
			"/_api/openapi.json", 405, "GET, HEAD"},
		{"GET", "/_api", 404, ""}, {"GET", "/_api/", 404, ""}, {"GET", "/_api/nothing", 404, ""}, {"POST", "/_api/nothing",
			404, ""}, {"GET", "/_api/nodes/", 404, ""}, {"GET", "/_api//nodes", 404, ""},
		{"GET", "/_api/./nodes", 404, ""}, {"GET", "/_api/x/../nodes", 404, ""}, {"GET", "/_api%2Fnodes", 404, ""}, {"GET",
			"/_api/channels//presence", 404, ""}, {"GET", "/_api/connections/", 404, ""},
		{"HEAD", "/_api/nodes", 200, ""}, {"HEAD", "/_api/openapi.json", 200, ""}, {"HEAD", "/_api/connections/x", 404, ""},
	} {
		status, answer, head := s.call(tt.method, 0, tt.path, "", "X-API-Key: "+Key)
		if status != tt.want || head.Get("Allow") != tt.allow {
			s.Errorf("%s %s: %d, Allow %q, %s; want %d, %q", tt.method, tt.path, status, head.Get("Allow"), answer, tt.want,
				tt.allow)
		}
		if head.Get("Access-Control-Allow-Origin") != "" || head.Get("Cache-Control") != "no-store" {
			s.Errorf("%s %s: headers %v", tt.method, tt.path, head)
		}
	}
}

func (s *story) apiEveryRow() {
	s.api("GET", 0, "/_api/openapi.json", "")
	s.get200(0, "/_api/custom")
	s.put("/_api/custom/every/row", "WS", "return")
	s.get200(1, "/_api/custom/every/row")
	s.same("DELETE", first(s.api("DELETE", 2, "/_api/custom/every/row", "")), 204)
	for _, path := range []string{"presence", "presence/count"} {
		s.get200(0, "/_api/channels/every/"+path)
	}
	c := s.events(0)
	c.Act(`{"track":{"channel":"every","user_id":"u"}}`)
	s.get200(1, "/_api/channels/every/presence/u")
	id := s.id(c)
	s.get200(1, "/_api/connections/"+id)
	s.get200(1, "/_api/connections")
	s.get200(1, "/_api/channels")
	s.get200(1, "/_api/channels/every/connections")
	s.get200(1, "/_api/nodes")
	s.get200(1, "/_api/stats")
	s.get200(0, "/_api/hooks")
	s.same("sync", first(s.apiPost(2, "/_api/hooks/story/sync", "")), 204)
	s.same("send", first(s.apiPost(1, "/_api/connections/"+id+"/send", `{"message":1}`)), 204)
	s.same("close", first(s.api("DELETE", 1, "/_api/connections/"+id, "")), 204)
	s.sent(1)(s.apiPost(1, "/_api/broadcast", `{"message":1}`))
	s.sent(1)(s.apiPost(1, "/_api/channels/every/broadcast", `{"message":1}`))
	s.sent(1)(s.apiPost(1, "/_api/batch", `{"broadcasts":[{"message":1}]}`))
	if missing := s.contract.missing(); len(missing) > 0 {
		s.Errorf("never answered well: %v", missing)
	}
}
