package app

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	lua "github.com/yuin/gopher-lua"

	"rollcall/egress"
	"rollcall/luavm"
)

// httpFunctions are those of the table http (SPEC 11).
var httpFunctions = map[string]lua.LGFunction{"fetch": httpFetch}

// http.fetch(url, {method, headers, body, json, timeout}) -> {status, headers, body}, or nil and why
func httpFetch(l *lua.LState) int {
	_, c := callOf(l)
	a := args{l, "http.fetch"}
	r, timeout := a.request()
	f, err := c.fetches.begin(c.fetchContext(l), c.server.cfg.Fetcher, r, timeout)
	if err != nil {
		return a.noAnswer(err.Error())
	}
	if luavm.Of(l).GiveWay(l, func(l *lua.LState) []lua.LValue { return finishFetch(l, f) }) {
		return -1
	}
	c.awaitFetch(l, f)
	return c.fetched(a, f)
}

// finishFetch waits for a fetch that a coroutine has begun, on the thread of who resumes it.
func finishFetch(l *lua.LState, f *fetch) []lua.LValue {
	_, c := callOf(l)
	top := l.GetTop()
	c.awaitFetch(l, f)
	n := c.fetched(args{l, "http.fetch"}, f)
	values := make([]lua.LValue, n)
	for i := range values {
		values[i] = l.Get(i - n)
	}
	l.SetTop(top)
	return values
}

// fetched pushes what a fetch gave.
func (c *call) fetched(a args, f *fetch) int {
	answer, err := c.fetches.take(f)
	if answer != nil {
		defer answer.Release()
	}
	var misuse *egress.MisuseError
	var known *egress.Error
	switch {
	case errors.As(err, &misuse):
		a.fail("%s", misuse.Text)
	case errors.As(err, &known) && known.Outcome == egress.Refused:
		c.log().Warn("http.fetch refused", "url", shorten(f.url), "error", err)
	}
	if err != nil {
		return a.noAnswer(err.Error())
	}
	vm := luavm.Of(a.l)
	if len(answer.Body) > vm.Limits().Value {
		return a.noAnswer("the body of the answer is longer than a string may be")
	}
	vm.Charge(a.l, luavm.ObjectSize(3)+luavm.ObjectSize(len(answer.Header))+len(answer.Body))
	headers := luavm.NewObject(len(answer.Header))
	for name, values := range answer.Header {
		text := strings.Join(values, ", ")
		vm.Charge(a.l, len(name)+len(text))
		headers.Set(strings.ToLower(name), lua.LString(text))
	}
	o := luavm.NewObject(3)
	o.Set("status", lua.LNumber(answer.Status))
	o.Set("headers", headers.Table())
	o.Set("body", lua.LString(answer.Body))
	return a.push(o.Table())
}

// noAnswer pushes nil and why.
func (a args) noAnswer(why string) int {
	a.l.Push(lua.LNil)
	a.l.Push(lua.LString(strings.ToValidUTF8(why, "\uFFFD")))
	return 2
}

// shorten makes a URL fit for a line of the log, without what may be secret in its query.
func shorten(url string) string {
	url, _, _ = strings.Cut(url, "?")
	if len(url) > 200 {
		url = url[:200] + "…"
	}
	return strings.ToValidUTF8(url, "\uFFFD")
}

// request reads the arguments. Those that are wrong whatever the URL raise.
func (a args) request() (*egress.Request, time.Duration) {
	r := &egress.Request{Method: http.MethodGet, URL: a.str(1, "url"), Header: http.Header{}}
	timeout := defaultTimeout
	options := a.optTable(2, "options")
	if options == nil {
		return r, timeout
	}
	var method, headers, body, value lua.LValue = lua.LNil, lua.LNil, lua.LNil, lua.LNil
	options.ForEach(func(k, v lua.LValue) {
		switch k {
		case lua.LString("method"):
			method = v
		case lua.LString("headers"):
			headers = v
		case lua.LString("body"):
			body = v
		case lua.LString("json"):
			value = v
		case lua.LString("timeout"):
			timeout = a.timeout(v)
		default:
			a.fail("unknown option %s; there are method, headers, body, json and timeout", describe(k))
		}
	})
	a.header(r.Header, headers)
	switch text, ok := body.(lua.LString); {
	case body != lua.LNil && value != lua.LNil:
		a.fail("give body or json, not both")
	case ok:
		r.Body, r.Method = []byte(text), http.MethodPost
	case body != lua.LNil:
		a.fail("body must be a string, not %s (json takes any value)", describe(body))
	case value != lua.LNil:
		r.Body, r.Method = a.json(value, "json"), http.MethodPost
		if r.Header.Get("Content-Type") == "" {
			r.Header.Set("Content-Type", "application/json")
		}
	}
	switch name, ok := method.(lua.LString); {
	case ok:
		r.Method = strings.ToUpper(string(name))
	case method != lua.LNil:
		a.fail("method must be a string, not %s", describe(method))
	}
	if err := r.Check(); err != nil {
		a.fail("%s", err.Error())
	}
	return r, timeout
}

