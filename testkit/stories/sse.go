package stories

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"rollcall/testkit/nodetest"
)

// sseStories are the sentences of SPEC 8.
var sseStories = []entry{
	{"header", "retry 2 s with jitter; headers that keep proxies from buffering", (*story).sseHeader},
	{"events", "Each frame is one unnamed event whose data is what a WebSocket client would get", (*story).sseEvents},
	{"upgrade", "a path may have a WebSocket and an SSE route, told apart by the upgrade", (*story).sseUpgrade},
	{"handler", "The same events (connect, disconnect, timer), actions", (*story).sseHandler},
	{"presence", "The same presence", (*story).ssePresence},
	{"identity", "The same identity", (*story).sseIdentity},
	{"origins", "The same origins (CORS answered for allowed ones)", (*story).sseOrigins},
	{"refused", "A refusing connect: 403; one that raises: 500", (*story).sseRefused},
	{"sent-away", "Who is sent away just loses the stream", (*story).sseSentAway},
	{"id", "id is the value that ?resume= takes; Last-Event-ID wins over ?resume=, and section 7 holds", (*story).sseID},
	{"id-bad", "wrong Last-Event-ID of every kind", (*story).sseIDBad},
	{"id-many", "it names the 64 channels heard last, within 4 KiB", (*story).sseIDMany},
	{"bad", "HEAD and POST, a body, more than a request", (*story).sseBad},
	{"old", "HTTP/1.0", (*story).sseOld},
}

// streams opens an event stream of the test app's handler; query is name and value in turn.
func (s *story) streams(node int, path string, query ...string) *nodetest.Stream {
	s.Helper()
	return nodetest.OpenStream(s, s.Addrs[node], path+queryOf(query))
}

// actions are those that an event of the test app returns.
func actions(a map[string]any) string { return nodetest.JSON(a) }

func (s *story) sseHeader() {
	c := s.streams(0, "/both", "first", actions(map[string]any{"send": "hello"}))
	c.Expect("hello")
	s.same("Cache-Control", c.Header.Get("Cache-Control"), "no-store, no-transform")
	s.same("X-Accel-Buffering", c.Header.Get("X-Accel-Buffering"), "no")
	s.same("it names a node", c.Node != "", true)
	seen := map[string]bool{}
	for range 10 {
		c := s.streams(0, "/both", "first", actions(map[string]any{"send": "hello"}))
		c.Expect("hello")
		if ms, err := strconv.Atoi(c.Retry); err != nil || ms < 1000 || ms > 3000 {
			s.Fatalf("retry: %q", c.Retry)
		}
		seen[c.Retry] = true
	}
	s.same("there is jitter", len(seen) > 1, true)
}

func (s *story) sseEvents() {
	room := s.name("room")
	join := actions(map[string]any{"join": room, "send": "in"})
	c, ws, sender := s.streams(0, "/both", "first", join), s.events(1, "first", join), s.events(2)
	c.Expect("in")
	ws.Expect("in")
	for data, want := range map[string]string{"plain": "plain", "": "", "two\nlines": "two\nlines", "\n": "\n",
		"data: x\n\nid: 7\nevent: e\n": "data: x\n\nid: 7\nevent: e\n", " led by a space": " led by a space",
		"of all kinds\r\nof\rends\n": "of all kinds\nof\nends\n", "ü\u2028": "ü\u2028",
		strings.Repeat("x\n", 20000): strings.Repeat("x\n", 20000)} {
		s.says(sender, room, data)
		e := c.NextEvent()
		s.same("an unnamed event, without an id", e, nodetest.Event{Data: want})
		ws.Expect(data)
	}
	s.says(sender, room, map[string]any{"a": []any{1, "b\nc"}})
	s.same("JSON", c.Next(), ws.Next())
}

func (s *story) sseUpgrade() {
	s.streams(0, "/both", "first", actions(map[string]any{"send": "a stream"})).Expect("a stream")
	s.on(0, "/both"+queryOf([]string{"first", actions(map[string]any{"send": "a WebSocket"})})).Expect("a WebSocket")
}

func (s *story) sseHandler() {
	room := s.name("room")
	other := s.events(1, "first", actions(map[string]any{"join": room, "send": "in"}))
	other.Expect("in")
	c := s.streams(0, "/sse/do/a%2Fb/ada", "first", actions(map[string]any{"join": room, "broadcast_room": "$type $path",
		"after": map[string]any{"name": "later", "ms": 100, "data": 7}}), "last",
		actions(map[string]any{"broadcast_channel": map[string]any{"channel": room, "message": "$type $code"}}))
	other.Expect("connect /sse/do/a/b/ada")
	c.Expect("connect /sse/do/a/b/ada")
	s.same("timer", s.field(c.Next(), "timer"), `"later"`)
	c.Drop()
	other.Expect("disconnect 1006")
}

