package app

import (
	"errors"
	"strings"
	"sync/atomic"
	"time"

	lua "github.com/yuin/gopher-lua"

	"rollcall/hub"
	"rollcall/luavm"
	"rollcall/outbox"
	"rollcall/overload"
	"rollcall/presence"
	"rollcall/wsconn"
)

// scriptConn is one connection script at work (SPEC 1.1): its own VM and one goroutine, from connect to the script's
// end.
//
//	Open ──▶ running ── returns, raises ──▶ connection closed (1000, 1011)
//	            │ connection closed: recv gives what came before, then nil
//	            └─────────▶ winding up ── returns, or overtime ──▶ over
type scriptConn struct {
	// Static.
	accepted // its request and user until the script runs
	server   *Server
	in       *instance
	script   *script
	inbox    *inbox
	sess     *hub.Session // since Open

	closedAt atomic.Int64     // unix ns; 0: the connection is open
	overflow atomic.Bool      // the queue ran over
	lines    overload.Limiter // of the log

	// Owned by the script's goroutine.
	metClosed bool // a function raised because the connection is closed
}

var errOverflow = errors.New("the script's event queue ran over")

// overtime is how long a script may go on after its connection has closed.
const overtime = 10 * time.Second

// Bounds of the client messages that wait for a script; more stay in the socket.
const (
	waitingMessages = 1024
	waitingBytes    = 256 << 10
)

// Open starts the script.
func (c *scriptConn) Open() {
	c.sess = c.server.cfg.Hub.Enter(
		hub.Member{ID: c.ws.ID(), Conn: c.ws, Route: c.script.name.URLPath(), Addr: c.addr, User: c.user.User,
			Events: c.hear, Fits: c.inbox.fits})
	c.server.running.Go(c.run)
}

// hear takes an event of the hub; false: the queue is full and the connection is being closed. It does not wait.
func (c *scriptConn) hear(e *hub.Event) bool {
	if c.inbox.putEvent(e) {
		return true
	}
	c.overflow.Store(true)
	c.ws.CloseFor(outbox.WhySlow, outbox.CodeTryLater, "event queue full")
	return false
}

// Message hands a client message to the script; it waits while too many wait already.
func (c *scriptConn) Message(binary bool, data []byte) {
	text := string(data)
	if !c.inbox.tryMessage(text, binary, false) {
		c.inbox.putMessage(text, binary, c.ws.Done())
	}
}

// Closed lets the script know; it has what came before first.
func (c *scriptConn) Closed(info outbox.CloseInfo) {
	c.closedAt.CompareAndSwap(0, time.Now().UnixNano())
	c.inbox.end()
	if c.overflow.Load() {
		c.server.failed(&c.lines, c.failure(ReasonOverflow, errOverflow), "connection", c.ws.ID())
	}
	if c.sess != nil {
		c.sess.Exit(ending(info))
	}
	c.server.done(&c.accepted, c.script.name.URLPath(), info)
}

// run is the script's goroutine.
func (c *scriptConn) run() {
	start := time.Now()
	c.server.scripts.Add(1)
	defer c.server.scripts.Add(-1)
	err := c.runScript()
	c.inbox.drop()
	why, code, reason := outbox.WhyServer, outbox.CodeNormal, ""
	switch {
	case isDenied(err):
		c.server.failed(&c.lines, c.failure(ReasonDenied, err), "connection", c.ws.ID())
		why, code, reason = outbox.WhyFailed, outbox.CodeRefused, err.Error()
	case err != nil:
		c.server.failed(&c.lines, c.failure(reasonOf(err, ReasonLoad), err), "connection", c.ws.ID(), "traceback",
			traceback(err))
		if c.server.cfg.Dev {
			// a closed client need not know
			_ = c.ws.Send(wsconn.TextString("Lua Error: " + strings.ToValidUTF8(err.Error(), "\uFFFD")))
		}
		why, code, reason = outbox.WhyFailed, outbox.CodeInternal, "script error"
	}
	c.ws.CloseFor(why, code, reason)
	c.server.ran(RunScript, c.script.name.String(), start)
}

