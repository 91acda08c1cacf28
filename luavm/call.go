package luavm

import (
	"fmt"
	"runtime/debug"

	lua "github.com/yuin/gopher-lua"
)

// Run runs a program as a chunk, with args as its "...", in this VM's globals,
// and returns what the chunk returns. The error is an *Error.
func (vm *VM) Run(p *Program, args ...lua.LValue) ([]lua.LValue, error) {
	return vm.Call(vm.main.NewFunctionFromProto(p.proto), args...)
}

// Call calls a function, or a value with __call, and returns all its results.
// It waits at the gate first; the time budget starts when it is through. The
// error is an *Error.
//
// A host function may call it again from within, on the same goroutine: such a
// call shares the budget of the outer one, and an error other than of kind
// Raised has to be passed on with Reraise.
func (vm *VM) Call(fn lua.LValue, args ...lua.LValue) ([]lua.LValue, error) {
	L, top, err := vm.call(fn, lua.MultRet, args)
	if err != nil {
		return nil, err
	}
	n := L.GetTop() - top
	if n == 0 {
		return nil, nil
	}
	results := make([]lua.LValue, n)
	for i := range results {
		results[i] = L.Get(top + 1 + i)
	}
	L.SetTop(top)
	return results, nil
}

// Call1 is Call for one result, which is LNil when there is none. It allocates
// less.
func (vm *VM) Call1(fn lua.LValue, args ...lua.LValue) (lua.LValue, error) {
	L, top, err := vm.call(fn, 1, args)
	if err != nil {
		return lua.LNil, err
	}
	v := L.Get(-1)
	L.SetTop(top)
	return v, nil
}

// call leaves the results on the stack of the thread it returns, above top.
func (vm *VM) call(fn lua.LValue, nret int, args []lua.LValue) (L *lua.LState, top int, err error) {
	// The last net: a panic that gets here has broken the machine in a way that
	// gopher-lua itself did not foresee, as when its trace of a stack fails.
	defer func() {
		if r := recover(); r != nil {
			err = vm.Crashed(r)
		}
	}()
	L = vm.thread()
	outermost := vm.nesting == 0
	if outermost {
		vm.enter()
		defer vm.leave()
	}
	vm.nesting++
	defer func() { vm.nesting-- }()
	top = L.GetTop()
	if !callable(L, fn) {
		message := "attempt to call a " + fn.Type().String() + " value"
		return L, top, &Error{Message: message, Value: lua.LString(message)}
	}
	threads := len(vm.threads)
	L.Push(fn)
	for _, a := range args {
		L.Push(a)
	}
	var failed error
	if outermost {
		failed = L.PCall(len(args), nret, nil)
	} else {
		traced := vm.traced
		vm.traced = true
		failed = guardedCall(L, len(args), nret)
		vm.traced = traced
	}
	if failed == nil && vm.fatal == nil {
		return L, top, nil
	}
	vm.threads = vm.threads[:threads]
	L.G.CurrentThread = L
	e := vm.failure(failed)
	if e.Kind != Raised {
		vm.fatal = e
	}
	L.SetTop(top)
	if outermost {
		vm.recoverStack(e)
	}
	return L, top, e
}

// Crashed makes the Error of a panic of this package or the host's while it dealt
// with the VM, of which recover gave r. The VM is Broken then.
func (vm *VM) Crashed(r any) *Error {
	vm.broken = true
	e := &Error{Kind: Panic, Message: fmt.Sprintf("internal error: %v", r), Traceback: string(debug.Stack())}
	e.File, e.Line = vm.safePlace()
	e.Message = position(e.File, e.Line) + e.Message
	vm.fatal = e
	return e
}

// safePlace is where Lua code runs, as far as it can be told.
func (vm *VM) safePlace() (file string, line int) {
	defer func() { _ = recover() }()
	file, line, _ = trace(vm.thread())
	return file, line
}

// enter begins a run: it waits at the gate, and starts the budget.
func (vm *VM) enter() {
	vm.gate.enter()
	vm.running.Store(true)
	if vm.end == nil && vm.evicted.Swap(false) { // it was the run before that was meant
		vm.stop.Store(false)
	}
	vm.unsealed = vm.unsealed || vm.turn == nil
	vm.fatal = nil
	vm.raised = nil
	vm.startBudget()
}

func (vm *VM) leave() {
	vm.running.Store(false)
	vm.stopClock()
	vm.settle()
	vm.gate.leave()
}

// stopClock counts the time since the last look, when Lua is not to run for a while.
func (vm *VM) stopClock() {
	t := vm.clock()
	vm.used += min(t-vm.looked, maxLook)
	vm.looked = t
}

