package stories

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"rollcall/testkit/nodetest"
	"rollcall/testkit/tokentest"
)

// httpStories are HTTP handlers: the end of SPEC 1.3 and its fine print.
var httpStories = []entry{
	{"request", "request: method, path, query, params, headers, body (parsed when JSON, else string), user, remote_addr, is_websocket", (*story).request},
	{"answers", "HTTP handlers return a string, a table (JSON), or {status=, headers=, body=}", (*story).answers},
	{"returned-functions", "a returned table of functions is also accepted", (*story).returnedFunctions},
	{"script-request", "request in scripts", (*story).scriptRequest},
	{"api-key", `options { api_key = "publish" } (a key of that scope)`, (*story).routeKey},
	{"preflight", `{ cors = {"https://…"} } (preflight answered)`, (*story).preflight},
	{"cors", `{ cors = {"https://…"} }: pages of these origins read the answers, others ask in vain`, (*story).cors},
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

func (s *story) routeKey() {
	user := tokentest.Bearer(s.Issuer.Token("ann", time.Hour, nil))
	token := strings.TrimPrefix(user, "Authorization: Bearer ")
	for node := range s.Addrs {
		for _, tt := range []struct {
			path   string
			header []string
			want   int
			user   string // "": nobody
		}{
			{"/keyed", nil, 401, ""},
			{"/keyed", []string{"X-API-Key: wrong"}, 401, ""},
			{"/keyed", []string{"X-API-Key: " + Key + " "}, 200, ""},
			{"/keyed", []string{"X-API-Key: " + Key + "x"}, 401, ""},
			{"/keyed", []string{"X-API-Key: wrong", "Authorization: Bearer " + Key}, 401, ""},
			{"/keyed?api_key=" + Key, nil, 401, ""},
			{"/keyed", []string{user}, 401, ""},
			{"/keyed", []string{"X-API-Key: " + Key}, 200, ""},
			{"/keyed", []string{"Authorization: Bearer " + Key}, 200, ""},
			{"/keyed", []string{"X-API-Key: " + Key, user}, 200, "ann"},
			{"/keyed", []string{"X-API-Key: " + Key, "Authorization: Bearer bad"}, 401, ""},
			{"/keyed?token=" + token, []string{"Authorization: Bearer " + Key}, 200, "ann"},
			{"/echo/x", []string{"X-API-Key: wrong"}, 200, ""}, // a route without the option
		} {
			status, body, head := s.call("GET", node, tt.path, "", tt.header...)
			if status != tt.want {
				s.Errorf("%s with %q: %d %s, want %d", tt.path, tt.header, status, body, tt.want)
			}
			switch {
			case status == 401 && (head.Get("WWW-Authenticate") == "" || head.Get("Content-Type") != "application/problem+json"):
				s.Errorf("%s with %q: 401 with %v", tt.path, tt.header, head)
			case status != 200:
			case strings.Contains(body, Key) || strings.Contains(body, token):
				s.Errorf("%s with %q: the handler sees a secret: %s", tt.path, tt.header, body)
			case tt.user != "":
				s.same("user", s.field(body, "request", "user", "id"), nodetest.JSON(tt.user))
			default:
				s.same("authenticated", s.field(body, "request", "user", "authenticated"), "false")
			}
		}
	}
	_, body, _ := s.call("GET", 0, "/echo/x", "", "X-API-Key: own")
	s.same("a header of the app's own", s.field(body, "request", "headers", "x-api-key"), `"own"`)
	s.Logs[0].Await(s, "about a refused key", func(l nodetest.Line) bool {
		return l.Is("permission refused", "level", "INFO", "route", "/keyed", "reason", "denied", "kind", "http", "address",
			"127.0.0.1")
	})
}

// The headers by which a server answers a page (Fetch standard, 3.2.3).
var corsHeaders = []string{"Allow-Origin", "Allow-Methods", "Allow-Headers", "Max-Age", "Allow-Credentials",
	"Expose-Headers"}

// corsOf shows an answer: its status, and what it has of CORS.
func corsOf(status int, h http.Header) string {
	text := fmt.Sprint(status)
	for _, name := range corsHeaders {
		if v := strings.Join(h.Values("Access-Control-"+name), " & "); v != "" {
			text += "; " + name + ": " + v
		}
	}
	return text
}

func (s *story) preflight() {
	count := func() string {
		s.Helper()
		_, body := s.get(0, "/pages/count")
		return s.field(body, "count")
	}
	before := count()
	for node := range s.Addrs {
		const page = "Origin: https://page.example"
		for _, tt := range []struct {
			path, origin, method, headers, want string
		}{
			{"/pages/count", page, "POST", "", "204; Allow-Origin: https://page.example; Allow-Methods: POST; Max-Age: 600"},
			{"/pages/count", page, "POST", "content-type,authorization",
				"204; Allow-Origin: https://page.example; Allow-Methods: POST; Allow-Headers: content-type, authorization; Max-Age: 600"},
			{"/pages/count", "Origin: https://other.example:8443", "POST", "x-own",
				"204; Allow-Origin: https://other.example:8443; Allow-Methods: POST; Allow-Headers: x-own; Max-Age: 600"},
			{"/pages/count", page, "GET", "x-own", "204; Allow-Origin: *; Allow-Methods: GET; Allow-Headers: x-own; Max-Age: 600"},
			{"/pages/count", page, "HEAD", "", "204; Allow-Origin: *; Allow-Methods: HEAD; Max-Age: 600"},
			// A key and a token come with the request itself.
			{"/pages/keyed", page, "DELETE", "x-api-key",
				"204; Allow-Origin: https://page.example; Allow-Methods: DELETE; Allow-Headers: x-api-key; Max-Age: 600"},
			{"/pages/user", page, "PATCH", "authorization",
				"204; Allow-Origin: https://page.example; Allow-Methods: PATCH; Allow-Headers: authorization; Max-Age: 600"},
			{"/pages/count", page, "POST", "bad header, x", "204; Allow-Origin: https://page.example; Allow-Methods: POST; Max-Age: 600"},
			{"/pages/count", "Origin: https://evil.example", "POST", "", "403"},
			{"/pages/count", "Origin: https://page.example.evil.example", "POST", "", "403"},
			{"/pages/count", "Origin: http://page.example", "POST", "", "403"},
			{"/pages/count", "Origin: https://page.example:444", "POST", "", "403"},
			{"/pages/count", "Origin: https://global.example", "POST", "", "403"}, // --allowed-origins is for WebSockets
			{"/pages/count", "Origin: null", "POST", "", "403"},
			{"/pages/count", "Origin: null", "GET", "", "403"},
			{"/pages/count", "Origin: *", "POST", "", "403"},
			// What is no preflight, or is of no such route.
			{"/pages/count", page, "", "", "405"},
			{"/pages/count", "X-Nothing: 1", "POST", "", "405"},
			{"/pages/count", page, "PUT", "", "405"},
			{"/pages/count", page, "post", "", "405"},
			{"/pages/count", page, "PURGE", "", "405"},
			{"/echo/x", page, "PUT", "", "405"},
			{"/pages", page, "POST", "", "404"},
			{"/hello.txt", page, "GET", "", "404"},
		} {
			header := []string{tt.origin}
			if tt.method != "" {
				header = append(header, "Access-Control-Request-Method: "+tt.method)
			}
			if tt.headers != "" {
				header = append(header, "Access-Control-Request-Headers: "+tt.headers)
			}
			status, _, head := s.call("OPTIONS", node, tt.path, "", header...)
			s.same(fmt.Sprintf("%s %s with %q", tt.path, tt.method, header), corsOf(status, head), tt.want)
			if vary := strings.Join(head.Values("Vary"), ", "); status == 204 && (!strings.Contains(vary, "Origin") ||
				!strings.Contains(vary, "Access-Control-Request-Headers")) {
				s.Errorf("Vary is %q", vary)
			}
		}
	}
	s.same("handlers that ran", count(), nodetest.JSON(s.number(before)+1))
}

func (s *story) cors() {
	_, body := s.get(0, "/pages/count")
	before := s.number(s.field(body, "count"))
	asked := 0.0
	for node, addr := range s.Addrs {
		const page = "Origin: https://page.example"
		const seen = "; Allow-Origin: https://page.example"
		for _, tt := range []struct {
			method, path string
			header       []string
			want, vary   string
		}{
			{"POST", "/pages/string", []string{page}, "200" + seen, "Origin"},
			{"POST", "/pages/raise", []string{page}, "500" + seen, "Origin"},
			{"POST", "/pages/nil", []string{page}, "204" + seen, "Origin"},
			{"POST", "/pages/own-headers", []string{page}, "200" + seen + "; Expose-Headers: X-Made", "Origin, Accept-Encoding"},
			{"PATCH", "/pages/user", []string{page, "Authorization: Bearer bad"}, "401" + seen, "Origin"},
			{"DELETE", "/pages/keyed", []string{page}, "401" + seen, "Origin"},
			{"DELETE", "/pages/keyed", []string{page, "X-API-Key: " + Key}, "200" + seen, "Origin"},
			{"GET", "/pages/string", []string{page}, "200; Allow-Origin: *", "Origin"},
			{"HEAD", "/pages/string", []string{page}, "200; Allow-Origin: *", "Origin"},
			{"GET", "/pages/string", nil, "200; Allow-Origin: *", "Origin"},
			{"GET", "/pages/string", []string{"Origin: https://anybody.example"}, "200; Allow-Origin: *", "Origin"},
			{"POST", "/pages/string", nil, "200", "Origin"}, // no page
			{"POST", "/pages/string", []string{"Origin: http://" + addr}, "200; Allow-Origin: http://" + addr, "Origin"},
			{"PUT", "/pages/string", []string{page}, "200", ""}, // a route without the option
			{"POST", "/pages/count", []string{"Origin: https://evil.example"}, "403", "Origin"},
			{"POST", "/pages/count", []string{"Origin: null"}, "403", "Origin"},
			{"GET", "/pages/count", []string{"Origin: null"}, "403", "Origin"},
			{"POST", "/pages/count", []string{page, "Origin: https://evil.example"}, "403", "Origin"},
			{"DELETE", "/pages/keyed", []string{"Origin: https://evil.example", "X-API-Key: " + Key}, "403", "Origin"},
		} {
			status, _, head := s.call(tt.method, node, tt.path, "", tt.header...)
			what := fmt.Sprintf("%s %s with %q", tt.method, tt.path, tt.header)
			s.same(what, corsOf(status, head), tt.want)
			s.same("Vary of "+what, strings.Join(head.Values("Vary"), ", "), tt.vary)
		}
		status, body, _ := s.call("POST", node, "/pages/count", "", page)
		asked++
		s.same("status", status, 200)
		s.same("handlers that ran", s.number(s.field(body, "count")), before+asked)
	}
	s.Logs[2].Await(s, "about a page of another origin", func(l nodetest.Line) bool {
		return l.Is("permission refused", "level", "INFO", "route", "/pages/:kind", "reason", "denied", "kind", "http") &&
			strings.Contains(l.Text("error"), "https://evil.example")
	})
}
