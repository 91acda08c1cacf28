package apptest

import (
	"fmt"
	"time"

	"github.com/gorilla/websocket"
	lua "github.com/yuin/gopher-lua"

	"rollcall/luavm"
)

// clientTable is what a case gets of a client: its functions, the status of its handshake, and the body of a refusal.
func (r *caseRun) clientTable(c *client) *lua.LTable {
	t := object("c", map[string]func(args) int{
		"send":   func(a args) int { return r.send(a, c) },
		"close":  func(a args) int { return r.closeClient(a, c) },
		"drop":   func(a args) int { return r.drop(a, c) },
		"expect": func(a args) int { return r.expect(a, c) },
		"await":  func(a args) int { return r.await(a, c) },
		"quiet":  func(a args) int { return r.quiet(a, c) },
		"closed": func(a args) int { return r.closed(a, c) },
	})
	t.RawSetString("status", lua.LNumber(c.status))
	if c.conn == nil {
		t.RawSetString("body", decodeBody(r.vm.L(), c.answer))
	}
	return t
}

// usable raises when nothing can be done with a client any more.
func (r *caseRun) usable(a args, c *client) {
	if err := c.open(); err != nil {
		r.mismatch(a, c, "the client is not connected: "+err.Error(), nil)
	}
}

// c.send(message, "binary")
func (r *caseRun) send(a args, c *client) int {
	r.usable(a, c)
	text, how := a.message(1), a.l.Get(2)
	if how != lua.LNil && how != lua.LString("binary") {
		a.fail(`the second argument is "binary" or nothing`)
	}
	var err error
	r.settle(a.l, func() { err = c.send(text, how != lua.LNil) })
	a.check(err)
	return 0
}

// c.close(code)
func (r *caseRun) closeClient(a args, c *client) int {
	r.usable(a, c)
	code := int(a.number(1, "code", 1000, 4999, websocket.CloseNormalClosure))
	r.settle(a.l, func() { c.close(code) })
	return 0
}

// c.drop()
func (r *caseRun) drop(a args, c *client) int {
	r.usable(a, c)
	r.settle(a.l, c.drop)
	return 0
}

// next waits for a frame, or fails.
func (r *caseRun) next(a args, c *client, within time.Duration, what string, want any) frame {
	var f *frame
	r.settle(a.l, func() { f = c.next(within) })
	if f != nil {
		return *f
	}
	details := []string{"expected  " + compact(want)}
	if err := c.open(); err != nil {
		r.mismatch(a, c, what+" came: "+err.Error(), details)
	}
	r.mismatch(a, c, fmt.Sprintf("%s came in %v", what, frameTimeout), details)
	return frame{}
}

// c.expect(frame) -> the frame that came
func (r *caseRun) expect(a args, c *client) int {
	want := a.value(1)
	f := r.next(a, c, frameTimeout, "no frame", want)
	if different := f.differences(want); len(different) > 0 {
		r.mismatch(a, c, "the next frame does not fit",
			append([]string{"expected  " + compact(want), "got       " + f.String()}, within(different)...))
	}
	return a.frame(f)
}

// c.await(frame) -> the first frame that fits
func (r *caseRun) await(a args, c *client) int {
	want := a.value(1)
	for end := time.Now().Add(frameTimeout); ; {
		f := r.next(a, c, time.Until(end), "no frame that fits", want)
		if len(f.differences(want)) == 0 {
			return a.frame(f)
		}
	}
}

// c.quiet(ms)
func (r *caseRun) quiet(a args, c *client) int {
	ms := a.number(1, "ms", 0, float64(longest/time.Millisecond), float64(silence/time.Millisecond))
	var f *frame
	r.settle(a.l, func() { f = c.next(time.Duration(ms) * time.Millisecond) })
	if f != nil {
		r.mismatch(a, c, "a frame came", []string{"got       " + f.String()})
	}
	if !c.known {
		r.usable(a, c)
	}
	return 0
}

// c.closed(code) -> the reason
func (r *caseRun) closed(a args, c *client) int {
	want := int(a.number(1, "code", 1000, 4999, 0))
	if c.conn == nil {
		r.usable(a, c)
	}
	ended := false
	r.settle(a.l, func() { ended = c.waitFor(frameTimeout, func() bool { return c.ended }) })
	switch {
	case !ended:
		r.mismatch(a, c, "the connection is open", nil)
	case want != 0 && c.code != want:
		r.mismatch(a, c, "the connection was closed with another code",
			[]string{fmt.Sprint("expected  ", want), fmt.Sprintf("got       %d %s", c.code, c.reason)})
	}
	c.known = true
	return a.push(lua.LString(c.reason))
}

// frame gives Lua a frame: a table or another value of JSON, else a string; and "binary" behind a binary one.
func (a args) frame(f frame) int {
	if f.binary {
		a.l.Push(lua.LString(f.text))
		a.l.Push(lua.LString("binary"))
		return 2
	}
	return a.push(decodeBody(a.l, f.text))
}

// decodeBody gives Lua JSON as a value, and any other text as a string.
func decodeBody(l *lua.LState, text string) lua.LValue {
	if v, err := luavm.Of(l).DecodeJSON(l, text); err == nil {
		return v
	}
	return lua.LString(text)
}
