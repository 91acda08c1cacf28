package app

import (
	"strings"
	"testing"

	"rollcall/auth"
)

// SPEC 11: "solidb.env (a table that reads as env)", in all kinds of handler and while files are loaded; nobody can
// write or list it.
func TestSolidbEnv(t *testing.T) {
	files := handler(`if event.type == "message" then return { send = {
		seen = { solidb.env.KEY, solidb.env["key"], atLoad }, nothing = { solidb.env.OTHER == nil, solidb.env["A=B"] == nil,
		solidb.env[1] == nil, next(solidb.env) == nil, solidb.ws == nil },
		written = { pcall(function() solidb.env.KEY = "x" end) }, raw = pcall(rawset, solidb.env, "KEY", "x"), still = env("KEY") } } end`)
	files["handlers/chat.lua"] = `atLoad = solidb.env.KEY ` + files["handlers/chat.lua"] +
		"\nfunction http() return solidb.env.KEY end"
	files["config/routes.lua"] += "\n" + `router_get("/env", "chat#http")`
	files["scripts/db/x.ws.lua"] = `solidb.ws.send(solidb.env.KEY)`
	n := startNode(t, files, nodeOptions{load: LoadOptions{Env: Env{"KEY": "k"}}})
	c := n.dial("/ws/x")
	c.say("")
	if got := c.next(); !strings.HasPrefix(got, `{"seen":["k","k","k"],"nothing":[true,true,true,true,true],"written":[false,`) ||
		!strings.HasSuffix(got, `"raw":false,"still":"k"}`) {
		t.Error(got)
	}
	if got := n.get("/env"); got != "200 k" {
		t.Error(got)
	}
	n.dial(scriptPath).expect("k")
}

// A guard that raises is a denial wherever it stands, and an error like others for pcall; what comes after it is the
// handler's own.
func TestSolidbGuards(t *testing.T) {
	const why = "solidb.auth.require_auth: a token is required"
	n := startNode(t, map[string]string{
		"config/routes.lua": `router_get("/:how", "h#h")`,
		"handlers/h.lua": `function h(request)
  local how = request.params.how
  if how == "plain" then solidb.auth.require_auth() end
  if how == "rethrown" then local ok, err = pcall(solidb.auth.require_auth) error(err, 0) end
  if how == "coroutine" then coroutine.wrap(function() solidb.auth.require_auth() end)() end
  if how == "caught" then pcall(solidb.auth.require_auth) return "went on" end
  if how == "other" then pcall(solidb.auth.require_auth) error("other") end
  if how == "claimed" then error("solidb.auth.require_auth: a token is required") end
end`,
		"scripts/db/x.get.lua":     `solidb.auth.require_role("admin") return "in"`,
		"scripts/db/plain.ws.lua":  `solidb.auth.require_auth() solidb.ws.send("in")`,
		"scripts/db/thread.ws.lua": `coroutine.wrap(function() solidb.auth.require_auth() end)() solidb.ws.send("in")`,
		"scripts/db/caught.ws.lua": `pcall(solidb.auth.require_auth) solidb.ws.send("went on")`,
		"scripts/db/other.ws.lua":  `pcall(solidb.auth.require_auth) error("other")`,
	}, nodeOptions{config: func(c *Config) { c.Tokens = tokens(t) }})
	for how, want := range map[string]string{"plain": "401 ", "rethrown": "401 ", "coroutine": "401 ",
		"caught": "200 went on", "other": "500 ", "claimed": "500 "} {
		if got := n.get("/" + how); !strings.HasPrefix(got, want) || strings.Contains(got, why) != (want == "401 ") {
			t.Errorf("%s: %s, want %s", how, got, want)
		}
	}
	role := "?token=" + mint(t, auth.MintClaims{UserID: "42", Roles: []string{"x"}})
	for path, want := range map[string]string{"/api/custom/db/x": "401 ", "/api/custom/db/x" + role: "403 ",
		"/api/custom/db/x?token=" + mint(t, auth.MintClaims{UserID: "42", Roles: []string{"admin"}}): "200 in"} {
		if got := n.get(path); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
	n.dial("/api/custom/db/plain"+role).expect("in", "closed 1000")
	n.dial("/api/custom/db/caught").expect("went on", "closed 1000")
	n.dial("/api/custom/db/plain").expect("closed 4403 " + why)
	n.dial("/api/custom/db/thread").expect("closed 4403 " + why)
	n.dial("/api/custom/db/other").expect("closed 1011 script error")
	n.server.running.Wait()
	counted := map[Reason]int{}
	for _, f := range n.seen.all() {
		counted[f.Reason]++
		if f.File == "" || f.Line == 0 {
			t.Errorf("%+v names no line", f)
		}
	}
	if counted[ReasonDenied] != 7 || counted["raised"] != 3 || len(counted) != 2 {
		t.Errorf("counted are %v", counted)
	}
}

// solidb.fetch is http.fetch, in both kinds of handler and in HTTP handlers.
func TestSolidbFetch(t *testing.T) {
	b := startBackEnd(t)
	n := startNode(t, fetchApp(b, `local a = solidb.fetch(U .. arg, { method = "PUT", json = { 1 } }) return a.status .. " " .. a.body`),
		asking(t))
	const want = "202 PUT /x application/json [1]"
	for _, path := range []string{"/ws/x", scriptPath} {
		c := n.dial(path)
		c.say("/x")
		c.expect(want)
	}
	if got := n.get("/http?arg=/x"); got != `200 "`+want+`"` {
		t.Error(got)
	}
}
