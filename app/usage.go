package app

import (
	"strings"

	lua "github.com/yuin/gopher-lua"
	"github.com/yuin/gopher-lua/ast"
	"github.com/yuin/gopher-lua/parse"
)

// fieldSet tells which fields of its argument a handler may look at. Most look at three or four; making the others for
// each event (a table of a dozen headers above all) would cost more than the handler itself.
type fieldSet uint16

// The fields of an event that cost something to make.
const (
	useParams fieldSet = 1 << iota
	useQuery
	useHeaders
	useUser
	usePath
	useAddr
	useState
	useID
	useAll fieldSet = 1<<iota - 1
)

// eventFields are all fields that an event can have, requestFields those of a request; 0: it costs nothing to make.
var (
	eventFields = map[string]fieldSet{"type": 0, "message": 0, "binary": 0, "code": 0, "reason": 0, "error": 0,
		"name": 0, "data": 0, "resume": 0, "topic": 0, "rest": 0, "payload": 0, "reason_text": 0,
		"params": useParams, "query": useQuery, "headers": useHeaders, "user": useUser, "path": usePath,
		"remote_addr": useAddr, "state": useState, "connection_id": useID}
	requestFields = map[string]fieldSet{"method": 0, "is_websocket": 0, "body": 0,
		"params": useParams, "query": useQuery, "headers": useHeaders, "user": useUser, "path": usePath,
		"remote_addr": useAddr}
)

// fieldsUsed finds out what a handler looks at: when its argument is only ever used as argument.name, these names, else
// (it is handed on, iterated, assigned, …) all.
func fieldsUsed(source string, fn *lua.FunctionProto) fieldSet {
	f := finder{line: fn.LineDefined, last: fn.LastLineDefined}
	w := visitor{function: f.look}
	if !w.source(source) || f.count != 1 || fn.IsVarArg != 0 || int(fn.NumParameters) != len(f.found.ParList.Names) {
		return useAll
	}
	if len(f.found.ParList.Names) == 0 {
		return 0
	}
	u := usage{name: f.found.ParList.Names[0], fields: eventFields}
	w = visitor{ident: u.ident, attr: u.attr}
	w.stmts(f.found.Stmts)
	if u.escapes || w.unknown {
		return useAll
	}
	return u.used
}

// requestUsed finds out in the same way what a script looks at of its global request. Without the script's modules:
// they see the same global (App.wholeRequest).
func requestUsed(source string) fieldSet {
	u := usage{name: "request", fields: requestFields}
	w := visitor{ident: func(name string) { u.escapes = u.escapes || name == "request" || name == "_G" }, attr: u.attr}
	if !w.source(source) || u.escapes {
		return useAll
	}
	return u.used
}

// mentionsRequest tells whether a module may look at the global request.
func mentionsRequest(source string) bool {
	return strings.Contains(source, "request") || strings.Contains(source, "_G")
}

// finder looks for the one function with these lines.
type finder struct {
	line, last int
	count      int
	found      *ast.FunctionExpr
}

func (f *finder) look(e *ast.FunctionExpr) {
	if e.Line() == f.line && e.LastLine() == f.last {
		f.count++
		f.found = e
	}
}

// usage watches one name.
type usage struct {
	name    string
	fields  map[string]fieldSet
	used    fieldSet
	escapes bool
}

func (u *usage) ident(name string) {
	u.escapes = u.escapes || name == u.name
}

// attr is asked about object.key; true: it has dealt with it.
func (u *usage) attr(e *ast.AttrGetExpr) bool {
	object, ok1 := e.Object.(*ast.IdentExpr)
	key, ok2 := e.Key.(*ast.StringExpr)
	if !ok1 || !ok2 || object.Value != u.name {
		return false
	}
	u.used |= u.fields[key.Value]
	return true
}

// visitor visits all expressions of a piece of Lua. Its functions may be nil.
type visitor struct {
	function func(*ast.FunctionExpr)
	ident    func(name string)
	attr     func(*ast.AttrGetExpr) bool
	unknown  bool // there was something that visitor does not know
}

// source visits a piece of Lua; false: it is none, or has what visitor does not know.
func (w *visitor) source(text string) (known bool) {
	defer func() { known = recover() == nil && known }() // the parser panics at some texts
	chunk, err := parse.Parse(strings.NewReader(text), "")
	if err != nil {
		return false
	}
	w.stmts(chunk)
	return !w.unknown
}

func (w *visitor) stmts(list []ast.Stmt) {
	for _, s := range list {
		w.stmt(s)
	}
}

func (w *visitor) stmt(s ast.Stmt) {
	switch s := s.(type) {
	case *ast.AssignStmt:
		w.exprs(s.Lhs...)
		w.exprs(s.Rhs...)
	case *ast.LocalAssignStmt:
		w.exprs(s.Exprs...)
	case *ast.FuncCallStmt:
		w.exprs(s.Expr)
	case *ast.DoBlockStmt:
		w.stmts(s.Stmts)
	case *ast.WhileStmt:
		w.exprs(s.Condition)
		w.stmts(s.Stmts)
	case *ast.RepeatStmt:
		w.exprs(s.Condition)
		w.stmts(s.Stmts)
	case *ast.IfStmt:
		w.exprs(s.Condition)
		w.stmts(s.Then)
		w.stmts(s.Else)
	case *ast.NumberForStmt:
		w.exprs(s.Init, s.Limit, s.Step)
		w.stmts(s.Stmts)
	case *ast.GenericForStmt:
		w.exprs(s.Exprs...)
		w.stmts(s.Stmts)
	case *ast.FuncDefStmt:
		w.exprs(s.Name.Func, s.Name.Receiver, s.Func)
	case *ast.ReturnStmt:
		w.exprs(s.Exprs...)
	case *ast.BreakStmt, *ast.LabelStmt, *ast.GotoStmt:
	default:
		w.unknown = true
	}
}

func (w *visitor) exprs(list ...ast.Expr) {
	for _, e := range list {
		if e != nil {
			w.expr(e)
		}
	}
}

func (w *visitor) expr(e ast.Expr) {
	switch e := e.(type) {
	case *ast.IdentExpr:
		if w.ident != nil {
			w.ident(e.Value)
		}
	case *ast.AttrGetExpr:
		if w.attr == nil || !w.attr(e) {
			w.exprs(e.Object, e.Key)
		}
	case *ast.TableExpr:
		for _, f := range e.Fields {
			w.exprs(f.Key, f.Value)
		}
	case *ast.FuncCallExpr:
		w.exprs(e.Func, e.Receiver)
		w.exprs(e.Args...)
	case *ast.LogicalOpExpr:
		w.exprs(e.Lhs, e.Rhs)
	case *ast.RelationalOpExpr:
		w.exprs(e.Lhs, e.Rhs)
	case *ast.StringConcatOpExpr:
		w.exprs(e.Lhs, e.Rhs)
	case *ast.ArithmeticOpExpr:
		w.exprs(e.Lhs, e.Rhs)
	case *ast.UnaryMinusOpExpr:
		w.exprs(e.Expr)
	case *ast.UnaryNotOpExpr:
		w.exprs(e.Expr)
	case *ast.UnaryLenOpExpr:
		w.exprs(e.Expr)
	case *ast.FunctionExpr:
		if w.function != nil {
			w.function(e)
		}
		w.stmts(e.Stmts)
	case *ast.TrueExpr, *ast.FalseExpr, *ast.NilExpr, *ast.NumberExpr, *ast.StringExpr, *ast.Comma3Expr:
	default:
		w.unknown = true
	}
}
