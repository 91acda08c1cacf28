package lint

import (
	"github.com/yuin/gopher-lua/ast"

	"rollcall/luavm"
)

// visitor visits all of a tree and notes facts.
type visitor struct {
	*facts
	in        *function
	scope     *scope
	fallbacks []ast.Expr
}

// factsOf reads a file; false: it does not compile.
func factsOf(file *File) (*facts, bool) {
	chunk, err := luavm.Parse(file.Name, file.Source)
	if err != nil {
		return nil, false
	}
	f := &facts{file: file, chunk: &function{escapes: true}, functions: map[*ast.FunctionExpr]*function{},
		locals: map[*ast.IdentExpr]*variable{}, defines: map[string][]*function{}, escaped: map[string]bool{}}
	w := visitor{facts: f, in: f.chunk}
	w.block(chunk)
	return f, true
}

func (w *visitor) declare(v *variable) *variable {
	w.scope = &scope{v, w.scope}
	return v
}

func (w *visitor) lookup(name string) *variable {
	for s := w.scope; s != nil; s = s.outer {
		if s.name == name {
			return s.variable
		}
	}
	return nil
}

// block visits statements in a scope of their own.
func (w *visitor) block(list []ast.Stmt) {
	outer := w.scope
	w.stmts(list)
	w.scope = outer
}

func (w *visitor) stmts(list []ast.Stmt) {
	for _, s := range list {
		w.stmt(s)
	}
}

func (w *visitor) stmt(s ast.Stmt) {
	switch s := s.(type) {
	case *ast.AssignStmt:
		w.assign(s)
	case *ast.LocalAssignStmt:
		w.local(s)
	case *ast.FuncCallStmt:
		w.expr(s.Expr, asDiscard)
	case *ast.DoBlockStmt:
		w.block(s.Stmts)
	case *ast.WhileStmt:
		w.expr(s.Condition, asTest)
		w.block(s.Stmts)
	case *ast.RepeatStmt:
		outer := w.scope
		w.stmts(s.Stmts)
		w.expr(s.Condition, asTest) // it sees the body's locals
		w.scope = outer
	case *ast.IfStmt:
		w.expr(s.Condition, asTest)
		w.block(s.Then)
		w.block(s.Else)
	case *ast.NumberForStmt:
		w.exprs([]ast.Expr{s.Init, s.Limit, s.Step}, asLook)
		w.loop(s.Stmts, s.Name)
	case *ast.GenericForStmt:
		w.exprs(s.Exprs, asValue)
		w.loop(s.Stmts, s.Names...)
	case *ast.FuncDefStmt:
		w.define(s)
	case *ast.ReturnStmt:
		for i, e := range s.Exprs {
			if i == 0 {
				w.returns = append(w.returns, returned{w.in, e})
				w.expr(e, asResult)
			} else {
				w.expr(e, asValue)
			}
		}
	}
}

func (w *visitor) loop(body []ast.Stmt, names ...string) {
	outer := w.scope
	for _, name := range names {
		w.declare(&variable{name: name})
	}
	w.block(body)
	w.scope = outer
}

func (w *visitor) assign(s *ast.AssignStmt) {
	for i, target := range s.Lhs {
		var value ast.Expr
		if i < len(s.Rhs) && (i < len(s.Rhs)-1 || !isMulti(s.Rhs[i])) {
			value = s.Rhs[i]
		}
		w.target(target, value)
	}
	for i, e := range s.Rhs {
		how := asValue
		if _, ok := e.(*ast.FunctionExpr); ok && i < len(s.Lhs) && w.isGlobal(s.Lhs[i]) {
			how = asAlias
		}
		w.expr(e, how)
	}
}

func (w *visitor) isGlobal(e ast.Expr) bool {
	ident, ok := e.(*ast.IdentExpr)
	return ok && w.lookup(ident.Value) == nil
}

// isEnvironment tells of _G.
func (w *visitor) isEnvironment(e ast.Expr) bool {
	ident, ok := e.(*ast.IdentExpr)
	return ok && ident.Value == "_G" && w.lookup("_G") == nil
}

// target notes that something is assigned to; value nil: it is not known what.
func (w *visitor) target(target, value ast.Expr) {
	switch target := target.(type) {
	case *ast.IdentExpr:
		if v := w.lookup(target.Value); v != nil {
			v.assigned = true
			return
		}
		fn, _ := value.(*ast.FunctionExpr)
		w.defines[target.Value] = append(w.defines[target.Value], w.functionOf(fn))
	case *ast.AttrGetExpr:
		w.writes = append(w.writes, fieldWrite{target.Object, target.Key, value})
		w.expr(target.Object, asObject)
		key, ok := constant(target.Key)
		if !ok {
			w.expr(target.Key, asLook)
		}
		if w.isEnvironment(target.Object) {
			w.dynamic = w.dynamic || !ok
			w.defines[key] = append(w.defines[key], nil)
		}
	}
}

func (w *visitor) define(s *ast.FuncDefStmt) {
	switch {
	case s.Name.Func == nil: // function t:name() end
		w.writes = append(w.writes, fieldWrite{s.Name.Receiver, &ast.StringExpr{Value: s.Name.Method}, s.Func})
		w.expr(s.Name.Receiver, asObject)
		w.function(s.Func, true)
	case w.isGlobal(s.Name.Func):
		w.target(s.Name.Func, s.Func)
		w.expr(s.Func, asAlias)
	default:
		w.target(s.Name.Func, s.Func)
		w.expr(s.Func, asValue)
	}
}

func (w *visitor) local(s *ast.LocalAssignStmt) {
	if fn := localFunction(s); fn != nil {
		w.declare(&variable{name: s.Names[0], function: w.functionOf(fn)})
		w.expr(fn, asAlias)
		return
	}
	vars := make([]*variable, len(s.Names))
	for i, name := range s.Names {
		vars[i] = &variable{name: name}
	}
	for i, e := range s.Exprs {
		how := asValue
		if i < len(vars) && (i < len(s.Exprs)-1 || !isMulti(e)) {
			vars[i].init = e
			how = asAlias
			if fn, ok := e.(*ast.FunctionExpr); ok {
				vars[i].function = w.functionOf(fn)
			}
		}
		w.expr(e, how)
	}
	for _, v := range vars {
		w.declare(v)
	}
}

// localFunction is the function of "local function f", which sees its own name; the parser gives "local f = function"
// no last line.
func localFunction(s *ast.LocalAssignStmt) *ast.FunctionExpr {
	if s.LastLine() == 0 || len(s.Exprs) != 1 {
		return nil
	}
	fn, _ := s.Exprs[0].(*ast.FunctionExpr)
	return fn
}

// isMulti tells of an expression that may give several values.
func isMulti(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.FuncCallExpr:
		return !e.AdjustRet
	case *ast.Comma3Expr:
		return !e.AdjustRet
	}
	return false
}

// functionOf is the function of an expression; nil for nil.
func (w *visitor) functionOf(e *ast.FunctionExpr) *function {
	if e == nil {
		return nil
	}
	if w.functions[e] == nil {
		w.functions[e] = &function{expr: e, around: w.in}
	}
	return w.functions[e]
}
