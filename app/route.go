package app

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	lua "github.com/yuin/gopher-lua"

	"rollcall/auth"
)

// The methods of routes beside those of HTTP.
const (
	MethodWS      = "WS"      // of WebSocket routes and connection scripts
	MethodSSE     = "SSE"     // of those whose clients get an event stream; they answer GET
	MethodSocket  = "SOCKET"  // of sockets for clients of Phoenix
	MethodChannel = "CHANNEL" // of their topics
)

// Route is one line of config/routes.lua. It does not change once loaded.
type Route struct {
	Method  string // MethodWS, MethodSSE, MethodSocket, MethodChannel, "GET", "POST", "PUT", "PATCH", "DELETE"
	Path    string // as written: "/ws/room/:room_id"
	Topic   string // MethodChannel: a topic, or a prefix and *
	Handler string // "websocket#chat_handler"
	Options Options

	pattern  pattern
	channels *channels // MethodSocket
	endpoint           // of a MethodSocket it may be empty
}

// endpoint is the function that a line of config/routes.lua names.
type endpoint struct {
	what  string // for messages: "WS /ws/chat"
	place string // "config/routes.lua:3"
	file  string // "handlers/websocket.lua"
	fn    string // "chat_handler"
	index int    // of the function in each VM of the app
	proto *lua.FunctionProto
	used  fieldSet
}

// Options are a route's third argument (SPEC 1.2).
type Options struct {
	Auth       bool     // a valid token is required, else 401
	Origins    []string // replace the global list; nil: not given
	MaxMessage int64    // bytes; 0: the node's
	Devices    bool     // presence = "devices"
	Identify   bool     // the connection is one of the token's user from its beginning
	Resume     bool     // broadcasts have positions, and a client that comes back gets what it missed
	// permissions = "claims": the token says which channels the handler may join, track in and broadcast to
	ByClaims     bool
	TokenRenewal bool       // a client may send a new token before the old one expires
	Subprotocols []string   // of the app, the preferred ones first
	APIKey       auth.Scope // of HTTP routes: an API key with this scope is required; "": none
	CORS         []string   // of HTTP routes: pages of these origins may use them; nil: not given
	EachUser     bool       // diff_users = 1: a presence_diff tells of one user at a time
}

// Problem is one thing that is wrong with an app, at its place.
type Problem struct {
	Place string // "config/routes.lua:3", "handlers/websocket.lua", ""
	Text  string
}

func (p Problem) Error() string {
	if p.Place == "" {
		return p.Text
	}
	return p.Place + ": " + p.Text
}

// routerMethods names the functions of config/routes.lua.
var routerMethods = []struct{ function, method string }{
	{"router_websocket", MethodWS},
	{"router_sse", MethodSSE},
	{"router_get", "GET"},
	{"router_post", "POST"},
	{"router_put", "PUT"},
	{"router_patch", "PATCH"},
	{"router_delete", "DELETE"},
}

// router collects what config/routes.lua registers. Every mistake is kept, so that all can be listed at once.
type router struct {
	routes   []*Route
	trees    map[string]*tree[Route] // by method
	sockets  map[string]*Route       // for clients of Phoenix, by path
	jobs     []*Job
	history  []historyRule
	problems []error
}

func newRouter() *router {
	return &router{trees: map[string]*tree[Route]{}, sockets: map[string]*Route{}}
}

// functions are those of config/routes.lua.
func (r *router) functions() map[string]configFunction {
	all := map[string]configFunction{"every": r.every, "history": r.registerHistory,
		"router_socket": r.registerSocket, "router_channel": r.registerChannel}
	for _, m := range routerMethods {
		all[m.function] = func(place string, args []lua.LValue) { r.register(place, m.function, m.method, args) }
	}
	return all
}

func (r *router) problem(place, format string, args ...any) {
	r.problems = append(r.problems, Problem{place, fmt.Sprintf(format, args...)})
}

// argumentsOf gives the arguments of a call in a file of config/ by their places, from 0; nil where there is none.
func argumentsOf(args []lua.LValue) func(i int) lua.LValue {
	return func(i int) lua.LValue {
		if i < len(args) {
			return args[i]
		}
		return lua.LNil
	}
}

