package luavm

import (
	lua "github.com/yuin/gopher-lua"
	"github.com/yuin/gopher-lua/ast"
)

// Lists.

// isOpen tells whether e may give any number of values.
func isOpen(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.FuncCallExpr:
		return !e.AdjustRet
	case *ast.Comma3Expr:
		return !e.AdjustRet
	}
	return false
}

// open leaves n values of a call or of "..." in the next registers, or all of
// them if n is multiple; then they are not reserved.
func (f *funcState) open(e ast.Expr, n int) {
	if c, ok := e.(*ast.FuncCallExpr); ok {
		f.call(c, n)
		return
	}
	if f.proto.IsVarArg == 0 {
		f.fail(e.Line(), "cannot use '...' outside a vararg function")
	}
	f.proto.IsVarArg &^= lua.VarArgNeedsArg
	if n != 0 {
		f.emit(abc(lua.OP_VARARG, f.free, n+1, 0), e.Line())
		f.reserve(max(n, 0), e.Line())
	}
}

// pushAll leaves the values of all expressions in the next registers. It returns
// how many, or multiple when the last has any number.
func (f *funcState) pushAll(exprs []ast.Expr) int {
	for i, e := range exprs {
		if i == len(exprs)-1 && isOpen(e) {
			f.open(e, multiple)
			return multiple
		}
		f.push(e)
	}
	return len(exprs)
}

// pushExactly is pushAll for n values: nil where there are fewer, and what there
// is more is worked out and dropped.
func (f *funcState) pushExactly(exprs []ast.Expr, n, line int) {
	first := f.free
	for i, e := range exprs {
		if i == len(exprs)-1 && isOpen(e) {
			f.open(e, max(n-i, 0))
		} else {
			f.push(e)
		}
	}
	if have := f.free - first; have < n {
		r := f.reserve(n-have, line)
		f.emit(abc(lua.OP_LOADNIL, r, f.free-1, 0), line)
	}
	f.free = first + n
}

// call calls a function, and leaves n results from the register on where it
// stood.
func (f *funcState) call(e *ast.FuncCallExpr, n int) {
	f.nest(e.Line())
	defer f.unnest()
	line := endLine(called(e))
	base, given := f.free, 0
	name := e.Method
	if e.Func != nil {
		f.push(e.Func)
		name = calledName(e.Func)
	} else {
		object := f.anywhere(e.Receiver)
		key := &ast.StringExpr{Value: e.Method}
		key.SetLine(line)
		method := f.operand(key)
		f.free = base
		f.reserve(2, line)
		f.emit(abc(lua.OP_SELF, base, object, method), line)
		given = 1
	}
	b := 0
	if args := f.pushAll(e.Args); args != multiple {
		b = given + args + 1
	}
	pc := f.emit(abc(lua.OP_CALL, base, b, n+1), line)
	f.proto.DbgCalls = append(f.proto.DbgCalls, lua.DbgCall{Name: name, Pc: pc})
	f.free = base
	f.reserve(max(n, 0), line)
}

// calledName is what tracebacks call a function.
func calledName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.IdentExpr:
		return e.Value
	case *ast.AttrGetExpr:
		if s, ok := e.Key.(*ast.StringExpr); ok {
			return s.Value
		}
	}
	return "?"
}

// table makes a table in r, the top.
func (f *funcState) table(e *ast.TableExpr, r int) {
	line := e.Line()
	made := f.emit(0, line)
	elements, fields, waiting := 0, 0, 0 // waiting: elements in registers
	for i, field := range e.Fields {
		if field.Key != nil {
			free := f.free
			key := f.operand(field.Key)
			value := f.operand(field.Value)
			op := lua.OP_SETTABLE
			if _, ok := field.Key.(*ast.StringExpr); ok {
				op = lua.OP_SETTABLEKS
			}
			f.emit(abc(op, r, key, value), endLine(field.Value))
			f.free = free
			fields++
			continue
		}
		if i == len(e.Fields)-1 && isOpen(field.Value) {
			f.open(field.Value, multiple)
			f.setList(r, 0, elements, field.Value.Line())
			waiting = 0
			break
		}
		f.push(field.Value)
		elements++
		if waiting++; waiting == lua.FieldsPerFlush {
			f.setList(r, waiting, elements-1, field.Value.Line())
			f.free = r + 1
			waiting = 0
		}
	}
	if waiting > 0 {
		f.setList(r, waiting, elements-1, line)
	}
	f.proto.Code[made] = abc(lua.OP_NEWTABLE, r, min(elements, 0x1ff), min(fields, 0x1ff))
}

// setList moves n values above r to the table in r; 0: all that are there. index
// is that of an element in the batch, from 0.
func (f *funcState) setList(r, n, index, line int) {
	batch := index/lua.FieldsPerFlush + 1
	if batch <= 0x1ff {
		f.emit(abc(lua.OP_SETLIST, r, n, batch), line)
		return
	}
	f.emit(abc(lua.OP_SETLIST, r, n, 0), line)
	f.emit(uint32(batch), line)
}

// closure makes a function. A method has a parameter self before the others.
func (f *funcState) closure(e *ast.FunctionExpr, r int, method bool) {
	line := e.Line()
	child := newFunction(f.proto.SourceName, f, line)
	child.parameters(e.ParList, method, line)
	child.body(e.Stmts, max(line, e.LastLine()))
	f.proto.FunctionPrototypes = append(f.proto.FunctionPrototypes, child.proto)
	f.emit(abx(lua.OP_CLOSURE, r, len(f.proto.FunctionPrototypes)-1), line)
	for _, u := range child.upvalues {
		op := lua.OP_GETUPVAL
		if u.enclosing {
			op = lua.OP_MOVE
		}
		f.emit(abc(op, captureMark, u.index, 0), line)
	}
}

func (f *funcState) parameters(list *ast.ParList, method bool, line int) {
	if method {
		f.declare(line, "self")
	}
	f.declare(line, list.Names...)
	f.proto.NumParameters = uint8(len(f.locals))
	if list.HasVargs {
		f.proto.IsVarArg = lua.VarArgIsVarArg | lua.VarArgHasArg | lua.VarArgNeedsArg
		f.declare(line, "arg")
	}
	f.reserve(len(f.locals), line)
}
