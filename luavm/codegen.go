package luavm

import (
	"fmt"
	"math"

	lua "github.com/yuin/gopher-lua"
	"github.com/yuin/gopher-lua/ast"
)

// The code generator writes gopher-lua's bytecode from its syntax tree. The
// library's own compiler gives wrong code for ordinary programs, without a word
// (yuin/gopher-lua#440, #490, #514, #540 and more); its parser and its machine
// are sound, and the machine is that of PUC Lua 5.1. The code has the same shape
// as PUC Lua's: locals stand in the registers from 0 on in the order in which
// they were declared, and what an expression needs meanwhile in those above.
//
// Invariant: at the start of each statement, free == len(locals). No value that
// is still needed stands at or above the first register of a call, of "...", or
// of a loop that ends, since the machine clears what is above their results.

// Bounds on source text. The generator calls itself for each level of nesting,
// and an instruction has 8 bits for a register.
const (
	maxNesting   = 1000 // levels of expressions, blocks and functions
	maxLocals    = 200  // active locals of a function, as in PUC Lua
	maxRegisters = 250  // values that one function needs at a time
	maxUpvalues  = 255  // outer locals that one function uses
	maxJump      = 1<<17 - 1
	constantBit  = 1 << 8 // marks an operand that is a constant
)

// multiple stands for all results of a call, or all of "...".
const multiple = -1

// fail is how the generator leaves; generate recovers it.
func (f *funcState) fail(line int, format string, args ...any) {
	panic(&CompileError{File: f.proto.SourceName, Line: line, Message: fmt.Sprintf(format, args...)})
}

// generate compiles a chunk. The error is a *CompileError.
func generate(name string, chunk []ast.Stmt) (proto *lua.FunctionProto, err error) {
	defer func() {
		if r := recover(); r != nil {
			e, ok := r.(*CompileError)
			if !ok {
				panic(r)
			}
			err = e
		}
	}()
	f := newFunction(name, nil, 0)
	f.proto.IsVarArg = lua.VarArgIsVarArg
	last := 1
	if n := len(chunk); n > 0 {
		last = max(chunk[n-1].Line(), chunk[n-1].LastLine())
	}
	f.body(chunk, last)
	return f.proto, nil
}

// funcState is one function while its code is written.
type funcState struct {
	parent    *funcState // nil for the chunk
	level     *int       // of nesting, shared by all functions of the chunk
	proto     *lua.FunctionProto
	constants map[any]int
	strings   []string // the constants that are strings, else ""
	upvalues  []upvalue
	locals    []local // active; the index is the register
	free      int     // the first register that holds nothing
	block     *block
	gotos     []pendingGoto
	arg       bool // the implicit local "arg" is used
}

type local struct {
	name     string
	captured bool // some closure uses it
}

type upvalue struct {
	name string
	// enclosing: index is a register of the function around this one, else one of its upvalues.
	enclosing bool
	index     int
}

// block is a scope.
type block struct {
	parent   *block
	first    int // its first local
	loop     bool
	breaks   []int // jumps out of a loop
	captured bool  // a closure uses a local of this block or of one inside
	labels   []label
	gotos    int // pending ones before this block began
}

type label struct {
	name            string
	pc, line, level int // level: active locals there
}

// pendingGoto is a goto whose label has not come yet. The instruction before the
// jump closes upvalues.
type pendingGoto struct {
	name            string
	pc, line, level int
}

func newFunction(name string, parent *funcState, line int) *funcState {
	f := &funcState{
		parent:    parent,
		proto:     &lua.FunctionProto{SourceName: name, LineDefined: line},
		constants: map[any]int{},
	}
	if parent != nil {
		f.level = parent.level
	} else {
		f.level = new(int)
	}
	return f
}

// body writes the code of the whole function.
func (f *funcState) body(stmts []ast.Stmt, last int) {
	f.enterBlock(false)
	f.block.first = 0 // parameters go with the body
	f.statements(stmts)
	f.emit(abc(lua.OP_RETURN, 0, 1, 0), last)
	f.dropBlock()
	for _, g := range f.gotos {
		f.fail(g.line, "no visible label '%s' for goto", g.name)
	}
	p := f.proto
	p.LastLineDefined = last
	if !f.arg {
		p.IsVarArg &^= lua.VarArgNeedsArg
	}
	for _, u := range f.upvalues {
		p.DbgUpvalues = append(p.DbgUpvalues, u.name)
	}
	p.NumUpvalues = uint8(len(f.upvalues))
	setStringConstants(p, f.strings)
	joinMoves(p.Code)
}

// joinMoves makes one instruction of MOVEs in a row, which the machine runs
// faster. Those after the first stay as they are, for jumps among them.
func joinMoves(code []uint32) {
	run := 0
	for pc := 0; pc <= len(code); pc++ {
		op := -1
		if pc < len(code) {
			op = int(code[pc] >> 26)
		}
		if op == lua.OP_MOVE {
			run++
			continue
		}
		if run > 1 {
			first := &code[pc-run]
			*first = *first&(1<<26-1) | uint32(lua.OP_MOVEN)<<26 | uint32(min(run-1, 0x1ff))<<9
		}
		run = 0
		if op == lua.OP_CLOSURE {
			for pc+1 < len(code) && isCapture(code[pc+1]) {
				pc++
			}
		} else if op == lua.OP_SETLIST && code[pc]>>9&0x1ff == 0 {
			pc++
		}
	}
}

// captureMark is in the A field of the pseudo-instructions after CLOSURE, which
// the machine does not read.
const captureMark = 0xff

func isCapture(inst uint32) bool {
	op := int(inst >> 26)
	return (op == lua.OP_MOVE || op == lua.OP_GETUPVAL) && inst>>18&0xff == captureMark
}

