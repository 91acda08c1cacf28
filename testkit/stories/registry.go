package stories

import (
	"fmt"
	"net/http"
	"strings"

	"time"

	"rollcall/testkit"
	"rollcall/testkit/nodetest"
)

// registryStories are the two ways of SPEC 1.1 to register a script, and SPEC 2's shapes of them.
var registryStories = []entry{
	{"file", "a file scripts/{db}/{path}.ws.lua in the app folder ({path} may have folders; [id] is the dynamic segment :id)", (*story).scriptFile},
	{"post", `POST /_api/custom/{db}/{path} with JSON {"method":"WS","code":"..."}, or the Lua source as the body and ?method=WS`, (*story).post},
	{"everywhere", "both live on every node within 1 s", (*story).everywhere},
	{"replace", "Replaces an earlier one. New connections run the newest version; running ones finish on theirs",
		(*story).replace},
	{"delete", "DELETE removes it", (*story).deleteScript},
	{"list", "GET reads it back, GET /_api/custom lists", (*story).listScripts},
	{"dynamic", ":id segments allowed", (*story).dynamic},
	{"compile-error", "Code that does not compile: 422 with line and message, and the old version stays",
		(*story).compileError},
	{"bad-names", "Errors are RFC 9457 problem documents", (*story).badScripts},
	{"over-a-file", "A script posted by HTTP hides a file of the same path; its DELETE uncovers the file",
		(*story).overFile},
	{"http-script", "HTTP script, GET /api/custom/_system/rooms", (*story).httpScript},
}

// restartStories come last: they change the nodes.
var restartStories = []entry{
	{"scripts-survive", "Stored in Redis; survives restarts of every node", (*story).surviveRestart},
}

func (s *story) scriptFile() {
	for node := range s.Addrs {
		s.on(node, "/api/custom/test/items/42/live").Expect("live 42", "closed 1000")
		status, body := s.get(node, "/api/custom/test/items/a%2Fb")
		s.same("HTTP script by file", fmt.Sprint(status, s.field(body, "id"), s.field(body, "socket")), `200"a/b"false`)
	}
	status, _ := s.get(0, "/api/custom/test/items/42/live")
	s.same("a plain GET on a WebSocket route", status, http.StatusUpgradeRequired)
	status, _ = s.get(0, "/api/custom/test/nothing")
	s.same("unknown path", status, http.StatusNotFound)
}

func (s *story) post() {
	const code = `solidb.ws.send("posted")`
	for name, post := range map[string]func() (int, string){
		"json": func() (int, string) {
			return s.api("POST", 0, "/_api/custom/p/json", `{"method":"WS","code":"solidb.ws.send(\"posted\")"}`,
				"Content-Type: application/json")
		},
		"json-method-in-query": func() (int, string) {
			return s.api("POST", 1, "/_api/custom/p/json-method-in-query?method=WS", `{"code":"solidb.ws.send(\"posted\")"}`,
				"Content-Type: application/json; charset=utf-8")
		},
		"source": func() (int, string) {
			return s.api("POST", 2, "/_api/custom/p/source?method=WS", code, "Content-Type: text/plain")
		},
		"source-without-type": func() (int,
			string) {
			return s.api("POST", 2, "/_api/custom/p/source-without-type?method=WS", code)
		},
		"folders/deep": func() (int, string) { return s.api("POST", 0, "/_api/custom/p/folders/deep", code) },
	} {
		status, body := post()
		s.same(name, status, http.StatusCreated)
		s.same("shape of "+name, s.field(body, "db")+s.field(body, "path")+s.field(body, "method")+s.field(body, "code"),
			fmt.Sprintf(`"p""%s""WS"%s`, name, nodetest.JSON(code)))
		s.servedWithin(time.Second, "/api/custom/p/"+name)
		for node := range s.Addrs {
			s.on(node, "/api/custom/p/"+name).Expect("posted", "closed 1000")
		}
	}
}

