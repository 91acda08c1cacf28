package luavm

import (
	lua "github.com/yuin/gopher-lua"
	"github.com/yuin/gopher-lua/ast"
)

func (f *funcState) statements(stmts []ast.Stmt) {
	for i, s := range stmts {
		f.nest(s.Line())
		if l, ok := s.(*ast.LabelStmt); ok {
			f.label(l, onlyLabels(stmts[i+1:]))
		} else {
			f.statement(s)
		}
		f.free = len(f.locals)
		f.unnest()
	}
}

func (f *funcState) statement(s ast.Stmt) {
	switch s := s.(type) {
	case *ast.AssignStmt:
		f.assign(s)
	case *ast.LocalAssignStmt:
		f.local(s)
	case *ast.FuncCallStmt:
		f.open(s.Expr, 0)
	case *ast.DoBlockStmt:
		f.scope(s.Stmts, s.LastLine())
	case *ast.WhileStmt:
		f.while(s)
	case *ast.RepeatStmt:
		f.repeat(s)
	case *ast.IfStmt:
		f.ifElse(s)
	case *ast.NumberForStmt:
		f.numericFor(s)
	case *ast.GenericForStmt:
		f.genericFor(s)
	case *ast.FuncDefStmt:
		f.define(s)
	case *ast.ReturnStmt:
		f.returns(s)
	case *ast.BreakStmt:
		f.breaks(s)
	case *ast.GotoStmt:
		f.goTo(s)
	default:
		f.fail(s.Line(), "statement %T is not known", s)
	}
}

// scope writes statements as a block of their own.
func (f *funcState) scope(stmts []ast.Stmt, line int) {
	f.enterBlock(false)
	f.statements(stmts)
	f.leaveBlock(line)
}

// Assignments.

// target is what can be assigned to.
type target struct {
	line int
	kind targetKind
	// A local's register, an upvalue's or a constant's number, a table's register.
	at  int
	key int // of a table: an operand
	op  int // OP_SETTABLE or OP_SETTABLEKS
}

type targetKind int

const (
	toLocal targetKind = iota
	toUpvalue
	toGlobal
	toTable
)

// target works out where an assignment goes. A table and its key stay in the
// registers of locals if they stand there.
func (f *funcState) target(e ast.Expr) target {
	line := e.Line()
	switch e := e.(type) {
	case *ast.IdentExpr:
		if r, ok := f.localNamed(e.Value); ok {
			return target{line: line, kind: toLocal, at: r}
		}
		if i, ok := f.upvalueNamed(e.Value, line); ok {
			return target{line: line, kind: toUpvalue, at: i}
		}
		return target{line: line, kind: toGlobal, at: f.constant(lua.LString(e.Value), line)}
	case *ast.AttrGetExpr:
		t := target{line: line, kind: toTable, at: f.anywhere(e.Object), op: lua.OP_SETTABLE}
		t.key = f.operand(e.Key)
		if _, ok := e.Key.(*ast.StringExpr); ok {
			t.op = lua.OP_SETTABLEKS
		}
		return t
	}
	f.fail(line, "cannot assign to this expression")
	return target{}
}

// store assigns the value of e.
func (f *funcState) store(t target, e ast.Expr) {
	switch t.kind {
	case toLocal:
		f.into(e, t.at)
	case toTable:
		f.emit(abc(t.op, t.at, t.key, f.operand(e)), t.line)
	default:
		f.storeRegister(t, f.anywhere(e))
	}
}

func (f *funcState) storeRegister(t target, r int) {
	switch t.kind {
	case toLocal:
		f.emit(abc(lua.OP_MOVE, t.at, r, 0), t.line)
	case toUpvalue:
		f.emit(abc(lua.OP_SETUPVAL, r, t.at, 0), t.line)
	case toGlobal:
		f.emit(abx(lua.OP_SETGLOBAL, r, t.at), t.line)
	case toTable:
		f.emit(abc(t.op, t.at, t.key, r), t.line)
	}
}

