package app

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	lua "github.com/yuin/gopher-lua"
)

// register runs lines of a routes file against a fresh router.
func register(t *testing.T, source string) *router {
	t.Helper()
	r := newRouter()
	l := lua.NewState()
	defer l.Close()
	for name, f := range r.functions() {
		l.SetGlobal(name, l.NewFunction(func(l *lua.LState) int {
			args := make([]lua.LValue, l.GetTop())
			for i := range args {
				args[i] = l.Get(i + 1)
			}
			f(strings.TrimSuffix(l.Where(1), ":"), args)
			return 0
		}))
	}
	fn, err := l.Load(strings.NewReader(source), "routes.lua")
	if err != nil {
		t.Fatal(err)
	}
	l.Push(fn)
	if err := l.PCall(0, 0, nil); err != nil {
		t.Fatal(err)
	}
	r.checkSockets()
	return r
}

func TestRegisterRoutes(t *testing.T) {
	r := register(t, `
router_websocket("/ws/chat", "websocket#chat_handler")
router_websocket("/ws/room/:room_id", "admin/rooms#room", { auth = true, origins = {"https://Example.com:443"}, max_message = 4096,
  presence = "devices", permissions = "claims", token_renewal = true })
router_get("/rooms/:room_id/users", "rooms#users")
router_post("/rooms/:id/users", "rooms#add", {auth = false})
router_put("/a", "a#put") router_patch("/a", "a#patch") router_delete("/a", "a#delete")
router_websocket("/rooms/:x/users", "a#ws", {origins = {}, presence = "users"})
`)
	if r.problems != nil {
		t.Fatal(r.problems)
	}
	var got []string
	for _, x := range r.routes {
		got = append(got, fmt.Sprintf("%s %s %s %s %s", x.Method, x.Path, x.file, x.fn, x.place))
	}
	want := []string{
		"WS /ws/chat handlers/websocket.lua chat_handler routes.lua:2",
		"WS /ws/room/:room_id handlers/admin/rooms.lua room routes.lua:3",
		"GET /rooms/:room_id/users handlers/rooms.lua users routes.lua:5",
		"POST /rooms/:id/users handlers/rooms.lua add routes.lua:6",
		"PUT /a handlers/a.lua put routes.lua:7",
		"PATCH /a handlers/a.lua patch routes.lua:7",
		"DELETE /a handlers/a.lua delete routes.lua:7",
		"WS /rooms/:x/users handlers/a.lua ws routes.lua:8",
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	wantOpts := Options{Auth: true, Origins: []string{"https://example.com"}, MaxMessage: 4096, Devices: true,
		ByClaims: true, TokenRenewal: true}
	if !reflect.DeepEqual(r.routes[1].Options, wantOpts) {
		t.Fatalf("options %+v, want %+v", r.routes[1].Options, wantOpts)
	}
	if o := r.routes[7].Options.Origins; o == nil || len(o) != 0 {
		t.Fatalf("an empty list of origins is a list (nobody else), got %#v", o)
	}
}

func TestRouteMistakesAreNamed(t *testing.T) {
	tests := []struct{ name, source, want string }{
		{"no path", `router_get()`, "router_get: the first argument must be a path like \"/ws/chat\", not nil"},
		{"number", `router_get(7, "a#b")`, "not the number 7"},
		{"no handler", `router_get("/a")`, `router_get("/a"): the second argument must be a handler like`},
		{"a function", `router_get("/a", function() end)`, "not a function"},
		{"no hash", `router_get("/a", "b")`, `the handler "b" must be written "file#function"`},
		{"bad function", `router_get("/a", "b#1c")`, "must be written"},
		{"climbing", `router_get("/a", "../b#c")`, "names no file of handlers/"},
		{"bad path", `router_get("a", "b#c")`, "does not begin with a slash"},
		{"reserved api", `router_get("/_api/x", "b#c")`, "/_api is Rollcall's own"},
		{"reserved health", `router_get("/healthz", "b#c")`, "/healthz is Rollcall's own"},
		{"reserved scripts", `router_websocket("/api/custom/:x", "b#c")`, "/api/custom (scripts) is Rollcall's own"},
		{"conflict", "router_get('/a/:x', 'b#c')\nrouter_get('/a/:y', 'b#c')",
			`routes.lua:2: router_get("/a/:y") matches the same paths as "/a/:x" at routes.lua:1`},
		{"too many", `router_get("/a", "b#c", {}, 1)`, "takes a path, a handler and a table of options"},
		{"options", `router_get("/a", "b#c", true)`, "the options must be a table, not true"},
		{"array of options", `router_get("/a", "b#c", {"auth"})`, "the options must be named"},
		{"unknown option", `router_get("/a", "b#c", {aut = true})`, `unknown option "aut"`},
		{"auth", `router_get("/a", "b#c", {auth = "yes"})`, `auth must be true or false, not the string "yes"`},
		{"presence", `router_websocket("/a", "b#c", {presence = "all"})`, `presence must be "devices"`},
		{"presence on http", `router_get("/a", "b#c", {presence = "devices"})`,
			`the option "presence" is for WebSocket and SSE routes`},
		{"max_message", `router_websocket("/a", "b#c", {max_message = 0.5})`, "max_message must be a whole number"},
		{"max_message zero", `router_websocket("/a", "b#c", {max_message = 0})`, "max_message must be a whole number"},
		{"origins", `router_websocket("/a", "b#c", {origins = "x"})`, "origins must be an array of strings"},
		{"origins holds a number", `router_websocket("/a", "b#c", {origins = {1}})`, "origins must be an array of strings"},
		{"bad origin", `router_websocket("/a", "b#c", {origins = {"example.com"}})`, `"example.com" is no origin`},
		{"permissions", `router_websocket("/a", "b#c", {permissions = true})`, `permissions must be "claims", not true`},
		{"subprotocols", `router_websocket("/a", "b#c", {subprotocols = "chat"})`, "subprotocols must be an array of names"},
		{"subprotocols with a space", `router_websocket("/a", "b#c", {subprotocols = {"chat 2"}})`,
			"subprotocols must be an array of names"},
		{"no subprotocols", `router_websocket("/a", "b#c", {subprotocols = {}})`, "subprotocols must be an array of names"},
		{"subprotocol of tokens", `router_websocket("/a", "b#c", {subprotocols = {"rollcall"}})`, `but for "rollcall"`},
		{"subprotocols on http", `router_get("/a", "b#c", {subprotocols = {"chat"}})`,
			`the option "subprotocols" is for WebSocket routes`},
		{"api_key", `router_post("/a", "b#c", {api_key = "write"})`,
			`router_post("/a"): api_key must be a scope ("read", "publish" or "admin"), not the string "write"`},
		{"api_key true", `router_get("/a", "b#c", {api_key = true})`, `api_key must be a scope ("read", "publish" or "admin"), not true`},
		{"no api_key", `router_get("/a", "b#c", {api_key = ""})`, "api_key must be a scope"},
		{"two api_keys", `router_get("/a", "b#c", {api_key = {"read", "publish"}})`, "api_key must be a scope"},
		{"api_key on a WebSocket", `router_websocket("/a", "b#c", {api_key = "read"})`,
			`router_websocket("/a"): the option "api_key" is for HTTP routes`},
		{"cors", `router_get("/a", "b#c", {cors = "https://a.example"})`,
			`router_get("/a"): cors must be an array of origins, not the string "https://a.example"`},
		{"cors of nobody", `router_get("/a", "b#c", {cors = {}})`, "cors must be an array of origins"},
		{"cors true", `router_get("/a", "b#c", {cors = true})`, "cors must be an array of origins, not true"},
		{"cors by names", `router_get("/a", "b#c", {cors = {origins = {"*"}}})`, "cors must be an array of origins"},
		{"cors holds a number", `router_get("/a", "b#c", {cors = {"*", 1}})`, "cors must be an array of origins"},
		{"cors of a host", `router_get("/a", "b#c", {cors = {"a.example"}})`, `cors: "a.example" is no origin`},
		{"cors of a path", `router_get("/a", "b#c", {cors = {"https://a.example/app"}})`, "is no origin"},
		{"cors of a pattern", `router_get("/a", "b#c", {cors = {"https://*.example"}})`, `cors: "https://*.example" is no origin`},
		{"cors of null", `router_get("/a", "b#c", {cors = {"null"}})`, `cors: "null" is no origin`},
		{"cors on a WebSocket", `router_websocket("/a", "b#c", {cors = {"*"}})`, `the option "cors" is for HTTP routes`},
		{"max_message on a stream", `router_sse("/a", "b#c", {max_message = 1})`,
			`router_sse("/a"): the option "max_message" is for WebSocket and socket routes`},
		{"renewal on a stream", `router_sse("/a", "b#c", {token_renewal = true})`, `is for WebSocket and socket routes`},
		{"subprotocols on a stream", `router_sse("/a", "b#c", {subprotocols = {"x"}})`, `is for WebSocket routes`},
		{"cors on a stream", `router_sse("/a", "b#c", {cors = {"*"}})`, `the option "cors" is for HTTP routes`},
		{"api_key on a stream", `router_sse("/a", "b#c", {api_key = "read"})`, `the option "api_key" is for HTTP routes`},
		{"two streams", "router_sse('/a/:x', 'b#c')\nrouter_sse('/a/:y', 'b#c')", `matches the same paths as "/a/:x"`},
		{"a stream and a GET", "router_get('/a', 'b#c')\nrouter_sse('/a', 'b#c')", `matches the same paths as "/a"`},
		{"a GET and a stream", "router_sse('/a', 'b#c')\nrouter_get('/a', 'b#c')", `matches the same paths as "/a"`},
		{"renewal", `router_websocket("/a", "b#c", {token_renewal = 1})`, "token_renewal must be true or false"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { expectMistake(t, tt.source, tt.want) })
	}
}

// expectMistake wants one mistake to be found, at its line.
func expectMistake(t *testing.T, source, want string) {
	t.Helper()
	r := register(t, source)
	if len(r.problems) != 1 || !strings.Contains(r.problems[0].Error(), want) ||
		!strings.HasPrefix(r.problems[0].Error(), "routes.lua:") {
		t.Fatalf("problems %v, want one with %q", r.problems, want)
	}
}

// SPEC 8: "a path may have a WebSocket and an SSE route"; and what WebSocket routes may have they may too.
func TestStreamRoutes(t *testing.T) {
	r := register(t, `router_websocket("/a/:x", "b#c")
		router_sse("/a/:x", "b#c", {origins = {"*"}, auth = true, resume = true, presence = "devices", permissions = "claims"})
		router_post("/a/:x", "b#c")
		router_sse("/a/b", "b#c")`)
	if len(r.problems) != 0 || len(r.routes) != 4 || !r.routes[1].Options.Resume || !r.routes[1].Options.Devices {
		t.Errorf("problems %v, routes %v", r.problems, r.routes)
	}
}

// One path may have a WebSocket and HTTP routes (SPEC 6).
func TestMistakesAreAllListed(t *testing.T) {
	r := register(t, "router_get(1)\nrouter_get('/a', 'b#c', {x=1, y=2})\nrouter_websocket('/a', 'b#c')\nrouter_post('/a', 'b')")
	if len(r.problems) != 4 || len(r.routes) != 2 {
		t.Fatalf("problems %v, %d routes", r.problems, len(r.routes))
	}
}