func (s *story) ssePresence() {
	room := s.name("room")
	ws := s.events(1, "first", actions(map[string]any{"join": room, "send": "in"}))
	ws.Expect("in")
	c := s.streams(0, "/both", "first", actions(map[string]any{"join": room, "track": map[string]any{"channel": room,
		"user_id": "ada"}}))
	s.same("the state", s.field(c.Next(), "event"), `"presence_state"`)
	s.same("a join", strings.Contains(ws.Next(), `"joins":{"ada"`), true)
	ws.Act(actions(map[string]any{"track": map[string]any{"channel": room, "user_id": "bob"}}))
	s.same("a diff", strings.Contains(c.Next(), `"joins":{"bob"`), true)
	c.Drop()
	s.same("the state of who tracks", s.field(ws.Next(), "event"), `"presence_state"`)
	s.same("a leave", strings.Contains(ws.Next(), `"leaves":{"ada"`), true)
}

func (s *story) sseIdentity() {
	_, resp := nodetest.TryStream(s, s.Addrs[0], "/sse/auth")
	s.same("without a token", resp.StatusCode, http.StatusUnauthorized)
	_, resp = nodetest.TryStream(s, s.Addrs[0], "/both?token=bad")
	s.same("with a bad one", resp.StatusCode, http.StatusUnauthorized)
	token := s.Issuer.Token("ada", time.Hour, nil)
	hello := actions(map[string]any{"send": "in"})
	s.streams(0, "/sse/auth", "first", hello, "token", token).Expect("in")
	nodetest.OpenStream(s, s.Addrs[0], "/sse/auth"+queryOf([]string{"first", hello}), "Authorization: Bearer "+token).
		Expect("in")
	soon := s.streams(0, "/sse/auth", "first", hello, "token", s.Issuer.Token("ada", 2*time.Second, nil))
	soon.Expect("in")
	s.contains(soon.End(), "4401")
}

func (s *story) sseOrigins() {
	hello := queryOf([]string{"first", actions(map[string]any{"send": "in"})})
	for _, tt := range []struct {
		path, origin string
		status       int
	}{
		{"/both", "https://global.example", 200}, {"/both", "https://bad.example", 403}, {"/both", "null", 403},
		{"/both", "http://" + s.Addrs[0], 200}, {"/sse/origins", "https://good.example", 200},
		{"/sse/origins", "https://global.example", 403},
	} {
		_, resp := nodetest.TryStream(s, s.Addrs[0], tt.path+hello, "Origin: "+tt.origin)
		s.same(tt.path+" from "+tt.origin, resp.StatusCode, tt.status)
		allowed := tt.origin
		if tt.status != http.StatusOK {
			allowed = ""
		}
		s.same("may be read by", resp.Header.Get("Access-Control-Allow-Origin"), allowed)
		s.same("Vary", resp.Header.Get("Vary"), "Origin")
		status, _, head := s.call(http.MethodOptions, 0, tt.path, "", "Origin: "+tt.origin,
			"Access-Control-Request-Method: GET", "Access-Control-Request-Headers: last-event-id, authorization")
		s.same("the preflight", status == http.StatusNoContent, tt.status == http.StatusOK)
		if status == http.StatusNoContent {
			s.same("headers", head.Get("Access-Control-Allow-Headers"), "last-event-id, authorization")
		}
	}
}

func (s *story) sseRefused() {
	room := s.name("room")
	other := s.events(1, "first", actions(map[string]any{"join": room, "send": "in"}))
	other.Expect("in")
	last := actions(map[string]any{"broadcast_channel": map[string]any{"channel": room, "message": "$type"}})
	for refusal, want := range map[string]string{
		`{"close":"not you"}`: "not you", `{"close":{"code":4999,"reason":"nor you"},"send":"x"}`: "nor you",
		`{"close":""}`: "the handler refused the connection"} {
		_, resp := nodetest.TryStream(s, s.Addrs[0], "/both"+queryOf([]string{"first", refusal, "last", last}))
		var p struct {
			Status int
			Detail string
		}
		if err := json.NewDecoder(resp.Body).Decode(&p); err != nil {
			s.Fatal(err)
		}
		s.same("refused", fmt.Sprint(resp.StatusCode, p.Status, " ", resp.Header.Get("Content-Type"), " ", p.Detail),
			"403 403 application/problem+json "+want)
	}
	_, resp := nodetest.TryStream(s, s.Addrs[0], "/both?raise=1")
	s.same("raises", resp.StatusCode, http.StatusInternalServerError)
	s.says(other, room, "nobody has left")
	other.Expect("nobody has left")
}

