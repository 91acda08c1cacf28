package app

import (
	"errors"
	"fmt"
	"log/slog"
	"math/bits"
	"time"

	lua "github.com/yuin/gopher-lua"

	"rollcall/hub"
	"rollcall/luavm"
	"rollcall/outbox"
	"rollcall/presence"
)

// handling is what one handler has of a client between its events: as long as the connection lasts, or one join of it.
type handling struct {
	// Static.
	*eventClient
	route *Route
	join  *join // nil: the handler is the connection's own

	// Owned by who has the turn.
	denied  string         // event.error of the next event: why the last return was refused
	at      location       // where the handler begins, or has returned: for failures that have no place of their own
	state   string         // what the handler keeps in event.state (state.go); "": nothing
	globals *luavm.Globals // what the handler wrote over the globals of home; nil: nothing
	home    *worker        // the worker whose VM globals belong to; nil without globals
	lossy   bool           // it was logged that something in state cannot be kept
}

// handleEvent runs the handler for an event of an open connection, and what it returns.
func (c *handling) handleEvent(e event) {
	t := c.server.newTurn(c)
	defer t.end()
	actions, err := c.run(t, e)
	switch {
	case err == nil:
		c.do(t, e.kind, actions) // the next event is told of a denial
	case ends(err):
		c.ws.CloseFor(outbox.WhyFailed, outbox.CodeInternal, "handler error")
	}
}

// run calls the handler for one event, and gives the actions it returned. An error has been reported.
func (c *handling) run(t *turn, e event) ([]hub.Action, error) {
	r := actionReader{limit: c.server.cfg.Limits.Value}
	err := c.runReading(t, e, &r)
	return r.actions, err
}

// runReading is run whose actions are left in r.
func (c *handling) runReading(t *turn, e event, r *actionReader) error {
	c.current = c
	start := time.Now()
	pool := c.in.pools[c.route.file]
	w, err := pool.get(c.home, c.use.rank(start.Sub(c.server.began)), t)
	if err != nil {
		c.fail(e.kind, err, reasonOf(err, ReasonLoad))
		return err
	}
	if w != c.home {
		c.forget()
	}
	if err := t.begin(); err != nil {
		pool.put(w)
		c.fail(e.kind, err, reasonOf(err, ReasonLoad))
		return err
	}
	t.use = c.use
	w.call = call{server: c.server, app: c.in.app, pool: pool, worker: w, heavy: w.heavy, spent: w.vm.Spent(),
		route: c.route.Path, connID: c.id, sess: c.sess, topic: c.join, user: c.user,
		allow: c.route.Options.permissions(c.user), turn: t, calls: &c.calls, lines: &c.lines}
	err = w.call.deniedBy(c.handle(w, r, e))
	w.call.fetches.close()
	if err == nil && t.calls+redisCalls(r.actions) > maxCalls {
		err = fmt.Errorf("with its actions %w", errTooManyCalls)
	}
	if err == nil {
		for _, note := range r.notes {
			c.log().Warn(note, "event", string(e.kind))
		}
	}
	if took := w.call.used(); took > 0 {
		c.use = c.use.add(c.server.now(), took)
	}
	pool.put(w)
	c.server.ran(e.kind, c.route.Path, start)
	switch {
	case isDenied(err):
		c.deny(e.kind, err)
	case err != nil:
		c.fail(e.kind, err, reasonOf(err, ReasonActions))
	}
	return err
}

// deny reports what the client's token does not allow, to the next event too.
func (c *handling) deny(kind RunKind, err error) {
	c.denied = err.Error()
	c.fail(kind, err, ReasonDenied)
}

// handle is the part of run for which the worker is needed.
func (c *handling) handle(w *worker, r *actionReader, e event) (err error) {
	vm := w.vm
	defer func() {
		if vm.Broken() {
			c.forget()
			c.home = nil
		}
	}()
	defer catch(vm, &err)
	c.at = location{c.route.file, w.line(c.route.index)}
	vm.Data = &w.call
	vm.BeginTurn(c.globals)
	arg := c.eventTable(vm, e)
	var v lua.LValue
	if err = e.timer.addData(vm, arg); err == nil && c.join != nil {
		err = e.addPayload(vm, arg)
	}
	if err == nil {
		v, err = vm.Call1(w.fns[c.route.index], arg)
	}
	if err == nil {
		c.at = returnedAt(vm, c.at)
		switch err = r.read(v); {
		case errors.Is(err, luavm.ErrTooLong):
			err = &luavm.Error{Kind: luavm.Value, Message: "bad return value: " + err.Error(), File: c.at.file, Line: c.at.line}
		case err != nil:
			err = &invalidReturn{err, c.at}
		}
	}
	if c.route.used&useState != 0 {
		if kept := c.keepState(w, arg.RawGetString("state"), e); kept != nil && err == nil {
			err = &invalidReturn{kept, c.at}
		}
	}
	c.globals, c.home = vm.EndTurn(), nil
	if c.globals != nil {
		c.home = w
		c.globals.Account(c.server.cfg.Memory, c.evict)
	}
	vm.Data = nil
	return err
}

// forget lets go of what the handler wrote over the globals.
func (c *handling) forget() {
	c.globals.Release()
	c.globals = nil
}

