package luavm

import (
	"math"

	lua "github.com/yuin/gopher-lua"
	"github.com/yuin/gopher-lua/ast"
)

// top reports whether r is the uppermost register in use and no local.
func (f *funcState) top(r int) bool { return r == f.free-1 && r >= len(f.locals) }

// push leaves the value of e in the next free register and returns it.
func (f *funcState) push(e ast.Expr) int {
	r := f.reserve(1, e.Line())
	f.into(e, r)
	return r
}

// into leaves the value of e in register r, which is a local or the last one
// reserved. r is written last, so e may use what it held.
func (f *funcState) into(e ast.Expr, r int) {
	f.nest(e.Line())
	defer f.unnest()
	line := e.Line()
	free := f.free
	switch e := e.(type) {
	case *ast.NilExpr:
		f.emit(abc(lua.OP_LOADNIL, r, r, 0), line)
	case *ast.TrueExpr:
		f.emit(abc(lua.OP_LOADBOOL, r, 1, 0), line)
	case *ast.FalseExpr:
		f.emit(abc(lua.OP_LOADBOOL, r, 0, 0), line)
	case *ast.StringExpr:
		f.emit(abx(lua.OP_LOADK, r, f.constant(lua.LString(e.Value), line)), line)
	case *ast.NumberExpr:
		f.emit(abx(lua.OP_LOADK, r, f.constant(f.number(e), line)), line)
	case *ast.IdentExpr:
		f.identifier(e, r)
	case *ast.AttrGetExpr:
		f.index(e, r)
	case *ast.ArithmeticOpExpr:
		f.arithmetic(e, r)
	case *ast.StringConcatOpExpr:
		f.concat(e, r)
	case *ast.UnaryMinusOpExpr:
		if n, ok := f.fold(e); ok {
			f.emit(abx(lua.OP_LOADK, r, f.constant(n, line)), line)
		} else {
			f.emit(abc(lua.OP_UNM, r, f.anywhere(e.Expr), 0), endLine(e))
		}
	case *ast.UnaryNotOpExpr:
		f.emit(abc(lua.OP_NOT, r, f.anywhere(e.Expr), 0), line)
	case *ast.UnaryLenOpExpr:
		f.emit(abc(lua.OP_LEN, r, f.anywhere(e.Expr), 0), endLine(e))
	case *ast.RelationalOpExpr:
		is := f.compare(e, true)
		f.emit(abc(lua.OP_LOADBOOL, r, 0, 1), line)
		f.patchHere([]int{is})
		f.emit(abc(lua.OP_LOADBOOL, r, 1, 0), line)
	case *ast.FunctionExpr:
		f.closure(e, r, false)
	default:
		if !f.top(r) {
			f.emit(abc(lua.OP_MOVE, r, f.push(e), 0), line)
			break
		}
		f.intoTop(e, r)
	}
	f.free = free
}

// intoTop is into for expressions that write r before they have read all.
func (f *funcState) intoTop(e ast.Expr, r int) {
	switch e := e.(type) {
	case *ast.LogicalOpExpr:
		f.logical(e, r)
	case *ast.TableExpr:
		f.table(e, r)
	case *ast.FuncCallExpr, *ast.Comma3Expr:
		f.free = r
		f.open(e, 1)
	default:
		f.fail(e.Line(), "expression %T is not known", e)
	}
}

// anywhere leaves the value of e in some register: that of a local if e is one,
// else the next free one.
func (f *funcState) anywhere(e ast.Expr) int {
	if id, ok := e.(*ast.IdentExpr); ok {
		if r, ok := f.localNamed(id.Value); ok {
			return r
		}
	}
	return f.push(e)
}

// operand is anywhere, or a constant.
func (f *funcState) operand(e ast.Expr) int {
	var v lua.LValue
	switch c := e.(type) {
	case *ast.NilExpr:
		v = lua.LNil
	case *ast.TrueExpr:
		v = lua.LTrue
	case *ast.FalseExpr:
		v = lua.LFalse
	case *ast.StringExpr:
		v = lua.LString(c.Value)
	default:
		n, ok := f.fold(e)
		if !ok {
			return f.anywhere(e)
		}
		v = n
	}
	if k := f.constant(v, e.Line()); k < constantBit {
		return k | constantBit
	}
	return f.anywhere(e)
}

