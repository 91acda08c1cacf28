package luavm

import (
	"context"
	"strconv"
	"time"

	lua "github.com/yuin/gopher-lua"
)

// How often a running VM looks at the clock, in steps. A step is one Lua
// instruction, or a piece of work of a library function that takes about as
// long. The number adapts: it shrinks while steps turn out to be slow.
const (
	minSteps = 8
	maxSteps = 1024
)

// maxLook is the most that one look adds to the time used. A process that was
// frozen, or a VM that had no core, sees a long gap in which it did not run.
const maxLook = 5 * time.Millisecond

// clock counts from the start of the process.
var clockBase = time.Now()

func now() time.Duration { return time.Since(clockBase) }

// meter stands in for the context of one Lua thread. gopher-lua asks Done
// before every instruction, which is where the VM counts, and raises Err when
// Done is closed. It is no real context: nothing may be derived from it.
type meter struct {
	vm      *VM
	L       *lua.LState
	frame   **frameView
	regs    *registryView
	guarded int                              // the register from which on the innermost protected call runs
	wrapped bool                             // it is a coroutine of coroutine.wrap
	finish  func(L *lua.LState) []lua.LValue // it has given way (VM.GiveWay); nil: it has not
}

func newMeter(vm *VM, L *lua.LState) *meter {
	return &meter{vm: vm, L: L, frame: framePointer(L), regs: registryOf(L)}
}

var _ context.Context = (*meter)(nil)

func (m *meter) Deadline() (time.Time, bool) { return time.Time{}, false }
func (m *meter) Value(any) any               { return nil }

// closed is what Done returns to stop a script.
var closed = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

// watched has a bit for each instruction whose cost does not follow from its
// kind alone, or that a turn must know of.
const watched uint64 = 1<<lua.OP_SETTABLE | 1<<lua.OP_SETTABLEKS | 1<<lua.OP_SETGLOBAL | 1<<lua.OP_SETUPVAL |
	1<<lua.OP_NEWTABLE | 1<<lua.OP_CLOSURE | 1<<lua.OP_SETLIST | 1<<lua.OP_CONCAT | 1<<lua.OP_LEN | 1<<lua.OP_GETTABLE |
	1<<lua.OP_FORPREP | 1<<lua.OP_EQ | 1<<lua.OP_LT | 1<<lua.OP_LE |
	1<<lua.OP_ADD | 1<<lua.OP_SUB | 1<<lua.OP_MUL | 1<<lua.OP_DIV | 1<<lua.OP_MOD | 1<<lua.OP_POW | 1<<lua.OP_UNM

// Done counts the instruction that is about to run.
func (m *meter) Done() <-chan struct{} {
	vm := m.vm
	cf := *m.frame
	inst := cf.Fn.Proto.Code[cf.Pc-1]
	if watched>>(inst>>26)&1 != 0 {
		m.watch(cf, inst)
	}
	vm.steps--
	if vm.steps < 0 {
		vm.look()
		if vm.fatal != nil {
			return closed
		}
	}
	return nil
}

// Err is the message that gopher-lua raises after Done was closed.
func (m *meter) Err() error {
	if m.vm.fatal == nil {
		return nil
	}
	return m.vm.fatal
}

// look takes the time, and does all that need not be done at every step.
func (vm *VM) look() {
	if vm.fatal != nil {
		vm.steps = -1
		return
	}
	if vm.stop.Load() {
		if !vm.evicted.Load() {
			vm.fail(Exit, "ended by the host")
			return
		}
		if vm.checkEvicted(); vm.fatal != nil {
			return
		}
	}
	t := vm.clock()
	elapsed := t - vm.looked
	vm.looked = t
	vm.used += min(elapsed, maxLook)
	switch {
	case elapsed > maxLook/5:
		vm.quantum = max(vm.quantum/8, minSteps)
	case elapsed < maxLook/25:
		vm.quantum = min(vm.quantum*2, maxSteps)
	}
	vm.steps = vm.quantum
	if vm.used > vm.limits.Budget {
		vm.fail(Budget, "time budget of "+vm.limits.Budget.String()+" used up")
		return
	}
	if vm.over != nil {
		if err := vm.over(vm); err != nil {
			vm.endFor(err)
			return
		}
	}
	if vm.bytes >= vm.walkAt {
		vm.checkMemory()
	}
	vm.report()
	if t-vm.entered > giveWayAfter && vm.fatal == nil && vm.gate.giveWay() {
		vm.entered = vm.clock()
		vm.looked = vm.entered
	}
}

// fail stops the script with an error that it cannot catch. The place is that
// of the Lua code running now.
func (vm *VM) fail(kind Kind, message string) {
	if vm.fatal != nil {
		return
	}
	vm.steps = -1
	e := &Error{Kind: kind}
	e.File, e.Line, e.Traceback = trace(vm.thread())
	e.Message = position(e.File, e.Line) + message
	vm.fatal = e
}

// raiseFatal unwinds a library function when the script has been stopped.
func (vm *VM) raiseFatal(L *lua.LState) {
	if vm.fatal != nil {
		L.Error(lua.LString(vm.fatal.Message), 0)
	}
}

// spend counts n steps of work in a library function, and unwinds it when the
// script has run out of time. L is the thread that called the function.
func (vm *VM) spend(L *lua.LState, n int) {
	vm.steps -= n
	if vm.steps < 0 {
		vm.look()
		vm.raiseFatal(L)
	}
}

// Charge counts bytes that a function of the host is about to take for the
// script that called it on L. It stops a script that has no more room for them.
func (vm *VM) Charge(L *lua.LState, n int) { vm.charge(L, n) }

// charge counts bytes that a library function is about to take.
func (vm *VM) charge(L *lua.LState, n int) {
	vm.bytes += n
	vm.spend(L, n>>8)
	if vm.bytes >= vm.walkAt {
		vm.checkMemory()
		vm.raiseFatal(L)
	}
}

// chargeString is charge for one string, whose size is limited.
func (vm *VM) chargeString(L *lua.LState, n int) {
	if n > vm.limits.Value {
		vm.tooLong()
		vm.raiseFatal(L)
	}
	vm.charge(L, n+16)
}

func (vm *VM) tooLong() {
	vm.fail(Value, "string longer than "+strconv.Itoa(vm.limits.Value)+" bytes")
}

// trace describes where L is: the innermost Lua line, and the whole stack.
func trace(L *lua.LState) (file string, line int, traceback string) {
	buf := []byte("stack traceback:")
	for level := range 64 {
		dbg, ok := L.GetStack(level)
		if !ok {
			break
		}
		if _, err := L.GetInfo("nSl", dbg, lua.LNil); err != nil {
			break
		}
		if level < 20 {
			buf = append(buf, "\n\t"...)
			if dbg.What == "G" {
				buf = append(buf, "[G]: in function '"+dbg.Name+"'"...)
			} else {
				buf = append(buf, dbg.Source+":"+strconv.Itoa(dbg.CurrentLine)+": in "+dbg.Name...)
			}
		}
		if dbg.What != "G" && dbg.Source != "" && file == "" {
			file, line = dbg.Source, dbg.CurrentLine
		}
	}
	return file, line, string(buf)
}
