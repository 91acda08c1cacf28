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

// solidbStories are the row of SPEC 11 about "solidb.* of the seed's own server".
var solidbStories = []entry{
	{"log", "solidb.log(msg)", (*story).solidbLog},
	{"user", "solidb.auth.user()", (*story).solidbUser},
	{"require", "solidb.auth.require_auth(), solidb.auth.require_role(r)", (*story).solidbRequire},
	{"refused", "a denial is logged at info; a connect that is refused closes 4403", (*story).solidbRefused},
	{"in-http", "require_auth and require_role answer 401 and 403", (*story).solidbHTTP},
	{"stats", "solidb.stats()", (*story).solidbStats},
}

// role is the header of a token with these roles.
func (s *story) role(roles ...string) string {
	s.Helper()
	return tokentest.Bearer(s.Issuer.Token("ann", time.Hour, tokentest.Claims{"roles": append([]string{}, roles...)}))
}

// bothWith are a connection of each kind with these headers.
func (s *story) bothWith(header ...string) []*nodetest.Client {
	s.Helper()
	return []*nodetest.Client{s.on(0, "/ws/do", header...), s.on(1, "/api/custom/test/do", header...)}
}

func (s *story) solidbLog() {
	for node, c := range s.both() {
		for i, tt := range []struct {
			msg  any
			want string
		}{{s.name("a line"), ""}, {map[string]any{"n": []any{1, true}}, `{"n":[1,true]}`}, {7, "7"}, {false, "false"}} {
			if tt.want == "" {
				tt.want = fmt.Sprint(tt.msg)
			}
			c.Call("solidb.log", tt.msg)
			s.Logs[node].Await(s, fmt.Sprint("line ", i), func(l nodetest.Line) bool {
				return l.Is(tt.want, "level", "INFO", "connection", s.id(c))
			})
		}
		s.contains(c.CallError("solidb.log", map[string]any{"$fn": 1}), "solidb.log: msg: ")
	}
}

func (s *story) solidbUser() {
	for _, c := range s.both() {
		s.same("user", c.Call1("solidb.auth.user"), `{"authenticated":false,"username":""}`)
	}
	for _, c := range s.bothWith(s.role("editor")) {
		user := c.Call1("solidb.auth.user")
		s.same("id", s.field(user, "id"), `"ann"`)
		s.same("roles", s.field(user, "roles"), `["editor"]`)
		s.same("authenticated", s.field(user, "authenticated"), "true")
	}
	// After a renewal it is the user of the new token.
	c := s.on(2, "/ws/renew", s.role("editor"))
	s.contains(s.renew(c, s.Issuer.Token("ann", time.Hour, tokentest.Claims{"roles": "owner"})), `"expires_at":`)
	s.same("roles", s.field(c.Call1("solidb.auth.user"), "roles"), `["owner"]`)
	s.same("require_role", c.Call1("solidb.auth.require_role", "owner"), "true")
	s.contains(c.CallError("solidb.auth.require_role", "editor"), `the role "editor" is required`)
}

func (s *story) solidbRequire() {
	for _, c := range s.both() {
		s.contains(c.CallError("solidb.auth.require_auth"), "solidb.auth.require_auth: a token is required")
		s.contains(c.CallError("solidb.auth.require_role", "editor"), "solidb.auth.require_role: a token is required")
	}
	for _, c := range s.bothWith(s.role("editor", "x")) {
		s.same("require_auth", c.Call1("solidb.auth.require_auth"), "true")
		s.same("require_role", c.Call1("solidb.auth.require_role", "editor"), "true")
		for _, role := range []string{"admin", "Editor", "edit", "editor ", "*"} {
			s.contains(c.CallError("solidb.auth.require_role", role), fmt.Sprintf("the role %q is required", role))
		}
		for _, bad := range []any{"", 1, true, []any{"editor"}} {
			s.contains(c.CallError("solidb.auth.require_role", bad), "solidb.auth.require_role: role must ")
		}
		s.contains(c.CallError("solidb.auth.require_role"), "role must be a string, not nil")
		s.same("pcall sees it, and the connection goes on", c.Call1("solidb.auth.require_auth"), "true")
	}
	for _, c := range s.bothWith(s.role("admin")) {
		s.same("an admin has every role", c.Call1("solidb.auth.require_role", "anything"), "true")
	}
}