func (s *story) everywhere() {
	for i := range 10 {
		name := fmt.Sprintf("/custom/everywhere/n%d", i)
		began := time.Now()
		s.put("/_api"+name, "WS", "solidb.ws.send('first')")
		s.servedWithin(time.Second-time.Since(began), "/api"+name)
		began = time.Now()
		s.put("/_api"+name, "WS", "solidb.ws.send('second')")
		for node := range s.Addrs {
			testkit.Within(s, "the new version", time.Second-time.Since(began), func() bool {
				return s.on(node, "/api"+name).Next() == "second"
			})
		}
		began = time.Now()
		s.same("DELETE", first(s.api("DELETE", 2, "/_api"+name, "")), http.StatusNoContent)
		for node := range s.Addrs {
			testkit.Within(s, "404", time.Second-time.Since(began),
				func() bool { return first(s.get(node, "/api"+name)) == http.StatusNotFound })
		}
	}
}

func first[T, U any](v T, _ U) T { return v }

func (s *story) replace() {
	path := s.script(`while true do solidb.ws.send("old " .. solidb.ws.recv()) end`)
	old := s.on(1, path)
	old.Send("1")
	old.Expect("old 1")
	s.put("/_"+strings.TrimPrefix(path, "/"), "WS", `while true do solidb.ws.send("new " .. solidb.ws.recv()) end`)
	for node := range s.Addrs {
		testkit.Within(s, "the new version", time.Second, func() bool {
			c := s.on(node, path)
			c.Send("2")
			return c.Next() == "new 2"
		})
	}
	old.Send("3")
	old.Expect("old 3")
}

func (s *story) deleteScript() {
	path := s.script(`solidb.ws.send("here") solidb.ws.recv() solidb.ws.send("still")`)
	running := s.on(2, path)
	running.Expect("here")
	api := "/_" + strings.TrimPrefix(path, "/")
	s.same("DELETE of another method", first(s.api("DELETE", 1, api+"?method=GET", "")), http.StatusNotFound)
	s.same("DELETE", first(s.api("DELETE", 1, api, "")), http.StatusNoContent)
	s.same("DELETE again", first(s.api("DELETE", 0, api, "")), http.StatusNotFound)
	s.same("GET", first(s.api("GET", 2, api, "")), http.StatusNotFound)
	for node := range s.Addrs {
		testkit.Within(s, "404", time.Second, func() bool { return first(s.get(node, path)) == http.StatusNotFound })
	}
	running.Send("x")
	running.Expect("still", "closed 1000")
}

func (s *story) listScripts() {
	s.put("/_api/custom/listed/a", "WS", "-- a")
	s.put("/_api/custom/listed/a", "GET", "return 'got'")
	s.put("/_api/custom/listed/:id/b", "WS", "-- b")
	for node := range s.Addrs {
		status, body := s.api("GET", node, "/_api/custom", "")
		var list struct {
			Scripts []struct {
				DB, Path, Method, Code string
				Version                int64
			}
		}
		s.decode(body, &list)
		var got []string
		for _, sc := range list.Scripts {
			if sc.DB == "listed" {
				got = append(got, sc.Method+" "+sc.Path+" "+sc.Code)
			}
			if sc.Version <= 0 {
				s.Errorf("%s/%s has the version %d", sc.DB, sc.Path, sc.Version)
			}
		}
		s.same("list", fmt.Sprint(status, got), "200 [GET a return 'got' WS :id/b -- b WS a -- a]")
		status, body = s.api("GET", node, "/_api/custom/listed/a?method=GET", "")
		s.same("GET", fmt.Sprint(status, s.field(body, "code")), `200"return 'got'"`)
		status, body = s.api("GET", node, "/_api/custom/listed/:id/b", "")
		s.same("GET", fmt.Sprint(status, s.field(body, "code")), `200"-- b"`)
	}
}

func (s *story) dynamic() {
	s.put("/_api/custom/dyn/:id/x/:two", "WS",
		`solidb.ws.send(request.params.id .. "+" .. request.params.two .. "+" .. request.query.q)`)
	s.servedWithin(time.Second, "/api/custom/dyn/1/x/2")
	for node := range s.Addrs {
		s.on(node, "/api/custom/dyn/a%2Fb/x/%C3%A9?q=1&q=2").Expect("a/b+é+2", "closed 1000")
	}
}

