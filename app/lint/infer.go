package lint

import (
	lua "github.com/yuin/gopher-lua"
	"github.com/yuin/gopher-lua/ast"

	"rollcall/luavm"
)

// checker checks the files of one app together.
type checker struct {
	files     []*facts
	libraries map[*luavm.Library]map[string]lua.LValue
	tables    map[*lua.LTable]map[string]lua.LValue

	written map[*Table]map[string]bool // fields that files themselves set in tables of the host
	loose   map[string]bool            // fields that they set in tables of which nothing is known
	open    map[*Table]bool            // tables that may get any field
	lost    map[*Table]bool            // tables that went where they cannot be followed

	found []Finding
}

// infer works out what parameters are given, and what the values are for that functions return.
func (c *checker) infer() {
	for _, f := range c.files {
		c.begin(f)
	}
	for again := true; again; {
		again = false
		for _, f := range c.files {
			for _, call := range f.calls {
				if fn := c.callee(f, call); fn != nil {
					again = c.pass(f, call, fn) || again
				}
			}
		}
	}
	for _, f := range c.files {
		c.track(f)
	}
}

// begin finds the functions that the host calls, and those of which not all calls are seen.
func (c *checker) begin(f *facts) {
	for _, h := range f.file.Handlers {
		var found []*function
		for _, fn := range f.functions {
			if fn.expr.Line() == h.Line && fn.expr.LastLine() == h.LastLine {
				found = append(found, fn)
			}
		}
		if len(found) == 1 {
			found[0].host = &h
		}
	}
	for _, v := range f.locals {
		if v.function != nil && (v.escapes || v.assigned) {
			v.function.escapes = true
		}
	}
	for name, list := range f.defines {
		for _, fn := range list {
			if fn != nil && c.only(f, name) == nil {
				fn.escapes = true
			}
		}
	}
	for _, fn := range f.functions {
		for i, p := range fn.params {
			switch {
			case fn.host != nil && i == 0 && fn.host.Argument != nil:
				p.value = shape{kind: hostTable, table: fn.host.Argument}
			case fn.host == nil && !fn.escapes:
				p.value = shape{kind: unseen}
			}
		}
		switch {
		case fn.host != nil && fn.host.Returns != nil:
			fn.role, fn.returns = hostRole, fn.host.Returns
		case fn.host != nil || fn.escapes:
			fn.role = anyRole
		}
	}
	f.chunk.role = anyRole
}

// only is the function that a global is wherever f sees it, when it is nothing else and used for nothing but calls.
func (c *checker) only(f *facts, name string) (found *function) {
	for _, o := range c.files {
		if o.escaped[name] || o.indexed && visible(o, f) {
			return nil
		}
		for _, fn := range o.defines[name] {
			if fn == nil || found != nil {
				return nil
			}
			found = fn
		}
	}
	return found
}

// callee is the function that is called, if that is known.
func (c *checker) callee(f *facts, call *call) *function {
	ident, ok := call.expr.Func.(*ast.IdentExpr)
	if !ok {
		return nil
	}
	v := f.locals[ident]
	switch {
	case v == nil:
		return c.only(f, ident.Value)
	case v.assigned:
		return nil
	}
	return v.function
}

// pass takes into account that a function is called; true: something has changed.
func (c *checker) pass(f *facts, call *call, fn *function) (changed bool) {
	args := call.expr.Args
	for i, p := range fn.params {
		given := shape{kind: opaque} // nil
		switch {
		case i < len(args) && (i < len(args)-1 || !isMulti(args[i])):
			given = c.shape(f, args[i])
		case len(args) > 0 && isMulti(args[len(args)-1]):
			given = shape{}
		}
		if now := meet(p.value, given); now != p.value {
			p.value, changed = now, true
		}
	}
	if fn.host != nil || fn.role == anyRole || call.use == asDiscard {
		return changed
	}
	role, returns := anyRole, (*Table)(nil)
	if call.use == asResult {
		role, returns = call.in.role, call.in.returns
	}
	switch {
	case role == noRole, role == fn.role && returns == fn.returns:
	case fn.role == noRole:
		fn.role, fn.returns, changed = role, returns, true
	default:
		fn.role, fn.returns, changed = anyRole, nil, true
	}
	return changed
}

// track finds out which fields the file sets in tables of the host, and which of these tables it loses.
func (c *checker) track(f *facts) {
	for _, w := range f.writes {
		key, constantKey := "", false
		if w.key != nil {
			key, constantKey = constant(w.key)
		}
		switch object := c.shape(f, w.object); {
		case object.kind == hostTable && constantKey:
			if c.written[object.table] == nil {
				c.written[object.table] = map[string]bool{}
			}
			c.written[object.table][key] = true
		case object.kind == hostTable:
			c.open[object.table] = true
		case object.kind == unknown && constantKey:
			c.loose[key] = true
		}
	}
	lose := func(e ast.Expr) {
		if s := c.shape(f, e); s.kind == hostTable {
			c.lost[s.table] = true
		}
	}
	for _, e := range f.kept {
		lose(e)
	}
	for _, v := range f.locals {
		if v.assigned && v.init != nil {
			lose(v.init)
		}
	}
	for _, call := range f.calls {
		fn := c.callee(f, call)
		for i, a := range call.expr.Args {
			if fn == nil || i >= len(fn.params) || c.shape(f, a) != fn.params[i].value {
				lose(a)
			}
		}
		if ident, ok := call.expr.Func.(*ast.IdentExpr); ok && ident.Value == "setmetatable" && len(call.expr.Args) > 0 {
			if s := c.shape(f, call.expr.Args[0]); s.kind == hostTable {
				c.open[s.table] = true
			}
		}
	}
}
