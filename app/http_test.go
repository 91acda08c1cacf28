package app

import (
	"encoding/json"
	"runtime"
	"strings"
	"testing"
	"time"

	"rollcall/luavm"
)

// SPEC 1.2: `router_get("/rooms/:room_id/users", "rooms#users") -- also router_post, _put, _patch, _delete`.
func TestHTTPRoutes(t *testing.T) {
	n := startNode(t, map[string]string{
		"config/routes.lua": `
router_get("/rooms/:room_id/users", "rooms#users")
router_get("/rooms/all/users", "rooms#all")
for _, m in ipairs({"post", "put", "patch", "delete"}) do _G["router_" .. m]("/rooms", "rooms#echo") end
router_get("/table", "other#get")
router_get("/global", "rooms#global")`,
		"handlers/rooms.lua": `
function users(req) return "users of " .. req.params.room_id end
function all() return {all = true} end
function echo(req) return {status = 201, headers = {["X-M"] = req.method}, body = req.body} end
function global() return request.path .. " " .. tostring(request.is_websocket) end`,
		"handlers/other.lua": `
local M = {}
function M.get() return json.null end
function users() return "not me" end
return M`,
		"public/index.html": "home",
	})
	tests := []struct{ method, path, body, want string }{
		{"GET", "/rooms/red/users", "", "200 users of red"},
		{"GET", "/rooms/r%2Fd/users", "", "200 users of r/d"},
		{"GET", "/rooms/all/users", "", `200 {"all":true}`},
		{"POST", "/rooms", "text", "201 text"},
		{"PUT", "/rooms", "text", "201 text"},
		{"PATCH", "/rooms", "text", "201 text"},
		{"DELETE", "/rooms", "", "201"},
		{"HEAD", "/rooms/red/users", "", "200"},
		{"GET", "/table", "", "204"},
		{"GET", "/global", "", "200 /global false"},
		{"GET", "/", "", "200 home"},
		{"GET", "/rooms", "", "405 "},
		{"POST", "/", "", "404 "},
		{"GET", "/rooms/red/users/", "", "404 "},
		{"GET", "/%ff", "", "400 "},
	}
	for _, tt := range tests {
		t.Run(tt.method+" "+tt.path, func(t *testing.T) {
			got, _ := n.request(tt.method, tt.path, tt.body)
			if got = strings.TrimSpace(got); got != tt.want &&
				!(strings.HasSuffix(tt.want, " ") && strings.HasPrefix(got, tt.want)) {
				t.Fatalf("got %s, want %s", got, tt.want)
			}
		})
	}
}

// SPEC 1.3: "request in scripts and HTTP handlers: method, path, query, params, headers, body (parsed when JSON, else
// string), user, remote_addr, is_websocket."
func TestHTTPRequest(t *testing.T) {
	n := startNode(t, map[string]string{
		"scripts/db/[id].post.lua": `return {r = request, body_type = type(request.body)}`,
		"scripts/db/[id].get.lua":  `return "got " .. request.params.id`,
		"scripts/db/list.get.lua":  `return ws_list_presence("nobody")`,
	})
	tests := []struct{ kind, body, wantType, wantBody string }{
		{"application/json", `{"a":[1,null]}`, "table", `{"a":[1,null]}`},
		{"application/vnd.x+json; charset=utf-8", `3`, "number", `3`},
		{"application/json", `{"a":`, "string", `"{\"a\":"`},
		{"text/plain", `{"a":1}`, "string", `"{\"a\":1}"`},
		{"", ``, "string", `""`},
	}
	for _, tt := range tests {
		t.Run(tt.kind+tt.body, func(t *testing.T) {
			text, _ := n.request("POST", "/api/custom/db/7?q=1", tt.body, "Content-Type: "+tt.kind, "X-Y: z")
			var got struct {
				R struct {
					Method, Path string
					Query        map[string]string
					Params       map[string]string
					Headers      map[string]string
					Body         json.RawMessage
					Remote       string `json:"remote_addr"`
					WS           bool   `json:"is_websocket"`
				}
				BodyType string `json:"body_type"`
			}
			check(t, json.Unmarshal([]byte(strings.TrimPrefix(text, "200 ")), &got))
			r := got.R
			if r.Method != "POST" || r.Path != "/api/custom/db/7" || r.Query["q"] != "1" || r.Params["id"] != "7" ||
				r.Headers["x-y"] != "z" ||
				string(r.Body) != tt.wantBody || got.BodyType != tt.wantType || r.Remote != "127.0.0.1" || r.WS {
				t.Fatal(text)
			}
		})
	}
	if got := n.get("/api/custom/db/9"); got != "200 got 9" {
		t.Error(got)
	}
	if got := n.get("/api/custom/db/list"); got != "200 []" {
		t.Error(got)
	}
	if got, h := n.request("PUT", "/api/custom/db/9", ""); !strings.HasPrefix(got, "405 ") ||
		h.Get("Allow") != "GET, POST" {
		t.Error(got, h)
	}
}

