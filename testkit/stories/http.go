package stories

import (
	"context"
	"fmt"
	"strings"

	"rollcall/testkit/nodetest"
)

// httpStories are HTTP handlers: the end of SPEC 1.3 and its fine print.
var httpStories = []entry{
	{"request", "request: method, path, query, params, headers, body (parsed when JSON, else string), user, remote_addr, is_websocket", (*story).request},
	{"answers", "HTTP handlers return a string, a table (JSON), or {status=, headers=, body=}", (*story).answers},
	{"returned-functions", "a returned table of functions is also accepted", (*story).returnedFunctions},
	{"script-request", "request in scripts", (*story).scriptRequest},
	{"static", "static files, served at /", (*story).static},
}

func (s *story) request() {
	for _, method := range []string{"GET", "PUT", "PATCH", "DELETE"} {
		status, body, _ := nodetest.Request(context.Background(), method, s.Addrs[1], "/echo/a%2Fb?x=1&x=2", `{"n":[1]}`,
			"Content-Type: application/json", "X-Two: a", "X-Two: b")
		s.same("status", status, 200)
		s.same("as argument and as global", s.field(body, "global"), "true")
		for name, want := range map[string]string{"method": nodetest.JSON(method), "path": `"/echo/a/b"`,
			"params": `{"x":"a/b"}`, "query": `{"x":"2"}`, "body": `{"n":[1]}`,
			"user": `{"authenticated":false,"username":""}`, "remote_addr": `"127.0.0.1"`, "is_websocket": "false"} {
			s.same(name, s.field(body, "request", name), want)
		}
		s.same("headers", s.field(body, "request", "headers", "x-two"), `"a, b"`)
	}
	for contentType, want := range map[string]string{"text/plain": `"{\"n\":[1]}"`, "application/json": `{"n":[1]}`,
		"application/problem+json": `{"n":[1]}`} {
		_, body, _ := nodetest.Request(context.Background(), "PUT", s.Addrs[1], "/echo/x", `{"n":[1]}`,
			"Content-Type: "+contentType)
		s.same(contentType, s.field(body, "request", "body"), want)
	}
}

func (s *story) answers() {
	for kind, want := range map[string]string{
		"string": "200 text/plain; charset=utf-8 text", "table": `200 application/json {"a":1}`,
		"array": "200 application/json []", "full": `201 application/json {"b":2}`,
		"more-keys": `200 application/json {"other":true,"status":201}`, "no-status": `200 application/json {"status":99}`,
		"nil": "204  ", "null": "204  ",
		"raise": "500 application/problem+json …", "loop": "500 application/problem+json …",
		"function": "500 application/problem+json …", "unknown": "204  ",
	} {
		status, body, head := nodetest.Request(context.Background(), "POST", s.Addrs[2], "/answer/"+kind, "")
		if strings.HasPrefix(body, "{") && status == 200 {
			var v any
			s.decode(body, &v)
			body = nodetest.JSON(v)
		}
		got := fmt.Sprint(status, " ", head.Get("Content-Type"), " ", body)
		begin, open := strings.CutSuffix(want, "…")
		if got != want && !(open && strings.HasPrefix(got, begin)) {
			s.Errorf("%s: got %s, want %s", kind, got, want)
		}
		if open && strings.Contains(body, "on purpose") {
			s.Errorf("%s tells a stranger: %s", kind, body)
		}
		if kind == "full" && head.Get("X-Made") != "yes" {
			s.Errorf("headers are %v", head)
		}
	}
	s.same("another method", first(s.get(0, "/call")), 405)
}

func (s *story) returnedFunctions() {
	_, body := s.get(0, "/table")
	s.same("answer", body, "from a table")
}

func (s *story) scriptRequest() {
	c := s.on(2, "/api/custom/test/do?x=1", "X-Two: a")
	text := nodetest.JSON(c.Ask(map[string]any{"request": true}).Results[0])
	for name, want := range map[string]string{"method": `"GET"`, "path": `"/api/custom/test/do"`, "params": "{}",
		"query": `{"x":"1"}`, "user": `{"authenticated":false,"username":""}`,
		"remote_addr": `"127.0.0.1"`, "is_websocket": "true"} {
		s.same(name, s.field(text, name), want)
	}
	s.same("headers", s.field(text, "headers", "x-two"), `"a"`)
}

func (s *story) static() {
	for node := range s.Addrs {
		status, body := s.get(node, "/hello.txt")
		s.same("file", fmt.Sprint(status, " ", body), "200 hello from public")
	}
}
