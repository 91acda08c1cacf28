package stories

import (
	"fmt"
	"strings"

	"rollcall/testkit/nodetest"
)

func (s *story) refuse() {
	key := s.name("key")
	watch := s.events(2)
	room := s.name("room")
	watch.Act(fmt.Sprintf(`{"join":%q}`, room))
	last := fmt.Sprintf(`{"broadcast_channel":{"channel":%q,"message":"disconnect of a refused one"}}`, room)
	for _, tt := range []struct {
		query []string
		want  []string
	}{
		{[]string{"first", `{"close":"no"}`}, []string{"closed 4403 no"}},
		{[]string{"first", `{"close":{"code":4001,"reason":"full"},"send":"sorry"}`}, []string{"sorry", "closed 4001 full"}},
		{[]string{"first", fmt.Sprintf(
			`{"close":"no","join":%q,"broadcast_channel":{"channel":%q,"message":"of a refused one"},"send":"sorry"}`, room,
			room)}, []string{"sorry", "closed 4403 no"}},
		{[]string{"raise", "1"}, []string{"closed 1011…"}},
	} {
		c := s.events(0, append(tt.query, "last", last)...)
		c.Expect(tt.want...)
	}
	s.Logs[0].Await(s, "of the raise", func(l nodetest.Line) bool {
		return l.Is("handler failed", "kind", "connect", "route", "/ws/do") &&
			strings.Contains(l.Text("error"), "connect raises") && l.Text("line") != "0"
	})
	watch.Act(fmt.Sprintf(`{"broadcast_room":%q}`, key))
	watch.Expect(key) // and nothing of the refused ones before
}

func (s *story) origins() {
	for _, tt := range []struct {
		path, origin string
		want         int
	}{
		{"/ws/do", "https://evil.example", 403},
		{"/ws/do", "null", 403},
		{"/ws/do", "https://global.example", 0},
		{"/ws/do", "https://global.example:8443", 403},
		{"/ws/do", "file://", 403},
		{"/ws/do", "http://" + s.Addrs[0], 0},
		{"/ws/do", "", 0},
		{"/ws/origins", "https://good.example", 0},
		{"/ws/origins", "https://global.example", 403},
		{"/ws/origins", "null", 403},
		{"/ws/origins", "", 0},
		{"/ws/origins", "http://good.example", 403},
		{"/ws/origins", "https://evil.good.example", 403},
		{"/ws/origins", "http://" + s.Addrs[0], 0},
		{"/api/custom/test/do", "https://evil.example", 403},
		{"/api/custom/test/do", "https://global.example", 0},
		{"/api/custom/test/do", "null", 403},
		{"/api/custom/test/do", "http://" + s.Addrs[0], 0},
	} {
		var header []string
		if tt.origin != "" {
			header = append(header, "Origin: "+tt.origin)
		}
		_, resp, err := nodetest.TryDial(s, s.Addrs[0], tt.path, header...)
		got := 0
		if err != nil && resp != nil {
			got = resp.StatusCode
		}
		if got != tt.want {
			s.Errorf("%s with origin %q: %d (%v), want %d", tt.path, tt.origin, got, err, tt.want)
		}
	}
}

func (s *story) upgrade() {
	for path, want := range map[string]int{"/ws/do": 426, "/ws/nothing": 404, "/": 404, "/hello.txt": 200,
		"/api/custom/test/do": 426, "/../config/routes.lua": 404,
		"/%2e%2e/config/routes.lua": 404, "/config/routes.lua": 404} {
		status, _ := s.get(0, path)
		s.same(path, status, want)
	}
}