func (s *story) solidbRefused() {
	const token, role = "solidb.auth.require_auth: a token is required", `solidb.auth.require_role: the role "editor" is required`
	for node, path := range []string{"/ws/do", "/api/custom/test/do"} {
		for _, tt := range []struct{ require, header, why string }{
			{"auth", "X-Nothing: 1", token},
			{"editor", s.role("x"), role},
		} {
			s.same("frames before", s.on(node, path+"?require="+tt.require, tt.header).ExpectClosed(4403, tt.why), []string{})
		}
		c := s.on(node, path+"?require=editor", s.role("editor"))
		s.same("who may", c.Ask(map[string]any{"require": "editor"}).Results[0], true)
		s.Logs[node].Await(s, "about the refusal", func(l nodetest.Line) bool {
			return l.Is("permission refused", "level", "INFO", "reason", "denied", "error", role)
		})
	}
	// Later on, an event handler's connection stays, and its next event is told. A script ends.
	c := s.on(2, "/ws/do", s.role("x"))
	c.Send(`{"require":"editor"}`)
	s.same("event.error", s.eventError(c), nodetest.JSON(role))
	s.same("event.error of the event after that", s.eventError(c), "nothing")
	script := s.on(2, "/api/custom/test/do", s.role("x"))
	script.Send(`{"require":"editor"}`)
	script.ExpectClosed(4403, role)
}

func (s *story) solidbHTTP() {
	for node := range s.Addrs {
		for _, tt := range []struct {
			require string
			header  []string
			want    int
			why     string
		}{
			{"auth", nil, 401, "solidb.auth.require_auth: a token is required"},
			{"editor", nil, 401, "solidb.auth.require_role: a token is required"},
			{"editor", []string{s.role("x")}, 403, `solidb.auth.require_role: the role \"editor\" is required`},
			{"auth", []string{s.role()}, 200, "text"},
			{"editor", []string{s.role("editor")}, 200, "text"},
			{"editor", []string{s.role("admin")}, 200, "text"},
		} {
			status, body, head := nodetest.Request(context.Background(), http.MethodPost, s.Addrs[node],
				"/answer/string?require="+tt.require, "", tt.header...)
			s.same("status", status, tt.want)
			s.contains(body, tt.why)
			s.same("WWW-Authenticate", head.Get("WWW-Authenticate"), map[int]string{401: "Bearer"}[status])
			s.same("as a problem document", strings.Contains(head.Get("Content-Type"), "problem+json"), status != 200)
		}
	}
	s.Logs[1].Await(s, "about the refusal", func(l nodetest.Line) bool {
		return l.Is("permission refused", "level", "INFO", "route", "/answer/:kind", "reason", "denied", "kind", "http")
	})
}

func (s *story) solidbStats() {
	for _, c := range s.both() {
		before := c.Call1("solidb.stats")
		after := c.Call1("solidb.stats")
		for _, name := range []string{"active_scripts", "active_ws", "total_ws_connections"} {
			if n := s.number(s.field(after, name)); n < 1 {
				s.Errorf("%s is %v", name, n)
			}
		}
		if total := s.number(s.field(after, "total_ws_connections")); total < s.number(s.field(after, "active_ws")) {
			s.Errorf("%s: more are open than there were", after)
		}
		if s.number(s.field(after, "total_scripts_executed")) < s.number(s.field(before, "total_scripts_executed")) {
			s.Errorf("from %s to %s", before, after)
		}
	}
	events := s.events(2)
	before := s.number(s.field(events.Call1("solidb.stats"), "total_scripts_executed"))
	s.get(2, "/table")
	s.commander(2).Call("solidb.ws.id") // it is counted when it is answered
	now := events.Call1("solidb.stats")
	if n := s.number(s.field(now, "total_scripts_executed")); n < before+2 { // the call before, and the HTTP handler
		s.Errorf("%v runs, then an HTTP call, then %v", before, n)
	}
	opened := s.number(s.field(now, "total_ws_connections"))
	s.commander(2).Call("solidb.ws.id")
	s.same("opened since", s.number(s.field(events.Call1("solidb.stats"), "total_ws_connections")), opened+1)
}