func (f *funcState) identifier(e *ast.IdentExpr, r int) {
	line := e.Line()
	if from, ok := f.localNamed(e.Value); ok {
		if from != r {
			f.emit(abc(lua.OP_MOVE, r, from, 0), line)
		}
	} else if i, ok := f.upvalueNamed(e.Value, line); ok {
		f.emit(abc(lua.OP_GETUPVAL, r, i, 0), line)
	} else {
		f.emit(abx(lua.OP_GETGLOBAL, r, f.constant(lua.LString(e.Value), line)), line)
	}
}

func (f *funcState) index(e *ast.AttrGetExpr, r int) {
	object := f.anywhere(e.Object)
	key := f.operand(e.Key)
	op := lua.OP_GETTABLE
	if _, ok := e.Key.(*ast.StringExpr); ok {
		op = lua.OP_GETTABLEKS
	}
	f.emit(abc(op, r, object, key), endLine(e))
}

// endLine is the line on which an expression ends, as far as the tree tells: it
// does not know where brackets are closed. PUC Lua notes this line for what an
// operator or an assignment does with the expression.
func endLine(e ast.Expr) int {
	line := 0
	for e != nil {
		line = max(line, e.Line())
		switch last := e.(type) {
		case *ast.AttrGetExpr:
			e = last.Key
		case *ast.ArithmeticOpExpr:
			e = last.Rhs
		case *ast.StringConcatOpExpr:
			e = last.Rhs
		case *ast.RelationalOpExpr:
			e = last.Rhs
		case *ast.LogicalOpExpr:
			e = last.Rhs
		case *ast.UnaryMinusOpExpr:
			e = last.Expr
		case *ast.UnaryNotOpExpr:
			e = last.Expr
		case *ast.UnaryLenOpExpr:
			e = last.Expr
		case *ast.FuncCallExpr:
			e = called(last)
			if n := len(last.Args); n > 0 {
				e = last.Args[n-1]
			}
		case *ast.TableExpr:
			e = nil
			if n := len(last.Fields); n > 0 {
				e = last.Fields[n-1].Value
			}
		case *ast.FunctionExpr:
			return max(line, last.LastLine())
		default:
			return line
		}
	}
	return line
}

// called is what stands before the arguments of a call, or before its method.
func called(e *ast.FuncCallExpr) ast.Expr {
	if e.Func != nil {
		return e.Func
	}
	return e.Receiver
}

var arithmeticOps = map[string]int{
	"+": lua.OP_ADD, "-": lua.OP_SUB, "*": lua.OP_MUL, "/": lua.OP_DIV, "%": lua.OP_MOD, "^": lua.OP_POW,
}

func (f *funcState) arithmetic(e *ast.ArithmeticOpExpr, r int) {
	line := e.Line()
	if n, ok := f.fold(e); ok {
		f.emit(abx(lua.OP_LOADK, r, f.constant(n, line)), line)
		return
	}
	operand := f.operand
	if e.Operator == "%" && !f.wholeConstant(e.Rhs) {
		operand = f.push // beforeModulo writes them
	}
	b := operand(e.Lhs)
	c := operand(e.Rhs)
	f.emit(abc(arithmeticOps[e.Operator], r, b, c), endLine(e))
}

// fold works out an expression of numbers alone, as PUC Lua does: not what
// divides by zero, and not what gives NaN.
func (f *funcState) fold(e ast.Expr) (lua.LNumber, bool) {
	f.nest(e.Line())
	defer f.unnest()
	switch e := e.(type) {
	case *ast.NumberExpr:
		return f.number(e), true
	case *ast.UnaryMinusOpExpr:
		n, ok := f.fold(e.Expr)
		return -n, ok
	case *ast.ArithmeticOpExpr:
		b, ok := f.fold(e.Rhs)
		if !ok || b == 0 && (e.Operator == "/" || e.Operator == "%") {
			return 0, false
		}
		a, ok := f.fold(e.Lhs)
		if !ok {
			return 0, false
		}
		n := arithmetic(arithmeticOps[e.Operator], a, b)
		return n, !math.IsNaN(float64(n))
	}
	return 0, false
}

// wholeConstant tells an operand that is a constant, and a whole number.
func (f *funcState) wholeConstant(e ast.Expr) bool {
	n, ok := f.fold(e)
	return ok && isWhole(n) && f.constant(n, e.Line()) < constantBit
}

func (f *funcState) number(e *ast.NumberExpr) lua.LNumber {
	n, ok := parseNumber(e.Value).(lua.LNumber)
	if !ok {
		f.fail(e.Line(), "malformed number near '%s'", clip(e.Value))
	}
	return n
}