// runScript runs the script to its end; nil when it did not fail.
func (c *scriptConn) runScript() (err error) {
	if c.script.err != nil {
		return c.script.err
	}
	_, library := libraries()
	own := &call{server: c.server, app: c.in.app, route: c.script.name.String(), connID: c.ws.ID(), sess: c.sess,
		script: c, user: c.user, calls: &overload.Limiter{}, lines: &c.lines}
	vm := luavm.New(luavm.Config{Limits: c.server.cfg.Limits, Gate: c.server.cfg.Gate, Library: library,
		Ceiling: c.server.cfg.Memory, End: c.evict, Require: c.in.app.findModule, Print: printLine, Data: own,
		Clock: c.server.cfg.Clock})
	defer vm.Close()
	defer own.fetches.close()
	defer catch(vm, &err)
	vm.SetGlobal("request", requestTable(vm,
		request{info: c.req, used: c.in.app.requestUsed(c.script), pattern: c.script.pattern, method: "GET",
			user: c.user, addr: c.addr, websocket: true}))
	c.req, c.user = requestInfo{}, nil // the table has what the script needs
	_, err = vm.Run(c.script.program)
	var e *luavm.Error
	switch {
	case vm.Evicted() != nil:
		return vm.Evicted()
	case err == nil:
		return nil
	case errors.As(err, &e) && e.Kind == luavm.Exit:
		return nil
	case c.metClosed && e != nil && e.Kind == luavm.Raised && strings.Contains(e.Message, errClosedText):
		return nil
	}
	return own.deniedBy(err)
}

// evict wakes a script that waits, and that has to end because all scripts together hold too much.
func (c *scriptConn) evict() { c.ws.CloseFor(outbox.WhyFailed, outbox.CodeInternal, "script error") }

func (c *scriptConn) failure(reason Reason, err error) Failure {
	file, line := locate(err)
	source, ok := c.in.app.sources[file]
	if !ok {
		source = c.script.source
	}
	return Failure{Kind: RunScript, source: source, Route: c.script.name.String(), Version: c.script.version,
		File: file, Line: line,
		Reason: reason, Message: err.Error()}
}

// checkOver ends a script that goes on too long after its connection has closed, or when the server closes.
func (c *scriptConn) checkOver(l *lua.LState) {
	at := c.closedAt.Load()
	if at != 0 && time.Since(time.Unix(0, at)) > overtime || c.server.ctx.Err() != nil {
		luavm.Of(l).Exit(l)
	}
}

// receive takes the next message, or with any the next of messages and events. A wait, and something to work on, start
// the script's time budget anew; asking in vain does not, so that a script cannot ask for ever.
func (c *scriptConn) receive(l *lua.LState, any bool, timeout time.Duration) taken {
	c.checkOver(l)
	t := c.inbox.take(any)
	vm := luavm.Of(l)
	switch {
	case t.message != nil || t.event != nil:
		vm.Block(func() {})
	case !t.closed && timeout != 0:
		vm.Block(func() { t = c.inbox.wait(any, timeout) })
	}
	return t
}

// event makes the table of SPEC 1.1 for what recv_any got.
func (a args) event(ev *hub.Event) (lua.LValue, lua.LValue) {
	o := luavm.NewObject(7)
	o.Set("channel", lua.LString(ev.Channel))
	o.Set("timestamp", lua.LNumber(ev.Timestamp))
	if ev.Kind == hub.EventBroadcast {
		o.Set("data", a.value(ev.Data))
		if ev.SenderID != "" {
			o.Set("sender_id", lua.LString(ev.SenderID))
		}
		if ev.Position != "" {
			o.Set("position", lua.LString(ev.Position))
		}
		return o.Table(), lua.LString("channel")
	}
	if ev.Kind == hub.EventLost {
		o.Set("position", lua.LString(ev.Position))
		o.Set("why", lua.LString(ev.Why))
		return o.Table(), lua.LString("lost")
	}
	o.Set("event_type", lua.LString(ev.Type))
	o.Set("user_info", a.decode(string(ev.UserInfo)))
	o.Set("connection_id", lua.LString(ev.ConnID))
	o.Set("user_id", lua.LString(ev.UserID))
	if ev.Cause != presence.CauseUnknown {
		o.Set("cause", lua.LString(ev.Cause))
	}
	return o.Table(), lua.LString("presence")
}