// Handlers that fail: 500 without a word of the inside, but with --dev; counted.
func TestHTTPFailures(t *testing.T) {
	files := map[string]string{
		"config/routes.lua": `for _, f in ipairs({"raises", "loops", "bad", "joins", "leaves"}) do router_get("/" .. f, "h#" .. f) end router_get("/ok", "h#ok")`,
		"handlers/h.lua": `
function raises() error("inside") end
function loops() while true do end end
function bad() return {status = 200, headers = "x"} end
function joins() ws_join("c") end
function leaves() ws_leave("c") end
function ok() return "ok" end`,
	}
	tests := []struct{ path, detail, reason string }{
		{"/raises", "handlers/h.lua:2: inside", "raised"},
		{"/loops", "handlers/h.lua:3: time budget of 50ms used up", "budget"},
		{"/bad", "bad return value: headers must be a table", "answer"},
		{"/joins", "ws_join: there is no current connection in an HTTP handler", "raised"},
		{"/leaves", "ws_leave: there is no current connection in an HTTP handler", "raised"},
	}
	for _, mode := range []string{"dev", "production"} {
		n := startNode(t, files, nodeOptions{config: func(c *Config) {
			c.Dev = mode == "dev"
			c.Limits = luavm.Limits{Budget: 50 * time.Millisecond}
		}})
		for i, tt := range tests {
			t.Run(mode+tt.path, func(t *testing.T) {
				got, h := n.request("GET", tt.path, "")
				if !strings.HasPrefix(got, "500 ") || strings.Contains(got, tt.detail) != (mode == "dev") ||
					h.Get("Content-Type") != "application/problem+json" {
					t.Errorf("%s %v", got, h)
				}
				f := n.seen.all()
				if len(f) != i+1 || string(f[i].Reason) != tt.reason || f[i].Kind != RunHTTP || f[i].Route != tt.path {
					t.Errorf("failures %+v", f)
				}
				if f[i].File != "handlers/h.lua" || f[i].Line != i+2 {
					t.Errorf("it is said to be at %s:%d", f[i].File, f[i].Line)
				}
			})
		}
		if got := n.get("/ok"); got != "200 ok" {
			t.Error(got)
		}
	}
}

func TestHTTPBodyLimit(t *testing.T) {
	n := startNode(t, map[string]string{"scripts/db/x.post.lua": `return #request.body`},
		nodeOptions{config: func(c *Config) { c.Body = 10 }})
	if got, _ := n.request("POST", "/api/custom/db/x", "0123456789"); got != "200 10" {
		t.Error(got)
	}
	if got, _ := n.request("POST", "/api/custom/db/x", "0123456789x"); !strings.HasPrefix(got, "413 ") {
		t.Error(got)
	}
}