// register takes the arguments of one router_… call.
func (r *router) register(place, function, method string, args []lua.LValue) {
	arg := argumentsOf(args)
	path, ok := arg(0).(lua.LString)
	if !ok {
		r.problem(place, "%s: the first argument must be a path like \"/ws/chat\", not %s", function, describe(arg(0)))
		return
	}
	call := fmt.Sprintf("%s(%q)", function, string(path))
	handler, ok := arg(1).(lua.LString)
	if !ok {
		r.problem(place, noHandler, call, "second", describe(arg(1)))
		return
	}
	p, err := parsePattern(string(path))
	if err != nil {
		r.problem(place, "%s: %v", call, err)
		return
	}
	if name := reserved(p); name != "" {
		r.problem(place, "%s: %s is Rollcall's own, no route can be there", call, name)
		return
	}
	route := &Route{Method: method, Path: string(path), Handler: string(handler), pattern: p,
		endpoint: endpoint{what: method + " " + string(path), place: place}}
	if route.file, route.fn, err = splitHandler(string(handler)); err != nil {
		r.problem(place, "%s: %v", call, err)
		return
	}
	if len(args) > 3 {
		r.problem(place, "%s: takes a path, a handler and a table of options", call)
		return
	}
	route.Options = r.optionsOf(method, place, call, arg(2))
	if r.plant(method, place, route, call) {
		r.routes = append(r.routes, route)
	}
}

const noHandler = "%s: the %s argument must be a handler like \"websocket#chat_handler\", not %s"

// optionsOf reads the options of a route.
func (r *router) optionsOf(method, place, call string, v lua.LValue) Options {
	opts, bad := parseOptions(method, v)
	for _, text := range bad {
		r.problem(place, "%s: %s", call, text)
	}
	return opts
}

// plant lets requests of a method find a route; false: they find another one there.
func (r *router) plant(method, place string, route *Route, call string) bool {
	if method == MethodSSE {
		method = http.MethodGet // they may not stand beside each other
	}
	t := r.trees[method]
	if t == nil {
		t = &tree[Route]{}
		r.trees[method] = t
	}
	other := t.add(route.pattern, route)
	if other != nil {
		r.problem(place, "%s matches the same paths as %q at %s", call, other.Path, other.place)
	}
	return other == nil
}

// splitHandler reads "websocket#chat_handler" as handlers/websocket.lua and its function chat_handler.
func splitHandler(s string) (file, fn string, err error) {
	file, fn, ok := strings.Cut(s, "#")
	if !ok || !isName(fn) {
		return "", "", fmt.Errorf("the handler %q must be written \"file#function\"", s)
	}
	for _, part := range strings.Split(file, "/") {
		if part == "" || strings.HasPrefix(part, ".") || strings.ContainsAny(part, "\\\x00") {
			return "", "", fmt.Errorf("the handler %q names no file of handlers/", s)
		}
	}
	return "handlers/" + file + ".lua", fn, nil
}

// reserved names the part of the URL space a pattern lies in when it is the node's own.
func reserved(p pattern) string {
	first := p.segments[0]
	switch {
	case first.param:
		return ""
	case first.text == "_api", first.text == "_client":
		return "/" + first.text
	case len(p.segments) == 1 && slices.Contains([]string{"healthz", "readyz", "metrics"}, first.text):
		return "/" + first.text
	case first.text == "api" && len(p.segments) > 1 && p.segments[1] == segment{text: "custom"}:
		return "/api/custom (scripts)"
	}
	return ""
}

// optionNames are all options of routes.
var optionNames = []string{"api_key", "auth", "cors", "diff_users", "identify", "max_message", "origins", "permissions",
	"presence", "resume", "subprotocols", "token_renewal"}

// The kinds of routes.
const (
	kindWebSocket = "WebSocket"
	kindSSE       = "SSE"
	kindHTTP      = "HTTP"
	kindSocket    = "socket"
	kindChannel   = "channel"
)

func kindOf(method string) string {
	switch method {
	case MethodWS:
		return kindWebSocket
	case MethodSSE:
		return kindSSE
	case MethodSocket:
		return kindSocket
	case MethodChannel:
		return kindChannel
	}
	return kindHTTP
}

// optionsOf names the kinds of routes that may have an option.
var optionsOf = map[string][]string{
	"api_key":       {kindHTTP},
	"auth":          {kindWebSocket, kindSSE, kindSocket, kindHTTP},
	"cors":          {kindHTTP},
	"diff_users":    {kindChannel},
	"identify":      {kindWebSocket, kindSSE},
	"max_message":   {kindWebSocket, kindSocket},
	"origins":       {kindWebSocket, kindSSE, kindSocket},
	"permissions":   {kindWebSocket, kindSSE, kindChannel, kindHTTP},
	"presence":      {kindWebSocket, kindSSE},
	"resume":        {kindWebSocket, kindSSE},
	"subprotocols":  {kindWebSocket},
	"token_renewal": {kindWebSocket, kindSocket},
}

