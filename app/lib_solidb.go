package app

import (
	lua "github.com/yuin/gopher-lua"

	"rollcall/auth"
	"rollcall/luavm"
)

// solidb is the global solidb of SPEC 11, for apps that come from that server; connection scripts also have ws in it.
func solidb(values map[string]lua.LValue) *lua.LTable {
	all := map[string]lua.LValue{
		"auth": luavm.SharedTable(map[string]lua.LGFunction{
			"user":         solidbUser,
			"require_auth": solidbRequireAuth,
			"require_role": solidbRequireRole,
		}, nil),
		"env": luavm.SharedTableWith(nil, nil, func(vm *luavm.VM, name string) lua.LValue { return envOf(vm).value(name) }),
	}
	for name, v := range values {
		all[name] = v
	}
	return luavm.SharedTable(map[string]lua.LGFunction{"log": solidbLog, "stats": solidbStats, "fetch": httpFetch}, all)
}

// who is the client that the run serves; where there is none it is anonymous.
func (c *call) who() *auth.Identity {
	if c.user == nil {
		return &anonymous
	}
	return c.user
}

// solidb.log(msg): log.info of a string; any other value is shown as JSON.
func solidbLog(l *lua.LState) int {
	_, c := callOf(l)
	a := args{l, "solidb.log"}
	v := l.Get(1)
	text, ok := v.(lua.LString)
	if !ok {
		text = lua.LString(a.json(v, "msg"))
	}
	c.log().Info(string(text))
	return 0
}

// solidb.auth.user() -> the table that is user in events and requests
func solidbUser(l *lua.LState) int {
	vm, c := callOf(l)
	return args{l, "solidb.auth.user"}.push(userTable(vm, c.who().User))
}

// solidb.auth.require_auth() -> true; raises when the client has no token
func solidbRequireAuth(l *lua.LState) int {
	_, c := callOf(l)
	a := args{l, "solidb.auth.require_auth"}
	if err := c.who().RequireAuth(); err != nil {
		c.deny(a, err)
	}
	return a.push(lua.LTrue)
}

// solidb.auth.require_role(role) -> true; raises when the client's token does not have the role, nor the role admin
func solidbRequireRole(l *lua.LState) int {
	_, c := callOf(l)
	a := args{l, "solidb.auth.require_role"}
	role := a.str(1, "role")
	if role == "" {
		a.fail("role must not be empty")
	}
	if err := c.who().RequireRole(role); err != nil {
		c.deny(a, err)
	}
	return a.push(lua.LTrue)
}

// solidb.stats() -> what this node does: {active_scripts, active_ws, total_scripts_executed, total_ws_connections}
func solidbStats(l *lua.LState) int {
	_, c := callOf(l)
	now := c.server.Stats()
	o := luavm.NewObject(4)
	o.Set("active_scripts", lua.LNumber(now.Busy+now.Scripts))
	o.Set("active_ws", lua.LNumber(c.server.cfg.Sockets.Len()))
	o.Set("total_scripts_executed", lua.LNumber(c.server.runs.Load()))
	o.Set("total_ws_connections", lua.LNumber(c.server.cfg.Sockets.Opened()))
	return args{l, "solidb.stats"}.push(o.Table())
}