// evict ends a connection whose globals are the largest while all together hold too much.
func (c *handling) evict() {
	c.server.failed(&c.lines, Failure{Kind: RunMessage, Route: c.route.Path, File: c.route.file,
		Reason:  Reason(luavm.Memory.String()),
		Message: "scripts of this node hold too much together, and what this connection wrote to globals is the most"},
		"connection", c.id)
	c.ws.CloseFor(outbox.WhyFailed, outbox.CodeInternal, "handler error")
}

func isEmpty(t *lua.LTable) bool {
	k, _ := t.Next(lua.LNil)
	return k == lua.LNil
}

// eventTable makes the argument of the handler (SPEC 1.2), as far as the handler can see it.
func (c *handling) eventTable(vm *luavm.VM, e event) *lua.LTable {
	l := vm.L()
	o := luavm.NewObject(4 + bits.OnesCount16(uint16(c.route.used)))
	o.Set("type", lua.LString(e.kind))
	if c.route.used&useID != 0 {
		o.Set("connection_id", lua.LString(c.id))
	}
	switch {
	case c.join != nil:
		c.join.describe(o, e)
	case e.kind == RunMessage:
		o.Set("message", lua.LString(e.message))
	case e.kind == RunDisconnect:
		o.Set("code", lua.LNumber(e.code))
		o.Set("reason", lua.LString(e.reason))
	}
	if e.kind == RunTimer {
		o.Set("name", lua.LString(e.timer.name))
	}
	if e.binary {
		o.Set("binary", lua.LTrue)
	}
	used := c.route.used
	if used&useParams != 0 {
		o.Set("params", c.req.paramTable(l, c.route.pattern))
	}
	if used&useQuery != 0 {
		o.Set("query", c.req.query.table())
	}
	if used&useHeaders != 0 {
		o.Set("headers", c.req.headers.table())
	}
	if used&useUser != 0 {
		o.Set("user", userTable(vm, c.user.User))
	}
	if used&usePath != 0 {
		o.Set("path", lua.LString(c.req.decodedPath()))
	}
	if used&useAddr != 0 {
		o.Set("remote_addr", lua.LString(c.addr))
	}
	if used&useState != 0 {
		o.Set("state", decodeState(l, c.state))
	}
	if e.resume != nil {
		o.Set("resume", resumeTable(e.resume))
	}
	if c.denied != "" {
		o.Set("error", lua.LString(c.denied))
		c.denied = ""
	}
	return o.Table()
}

// userTable makes the user of SPEC 4 from its JSON.
func userTable(vm *luavm.VM, user []byte) lua.LValue {
	v, err := luavm.DecodeJSON(vm, string(user))
	if err != nil { // claims nested too deep for a VM: then they are nobody's
		v, _ = luavm.DecodeJSON(vm, string(anonymous.User))
	}
	return v
}

// deniedOf finds what the client's token does not allow, among what has failed of a return; then nothing was done.
func deniedOf(errs []hub.ActionError) error {
	for _, e := range errs {
		if isDenied(e) {
			return e
		}
	}
	return nil
}

// do carries out the actions of one return. What failed has been reported.
func (c *handling) do(t *turn, kind RunKind, actions []hub.Action) []hub.ActionError {
	if len(actions) == 0 {
		return nil
	}
	ctx := c.server.ctx
	if n := redisCalls(actions); n > 0 {
		ctx = t.context()
		_ = rest(ctx, c.calls.Reserve(c.server.now(), callRate, n)) // the actions see that ctx has ended
	}
	for i := range actions {
		if actions[i].Kind == hub.ActionClose && actions[i].Code == 0 {
			actions[i].Code = outbox.CodeNormal
		}
	}
	errs := c.sess.Do(ctx, actions)
	over := t.over()
	if over != nil {
		c.fail(kind, over, reasonOf(over, ReasonAction))
		if c.join == nil {
			c.ws.CloseFor(outbox.WhyFailed, outbox.CodeInternal, "handler error")
		} else {
			c.join.broken = true
		}
	}
	for _, e := range errs {
		switch {
		case over != nil && errors.Is(e.Err, over):
		case errors.Is(e.Err, outbox.ErrClosed), errors.Is(e.Err, outbox.ErrSlow), errors.Is(e.Err, hub.ErrGone):
		case errors.Is(e.Err, presence.ErrNotTracked), errors.Is(e.Err, hub.ErrNoRoom), errors.Is(e.Err, hub.ErrNotJoined):
			c.log().Warn("action without effect", "action", e.Action.Kind.String(), "channel", e.Action.Channel, "event",
				string(kind), "error", e.Err)
		case isDenied(e):
			c.deny(kind, e)
		default:
			c.fail(kind, e, ReasonAction)
		}
	}
	return errs
}

// invalidReturn is what is wrong with a handler's return value. The connection stays.
type invalidReturn struct {
	err error
	at  location // of the return
}

func (e *invalidReturn) Error() string { return "bad return value: " + e.err.Error() }
func (e *invalidReturn) Unwrap() error { return e.err }

func (c *handling) log() *slog.Logger {
	return c.server.lines.logger(&c.lines, "route", c.route.Path, "connection", c.id)
}