// parseOptions reads the options of a route; bad lists what is wrong with them.
func parseOptions(method string, v lua.LValue) (o Options, bad []string) {
	if v == lua.LNil {
		return o, nil
	}
	t, ok := v.(*lua.LTable)
	if !ok {
		return o, []string{"the options must be a table, not " + describe(v)}
	}
	var err error
	fail := func(format string, args ...any) { bad = append(bad, fmt.Sprintf(format, args...)) }
	for k, v := t.Next(lua.LNil); k != lua.LNil; k, v = t.Next(k) {
		name, ok := k.(lua.LString)
		if !ok {
			fail("the options must be named, like { auth = true }")
			continue
		}
		if kinds := optionsOf[string(name)]; kinds != nil && !slices.Contains(kinds, kindOf(method)) {
			fail("the option %q is for %s routes", string(name), strings.Join(kinds, " and "))
			continue
		}
		switch name {
		case "auth":
			if o.Auth, ok = luaBool(v); !ok {
				fail("auth must be true or false, not %s", describe(v))
			}
		case "token_renewal":
			if o.TokenRenewal, ok = luaBool(v); !ok {
				fail("token_renewal must be true or false, not %s", describe(v))
			}
		case "identify":
			if o.Identify, ok = luaBool(v); !ok {
				fail("identify must be true or false, not %s", describe(v))
			}
		case "resume":
			if o.Resume, ok = luaBool(v); !ok {
				fail("resume must be true or false, not %s", describe(v))
			}
		case "presence":
			if o.Devices = v == lua.LString("devices"); !o.Devices && v != lua.LString("users") {
				fail("presence must be \"devices\" (or \"users\", the default), not %s", describe(v))
			}
		case "max_message":
			n, ok := v.(lua.LNumber)
			if !ok || n != lua.LNumber(int64(n)) || n < 1 {
				fail("max_message must be a whole number of bytes above 0, not %s", describe(v))
				continue
			}
			o.MaxMessage = int64(n)
		case "origins":
			list, ok := luaStrings(v)
			if !ok {
				fail("origins must be an array of strings, not %s", describe(v))
				continue
			}
			if o.Origins, err = ParseOrigins(list); err != nil {
				fail("origins: %v", err)
			}
		case "cors":
			list, ok := luaStrings(v)
			if !ok || len(list) == 0 {
				fail("cors must be an array of origins, not %s", describe(v))
				continue
			}
			if o.CORS, err = ParseOrigins(list); err != nil {
				fail("cors: %v", err)
			}
		case "api_key":
			scope, _ := v.(lua.LString)
			if o.APIKey = auth.Scope(scope); !o.APIKey.Valid() {
				fail("api_key must be a scope (\"read\", \"publish\" or \"admin\"), not %s", describe(v))
			}
		case "subprotocols":
			list, ok := luaStrings(v)
			if !ok || len(list) == 0 || slices.ContainsFunc(list,
				func(s string) bool { return !isToken(s) || s == auth.Subprotocol }) {
				fail("subprotocols must be an array of names without spaces and separators, but for %q, not %s", auth.Subprotocol,
					describe(v))
				continue
			}
			o.Subprotocols = list
		case "diff_users":
			if o.EachUser = v == lua.LNumber(1); !o.EachUser {
				fail("diff_users must be 1, not %s", describe(v))
			}
		case "permissions":
			if o.ByClaims = v == lua.LString("claims"); !o.ByClaims {
				fail("permissions must be \"claims\", not %s", describe(v))
			}
		default:
			fail("unknown option %q%s (known: %s)", string(name), orMeant(string(name), optionNames),
				strings.Join(optionNames, ", "))
		}
	}
	return o, bad
}

func luaBool(v lua.LValue) (value, ok bool) {
	b, ok := v.(lua.LBool)
	return bool(b), ok
}

// luaStrings reads an array of strings.
func luaStrings(v lua.LValue) ([]string, bool) {
	t, ok := v.(*lua.LTable)
	if !ok {
		return nil, false
	}
	out := make([]string, 0, t.Len())
	for k, v := t.Next(lua.LNil); k != lua.LNil; k, v = t.Next(k) {
		s, isString := v.(lua.LString)
		n, isNumber := k.(lua.LNumber)
		if !isString || !isNumber || int(n) != len(out)+1 {
			return nil, false
		}
		out = append(out, string(s))
	}
	return out, true
}

// describe says what a value is, for error texts.
func describe(v lua.LValue) string {
	switch v := v.(type) {
	case *lua.LNilType:
		return "nil"
	case lua.LString:
		if len(v) > 40 {
			return fmt.Sprintf("the string %q…", string(v[:40]))
		}
		return fmt.Sprintf("the string %q", string(v))
	case lua.LNumber:
		return "the number " + v.String()
	case lua.LBool:
		return v.String()
	}
	return "a " + v.Type().String()
}
