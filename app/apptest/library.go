package apptest

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"testing/synctest"
	"time"

	lua "github.com/yuin/gopher-lua"

	"rollcall/auth"
	"rollcall/luavm"
)

const (
	// frameTimeout is how much virtual time passes for a frame that is expected.
	frameTimeout = time.Second
	// silence is how much passes before it is quiet.
	silence = 100 * time.Millisecond
	// longest is how far the time can be advanced at once.
	longest = 30 * 24 * time.Hour
)

// object makes the table t or c of functions. t.f(x) and t:f(x) are the same.
func object(table string, functions map[string]func(a args) int) *lua.LTable {
	o := luavm.NewObject(len(functions))
	var self *lua.LTable
	for name, f := range functions {
		o.Set(name, luavm.Func(func(l *lua.LState) int {
			if l.Get(1) == lua.LValue(self) {
				l.Remove(1)
			}
			return f(args{l, table + "." + name})
		}))
	}
	self = o.Table()
	return self
}

// args reads arguments of a function, and raises errors that name it.
type args struct {
	l        *lua.LState
	function string
}

func (a args) fail(format string, values ...any) {
	a.l.RaiseError("%s: %s", a.function, fmt.Sprintf(format, values...))
}

func (a args) check(err error) {
	if err != nil {
		a.fail("%v", err)
	}
}

func (a args) push(v lua.LValue) int {
	a.l.Push(v)
	return 1
}

// text reads a string.
func (a args) text(i int, what string) string {
	s, ok := a.l.Get(i).(lua.LString)
	if !ok {
		a.fail("%s must be a string, not a %s", what, a.l.Get(i).Type())
	}
	return string(s)
}

// number reads a whole number, or gives another one when there is none.
func (a args) number(i int, what string, least, most, otherwise float64) float64 {
	v := a.l.Get(i)
	if v == lua.LNil && otherwise >= 0 {
		return otherwise
	}
	n, ok := v.(lua.LNumber)
	if f := float64(n); !ok || f < least || f > most || f != math.Trunc(f) {
		a.fail("%s must be a whole number from %.0f to %.0f", what, least, most)
	}
	return float64(n)
}

// value reads any value that JSON has.
func (a args) value(i int) any {
	if a.l.Get(i) == lua.LNil {
		a.fail("it must be told what")
	}
	return a.plain(a.l.Get(i))
}

// plain is a value as encoding/json has it; a string may hold any bytes.
func (a args) plain(v lua.LValue) (out any) {
	switch v := v.(type) {
	case *lua.LNilType:
		return nil
	case lua.LString:
		return string(v)
	}
	text, err := luavm.Of(a.l).EncodeText(a.l, v)
	a.check(err)
	a.check(json.Unmarshal(text, &out))
	return out
}

// message reads what a client sends: a string as it is, another value as JSON.
func (a args) message(i int) string {
	switch v := a.l.Get(i).(type) {
	case lua.LString:
		return string(v)
	case *lua.LNilType:
		a.fail("there is no message")
	default:
		text, err := luavm.Of(a.l).EncodeText(a.l, v)
		a.check(err)
		return string(text)
	}
	return ""
}

// options reads a table of options, all of which must be known.
func (a args) options(i int, known ...string) options {
	v := a.l.Get(i)
	if v == lua.LNil {
		return options{args: a}
	}
	t, ok := v.(*lua.LTable)
	if !ok {
		a.fail("options must be a table, not a %s", v.Type())
	}
	t.ForEach(func(k, _ lua.LValue) {
		if !slices.Contains(known, k.String()) {
			a.fail("unknown option %q; there are %s", k.String(), strings.Join(known, ", "))
		}
	})
	return options{a, t}
}

// options are those of one call.
type options struct {
	args
	table *lua.LTable // nil: none
}

func (o options) get(name string) lua.LValue {
	if o.table == nil {
		return lua.LNil
	}
	return o.table.RawGetString(name)
}

// node is the number of the node that is meant; 0: none is named.
func (o options) node() int {
	v := o.get("node")
	if v == lua.LNil {
		return 0
	}
	n, ok := v.(lua.LNumber)
	if !ok || n < 1 || n > maxNodes || n != lua.LNumber(int(n)) {
		o.fail("node must be a number from 1 to %d", maxNodes)
	}
	return int(n)
}

// header makes the headers of a request, with the token: a table of claims is signed.
func (o options) header() http.Header {
	h := http.Header{}
	if t, ok := o.get("headers").(*lua.LTable); ok {
		t.ForEach(func(k, v lua.LValue) { h.Set(k.String(), v.String()) })
	} else if o.get("headers") != lua.LNil {
		o.fail("headers must be a table")
	}
	switch token := o.get("token").(type) {
	case *lua.LNilType:
	case lua.LString:
		h.Set("Authorization", "Bearer "+string(token))
	case *lua.LTable:
		h.Set("Authorization", "Bearer "+o.sign(token))
	default:
		o.fail("token must be a table of claims, or a token")
	}
	return h
}