func (s *story) compileError() {
	path := s.script(`solidb.ws.send("works")`)
	api := "/_" + strings.TrimPrefix(path, "/")
	status, body := s.api("POST", 1, api, "local x = 1\nlocal = 2\n")
	s.same("status", status, http.StatusUnprocessableEntity)
	s.same("line", s.field(body, "line"), "2")
	s.contains(s.field(body, "message"), "near")
	s.contains(s.field(body, "detail"), "does not compile")
	_, body = s.api("GET", 2, api, "")
	s.same("the old version stays", s.field(body, "code"), nodetest.JSON(`solidb.ws.send("works")`))
	for node := range s.Addrs {
		s.on(node, path).Expect("works", "closed 1000")
	}
	// Bytecode is no source.
	s.same("bytecode", first(s.api("POST", 1, api, "\x1bLua\x51\x00\x01\x04")), http.StatusUnprocessableEntity)
}

func (s *story) badScripts() {
	for _, tt := range []struct {
		method, path, body, contentType string
		want                            int
	}{
		{"POST", "/_api/custom/bad/x?method=FETCH", "-- x", "", 422},
		{"POST", "/_api/custom/bad/", "-- x", "", 422},
		{"POST", "/_api/custom/:db/x", "-- x", "", 422},
		{"POST", "/_api/custom/bad/:id/:id", "-- x", "", 422},
		{"POST", "/_api/custom/bad/" + strings.Repeat("x", 300), "-- x", "", 422},
		{"POST", "/_api/custom/bad/x", "{", "application/json", 400},
		{"POST", "/_api/custom/bad/x", "[]", "application/json", 422},
		{"POST", "/_api/custom/bad/x", `{"code":1}`, "application/json", 422},
		{"POST", "/_api/custom/bad/x", `{"method":"WS"}`, "application/json", 422},
		{"POST", "/_api/custom/bad/x", `{"method":"NO","code":"-- x"}`, "application/json", 422},
		{"POST", "/_api/custom/bad/x", strings.Repeat("-", 2<<20), "text/plain", 413},
		{"GET", "/_api/custom/bad/x", "", "", 404},
		{"GET", "/_api/nothing", "", "", 404},
	} {
		status, body := s.api(tt.method, 0, tt.path, tt.body, "Content-Type: "+tt.contentType)
		if status != tt.want || s.field(body, "status") != fmt.Sprint(tt.want) || s.field(body, "title") == "nothing" ||
			s.field(body, "detail") == "nothing" {
			s.Errorf("%s %.60s %.40q: %d %s, want %d and a problem document", tt.method, tt.path, tt.body, status, body, tt.want)
		}
	}
}

func (s *story) overFile() {
	const api, path = "/_api/custom/test/items/:other/live", "/api/custom/test/items/1/live"
	s.put(api, "WS", `solidb.ws.send("posted")`)
	for node := range s.Addrs {
		testkit.Within(s, "the posted one", time.Second, func() bool { return s.on(node, path).Next() == "posted" })
	}
	s.same("DELETE", first(s.api("DELETE", 1, api, "")), http.StatusNoContent)
	for node := range s.Addrs {
		testkit.Within(s, "the file", time.Second, func() bool { return s.on(node, path).Next() == "live 1" })
	}
}

func (s *story) httpScript() {
	s.put("/_api/custom/hs/rooms/:id", "GET",
		`return { status = 202, headers = { ["X-Id"] = request.params.id }, body = request.method }`)
	s.put("/_api/custom/hs/rooms/:id", "POST", `return { got = request.body }`)
	for node := range s.Addrs {
		testkit.Within(s, "it is served", time.Second,
			func() bool { return first(s.get(node, "/api/custom/hs/rooms/7")) == 202 })
		testkit.Within(s, "POST too", time.Second, func() bool {
			status, body := s.api("POST", node, "/api/custom/hs/rooms/7", `{"a":[]}`, "Content-Type: application/json")
			return status == 200 && body == `{"got":{"a":[]}}`
		})
		s.same("another method", first(s.api("PUT", node, "/api/custom/hs/rooms/7", "")), http.StatusMethodNotAllowed)
	}
}

func (s *story) surviveRestart() {
	path := s.script(`solidb.ws.send("still here")`)
	gone := s.script(`-- will be removed`)
	s.same("DELETE", first(s.api("DELETE", 0, "/_"+strings.TrimPrefix(gone, "/"), "")), http.StatusNoContent)
	s.Restart(s.T)
	s.servedWithin(time.Second, path)
	for node := range s.Addrs {
		s.on(node, path).Expect("still here", "closed 1000")
		s.same("a removed one", first(s.get(node, gone)), http.StatusNotFound)
	}
}
