package luavm

import (
	lua "github.com/yuin/gopher-lua"
	"github.com/yuin/gopher-lua/ast"
)

func (f *funcState) while(s *ast.WhileStmt) {
	start := f.pc()
	done := f.branch(s.Condition, false)
	b := f.enterBlock(true)
	f.statements(s.Stmts)
	f.leaveBlock(s.LastLine())
	f.patch([]int{f.jump(s.LastLine())}, start)
	f.patchHere(done)
	f.endLoop(b, s.LastLine())
}

// repeat has two blocks, since the condition sees the locals of the body.
func (f *funcState) repeat(s *ast.RepeatStmt) {
	start, line := f.pc(), s.LastLine()
	b := f.enterBlock(true)
	body := f.enterBlock(false)
	f.repeatBody(s.Stmts)
	done := f.branch(s.Condition, true)
	closing := body.capturesOwn(f)
	f.leaveBlock(line)
	f.patch([]int{f.jump(line)}, start)
	f.patchHere(done)
	if closing {
		f.emit(abc(lua.OP_CLOSE, body.first, 0, 0), line)
	}
	f.dropBlock()
	f.endLoop(b, line)
}

// repeatBody is statements, but a label at the end is inside of the scope of the
// locals: the condition comes after it.
func (f *funcState) repeatBody(stmts []ast.Stmt) {
	n := len(stmts)
	for n > 0 && onlyLabels(stmts[n-1:]) {
		n--
	}
	f.statements(stmts[:n])
	for _, s := range stmts[n:] {
		f.label(s.(*ast.LabelStmt), false)
	}
}

func (f *funcState) numericFor(s *ast.NumberForStmt) {
	line := s.Line()
	step := s.Step
	if step == nil {
		step = &ast.NumberExpr{Value: "1"}
		step.SetLine(endLine(s.Limit))
	}
	b := f.enterBlock(true)
	base := f.free
	for _, e := range []ast.Expr{s.Init, s.Limit, step} {
		f.push(e)
	}
	f.declare(line, "(index)", "(limit)", "(step)")
	ends := endLine(step)
	prepare := f.emit(abx(lua.OP_FORPREP, base, 0), ends)
	f.loopBody(s.Stmts, []string{s.Name}, line, s.LastLine())
	f.patch([]int{prepare}, f.pc())
	loop := f.emit(abx(lua.OP_FORLOOP, base, 0), ends) // it refuses a limit
	f.patch([]int{loop}, prepare+1)
	f.dropBlock()
	f.endLoop(b, s.LastLine())
}

func (f *funcState) genericFor(s *ast.GenericForStmt) {
	line := s.Exprs[0].Line()
	b := f.enterBlock(true)
	base := f.free
	f.pushExactly(s.Exprs, 3, line)
	f.declare(line, "(generator)", "(state)", "(control)")
	f.uses(base + 6) // the call of the generator
	start := f.jump(line)
	f.loopBody(s.Stmts, s.Names, line, s.LastLine())
	f.patchHere([]int{start})
	f.emit(abc(lua.OP_TFORLOOP, base, 0, len(s.Names)), line)
	f.patch([]int{f.jump(line)}, start+1)
	f.dropBlock()
	f.endLoop(b, s.LastLine())
}

// loopBody is the block of a for with its variables, which the loop sets.
func (f *funcState) loopBody(stmts []ast.Stmt, names []string, line, last int) {
	f.enterBlock(false)
	f.reserve(len(names), line)
	f.declare(line, names...)
	f.statements(stmts)
	f.leaveBlock(last)
}

func (f *funcState) breaks(s *ast.BreakStmt) {
	for b := f.block; b != nil; b = b.parent {
		if b.loop {
			b.breaks = append(b.breaks, f.jump(s.Line()))
			return
		}
	}
	f.fail(s.Line(), "no loop to break")
}

// Labels and gotos, as in Lua 5.2: an addition to the language.

func onlyLabels(stmts []ast.Stmt) bool {
	for _, s := range stmts {
		if _, ok := s.(*ast.LabelStmt); !ok {
			return false
		}
	}
	return true
}

// label defines a label. At the end of a block its locals are out of scope.
func (f *funcState) label(s *ast.LabelStmt, atEnd bool) {
	for _, l := range f.block.labels {
		if l.name == s.Name {
			f.fail(s.Line(), "label '%s' is already defined on line %d", s.Name, l.line)
		}
	}
	l := label{name: s.Name, pc: f.pc(), line: s.Line(), level: len(f.locals)}
	if atEnd {
		l.level = f.block.first
	}
	f.block.labels = append(f.block.labels, l)
	pending := f.gotos[:f.block.gotos]
	for _, g := range f.gotos[f.block.gotos:] {
		if g.name != s.Name {
			pending = append(pending, g)
			continue
		}
		if g.level < l.level {
			f.fail(g.line, "goto '%s' jumps into the scope of local '%s'", g.name, f.locals[g.level].name)
		}
		f.land(g.pc, l)
	}
	f.gotos = pending
}

func (f *funcState) goTo(s *ast.GotoStmt) {
	f.emit(abc(lua.OP_CLOSE, 0, 0, 0), s.Line())
	pc := f.jump(s.Line())
	for b := f.block; b != nil; b = b.parent {
		for _, l := range b.labels {
			if l.name == s.Label {
				f.land(pc, l)
				return
			}
		}
	}
	f.gotos = append(f.gotos, pendingGoto{name: s.Label, pc: pc, line: s.Line(), level: len(f.locals)})
}

// land lets a goto end at a label, and closes what is out of scope there.
func (f *funcState) land(pc int, l label) {
	f.proto.Code[pc-1] = abc(lua.OP_CLOSE, l.level, 0, 0)
	f.patch([]int{pc}, l.pc)
}