// Instructions.

func abc(op, a, b, c int) uint32 {
	return uint32(op)<<26 | uint32(a)<<18 | uint32(c)<<9 | uint32(b)
}

func abx(op, a, bx int) uint32 { return uint32(op)<<26 | uint32(a)<<18 | uint32(bx) }

func (f *funcState) pc() int { return len(f.proto.Code) }

func (f *funcState) emit(inst uint32, line int) int {
	f.proto.Code = append(f.proto.Code, inst)
	f.proto.DbgSourcePositions = append(f.proto.DbgSourcePositions, line)
	return len(f.proto.Code) - 1
}

// jump writes a jump whose target is told by patch.
func (f *funcState) jump(line int) int { return f.emit(abx(lua.OP_JMP, 0, 0), line) }

// patch lets the jumps at pcs go to target.
func (f *funcState) patch(pcs []int, target int) {
	for _, pc := range pcs {
		distance := target - pc - 1
		if distance > maxJump || distance < -maxJump {
			f.fail(f.proto.DbgSourcePositions[pc], "control structure too long")
		}
		f.proto.Code[pc] = f.proto.Code[pc]&^(1<<18-1) | uint32(distance+maxJump)
	}
}

func (f *funcState) patchHere(pcs []int) { f.patch(pcs, f.pc()) }

// Registers.

// reserve takes n registers and returns the first.
func (f *funcState) reserve(n, line int) int {
	r := f.free
	f.free += n
	if f.free > maxRegisters {
		f.fail(line, "function or expression needs too many values at a time")
	}
	f.uses(f.free)
	return r
}

// uses notes that the registers below n are needed. A tail call loses the last
// register of the function that it calls, so there is one more.
func (f *funcState) uses(n int) {
	f.proto.NumUsedRegisters = max(f.proto.NumUsedRegisters, uint8(n)+2)
}

// Constants.

func (f *funcState) constant(v lua.LValue, line int) int {
	var key any = v
	if n, ok := v.(lua.LNumber); ok {
		key = math.Float64bits(float64(n)) // 0 and -0 are two
	}
	i, ok := f.constants[key]
	if !ok {
		i = len(f.proto.Constants)
		if i >= 1<<18 {
			f.fail(line, "function has too many constants")
		}
		f.constants[key] = i
		s, _ := v.(lua.LString)
		f.proto.Constants = append(f.proto.Constants, v)
		f.strings = append(f.strings, string(s))
	}
	return i
}

// Scopes.

func (f *funcState) nest(line int) {
	if *f.level++; *f.level > maxNesting {
		f.fail(line, "nested too deeply (more than %d levels)", maxNesting)
	}
}

func (f *funcState) unnest() { *f.level-- }

func (f *funcState) enterBlock(loop bool) *block {
	f.block = &block{parent: f.block, first: len(f.locals), loop: loop, gotos: len(f.gotos)}
	return f.block
}

// leaveBlock ends the innermost block. A closure keeps what it uses of the
// block's locals.
func (f *funcState) leaveBlock(line int) {
	if f.block.capturesOwn(f) {
		f.emit(abc(lua.OP_CLOSE, f.block.first, 0, 0), line)
	}
	f.dropBlock()
}

func (b *block) capturesOwn(f *funcState) bool {
	for _, l := range f.locals[b.first:] {
		if l.captured {
			return true
		}
	}
	return false
}

// dropBlock is leaveBlock without code for closures.
func (f *funcState) dropBlock() {
	b := f.block
	b.captured = b.captured || b.capturesOwn(f)
	if b.parent != nil {
		b.parent.captured = b.parent.captured || b.captured
	}
	for i := b.gotos; i < len(f.gotos); i++ {
		f.gotos[i].level = min(f.gotos[i].level, b.first)
	}
	f.locals = f.locals[:b.first]
	f.free = b.first
	f.block = b.parent
}

// endLoop gives the breaks of a loop that was left their target. They come from
// any depth of blocks inside, so they close what those have captured.
func (f *funcState) endLoop(b *block, line int) {
	f.patchHere(b.breaks)
	if b.captured && len(b.breaks) > 0 {
		f.emit(abc(lua.OP_CLOSE, b.first, 0, 0), line)
	}
}

// declare makes locals of the next registers, which hold their values.
func (f *funcState) declare(line int, names ...string) {
	for _, name := range names {
		f.locals = append(f.locals, local{name: name})
	}
	if len(f.locals) > maxLocals {
		f.fail(line, "function has more than %d local variables", maxLocals)
	}
}

// localNamed finds an active local, and returns its register.
func (f *funcState) localNamed(name string) (r int, ok bool) {
	for r = len(f.locals) - 1; r >= 0; r-- {
		if f.locals[r].name == name {
			if name == "arg" && r == int(f.proto.NumParameters) && f.proto.IsVarArg&lua.VarArgHasArg != 0 {
				f.arg = true
			}
			return r, true
		}
	}
	return 0, false
}

// upvalueNamed finds a local of the functions around this one.
func (f *funcState) upvalueNamed(name string, line int) (i int, ok bool) {
	for i, u := range f.upvalues {
		if u.name == name {
			return i, true
		}
	}
	if f.parent == nil {
		return 0, false
	}
	u := upvalue{name: name}
	if u.index, u.enclosing = f.parent.localNamed(name); u.enclosing {
		f.parent.locals[u.index].captured = true
	} else if u.index, ok = f.parent.upvalueNamed(name, line); !ok {
		return 0, false
	}
	if len(f.upvalues) >= maxUpvalues {
		f.fail(line, "function uses more than %d outer locals", maxUpvalues)
	}
	f.upvalues = append(f.upvalues, u)
	return len(f.upvalues) - 1, true
}
