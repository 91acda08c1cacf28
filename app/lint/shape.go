package lint

import (
	"slices"

	lua "github.com/yuin/gopher-lua"
	"github.com/yuin/gopher-lua/ast"

	"rollcall/luavm"
)

// shape is what is known of a value.
type shape struct {
	kind  kind
	table *Table     // of kind hostTable
	value lua.LValue // of kind libraryValue; LNil: worked out when it is read
	path  string     // of kind libraryValue: "solidb.ws"
}

type kind int

const (
	unknown      kind = iota
	unseen            // nothing has been seen to give it a value so far
	opaque            // some value that is nothing of the host's
	hostTable         // a Table
	libraryValue      // from the library
	environment       // _G
)

// meet is what is known of a value that is one of two.
func meet(a, b shape) shape {
	switch {
	case a.kind == unseen:
		return b
	case b.kind == unseen || a == b:
		return a
	}
	return shape{}
}

// visible tells whether a file sees the globals of another.
func visible(from, to *facts) bool { return from == to || from.file.Module || to.file.Module }

// defined tells whether a global is assigned in a file that this one sees.
func (c *checker) defined(f *facts, name string) bool {
	return slices.ContainsFunc(c.files, func(o *facts) bool { return visible(o, f) && len(o.defines[name]) > 0 })
}

// global is the value of a global.
func (c *checker) global(f *facts, name string) shape {
	if c.defined(f, name) {
		return shape{}
	}
	if name == "_G" {
		return shape{kind: environment}
	}
	if table, ok := f.file.Globals[name]; ok {
		if table == nil {
			return shape{}
		}
		return shape{kind: hostTable, table: table}
	}
	if v, ok := c.library(f.file.Library)[name]; ok {
		return shape{kind: libraryValue, value: v, path: name}
	}
	return shape{}
}

// library is what a library has.
func (c *checker) library(l *luavm.Library) map[string]lua.LValue {
	if c.libraries[l] == nil {
		c.libraries[l] = l.Globals()
	}
	return c.libraries[l]
}

// shape is the value of an expression.
func (c *checker) shape(f *facts, e ast.Expr) shape {
	switch e := e.(type) {
	case *ast.IdentExpr:
		if v := f.locals[e]; v != nil {
			return c.variable(f, v)
		}
		return c.global(f, e.Value)
	case *ast.AttrGetExpr:
		if key, ok := constant(e.Key); ok {
			return c.member(f, c.shape(f, e.Object), key)
		}
	case *ast.TableExpr, *ast.FunctionExpr, *ast.StringExpr, *ast.NumberExpr, *ast.TrueExpr, *ast.FalseExpr, *ast.NilExpr,
		*ast.StringConcatOpExpr, *ast.ArithmeticOpExpr, *ast.RelationalOpExpr, *ast.UnaryNotOpExpr:
		return shape{kind: opaque}
	}
	return shape{}
}

func (c *checker) variable(f *facts, v *variable) shape {
	switch {
	case v.assigned:
		return shape{}
	case v.of != nil:
		return v.value
	case v.init != nil:
		return c.shape(f, v.init)
	case v.function != nil:
		return shape{kind: opaque}
	}
	return shape{}
}

// member is a field of a value.
func (c *checker) member(f *facts, object shape, key string) shape {
	switch object.kind {
	case unseen:
		return object
	case environment:
		return c.global(f, key)
	case hostTable:
		table, ok := object.table.Fields[key]
		switch {
		case ok && table != nil:
			return shape{kind: hostTable, table: table}
		case ok:
			return shape{kind: opaque}
		}
	case libraryValue:
		if t, ok := object.value.(*lua.LTable); ok {
			if v, ok := c.members(t)[key]; ok {
				return shape{kind: libraryValue, value: v, path: object.path + "." + key}
			}
		}
	}
	return shape{}
}

// members is what a library table has; nil when that is not known.
func (c *checker) members(t *lua.LTable) map[string]lua.LValue {
	m, ok := c.tables[t]
	if !ok {
		if all, known := luavm.Members(t); known {
			m = all
		}
		c.tables[t] = m
	}
	return m
}