// sign makes a token that is good for an hour, unless the claims have an exp.
func (o options) sign(t *lua.LTable) string {
	claims, ok := o.plain(t).(map[string]any)
	if !ok {
		o.fail("token must be a table of claims")
	}
	mint := auth.MintClaims{IssuedAt: time.Now(), TTL: time.Hour, Extra: claims}
	if mint.UserID, ok = claims["sub"].(string); !ok {
		o.fail("a token needs the claim sub, the user's id")
	}
	if _, ok := claims["exp"]; ok {
		mint.TTL = 0
	}
	token, err := auth.Mint(secret, mint)
	o.check(err)
	return token
}

// settle runs f and lets all happen that follows from it, while no budget runs. Functions of t.fetch may have the VM
// meanwhile.
func (r *caseRun) settle(l *lua.LState, f func()) {
	if r.answering {
		l.RaiseError("a function of t.fetch cannot wait: it is there to answer")
	}
	luavm.Of(l).Block(func() {
		r.idle <- struct{}{}
		f()
		synctest.Wait()
		<-r.idle
	})
}

// library is what a case gets as t.
func (r *caseRun) library() *lua.LTable {
	return object("t", map[string]func(args) int{
		"connect": r.connect, "request": r.request, "token": r.token, "fetch": r.stub,
		"nodes": r.nodes, "kill": r.kill, "advance": r.advance, "now": r.now, "equal": r.equal,
	})
}

// t.connect(path, {node, token, headers}) -> c
func (r *caseRun) connect(a args) int {
	path, o := a.text(1, "path"), a.options(2, "node", "token", "headers")
	if !strings.HasPrefix(path, "/") {
		a.fail("path must begin with /")
	}
	number, header := o.node(), o.header()
	var c *client
	var err error
	r.settle(a.l, func() {
		var m *member
		if m, err = r.world.member(number); err == nil {
			c, err = r.world.connect(m, path, header)
		}
	})
	a.check(err)
	return a.push(r.clientTable(c))
}

// t.token(claims) -> a token, for a client that sends one by itself
func (r *caseRun) token(a args) int {
	t, ok := a.l.Get(1).(*lua.LTable)
	if !ok {
		a.fail("it wants a table of claims")
	}
	return a.push(lua.LString(options{args: a}.sign(t)))
}

// t.nodes(n)
func (r *caseRun) nodes(a args) int {
	n := int(a.number(1, "n", 1, maxNodes, -1))
	var err error
	r.settle(a.l, func() { err = r.world.grow(n) })
	a.check(err)
	return 0
}

// t.kill(node)
func (r *caseRun) kill(a args) int {
	n := int(a.number(1, "node", 1, maxNodes, -1))
	if n > len(r.world.members) || r.world.members[n-1].killed.Load() {
		a.fail("there is no node %d", n)
	}
	r.settle(a.l, func() { r.world.kill(r.world.members[n-1]) })
	if r.home.killed.Load() {
		if m, err := r.world.member(0); err == nil {
			r.home = m
			m.node.Adopt(r.vm)
		}
	}
	return 0
}

// t.advance(ms)
func (r *caseRun) advance(a args) int {
	ms := a.number(1, "ms", 0, float64(longest/time.Millisecond), -1)
	r.settle(a.l, func() { time.Sleep(time.Duration(ms) * time.Millisecond) })
	return 0
}

// t.now() -> ms since 1970
func (r *caseRun) now(a args) int { return a.push(lua.LNumber(time.Now().UnixMilli())) }

// t.equal(got, want)
func (r *caseRun) equal(a args) int {
	got, want := a.l.Get(1), a.l.Get(2)
	if got == want {
		return 0
	}
	g, w := a.plain(got), a.plain(want)
	if different := unequal(w, g); len(different) > 0 || (got == lua.LNil) != (want == lua.LNil) {
		r.mismatch(a, nil, "they are not equal",
			append([]string{"expected  " + compact(w), "got       " + compact(g)}, within(different)...))
	}
	return 0
}

// within are differences that tell more than the two values themselves: those inside of tables.
func within(different []string) (all []string) {
	for _, d := range different {
		if !strings.HasPrefix(d, "expected ") {
			all = append(all, "differs   "+d)
		}
	}
	return all
}

// mismatch fails the case, unless it is caught.
func (r *caseRun) mismatch(a args, c *client, text string, details []string) {
	r.failed = &mismatch{a.function + ": " + text, c, details}
	a.fail("%s", text)
}