func (s *story) sseSentAway() {
	hello := actions(map[string]any{"send": "$connection_id"})
	c := s.streams(0, "/both", "first", hello)
	id := c.Next()
	s.same("ws_send", s.commander(1).Ask(map[string]any{"call": "ws_send", "args": []any{id, "to you"}}).Results[0], true)
	c.Expect("to you")
	status, answer := s.api(http.MethodGet, 2, "/_api/connections/"+id, "")
	s.same("it is listed", fmt.Sprint(status, s.field(answer, "route")), `200"/both"`)
	status, _ = s.api(http.MethodDelete, 2, "/_api/connections/"+id+"?reason=bye", "")
	s.same("closed", status, http.StatusNoContent)
	s.same("the end", c.End(), "1000 bye")
}

func (s *story) sseID() {
	room, second := s.kept(), s.kept()
	sender := s.events(1)
	in := actions(map[string]any{"join": []any{room, second}})
	c := s.streams(0, "/sse/resume", "first", in)
	joined := c.NextEvent()
	s.same("the id of the first answer", joined.ID, positions(room, s.at(joined.Data)))
	atRoom := s.at(joined.Data)
	joined = c.NextEvent()
	atSecond := s.at(joined.Data)
	s.sameID(joined.ID, room, atRoom, second, atSecond)
	s.says(sender, room, "one")
	e := c.NextEvent()
	s.same("data", s.field(e.Data, "data"), `"one"`)
	s.sameID(e.ID, second, atSecond, room, s.at(e.Data))
	afterOne := e.ID
	s.posted(room, `{"message":"gone","transient":true}`)
	s.same("a transient one has no id", c.NextEvent().ID, "")
	c.Drop()
	s.says(sender, room, "two", "three")
	s.says(sender, second, "other")
	stale := positions(room, atRoom)
	back := nodetest.OpenStream(s, s.Addrs[2], "/sse/resume"+queryOf([]string{"first", in, "resume", stale}),
		"Last-Event-ID: "+afterOne)
	s.same("it wins over ?resume=", s.field(back.Next(), "missed"), "2")
	for _, want := range []string{"two", "three"} {
		e = back.NextEvent()
		s.same("missed", s.field(e.Data, "data"), nodetest.JSON(want))
		s.sameID(e.ID, second, atSecond, room, s.at(e.Data))
	}
	s.same("the other channel too", s.field(back.Next(), "missed"), "1")
	s.same("its message", s.field(back.Next(), "data"), `"other"`)
	byQuery := s.streams(1, "/sse/resume", "first", actions(map[string]any{"join": room}), "resume", stale)
	s.same("?resume= alone", s.field(byQuery.Next(), "missed"), "3")
	// An id works for a WebSocket too.
	ws := s.resuming(0, "first", actions(map[string]any{"join": room}), "resume", afterOne)
	s.same("by WebSocket", s.field(ws.Next(), "missed"), "2")
}

// sameID checks that an id holds these channels and positions.
func (s *story) sameID(id string, want ...string) {
	s.Helper()
	text, err := base64.RawURLEncoding.DecodeString(id)
	if err != nil {
		s.Fatalf("id %q: %v", id, err)
	}
	got := map[string]string{}
	s.decode(string(text), &got)
	m := map[string]string{}
	for i := 0; i+1 < len(want); i += 2 {
		m[want[i]] = want[i+1]
	}
	s.same("the id", nodetest.JSON(got), nodetest.JSON(m))
}

