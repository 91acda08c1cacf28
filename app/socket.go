package app

import (
	"fmt"
	"slices"
	"strings"

	lua "github.com/yuin/gopher-lua"

	"rollcall/naming"
)

// transportPath is where below the path of a socket its WebSocket is: clients of Phoenix add it.
const transportPath = "/websocket"

// registerSocket takes the arguments of router_socket(path [, handler [, options]]).
func (r *router) registerSocket(place string, args []lua.LValue) {
	const function = "router_socket"
	arg := argumentsOf(args)
	route, call := r.socketAt(place, function, arg(0))
	if route == nil {
		return
	}
	if other := route.channels.socket; other != "" {
		r.problem(place, "%s: the socket is registered at %s already", call, other)
		return
	}
	route.place, route.channels.socket = place, place
	if handler := arg(1); handler != lua.LNil {
		route.Handler = r.handlerOf(&route.endpoint, place, call, "second", handler)
	}
	if len(args) > 3 {
		r.problem(place, "%s: takes a path, a handler and a table of options", call)
	}
	route.Options = r.optionsOf(MethodSocket, place, call, arg(2))
}

// registerChannel takes the arguments of router_channel(path, pattern, handler [, options]).
func (r *router) registerChannel(place string, args []lua.LValue) {
	const function = "router_channel"
	arg := argumentsOf(args)
	socket, call := r.socketAt(place, function, arg(0))
	if socket == nil {
		return
	}
	topic, ok := arg(1).(lua.LString)
	if stem, _ := strings.CutSuffix(string(topic), "*"); !ok || !validPattern(string(topic), stem) {
		r.problem(place, "%s: the second argument must be a topic, or a prefix and * like \"room:*\", not %s", call,
			describe(arg(1)))
		return
	}
	call = fmt.Sprintf("%s(%q, %q)", function, socket.Path, string(topic))
	route := &Route{Method: MethodChannel, Path: socket.Path, Topic: string(topic), pattern: socket.pattern,
		endpoint: endpoint{what: "CHANNEL " + socket.Path + " " + string(topic), place: place}}
	route.Handler = r.handlerOf(&route.endpoint, place, call, "third", arg(2))
	if len(args) > 4 {
		r.problem(place, "%s: takes a path, a pattern, a handler and a table of options", call)
	}
	route.Options = r.optionsOf(MethodChannel, place, call, arg(3))
	if other := socket.channels.add(route); other != nil {
		r.problem(place, "%s: the pattern is registered at %s already", call, other.place)
		return
	}
	r.routes = append(r.routes, route)
}

// handlerOf reads the handler, which is the nth argument of a call.
func (r *router) handlerOf(e *endpoint, place, call, nth string, v lua.LValue) string {
	handler, ok := v.(lua.LString)
	if !ok {
		r.problem(place, noHandler, call, nth, describe(v))
		return ""
	}
	var err error
	if e.file, e.fn, err = splitHandler(string(handler)); err != nil {
		r.problem(place, "%s: %v", call, err)
	}
	return string(handler)
}

func validPattern(pattern, stem string) bool {
	return naming.Valid(pattern) && !strings.Contains(stem, "*")
}

// socketAt gives the socket of a path, made if need be; nil: it is no path for one.
func (r *router) socketAt(place, function string, v lua.LValue) (route *Route, call string) {
	path, ok := v.(lua.LString)
	if !ok {
		r.problem(place, "%s: the first argument must be a path like \"/socket\", not %s", function, describe(v))
		return nil, ""
	}
	call = fmt.Sprintf("%s(%q)", function, string(path))
	if route := r.sockets[string(path)]; route != nil {
		return route, call
	}
	p, err := parsePattern(strings.TrimSuffix(string(path), "/") + transportPath)
	switch {
	case err != nil:
		r.problem(place, "%s: %v", call, err)
		return nil, call
	case reserved(p) != "":
		r.problem(place, "%s: %s is Rollcall's own, no route can be there", call, reserved(p))
		return nil, call
	}
	route = &Route{Method: MethodSocket, Path: string(path), pattern: p, channels: &channels{exact: map[string]*Route{}},
		endpoint: endpoint{what: "SOCKET " + string(path), place: place}}
	if !r.plant(MethodWS, place, route, call) {
		return nil, call
	}
	r.sockets[string(path)] = route
	r.routes = append(r.routes, route)
	return route, call
}

// add takes a pattern in; other: it is there already.
func (c *channels) add(route *Route) (other *Route) {
	if !strings.HasSuffix(route.Topic, "*") {
		if other = c.exact[route.Topic]; other == nil {
			c.exact[route.Topic] = route
		}
		return other
	}
	i, found := slices.BinarySearchFunc(c.prefix, route, func(a, b *Route) int {
		if n := len(b.Topic) - len(a.Topic); n != 0 { // the longest first
			return n
		}
		return strings.Compare(a.Topic, b.Topic)
	})
	if found {
		return c.prefix[i]
	}
	c.prefix = slices.Insert(c.prefix, i, route)
	return nil
}

// checkSockets looks for sockets without topics: nobody could join anything.
func (r *router) checkSockets() {
	for _, route := range r.routes {
		if route.Method == MethodSocket && len(route.channels.exact)+len(route.channels.prefix) == 0 {
			r.problem(route.place, "router_socket(%q): the socket has no topics; add a router_channel", route.Path)
		}
	}
}