// startBudget begins to count time anew. Bytes go on: they are a measure of the
// VM and not of the run.
func (vm *VM) startBudget() {
	vm.spent += vm.used
	vm.used = 0
	vm.looked = vm.clock()
	vm.entered = vm.looked
	if vm.fatal == nil {
		vm.steps = vm.quantum
	}
	if vm.stop.Load() {
		vm.steps = -1
	}
}

// recoverStack makes the VM fit for the next run after a failed one.
// gopher-lua closes the upvalues of the frames it unwinds when an error is
// raised, but not when Go code panics, as it does when the call stack is full.
// Returning from an empty function closes whatever is left.
func (vm *VM) recoverStack(e *Error) {
	if e.Kind == Raised {
		return
	}
	if e.Kind == Panic {
		vm.broken = true
	}
	if vm.unwind == nil {
		vm.unwind = vm.main.NewFunctionFromProto(emptyProgram().proto)
	}
	fatal := vm.fatal
	vm.fatal, vm.steps = nil, vm.quantum
	vm.main.Push(vm.unwind)
	if err := vm.main.PCall(0, 0, nil); err != nil {
		vm.broken = true
	}
	vm.main.SetTop(0)
	vm.fatal = fatal
}

// ReturnedAt tells where the outermost Call or Run that has just succeeded left
// Lua: the line of the return that gave its results. It is "", 0 when a library
// function gave them (return f(x) is a tail call).
func (vm *VM) ReturnedAt() (file string, line int) {
	f := bottomFrame(vm.main)
	if f.Fn == nil || f.Fn.Proto == nil || f.Pc < 1 || f.Pc > len(f.Fn.Proto.DbgSourcePositions) {
		return "", 0
	}
	return f.Fn.Proto.SourceName, f.Fn.Proto.DbgSourcePositions[f.Pc-1]
}

// Block runs f for a host function that waits: it leaves the gate, runs f,
// enters again and starts the time budget anew. The VM's values must not be
// used in f.
func (vm *VM) Block(f func()) {
	if vm.nesting == 0 {
		f()
		return
	}
	vm.stopClock()
	vm.settleWaiting()
	vm.gate.leave()
	defer func() {
		vm.gate.enter()
		vm.running.Store(true)
		vm.startBudget()
	}()
	f()
}

// Exit ends the script silently: the run returns an Error of kind Exit, which
// the script cannot catch. It does not return. L is the host function's thread.
func (vm *VM) Exit(L *lua.LState) {
	vm.fail(Exit, "ended by the host")
	vm.raiseFatal(L)
}

// End ends the script because of err: the run returns an Error of kind Ended with
// that cause, which the script cannot catch. It does not return. L is the host
// function's thread.
func (vm *VM) End(L *lua.LState, err error) {
	vm.endFor(err)
	vm.raiseFatal(L)
}

func (vm *VM) endFor(err error) {
	if vm.fatal == nil {
		vm.fail(Ended, err.Error())
		vm.fatal.Cause = err
	}
}

// Reraise raises an error of a nested Call or Run in the host function that
// made it. It does not return.
func (vm *VM) Reraise(L *lua.LState, err error) {
	vm.raiseFatal(L)
	if e, ok := err.(*Error); ok && e.Value != nil && e.File != "" {
		L.Error(e.Value, 0)
	}
	L.RaiseError("%s", err.Error())
}

// callable reports whether v can be called. gopher-lua would find out too, but
// corrupts its call stack when it does so inside a protected call.
func callable(L *lua.LState, v lua.LValue) bool {
	if _, ok := v.(*lua.LFunction); ok {
		return true
	}
	_, ok := L.GetMetaField(v, "__call").(*lua.LFunction)
	return ok
}

// Func makes a Lua function of a Go function of the host. It may be shared by
// all VMs. A panic in f ends the script with an Error of kind Panic.
func Func(f lua.LGFunction) *lua.LFunction {
	return function(func(L *lua.LState) int {
		defer func() {
			if r := recover(); r != nil {
				hostPanic(L, r)
			}
		}()
		return f(L)
	})
}

// function makes a Lua function of a Go function of this package.
func function(f lua.LGFunction) *lua.LFunction {
	return &lua.LFunction{IsG: true, GFunction: f}
}

// hostPanic passes on what a host function panicked with: a Lua error as it
// is, anything else as an error that names the Go stack.
func hostPanic(L *lua.LState, r any) {
	if _, ok := r.(*lua.ApiError); ok {
		panic(r)
	}
	vm := Of(L)
	if s, ok := r.(string); ok && s == "lua callstack overflow" {
		vm.fail(Depth, "stack overflow")
	} else {
		vm.broken = true
		vm.fail(Panic, fmt.Sprintf("internal error: %v", r))
		vm.fatal.Traceback += "\n" + string(debug.Stack())
	}
	vm.raiseFatal(L)
}