func (a args) timeout(v lua.LValue) time.Duration {
	ms, ok := v.(lua.LNumber)
	if most := lua.LNumber(egress.MaxTimeout.Milliseconds()); !ok || !(ms >= 1 && ms <= most) {
		a.fail("timeout must be a number of ms from 1 to %v, not %s", most, describe(v))
	}
	return time.Duration(float64(ms) * float64(time.Millisecond))
}

// header reads headers: each value is a string, a number, or an array of them.
func (a args) header(to http.Header, v lua.LValue) {
	if v == lua.LNil {
		return
	}
	t, ok := v.(*lua.LTable)
	if !ok {
		a.fail("headers must be a table, not %s", describe(v))
	}
	add := func(name string, v lua.LValue) {
		switch v.(type) {
		case lua.LString, lua.LNumber:
			to[http.CanonicalHeaderKey(name)] = append(to[http.CanonicalHeaderKey(name)], v.String())
		default:
			a.fail("headers: %s must be a string or a number, not %s", name, describe(v))
		}
	}
	t.ForEach(func(k, v lua.LValue) {
		name, ok := k.(lua.LString)
		if !ok {
			a.fail("headers must have names as keys, not %s", describe(k))
		}
		if list, ok := v.(*lua.LTable); ok {
			for i := 1; i <= list.Len(); i++ {
				add(string(name), list.RawGetInt(i))
			}
			return
		}
		add(string(name), v)
	})
}

// fetchContext is what a fetch ends with at the latest. It ends a turn that is over.
func (c *call) fetchContext(l *lua.LState) context.Context {
	if c.script != nil {
		c.script.checkOver(l)
		return c.server.ctx
	}
	if c.turn == nil { // a test's
		return c.server.ctx
	}
	if over := c.turn.over(); over != nil {
		luavm.Of(l).End(l, over)
	}
	return c.turn.context()
}

// awaitFetch waits outside of Lua's time until a fetch is done. A turn leaves its worker to others meanwhile.
func (c *call) awaitFetch(l *lua.LState, f *fetch) {
	vm := luavm.Of(l)
	switch {
	case c.script != nil:
		vm.Block(func() { c.script.outlast(f) })
	case c.pool == nil:
		vm.Block(func() { <-f.done })
	case !c.park(l, f):
		vm.Block(func() {
			c.pool.block(1, c.heavy)
			defer c.pool.block(-1, c.heavy)
			<-f.done
		})
	}
	switch {
	case c.script != nil:
		c.script.checkOver(l)
	case c.turn != nil:
		if over := c.turn.over(); over != nil {
			vm.End(l, over)
		}
	}
}

// outlast waits for a fetch, but not for long after the client has gone. One that the script begins only then may take
// what is left of its overtime.
func (c *scriptConn) outlast(f *fetch) {
	left := maxAfterGone
	if at := c.closedAt.Load(); at != 0 {
		left = overtime - time.Since(time.Unix(0, at))
	} else {
		select {
		case <-f.done:
			return
		case <-c.ws.Done():
		}
	}
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case <-f.done:
	case <-timer.C:
		f.cancel()
		<-f.done
	}
}

// park is awaitFetch of a turn; false: it could not be parked. c is the worker's, so it is put back after the wait.
func (c *call) park(l *lua.LState, f *fetch) bool {
	vm, w, own := luavm.Of(l), c.worker, *c
	end := func() { own.turn.cancel(errTurnTooLarge) }
	return vm.Park(l, end, func() {
		spent, took := vm.Spent(), c.used()
		own.pool.park(w)
		<-f.done
		now := own.server.now()
		own.pool.regain(w, own.turn.use.add(now, took).rank(now))
		*c = own
		vm.Data = c
		c.heavy = w.heavy
		c.spent += vm.Spent() - spent
	})
}
