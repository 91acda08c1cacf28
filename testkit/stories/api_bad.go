package stories

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"rollcall/testkit/nodetest"
)

// apiBadStories are requests that are wrong. Issue: "bad bodies, unknown fields, huge bodies, wrong types: 4xx problem
// documents that name the field, never 500".
var apiBadStories = []entry{
	{"bodies", "bad bodies, unknown fields, huge bodies, wrong types: 4xx problem documents that name the field",
		(*story).apiBadBodies},
	{"batches", "the same of batches", (*story).apiBadBatches},
	{"scripts", "the same of scripts", (*story).apiBadScripts},
	{"queries", "the same of queries", (*story).apiBadQueries},
	{"keys", "SPEC 2: wrong or no key: 401", (*story).apiBadKeys},
	{"after", "issue: never 500; the nodes go on", (*story).apiAfterBad},
}

// badBody is a body that no call takes, with the answer to it.
type badBody struct {
	name, body string
	status     int
	location   string
}

// noJSON are bodies that are bad JSON, or JSON of the wrong kind, for every call that takes JSON.
var noJSON = []badBody{
	{"none", "", 400, "body"},
	{"spaces", " \n ", 400, "body"},
	{"null", "null", 422, "body"},
	{"array", "[]", 422, "body"},
	{"number", "7", 422, "body"},
	{"string", `"message"`, 422, "body"},
	{"true", "true", 422, "body"},
	{"cut off", `{"message":`, 400, "body.message"},
	{"single quotes", `{'message':1}`, 400, "body"},
	{"comma at the end", `{"message":1,}`, 400, "body"},
	{"NaN", `{"message":NaN}`, 400, "body.message"},
	{"infinity", `{"message":Infinity}`, 400, "body.message"},
	{"a leading zero", `{"message":01}`, 400, "body"},
	{"more after it", `{"message":1} {"message":2}`, 400, "body"},
	{"a name twice", `{"message":1,"message":2}`, 400, "body.message"},
	{"a name twice, deep", `{"message":{"a":[{},{"b":1,"b":2}]}}`, 400, "body.message.a[1].b"},
	{"no UTF-8", "{\"message\":\"a\xff\"}", 400, "body.message"},
	{"no UTF-8 in a name", "{\"mess\xffage\":1}", 400, "body"},
	{"half a surrogate pair", `{"message":"\ud800"}`, 400, "body.message"},
	{"deep", strings.Repeat("[", 100_000), 400, "body"},
	{"deep and closed", `{"message":` + strings.Repeat("[", 9_000) + strings.Repeat("]", 9_000) + `}`, 400, "body"},
	{"a byte order mark", "\ufeff{\"message\":1}", 400, "body"},
	{"form", "message=1", 400, "body"},
	{"zero bytes", "\x00\x00", 400, "body"},
}

func (s *story) badBodies(path string, table []badBody) {
	s.Helper()
	for i, tt := range table {
		status, answer := s.apiPost(i%len(s.Addrs), path, tt.body)
		if status != tt.status || !strings.Contains(answer, `"location":`+nodetest.JSON(tt.location)) {
			s.Errorf("%.40s, %s: %d %.300s, want %d that names %s", path, tt.name, status, answer, tt.status, tt.location)
		}
		if len(answer) > 2000 {
			s.Errorf("%.40s, %s: the answer has %d bytes", path, tt.name, len(answer))
		}
	}
}

func (s *story) apiBadBodies() {
	c := s.events(0)
	paths := []string{"/_api/broadcast", "/_api/channels/" + url.PathEscape(s.name("room")) + "/broadcast",
		"/_api/connections/" + s.id(c) + "/send"}
	for _, path := range paths {
		s.badBodies(path, noJSON)
		s.badBodies(path, []badBody{
			{"empty object", `{}`, 422, "body.message"},
			{"another field", `{"text":1}`, 422, "body.message"},
			{"an unknown field", `{"message":1,"extra":2}`, 422, "body.extra"},
			{"in capitals", `{"Message":1}`, 422, "body"},
			{"in both", `{"message":1,"Message":2}`, 422, "body"},
			{"an unknown field like a type's", `{"message":1,"$schema":"x"}`, 422, "body.$schema"},
			{"huge", `{"message":"` + strings.Repeat("x", 1<<20) + `"}`, 413, "body"},
			{"huge and no JSON", strings.Repeat("x", 9<<20), 413, "body"},
		})
		for _, kind := range []string{"text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x",
			"application/xml", "application/cbor", "text/json", "x", "/", "application/json, text/plain"} {
			s.refused(http.StatusUnsupportedMediaType, "body")(s.api("POST", 0, path, `{"message":1}`, "Content-Type: "+kind))
		}
	}
	c.Act(`{}`)
	s.same("what came of it", c.Pending(), "[]")
	for _, kind := range []string{"application/json; charset=utf-8", "Application/JSON", "application/vnd.x+json"} {
		if status, answer, _ := nodetest.Request(s.Context(), "POST", s.Addrs[1], paths[2], `{"message":1}`,
			"X-API-Key: "+Key, "Content-Type: "+kind); status != 204 {
			s.Errorf("%s: %d %s", kind, status, answer)
		}
		c.Expect("1")
	}
	// As large as may be.
	s.same("send", first(s.apiPost(2, paths[2], `{"message":"`+strings.Repeat("x", 1<<20-15)+`"}`)), 204)
	c.Expect(strings.Repeat("x", 1<<20-15))
}

