package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
	"unicode/utf8"

	lua "github.com/yuin/gopher-lua"

	"rollcall/auth"
	"rollcall/hub"
	"rollcall/luavm"
	"rollcall/overload"
)

// call is what the functions of SPEC 1.1 and 1.3 need to know of the run that calls them: the VM's Data.
type call struct {
	server *Server
	app    *App
	pool   *pool         // nil in connection scripts
	worker *worker       // of pool
	heavy  bool          // of the worker
	spent  time.Duration // by its VM, but for this turn
	route  string        // for logs: "/ws/chat", "WS _system/chat"
	connID string        // "" in HTTP handlers
	sess   *hub.Session
	topic  *join             // only in handlers of router_channel
	script *scriptConn       // only in connection scripts
	turn   *turn             // nil in connection scripts
	calls  *overload.Limiter // to Redis
	lines  *overload.Limiter // of the log
	user   *auth.Identity    // of the client; nil: there is none
	allow  *auth.Permissions // what may be done in which channel; nil: everything everywhere
	denied error             // of the last call that was refused for what the client's token says

	fetches fetches
}

// libraries are the globals that all VMs share: one for scripts that own a connection, one for all others.
var libraries = sync.OnceValues(func() (common, script *luavm.Library) {
	globals := map[string]lua.LValue{"log": luavm.SharedTable(logFunctions, nil),
		"store": luavm.SharedTable(storeFunctions, nil), "env": luavm.Func(envFunction),
		"http": luavm.SharedTable(httpFunctions, nil)}
	for name, f := range wsFunctions {
		globals[name] = luavm.Func(f)
	}
	globals["solidb"] = solidb(nil)
	common = luavm.NewLibrary(globals)
	globals["solidb"] = solidb(map[string]lua.LValue{"ws": solidbWS()})
	return common, luavm.NewLibrary(globals)
})

// used is the Lua time of the run so far.
func (c *call) used() time.Duration { return c.worker.vm.Spent() - c.spent }

// callOf finds the run that calls a function.
func callOf(l *lua.LState) (*luavm.VM, *call) {
	vm := luavm.Of(l)
	c, ok := vm.Data.(*call)
	if !ok {
		l.RaiseError("this function cannot be called while the file is loaded, only from handlers")
	}
	return vm, c
}

// wait runs f outside of Lua's time and raises its error under the function's name.
func (c *call) wait(l *lua.LState, function string, f func(ctx context.Context) error) {
	if c.script != nil {
		c.script.checkOver(l)
	}
	err := c.block(l, f)
	if err != nil && c.script != nil {
		c.script.checkOver(l)
	}
	switch {
	case err == nil:
	case c.script != nil && errors.Is(err, hub.ErrGone):
		c.closed(args{l, function})
	default:
		l.RaiseError("%s: %s", function, err.Error())
	}
}

// block runs f, a call to Redis, outside of Lua's time; another turn may have the worker's core meanwhile. It ends a
// turn that may not make the call, or is over after it.
func (c *call) block(l *lua.LState, f func(ctx context.Context) error) (err error) {
	vm, ctx := luavm.Of(l), c.server.ctx
	if c.turn != nil {
		if over := c.turn.call(1); over != nil {
			vm.End(l, over)
		}
		ctx = c.turn.context()
	}
	pause := c.calls.Reserve(c.server.now(), callRate, 1)
	vm.Block(func() {
		if c.pool != nil {
			c.pool.block(1, c.heavy)
			defer c.pool.block(-1, c.heavy)
		}
		if err = rest(ctx, pause); err == nil {
			err = f(ctx)
		}
	})
	if c.turn != nil {
		if over := c.turn.over(); over != nil {
			vm.End(l, over)
		}
	}
	return err
}

// over says why what the VM runs may not go on (luavm.Config.Over).
func over(vm *luavm.VM) error {
	if c, ok := vm.Data.(*call); ok && c.turn != nil {
		return c.turn.over()
	}
	return nil
}

// log is the logger that names route and connection.
func (c *call) log() *slog.Logger {
	if c.connID == "" {
		return c.server.lines.logger(c.lines, "route", c.route)
	}
	return c.server.lines.logger(c.lines, "route", c.route, "connection", c.connID)
}

