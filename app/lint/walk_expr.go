package lint

import "github.com/yuin/gopher-lua/ast"

func (w *visitor) exprs(list []ast.Expr, how use) {
	for _, e := range list {
		w.expr(e, how)
	}
}

func (w *visitor) expr(e ast.Expr, how use) {
	switch e := e.(type) {
	case *ast.IdentExpr:
		w.ident(e, how)
	case *ast.AttrGetExpr:
		w.note(e, how)
		if key, ok := constant(e.Key); ok {
			w.members = append(w.members, memberRead{w.here(max(e.Key.Line(), e.Line())), e.Object, key, e})
			w.expr(e.Object, asObject)
			return
		}
		w.expr(e.Object, asObject)
		w.expr(e.Key, asLook)
		w.indexed = w.indexed || w.isEnvironment(e.Object)
	case *ast.FuncCallExpr:
		w.call(e, how)
	case *ast.FunctionExpr:
		w.function(e, false)
		if how != asAlias {
			w.functionOf(e).escapes = true
		}
	case *ast.TableExpr:
		for _, f := range e.Fields {
			if f.Key != nil {
				w.expr(f.Key, asLook)
			}
			w.expr(f.Value, asValue)
		}
	case *ast.LogicalOpExpr:
		w.logical(e, how)
	case *ast.RelationalOpExpr:
		w.compared(e.Lhs, e.Rhs)
		w.compared(e.Rhs, e.Lhs)
	case *ast.UnaryNotOpExpr:
		w.expr(e.Expr, asTest)
	case *ast.StringConcatOpExpr:
		w.exprs([]ast.Expr{e.Lhs, e.Rhs}, asLook)
	case *ast.ArithmeticOpExpr:
		w.exprs([]ast.Expr{e.Lhs, e.Rhs}, asLook)
	case *ast.UnaryMinusOpExpr:
		w.expr(e.Expr, asLook)
	case *ast.UnaryLenOpExpr:
		w.expr(e.Expr, asLook)
	}
}

// here is what a read needs to know of its place.
func (w *visitor) here(line int) read {
	return read{line, w.in, w.scope, w.fallbacks[:len(w.fallbacks):len(w.fallbacks)]}
}

// note notes what happens to an expression that can be followed.
func (w *visitor) note(e ast.Expr, how use) {
	switch how {
	case asTest:
		w.tested = append(w.tested, e)
	case asValue, asResult:
		w.kept = append(w.kept, e)
	}
}

func (w *visitor) ident(e *ast.IdentExpr, how use) {
	w.note(e, how)
	v := w.lookup(e.Value)
	if v == nil {
		w.globals = append(w.globals, globalRead{w.here(e.Line()), e})
		switch {
		case e.Value == "_G" && how != asObject && how != asTest:
			w.indexed, w.dynamic = true, w.dynamic || how != asLook
		case how != asCallee:
			w.escaped[e.Value] = true
		}
		return
	}
	w.locals[e] = v
	v.escapes = v.escapes || how != asCallee
	v.untame = v.untame || how != asObject && how != asResult && how != asTest && how != asLook
}

func (w *visitor) logical(e *ast.LogicalOpExpr, how use) {
	if e.Operator == "and" {
		w.expr(e.Lhs, asTest)
		w.expr(e.Rhs, how)
		return
	}
	w.tested = append(w.tested, e.Lhs)
	w.expr(e.Lhs, how)
	w.fallbacks = append(w.fallbacks, e.Lhs)
	w.expr(e.Rhs, how)
	w.fallbacks = w.fallbacks[:len(w.fallbacks)-1]
}

// compared visits one side of a comparison.
func (w *visitor) compared(e, with ast.Expr) {
	if _, ok := with.(*ast.NilExpr); ok {
		w.expr(e, asTest)
		return
	}
	w.expr(e, asLook)
}

// readers are functions of the language that only look at their first argument.
var readers = map[string]bool{"type": true, "pairs": true, "ipairs": true, "next": true, "rawget": true,
	"tostring": true, "getmetatable": true}

func (w *visitor) call(e *ast.FuncCallExpr, how use) {
	w.calls = append(w.calls, &call{e, w.in, how})
	if e.Receiver != nil {
		w.members = append(w.members, memberRead{w.here(e.Line()), e.Receiver, e.Method, e})
		w.expr(e.Receiver, asValue)
	} else {
		w.expr(e.Func, asCallee)
	}
	reader, inserts := false, false
	switch callee := e.Func.(type) {
	case *ast.IdentExpr:
		reader = w.isGlobal(callee) && readers[callee.Value]
	case *ast.AttrGetExpr:
		object, ok := callee.Object.(*ast.IdentExpr)
		key, _ := constant(callee.Key)
		inserts = ok && object.Value == "table" && key == "insert" && w.isGlobal(object)
	}
	for i, a := range e.Args {
		switch {
		case i == 0 && reader && e.Func.(*ast.IdentExpr).Value == "type":
			w.expr(a, asTest)
		case i == 0 && (reader || inserts):
			w.expr(a, asLook)
		default:
			w.expr(a, asArg)
		}
	}
	if inserts {
		w.writes = append(w.writes, fieldWrite{e.Args[0], nil, e.Args[len(e.Args)-1]})
	}
}

// function visits the body of a function.
func (w *visitor) function(e *ast.FunctionExpr, method bool) {
	f, scope, in := w.functionOf(e), w.scope, w.in
	w.in = f
	names := e.ParList.Names
	if method {
		w.declare(&variable{name: "self"})
		f.escapes = true
	}
	for _, name := range names {
		f.params = append(f.params, w.declare(&variable{name: name, of: f}))
	}
	if e.ParList.HasVargs {
		w.declare(&variable{name: "arg"})
	}
	w.block(e.Stmts)
	w.scope, w.in = scope, in
}
