package luavm

import (
	"fmt"

	lua "github.com/yuin/gopher-lua"
	"github.com/yuin/gopher-lua/ast"
)

// Bounds on source text. gopher-lua's compiler calls itself for each level of
// nesting, is quadratic in some counts, and writes register numbers into 8 bits
// without looking whether they fit. A Go stack overflow cannot be recovered.
const (
	maxNesting   = 200     // levels of expressions, blocks and functions
	maxElseIfs   = 500     // branches of one if
	maxLabels    = 500     // goto labels of one program
	maxRegisters = 240     // values that one function needs at a time
	maxUpvalues  = 255     // outer locals that one function uses
	maxLookups   = 1 << 28 // mentions of constants times constants, of one function
)

// checkSyntax refuses a parsed program that is out of bounds.
func checkSyntax(name string, chunk []ast.Stmt) (err error) {
	c := &checker{name: name}
	defer func() {
		if r := recover(); r != nil {
			e, ok := r.(*CompileError)
			if !ok {
				panic(r)
			}
			err = e
		}
	}()
	c.function(nil, chunk)
	return nil
}

// checker walks a program. It leaves by panic with a *CompileError.
type checker struct {
	name   string
	level  int
	labels int
	fn     *functionCheck
}

// functionCheck counts within one function.
type functionCheck struct {
	locals    int
	mentions  int
	constants map[string]struct{}
}

func (c *checker) fail(line int, format string, args ...any) {
	panic(&CompileError{File: c.name, Line: line, Message: fmt.Sprintf(format, args...)})
}

func (c *checker) enter(line int) {
	if c.level++; c.level > maxNesting {
		c.fail(line, "nested too deeply (more than %d levels)", maxNesting)
	}
}

func (c *checker) leave() { c.level-- }

// registers fails when the function's locals and n more values do not fit.
func (c *checker) registers(line, n int) {
	if c.fn.locals+n > maxRegisters {
		c.fail(line, "function or expression needs too many values at a time")
	}
}

// constant counts a mention of a name, string or number.
func (c *checker) constant(line int, s string) {
	c.fn.mentions++
	c.fn.constants[s] = struct{}{}
	if c.fn.mentions*len(c.fn.constants) > maxLookups {
		c.fail(line, "function has too many constants")
	}
}

func (c *checker) function(f *ast.FunctionExpr, body []ast.Stmt) {
	outer := c.fn
	c.fn = &functionCheck{constants: map[string]struct{}{}}
	if f != nil {
		c.enter(f.Line())
		defer c.leave()
		c.fn.locals = len(f.ParList.Names) + 2
		body = f.Stmts
	}
	c.block(body)
	c.fn = outer
}

func (c *checker) block(stmts []ast.Stmt) {
	locals := c.fn.locals
	for _, s := range stmts {
		c.enter(s.Line())
		c.stmt(s)
		c.leave()
	}
	c.fn.locals = locals
}

func (c *checker) stmt(s ast.Stmt) {
	switch s := s.(type) {
	case *ast.AssignStmt:
		used := c.list(s.Lhs, 2)
		c.registers(s.Line(), used)
		c.fn.locals += used
		c.registers(s.Line(), max(c.list(s.Rhs, 1), len(s.Lhs)))
		c.fn.locals -= used
	case *ast.LocalAssignStmt:
		c.registers(s.Line(), max(c.list(s.Exprs, 1), len(s.Names)))
		c.fn.locals += len(s.Names)
	case *ast.FuncCallStmt:
		c.top(s.Expr)
	case *ast.DoBlockStmt:
		c.block(s.Stmts)
	case *ast.WhileStmt:
		c.top(s.Condition)
		c.block(s.Stmts)
	case *ast.RepeatStmt:
		c.block(s.Stmts)
		c.top(s.Condition)
	case *ast.IfStmt:
		c.branches(s)
	case *ast.NumberForStmt:
		c.top(s.Init)
		c.top(s.Limit)
		if s.Step != nil {
			c.top(s.Step)
		}
		c.loop(4, s.Stmts)
	case *ast.GenericForStmt:
		c.registers(s.Line(), c.list(s.Exprs, 1))
		c.loop(6+len(s.Names), s.Stmts)
	case *ast.FuncDefStmt:
		if s.Name.Func != nil {
			c.top(s.Name.Func)
		} else {
			c.top(s.Name.Receiver)
			c.constant(s.Line(), s.Name.Method)
		}
		c.function(s.Func, nil)
	case *ast.ReturnStmt:
		c.registers(s.Line(), c.list(s.Exprs, 1))
	case *ast.LabelStmt:
		if c.labels++; c.labels > maxLabels {
			c.fail(s.Line(), "more than %d labels", maxLabels)
		}
	}
}

