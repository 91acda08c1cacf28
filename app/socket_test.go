package app

import (
	"fmt"
	"testing"
)

// router_socket is "only for a handler or options; else leave it out" (docs/phoenix.md); it may be before its topics or
// after.
func TestRegisterSockets(t *testing.T) {
	r := register(t, `
router_channel("/socket", "room:*", "rooms#room", { permissions = "claims" })
router_channel("/socket", "lobby", "rooms#lobby", { diff_users = 1 })
router_socket("/socket", "rooms#connect", { auth = true, origins = { "*" }, max_message = 99, token_renewal = true })
router_channel("/other/", "*", "rooms#other")
router_websocket("/socket", "rooms#plain")
router_get("/socket/websocket", "rooms#page")
router_socket("/late", nil, { auth = true })
router_channel("/late", "*", "rooms#late")
`)
	if r.problems != nil {
		t.Fatal(r.problems)
	}
	var got []string
	for _, x := range r.routes {
		got = append(got, fmt.Sprint(x.Method, " ", x.Path, " ", x.Topic, " ", x.file, " ", x.fn, " ", x.place))
	}
	want := []string{"SOCKET /socket  handlers/rooms.lua connect routes.lua:4",
		"CHANNEL /socket room:* handlers/rooms.lua room routes.lua:2",
		"CHANNEL /socket lobby handlers/rooms.lua lobby routes.lua:3",
		"SOCKET /other/    routes.lua:5", "CHANNEL /other/ * handlers/rooms.lua other routes.lua:5",
		"WS /socket  handlers/rooms.lua plain routes.lua:6", "GET /socket/websocket  handlers/rooms.lua page routes.lua:7",
		"SOCKET /late    routes.lua:8", "CHANNEL /late * handlers/rooms.lua late routes.lua:9"}
	if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if o := r.routes[0].Options; !o.Auth || len(o.Origins) != 1 || o.MaxMessage != 99 || !o.TokenRenewal {
		t.Errorf("the socket has the options %+v", o)
	}
	if !r.routes[1].Options.ByClaims || r.routes[1].Options.EachUser || !r.routes[2].Options.EachUser {
		t.Errorf("the topics have the options %+v and %+v", r.routes[1].Options, r.routes[2].Options)
	}
	for socket, want := range map[string]*Route{"socket": r.routes[0], "other": r.routes[3]} {
		if got := r.trees[MethodWS].find([]string{socket, "websocket"}); got != want {
			t.Errorf("%s is found as %+v", socket, got)
		}
	}
}

func TestSocketMistakesAreNamed(t *testing.T) {
	const topic = "\nrouter_channel('/s', 'ok', 'b#c')"
	for _, tt := range []struct{ name, source, want string }{
		{"no path", `router_socket()`, `router_socket: the first argument must be a path like "/socket", not nil`},
		{"no path of a topic", `router_channel(7)`, `router_channel: the first argument must be a path`},
		{"bad path", `router_channel("s", "a", "b#c")`, "does not begin with a slash"},
		{"reserved", `router_channel("/_api", "a", "b#c")`, "/_api is Rollcall's own"},
		{"no topics", `router_socket("/s", "b#c")`, `router_socket("/s"): the socket has no topics; add a router_channel`},
		{"a socket twice", "router_socket('/s')\nrouter_socket('/s')" + topic,
			`routes.lua:2: router_socket("/s"): the socket is registered at routes.lua:1 already`},
		{"a pattern twice", "router_channel('/s', 'a*', 'b#c')\nrouter_channel('/s', 'a*', 'b#d')",
			`routes.lua:2: router_channel("/s", "a*"): the pattern is registered at routes.lua:1 already`},
		{"a topic twice", `router_channel("/s", "ok", "b#c")` + topic,
			"the pattern is registered at routes.lua:1 already"},
		{"a route before", `router_websocket("/:x/websocket", "b#c")` + "\nrouter_channel('/:y', 'a', 'b#c')",
			`router_channel("/:y") matches the same paths as "/:x/websocket" at routes.lua:1`},
		{"a route after", `router_channel("/s", "a", "b#c")` + "\nrouter_websocket('/s/websocket', 'b#c')",
			`router_websocket("/s/websocket") matches the same paths as "/s" at routes.lua:1`},
		{"no pattern", `router_channel("/s")` + topic,
			`the second argument must be a topic, or a prefix and * like "room:*", not nil`},
		{"an empty pattern", `router_channel("/s", "", "b#c")` + topic, "the second argument must be a topic"},
		{"* in the middle", `router_channel("/s", "a*b", "b#c")` + topic, "the second argument must be a topic"},
		{"two *", `router_channel("/s", "a**", "b#c")` + topic, "the second argument must be a topic"},
		{"no handler", `router_channel("/s", "a")`, `router_channel("/s", "a"): the third argument must be a handler like`},
		{"a handler that is none", `router_socket("/s", true)` + topic,
			`router_socket("/s"): the second argument must be a handler`},
		{"no hash", `router_channel("/s", "a", "b")`, `the handler "b" must be written "file#function"`},
		{"too many", `router_channel("/s", "a", "b#c", {}, 1)`, "takes a path, a pattern, a handler and a table of options"},
		{"too many of a socket", `router_socket("/s", nil, {}, 1)` + topic,
			"takes a path, a handler and a table of options"},
		{"diff_users", `router_channel("/s", "a", "b#c", {diff_users = 2})`, "diff_users must be 1, not the number 2"},
		{"diff_users of a socket", `router_socket("/s", nil, {diff_users = 1})` + topic,
			`the option "diff_users" is for channel routes`},
		{"auth of a topic", `router_channel("/s", "a", "b#c", {auth = true})`, `the option "auth" is for`},
		{"claims of a socket", `router_socket("/s", nil, {permissions = "claims"})` + topic,
			`the option "permissions" is for`},
	} {
		t.Run(tt.name, func(t *testing.T) { expectMistake(t, tt.source, tt.want) })
	}
}