// assign works out all targets, then all values, and then assigns from right to
// left, as PUC Lua does. The last value of as many goes straight to its target.
func (f *funcState) assign(s *ast.AssignStmt) {
	targets := make([]target, len(s.Lhs))
	line := endLine(s.Rhs[len(s.Rhs)-1])
	for i, e := range s.Lhs {
		targets[i] = f.target(e)
		targets[i].line = line
		if targets[i].kind == toLocal {
			f.keepApart(targets[:i], targets[i].at, e.Line())
		}
	}
	first, last := f.free, len(targets)-1
	if len(s.Rhs) == len(targets) {
		for _, e := range s.Rhs[:last] {
			f.push(e)
		}
		f.store(targets[last], s.Rhs[last])
		last--
	} else {
		f.pushExactly(s.Rhs, len(targets), s.Line())
	}
	for i := last; i >= 0; i-- {
		f.storeRegister(targets[i], first+i)
	}
}

// keepApart copies the local r for the targets before it that use it as table or
// key, since it is assigned before they are.
func (f *funcState) keepApart(targets []target, r, line int) {
	free := -1
	for i := range targets {
		t := &targets[i]
		if t.kind != toTable || t.at != r && t.key != r {
			continue
		}
		if free < 0 {
			free = f.reserve(1, line)
			f.emit(abc(lua.OP_MOVE, free, r, 0), line)
		}
		if t.at == r {
			t.at = free
		}
		if t.key == r {
			t.key = free
		}
	}
}

func (f *funcState) local(s *ast.LocalAssignStmt) {
	// The parser gives "local function f" a last line, and "local f = function" none.
	if s.LastLine() != 0 && len(s.Exprs) == 1 {
		if fn, ok := s.Exprs[0].(*ast.FunctionExpr); ok {
			r := f.reserve(1, s.Line())
			f.declare(s.Line(), s.Names...)
			f.closure(fn, r, false)
			return
		}
	}
	f.pushExactly(s.Exprs, len(s.Names), s.Line())
	f.declare(s.Line(), s.Names...)
}

func (f *funcState) define(s *ast.FuncDefStmt) {
	if s.Name.Func != nil {
		f.store(f.target(s.Name.Func), s.Func)
		return
	}
	key := &ast.StringExpr{Value: s.Name.Method}
	key.SetLine(s.Line())
	name := &ast.AttrGetExpr{Object: s.Name.Receiver, Key: key}
	name.SetLine(s.Name.Receiver.Line())
	t := f.target(name)
	r := f.reserve(1, s.Line())
	f.closure(s.Func, r, true)
	f.storeRegister(t, r)
}

// Control.

func (f *funcState) ifElse(s *ast.IfStmt) {
	var done []int
	for {
		otherwise := f.branch(s.Condition, false)
		f.scope(s.Then, lastLine(s.Then, s))
		if len(s.Else) == 0 {
			f.patchHere(otherwise)
			break
		}
		done = append(done, f.jump(lastLine(s.Then, s)))
		f.patchHere(otherwise)
		next, ok := elseIf(s)
		if !ok {
			f.scope(s.Else, lastLine(s.Else, s))
			break
		}
		s = next
	}
	f.patchHere(done)
}

// elseIf returns the next branch of a chain, which in the tree is an if that
// stands alone in the else.
func elseIf(s *ast.IfStmt) (*ast.IfStmt, bool) {
	if len(s.Else) != 1 {
		return nil, false
	}
	next, ok := s.Else[0].(*ast.IfStmt)
	return next, ok
}

// lastLine is that of the last statement, or of the one around it.
func lastLine(stmts []ast.Stmt, around ast.Stmt) int {
	if n := len(stmts); n > 0 {
		return max(stmts[n-1].Line(), stmts[n-1].LastLine())
	}
	return around.Line()
}

func (f *funcState) returns(s *ast.ReturnStmt) {
	line := s.Line()
	if len(s.Exprs) == 1 {
		if c, ok := s.Exprs[0].(*ast.FuncCallExpr); ok && isOpen(c) {
			f.open(c, multiple)
			call := &f.proto.Code[f.pc()-1]
			*call = *call&(1<<26-1) | uint32(lua.OP_TAILCALL)<<26
			f.emit(abc(lua.OP_RETURN, f.free, 0, 0), line)
			return
		}
		if !isOpen(s.Exprs[0]) {
			f.emit(abc(lua.OP_RETURN, f.anywhere(s.Exprs[0]), 2, 0), line)
			return
		}
	}
	first := f.free
	f.emit(abc(lua.OP_RETURN, first, f.pushAll(s.Exprs)+1, 0), line)
}