func (s *story) apiBadBatches() {
	table := []badBody{
		{"empty object", `{}`, 422, "body.broadcasts"}, {"null", `{"broadcasts":null}`, 422, "body.broadcasts"}, {"object",
			`{"broadcasts":{}}`, 422, "body.broadcasts"}, {"string", `{"broadcasts":"x"}`, 422, "body.broadcasts"},
		{"unknown field", `{"broadcasts":[{"message":1}],"more":1}`, 422, "body.more"}, {"nulls", `{"broadcasts":[null]}`,
			422, "body.broadcasts[0]"}, {"arrays", `{"broadcasts":[[]]}`, 422, "body.broadcasts[0]"},
		{"channel is a number", `{"broadcasts":[{"channel":7,"message":1}]}`, 422,
			"body.broadcasts[0].channel"},
		{"channel is an array", `{"broadcasts":[{"channel":["x"],"message":1}]}`, 422, "body.broadcasts[0].channel"},
		{"channel is true", `{"broadcasts":[{"channel":true,"message":1}]}`, 422,
			"body.broadcasts[0].channel"},
		{"a name twice", `{"broadcasts":[{"message":1},{"channel":"x","channel":"y","message":1}]}`, 400,
			"body.broadcasts[1].channel"},
		{"huge", `{"broadcasts":["` + strings.Repeat("x", 8<<20) + `"]}`, 413, "body"},
	}
	for _, tt := range noJSON {
		if !strings.Contains(tt.location, ".") {
			table = append(table, tt)
		}
	}
	s.badBodies("/_api/batch", table)
}

func (s *story) apiBadScripts() {
	path := "/_api/custom/bad/bodies"
	table := []badBody{
		{"empty object", `{}`, 422, "body.code"}, {"code is a number", `{"code":1}`, 422, "body.code"}, {"code is null",
			`{"code":null}`, 422, "body.code"}, {"no code", `{"code":""}`, 422, "body.code"},
		{"method is a number", `{"method":1,"code":"--"}`, 422, "body.method"}, {"method is null",
			`{"method":null,"code":"--"}`, 422, "body.method"},
		{"an unknown field", `{"code":"--","version":1}`, 422, "body.version"},
		{"an unknown method", `{"method":"FETCH","code":"--"}`, 422, "query.method"}, {"a name twice",
			`{"code":"--","code":"-- 2"}`, 400, "body.code"}, {"no Lua", `{"code":"local ="}`, 422, "body.code"},
		{"huge", `{"code":"` + strings.Repeat("-", 1<<20+1) + `"}`, 413, "body.code"}, {"too huge to read",
			strings.Repeat("-", 8<<20+1), 413, "body"},
	}
	for _, tt := range noJSON {
		if !strings.Contains(tt.location, ".") {
			table = append(table, tt)
		}
	}
	s.badBodies(path, table)
	s.refused(422, "body.code")(s.api("POST", 0, path, "-- \xff", "Content-Type: text/x-lua"))
	s.refused(400, "body")(s.api("POST", 0, path, "", "Content-Type: text/x-lua"))
	for _, method := range []string{"", "GET", "DELETE"} {
		call, body := method, ""
		if method == "" {
			call, body = "POST", "return"
		}
		s.refused(422, "query.method")(s.api(call, 0, path+"?method=FETCH", body))
		s.refused(422, "query.methods")(s.api(call, 0, path+"?methods=WS", body))
	}
	s.same("GET", first(s.api("GET", 0, path, "")), 404)
}