// concat writes a whole chain of ".." at once: it groups to the right.
func (f *funcState) concat(e *ast.StringConcatOpExpr, r int) {
	first := f.push(e.Lhs)
	last := first
	for rest := e.Rhs; rest != nil; {
		next, ok := rest.(*ast.StringConcatOpExpr)
		if !ok {
			last = f.push(rest)
			break
		}
		last = f.push(next.Lhs)
		rest = next.Rhs
	}
	f.emit(abc(lua.OP_CONCAT, r, first, last), endLine(e))
}

// Conditions.

// truth tells whether e is always true or always false.
func (f *funcState) truth(e ast.Expr) (is, known bool) {
	switch e := e.(type) {
	case *ast.NilExpr, *ast.FalseExpr:
		return false, true
	case *ast.TrueExpr, *ast.StringExpr:
		return true, true
	case *ast.NumberExpr:
		f.number(e) // is it one?
		return true, true
	}
	return false, false
}

// branch writes jumps that are taken when e is sense, and returns them.
// Otherwise the code goes on behind them.
func (f *funcState) branch(e ast.Expr, sense bool) []int {
	f.nest(e.Line())
	defer f.unnest()
	if is, known := f.truth(e); known {
		if is == sense {
			return []int{f.jump(e.Line())}
		}
		return nil
	}
	switch e := e.(type) {
	case *ast.UnaryNotOpExpr:
		return f.branch(e.Expr, !sense)
	case *ast.RelationalOpExpr:
		return []int{f.compare(e, sense)}
	case *ast.LogicalOpExpr:
		if (e.Operator == "or") == sense { // either of them decides
			return append(f.branch(e.Lhs, sense), f.branch(e.Rhs, sense)...)
		}
		behind := f.branch(e.Lhs, !sense)
		jumps := f.branch(e.Rhs, sense)
		f.patchHere(behind)
		return jumps
	}
	free := f.free
	f.emit(abc(lua.OP_TEST, f.anywhere(e), 0, bit(sense)), e.Line())
	f.free = free
	return []int{f.jump(e.Line())}
}

// compare writes a jump that is taken when the comparison is sense.
func (f *funcState) compare(e *ast.RelationalOpExpr, sense bool) int {
	free := f.free
	b := f.operand(e.Lhs)
	c := f.operand(e.Rhs)
	f.free = free
	op := lua.OP_EQ
	switch e.Operator {
	case "~=":
		sense = !sense
	case "<":
		op = lua.OP_LT
	case "<=":
		op = lua.OP_LE
	case ">":
		op, b, c = lua.OP_LT, c, b
	case ">=":
		op, b, c = lua.OP_LE, c, b
	}
	f.emit(abc(op, bit(sense), b, c), endLine(e))
	return f.jump(e.Line())
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

// logical leaves the value of "and" and "or" in r, the top.
func (f *funcState) logical(e *ast.LogicalOpExpr, r int) {
	done := f.decide(e.Lhs, r, e.Operator == "or")
	f.into(e.Rhs, r)
	f.patchHere(done)
}

// decide writes jumps that are taken when e is sense, and then have its value
// in r. Otherwise the code goes on behind them, with anything in r.
func (f *funcState) decide(e ast.Expr, r int, sense bool) []int {
	f.nest(e.Line())
	defer f.unnest()
	line := e.Line()
	if is, known := f.truth(e); known {
		if is != sense {
			return nil
		}
		f.into(e, r)
		return []int{f.jump(line)}
	}
	switch e := e.(type) {
	case *ast.LogicalOpExpr:
		if (e.Operator == "or") == sense {
			return append(f.decide(e.Lhs, r, sense), f.decide(e.Rhs, r, sense)...)
		}
		behind := f.branch(e.Lhs, !sense)
		jumps := f.decide(e.Rhs, r, sense)
		f.patchHere(behind)
		return jumps
	case *ast.RelationalOpExpr, *ast.UnaryNotOpExpr:
		behind := f.branch(e, !sense)
		f.emit(abc(lua.OP_LOADBOOL, r, bit(sense), 0), line)
		jumps := []int{f.jump(line)}
		f.patchHere(behind)
		return jumps
	case *ast.IdentExpr:
		if from, ok := f.localNamed(e.Value); ok {
			f.emit(abc(lua.OP_TESTSET, r, from, bit(sense)), line)
			return []int{f.jump(line)}
		}
	}
	f.into(e, r)
	f.emit(abc(lua.OP_TEST, r, 0, bit(sense)), line)
	return []int{f.jump(line)}
}