func (s *story) sseIDBad() {
	room := s.kept()
	in := actions(map[string]any{"join": room})
	at := s.at(s.streams(0, "/sse/resume", "first", in).Next())
	s.says(s.events(1), room, 1)
	good := positions(room, at)
	many := []string{room, at}
	for i := range 64 {
		many = append(many, fmt.Sprint("c", i), "1-1")
	}
	for name, id := range map[string]string{"no base64": "%%%", "twice": good + "\r\nLast-Event-ID: " + good,
		"a number": "42", "65 channels": positions(many...), "another's": "<b>&amp;</b>", "not UTF-8": "\xff\xfe",
		"too long": good + strings.Repeat("A", 5000)} {
		c := nodetest.OpenStream(s, s.Addrs[1], "/sse/resume"+queryOf([]string{"first", in, "resume", good}),
			"Last-Event-ID: "+id)
		s.same(name+": as if absent, and no ?resume= counts", s.field(c.Next(), "recovered"), "nothing")
		c.Drop()
	}
	s.Logs[1].Await(s, "that it is not readable",
		func(l nodetest.Line) bool { return l.Is("resume parameter is not readable") })
	for name, header := range map[string]string{"an empty one": "Last-Event-ID:",
		"64": "Last-Event-ID: " + positions(many[:128]...)} {
		c := nodetest.OpenStream(s, s.Addrs[1], "/sse/resume"+queryOf([]string{"first", in, "resume", good}), header)
		s.same(name, s.field(c.Next(), "missed"), "1")
	}
	c := nodetest.OpenStream(s, s.Addrs[1], "/sse/resume?told=1", "Last-Event-ID: "+good)
	s.same("event.resume", s.field(c.Next(), "resume", room), nodetest.JSON(at))
}

func (s *story) sseIDMany() {
	prefix := s.kept()
	names := make([]string, 70)
	for i := range names {
		names[i] = fmt.Sprintf("%s %02d", prefix, i)
	}
	c := s.streams(0, "/sse/resume", "first", actions(map[string]any{"join": names}))
	var e nodetest.Event
	for range names {
		e = c.NextEvent()
	}
	read := func(id string) (at map[string]string) {
		text, err := base64.RawURLEncoding.DecodeString(id)
		if err != nil || len(id) > 4096 {
			s.Fatalf("id of %d bytes: %v", len(id), err)
		}
		s.decode(string(text), &at)
		return at
	}
	at := read(e.ID)
	s.same("channels", fmt.Sprint(len(at), at[names[5]] == "", at[names[6]] != "", at[names[69]] != ""),
		"64 true true true")
	again := queryOf([]string{"first", actions(map[string]any{"join": names[6:]})})
	back := nodetest.OpenStream(s, s.Addrs[1], "/sse/resume"+again, "Last-Event-ID: "+e.ID)
	for range names[6:] {
		s.same("each goes on", s.field(back.Next(), "recovered"), "true")
	}
	long := make([]string, 20)
	for i := range long {
		long[i] = fmt.Sprintf("%s %02d %s", prefix, i, strings.Repeat("x", 200))
	}
	c = s.streams(0, "/sse/resume", "first", actions(map[string]any{"join": long}))
	for range long {
		e = c.NextEvent()
	}
	at = read(e.ID)
	if len(at) < 8 || len(at) > 14 || at[long[19]] == "" || at[long[0]] != "" {
		s.Fatalf("of 20 long names the id has %d", len(at))
	}
}

func (s *story) sseBad() {
	for _, method := range []string{"HEAD", "POST", "PUT", "DELETE", "PATCH"} {
		status, _, head := s.call(method, 0, "/both", "")
		s.same(method, fmt.Sprint(status, head.Get("Allow")), "405GET")
	}
	status, _, _ := s.call(http.MethodPost, 0, "/sse/auth", `{"call":"ws_count","args":[]}`,
		"Content-Type: application/json")
	s.same("another method's route", status, http.StatusOK)
	hello := queryOf([]string{"first", actions(map[string]any{"send": "in"})})
	head := "GET /both" + hello + " HTTP/1.1\r\nHost: x\r\n"
	for name, request := range map[string]string{"a body": head + "Content-Length: 3\r\n\r\nabc",
		"a body in chunks": head + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
		"another request":  head + "\r\n" + head + "\r\n"} {
		_, resp := nodetest.StreamBy(s, s.Addrs[0], request)
		s.same(name, resp.StatusCode, http.StatusBadRequest)
	}
	c := s.streams(0, "/both", "first", actions(map[string]any{"send": "in"}))
	c.Expect("in")
	if _, err := c.Conn.Write([]byte("anything")); err != nil {
		s.Fatal(err)
	}
	s.contains(c.End(), "1008")
	status, _ = s.get(0, "/nothing/here")
	s.same("no such path", status, http.StatusNotFound)
}

func (s *story) sseOld() {
	hello := queryOf([]string{"first", actions(map[string]any{"send": "in"})})
	for _, request := range []string{"GET /both" + hello + " HTTP/1.0\r\n\r\n",
		"GET /both" + hello + " HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"} {
		c, resp := nodetest.StreamBy(s, s.Addrs[0], request)
		s.same("it ends with the connection", fmt.Sprint(resp.StatusCode, resp.Close, resp.ContentLength,
			len(resp.TransferEncoding)), "200 true -1 0")
		c.Expect("in")
	}
}