func (s *story) apiBadQueries() {
	for _, path := range []string{"/_api/connections", "/_api/channels", "/_api/channels/x/connections",
		"/_api/channels/x/presence"} {
		for _, limit := range []string{"0", "-1", "10001", "x", "1.5", "1e3", "%20", "99999999999999999999", "0x10", "null"} {
			s.refused(422, "query.limit")(s.api("GET", 0, path+"?limit="+limit, ""))
		}
		s.refused(422, "query.cursor")(s.api("GET", 0, path+"?cursor="+strings.Repeat("x", 1000), ""))
		s.refused(422, "query.Limit")(s.api("GET", 0, path+"?Limit=1", ""))
		s.refused(422, "query.offset")(s.api("GET", 0, path+"?limit=1&offset=1", ""))
		for _, query := range []string{"limit=%zz", "limit=1&cursor=%", "a;b", "%"} {
			s.refused(400, "query")(s.api("GET", 0, path+"?"+query, ""))
		}
	}
	for _, path := range []string{"/_api/nodes", "/_api/stats", "/_api/custom", "/_api/openapi.json",
		"/_api/channels/x/presence/count", "/_api/channels/x/presence/u", "/_api/connections/x"} {
		s.refused(422, "query.limit")(s.api("GET", 0, path+"?limit=1", ""))
	}
	s.refused(422, "query.channel")(s.apiPost(0, "/_api/broadcast?channel=x", `{"message":1}`))
	s.refused(422, "query.reasons")(s.api("DELETE", 0, "/_api/connections/x?reasons=y", ""))
	// net/http itself refuses a path that is not encoded well, before it is ours.
	if status, _, _ := nodetest.Request(s.Context(), "GET", s.Addrs[0], "/_api/channels/x/presence", "",
		"X-API-Key: "+Key); status != 200 {
		s.Errorf("a good one: %d", status)
	}
}

func (s *story) apiBadKeys() {
	for _, tt := range []struct{ method, path, body string }{
		{"POST", "/_api/broadcast", `{"message":1}`}, {"POST", "/_api/batch", `{"broadcasts":[{"message":1}]}`}, {"GET",
			"/_api/connections", ""}, {"GET", "/_api/connections/x", ""}, {"POST", "/_api/connections/x/send", `{"message":1}`},
		{"DELETE", "/_api/connections/x", ""}, {"GET", "/_api/channels", ""}, {"GET", "/_api/channels/x/connections",
			""}, {"POST", "/_api/channels/x/broadcast", `{"message":1}`}, {"GET", "/_api/channels/x/presence", ""},
		{"GET", "/_api/channels/x/presence/count", ""}, {"GET", "/_api/channels/x/presence/u", ""}, {"GET", "/_api/nodes",
			""}, {"GET", "/_api/stats", ""}, {"GET", "/_api/openapi.json", ""}, {"GET", "/_api/custom", ""},
		{"POST", "/_api/custom/a/b", "return"}, {"GET", "/_api/custom/a/b", ""}, {"DELETE", "/_api/custom/a/b",
			""}, {"OPTIONS", "/_api/nodes", ""}, {"PUT", "/_api/nodes", ""}, {"GET", "/_api/nothing", ""},
		{"POST", "/_api/broadcast", "{"}, {"GET", "/_api/nodes?limit=%zz", ""},
	} {
		for i, header := range [][]string{nil, {"X-API-Key: " + Key + "x"}, {"X-API-Key: " + Key[1:]},
			{"Authorization: Basic " + Key}, {"Authorization: Bearer"}, {"X-API-Key: wrong", "Authorization: Bearer " + Key}} {
			status, answer, head := s.call(tt.method, i%3, tt.path, tt.body, append(header, jsonBody)...)
			if status != http.StatusUnauthorized || !strings.HasPrefix(head.Get("WWW-Authenticate"), "Bearer") ||
				strings.Contains(answer, Key) {
				s.Errorf("%s %s with %q: %d %s", tt.method, tt.path, header, status, answer)
			}
		}
	}
	s.same("in the query it is no key", first(s.get(0, "/_api/nodes?api_key="+Key)), 401)
}

func (s *story) apiAfterBad() {
	for node, log := range s.Logs {
		for _, line := range log.Lines() {
			if line.Is("API call failed") || strings.Contains(line.Text("raw"), "panic") {
				s.Errorf("node %d: %v", node, line)
			}
		}
		s.same("readyz", fmt.Sprint(nodetest.Status(s.Addrs[node], "/readyz")), "200")
	}
}