// branches walks if, elseif, else: a chain in the tree, of which every branch
// is one level for the compiler.
func (c *checker) branches(s *ast.IfStmt) {
	for n := 0; ; n++ {
		if n > maxElseIfs {
			c.fail(s.Line(), "if with more than %d branches", maxElseIfs)
		}
		c.top(s.Condition)
		c.block(s.Then)
		next, ok := elseIf(s)
		if !ok {
			c.block(s.Else)
			return
		}
		s = next
	}
}

func elseIf(s *ast.IfStmt) (*ast.IfStmt, bool) {
	if len(s.Else) != 1 {
		return nil, false
	}
	next, ok := s.Else[0].(*ast.IfStmt)
	return next, ok
}

func (c *checker) loop(hidden int, body []ast.Stmt) {
	c.fn.locals += hidden
	c.block(body)
	c.fn.locals -= hidden
}

// list walks expressions that are all held at once, each in n registers, and
// returns how many registers that takes.
func (c *checker) list(exprs []ast.Expr, n int) int {
	most := 0
	for i, e := range exprs {
		most = max(most, i*n+c.expr(e))
	}
	return most
}

// top walks an expression that stands alone.
func (c *checker) top(e ast.Expr) { c.registers(e.Line(), c.expr(e)) }

// expr walks an expression and returns how many registers it takes at most.
func (c *checker) expr(e ast.Expr) int {
	c.enter(e.Line())
	defer c.leave()
	switch e := e.(type) {
	case *ast.NumberExpr:
		c.constant(e.Line(), "\x00"+e.Value)
	case *ast.StringExpr:
		c.constant(e.Line(), e.Value)
	case *ast.IdentExpr:
		c.constant(e.Line(), e.Value)
	case *ast.AttrGetExpr:
		return c.pair(e.Object, e.Key)
	case *ast.TableExpr:
		return c.table(e)
	case *ast.FuncCallExpr:
		return c.call(e)
	case *ast.LogicalOpExpr:
		return c.pair(e.Lhs, e.Rhs)
	case *ast.RelationalOpExpr:
		return c.pair(e.Lhs, e.Rhs)
	case *ast.StringConcatOpExpr:
		return c.pair(e.Lhs, e.Rhs)
	case *ast.ArithmeticOpExpr:
		return c.pair(e.Lhs, e.Rhs)
	case *ast.UnaryMinusOpExpr:
		return c.expr(e.Expr)
	case *ast.UnaryNotOpExpr:
		return c.expr(e.Expr)
	case *ast.UnaryLenOpExpr:
		return c.expr(e.Expr)
	case *ast.FunctionExpr:
		c.function(e, nil)
	}
	return 1
}

func (c *checker) pair(a, b ast.Expr) int { return max(c.expr(a), 1+c.expr(b)) }

func (c *checker) call(e *ast.FuncCallExpr) int {
	most, args := 0, 1
	if e.Func != nil {
		most = c.expr(e.Func)
	} else {
		most, args = 1+c.expr(e.Receiver), 2
		c.constant(e.Line(), e.Method)
	}
	return max(most, args+c.list(e.Args, 1))
}

func (c *checker) table(e *ast.TableExpr) int {
	most, held := 1, 1
	for _, f := range e.Fields {
		if f.Key != nil {
			most = max(most, held+c.pair(f.Key, f.Value))
			continue
		}
		most = max(most, held+c.expr(f.Value))
		if held++; held > lua.FieldsPerFlush {
			held = 1
		}
	}
	return most
}

// checkProto refuses compiled code whose counts did not fit their fields.
func checkProto(name string, p *lua.FunctionProto) error {
	if len(p.DbgUpvalues) > maxUpvalues {
		return &CompileError{File: name, Line: p.LineDefined,
			Message: fmt.Sprintf("function uses more than %d outer locals", maxUpvalues)}
	}
	for _, child := range p.FunctionPrototypes {
		if err := checkProto(name, child); err != nil {
			return err
		}
	}
	return nil
}