// A request's globals, the request itself among them, are gone by the next.
func TestHTTPRequestsShareNothing(t *testing.T) {
	n := startNode(t, map[string]string{
		"config/routes.lua":    `router_get("/a", "h#a") router_websocket("/ws", "h#ws")`,
		"handlers/h.lua":       `function a() n = (n or 0) + 1 return n end function ws(e) return {send = type(request) .. " " .. type(n)} end`,
		"scripts/db/x.get.lua": `n = (n or 0) + 1 return {n, request.path}`,
		"scripts/db/y.get.lua": `return {type(n), type(a), require("counter").add()}`,
		"lib/counter.lua":      `local M = {n = 0} function M.add() M.n = M.n + 1 return M.n end return M`,
	}, nodeOptions{config: func(c *Config) { c.MaxVMs = 1 }})
	for range 3 {
		if got := n.get("/a") + n.get("/api/custom/db/x") +
			n.get("/api/custom/db/y"); got != `200 1200 [1,"/api/custom/db/x"]200 ["nil","nil",1]` {
			t.Fatal(got)
		}
	}
	n.dial("/ws").expect("nil nil")
}

// SPEC 1.2: `{ auth = true }` (a valid token is required, else 401), also for HTTP routes.
func TestHTTPAuth(t *testing.T) {
	n := startNode(t, map[string]string{
		"config/routes.lua": `router_get("/a", "h#a", {auth = true})`,
		"handlers/h.lua":    `function a() return "in" end`,
	}, nodeOptions{load: LoadOptions{HasKeys: true}})
	if got, h := n.request("GET", "/a", ""); !strings.HasPrefix(got, "401 ") || h.Get("WWW-Authenticate") != "Bearer" {
		t.Fatal(got, h)
	}
}

// SPEC 1: public/ is served at /; routes come first.
func TestPublicFilesAndRoutes(t *testing.T) {
	n := startNode(t, map[string]string{
		"config/routes.lua": `router_get("/a.txt", "h#a") router_websocket("/:room", "h#ws")`,
		"handlers/h.lua":    `function a() return "route" end function ws() end`,
		"public/a.txt":      "file a", "public/b.txt": "file b",
	})
	if got := n.get("/a.txt"); got != "200 route" {
		t.Error(got)
	}
	if got := n.get("/b.txt"); got != "200 file b" {
		t.Error(got)
	}
	if got := n.get("/c.txt"); !strings.HasPrefix(got, "426 ") {
		t.Error(got)
	}
	if _, _, err := n.tryDial("/b.txt"); err != nil {
		t.Error(err)
	}
}

// A body that no handler looks at costs nothing but its bytes; one that is looked at is charged to the handler.
func TestBodyIsParsedWhenLookedAt(t *testing.T) {
	n := startNode(t, map[string]string{
		"config/routes.lua":         `router_post("/blind", "x#blind") router_post("/looks", "x#looks")`,
		"handlers/x.lua":            "function blind(r) return r.method end\nfunction looks(r)\nreturn #r.body end",
		"scripts/db/blind.post.lua": `return request.method`,
		"scripts/db/looks.post.lua": `return #request.body`,
	}, nodeOptions{config: func(c *Config) { c.Limits = luavm.Limits{Budget: time.Minute} }})
	body := "[" + strings.Repeat(`{"":0},`, 100_000) + "0]"
	for _, path := range []string{"/blind", "/api/custom/db/blind"} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if got, _ := n.request("POST", path, body, "Content-Type: application/json"); got != "200 POST" {
			t.Errorf("%s: %.200s", path, got)
		}
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; took > 20<<20 {
			t.Errorf("%s: a body of %d bytes took %d", path, len(body), took)
		}
	}
	for _, path := range []string{"/looks", "/api/custom/db/looks"} {
		if got, _ := n.request("POST", path, body, "Content-Type: application/json"); !strings.HasPrefix(got, "500 ") {
			t.Errorf("%s: %.200s", path, got)
		}
	}
	for _, f := range n.seen.all() {
		if f.Reason != "memory" || f.Line == 0 {
			t.Errorf("%+v", f)
		}
	}
	if len(n.seen.all()) != 2 {
		t.Errorf("%+v", n.seen.all())
	}
}