// args reads the arguments of one function and raises errors that name function and argument.
type args struct {
	l        *lua.LState
	function string
}

func (a args) fail(format string, values ...any) {
	a.l.RaiseError("%s: %s", a.function, fmt.Sprintf(format, values...))
}

func (a args) str(i int, name string) string {
	s, ok := a.l.Get(i).(lua.LString)
	if !ok {
		a.fail("%s must be a string, not %s", name, describe(a.l.Get(i)))
	}
	return string(s)
}

// optStr is str for an argument that may be left out.
func (a args) optStr(i int, name string) string {
	if v := a.l.Get(i); v == lua.LNil || v == luavm.Null {
		return ""
	}
	return a.str(i, name)
}

// reason reads why a connection is closed; it may be left out.
func (a args) reason(i int) string {
	s := a.optStr(i, "reason")
	if !utf8.ValidString(s) {
		a.fail("reason: %s", errNotUTF8.Error())
	}
	return s
}

func (a args) channel(i int) string {
	name, err := channelOf(a.l.Get(i))
	if err != nil {
		a.fail("%s", err.Error())
	}
	return name
}

func (a args) userID(i int) string {
	id, err := userIDOf(a.l.Get(i))
	if err != nil {
		a.fail("%s", err.Error())
	}
	return id
}

// number reads a whole number of at least least.
func (a args) number(i int, name string, least int64) int64 {
	n, ok := wholeNumber(a.l.Get(i))
	if !ok || n < least {
		a.fail("%s must be a whole number of at least %d, not %s", name, least, describe(a.l.Get(i)))
	}
	return n
}

// wholeNumber reads an integer that a float64 holds exactly.
func wholeNumber(v lua.LValue) (int64, bool) {
	n, ok := v.(lua.LNumber)
	if !ok || n < -1<<53 || n > 1<<53 || n != lua.LNumber(int64(n)) {
		return 0, false
	}
	return int64(n), true
}

// table reads a table that is no array, or nil when it was left out.
func (a args) optTable(i int, name string) *lua.LTable {
	switch v := a.l.Get(i).(type) {
	case *lua.LNilType:
		return nil
	case *lua.LTable:
		return v
	default:
		a.fail("%s must be a table, not %s", name, describe(v))
	}
	return nil
}

// message reads a value that clients get: a string as it is, any other JSON value encoded. nil is none.
func (a args) message(i int, name string) hub.Value {
	v := a.l.Get(i)
	if v == lua.LNil {
		a.fail("%s must not be nil (json.null is a value)", name)
	}
	if s, ok := v.(lua.LString); ok {
		if !utf8.ValidString(string(s)) {
			a.fail("%s: %s", name, errNotUTF8.Error())
		}
		return hub.Value{Text: string(s)}
	}
	return hub.Value{Text: string(a.json(v, name)), JSON: true}
}

// json encodes a value. One that is too long stops the script.
func (a args) json(v lua.LValue, name string) []byte {
	text, err := luavm.Of(a.l).EncodeText(a.l, v)
	if err != nil {
		a.fail("%s: %s", name, err.Error())
	}
	return text
}

// decode turns JSON text into a value.
func (a args) decode(text string) lua.LValue {
	v, err := luavm.Of(a.l).DecodeJSON(a.l, text)
	if err != nil {
		a.fail("%s", err.Error())
	}
	return v
}

// value gives Lua what travelled as a hub.Value.
func (a args) value(v hub.Value) lua.LValue {
	if v.JSON {
		return a.decode(v.Text)
	}
	return lua.LString(v.Text)
}

// list pushes an array of n values. They are made one by one, each after it was charged for size bytes and on the stack
// from then on, so that no list grows past the script's memory.
func (a args) list(n, size int, value func(i int) lua.LValue) int {
	vm, list := luavm.Of(a.l), luavm.NewArray()
	a.l.Push(list)
	for i := range n {
		vm.Charge(a.l, size+32)
		list.RawSetInt(i+1, value(i))
	}
	return 1
}

// strings pushes an array of strings.
func (a args) strings(values []string) int {
	luavm.Of(a.l).Charge(a.l, luavm.StringsSize(values))
	return a.push(luavm.Strings(values))
}

func (a args) push(v lua.LValue) int {
	a.l.Push(v)
	return 1
}
