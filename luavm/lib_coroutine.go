package luavm

import (
	"runtime"
	"slices"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

var coroutineFunctions = map[string]lua.LGFunction{
	"create":  coroutineCreate,
	"resume":  coroutineResume,
	"running": coroutineRunning,
	"status":  coroutineStatus,
	"wrap":    coroutineWrap,
	"yield":   coroutineYield,
}

// maxResumes is how many coroutines may resume each other. Each is a loop of
// the interpreter on the Go stack.
const maxResumes = 32

// thread is a coroutine before it was first resumed, and after.
func newThread(L *lua.LState) *lua.LState {
	vm, fn := Of(L), L.CheckFunction(1)
	if fn.IsG {
		L.ArgError(1, "Lua function expected")
	}
	vm.charge(L, threadBytes+16*registrySize)
	vm.spend(L, 100)
	th := vm.bareThread(L)
	// Resume pushes the first frame itself, so the function waits in the
	// coroutine's own registers.
	th.Push(fn)
	return th
}

func coroutineCreate(L *lua.LState) int {
	L.Push(newThread(L))
	return 1
}

// bareThread makes a thread beside L on which nothing runs.
func (vm *VM) bareThread(L *lua.LState) *lua.LState {
	// With a context, NewThread would derive one, in a goroutine of its own.
	ctx := L.RemoveContext()
	th, _ := L.NewThread()
	L.SetContext(ctx)
	smallBlocks(th)
	th.SetContext(newMeter(vm, th))
	return th
}

// status is what coroutine.status says.
func (vm *VM) status(th *lua.LState) string {
	switch {
	case th.Dead:
		return "dead"
	case th == vm.thread():
		return "running"
	case th == vm.main || slices.Contains(vm.threads, th):
		return "normal"
	}
	return "suspended"
}

func coroutineStatus(L *lua.LState) int {
	L.Push(lua.LString(Of(L).status(L.CheckThread(1))))
	return 1
}

func coroutineRunning(L *lua.LState) int {
	if L == Of(L).main {
		L.Push(lua.LNil)
	} else {
		L.Push(L)
	}
	return 1
}

// resume runs a coroutine on with args, and returns what it yielded or
// returned, or what it raised.
func resume(L *lua.LState, th *lua.LState, args []lua.LValue) (values []lua.LValue, raised lua.LValue) {
	vm := Of(L)
	if status := vm.status(th); status != "suspended" {
		return nil, lua.LString("cannot resume " + status + " coroutine")
	}
	if vm.turn != nil {
		if _, ok := vm.sealed.threads[th]; ok {
			return nil, lua.LString("cannot resume a coroutine made while the file was loaded")
		}
	}
	if len(vm.threads) >= maxResumes {
		vm.fail(Depth, "stack overflow (too many coroutines resume each other)")
		vm.raiseFatal(L)
	}
	vm.spend(L, 20)
	if m := th.Context().(*meter); m.finish != nil {
		finish := m.finish
		m.finish = nil
		args = finish(L)
	}
	var fn *lua.LFunction
	switch frame := *framePointer(th); {
	case frame != nil:
		args = adjust(args, wanted(frame))
	case th.GetTop() == 0: // the body ended with "return coroutine.yield()"
		th.Dead = true
		return args, nil
	default:
		fn = th.Get(1).(*lua.LFunction)
	}
	vm.threads = append(vm.threads, th)
	before := stackSize(th)
	_, err, values := L.Resume(th, fn, args...)
	vm.threads = vm.threads[:len(vm.threads)-1]
	if err == nil {
		vm.raiseFatal(L)
		// A stack grows by itself. There is a limit for one; what counts is that no
		// coroutine waits with a large one uncounted.
		vm.charge(L, max(stackSize(th)-before, 0))
		// Resume gives one nil for no values. It makes the slice with room for all
		// that then stood on L's stack: what does now, a mark, and the values.
		if cap(values) == L.GetTop()+1 {
			values = nil
		}
		return values, nil
	}
	api := err.(*lua.ApiError)
	if vm.fatal == nil && api.Object != vm.raised {
		vm.threadFailed(th, api)
	}
	vm.raiseFatal(L)
	return nil, api.Object
}

// wanted is how many values the call of yield gives, in which a coroutine waits;
// multiple: all. gopher-lua leaves on the stack what resume was given, no matter
// how many.
func wanted(frame *frameView) int {
	if frame.Fn.IsG {
		return multiple
	}
	inst := frame.Fn.Proto.Code[frame.Pc-1]
	if int(inst>>26) != lua.OP_CALL {
		return multiple
	}
	return int(inst>>9&0x1ff) - 1
}

// adjust gives n values, or all that there are.
func adjust(values []lua.LValue, n int) []lua.LValue {
	for len(values) < n {
		values = append(values, lua.LNil)
	}
	if n != multiple {
		values = values[:n]
	}
	return values
}

// threadFailed stops the script when what ended a coroutine was no error of
// Lua's. gopher-lua passes on no more than the message.
func (vm *VM) threadFailed(th *lua.LState, api *lua.ApiError) {
	e := &Error{Kind: Depth}
	message := "stack overflow"
	if s := api.Object.String(); strings.HasPrefix(s, "runtime error: ") {
		e.Kind, message = Panic, "internal error: "+s
		vm.broken = true
	} else if !isOverflow(api.Object) {
		return
	}
	e.File, e.Line, e.Traceback = trace(th)
	e.Message = position(e.File, e.Line) + message
	vm.fatal, vm.steps = e, -1
}

// arguments copies the stack from n on.
func arguments(L *lua.LState, n int) []lua.LValue {
	args := make([]lua.LValue, 0, max(L.GetTop()-n+1, 0))
	for ; n <= L.GetTop(); n++ {
		args = append(args, L.Get(n))
	}
	return args
}

func coroutineResume(L *lua.LState) int {
	values, raised := resume(L, L.CheckThread(1), arguments(L, 2))
	if raised != nil {
		L.Push(lua.LFalse)
		L.Push(raised)
		return 2
	}
	L.Push(lua.LTrue)
	for _, v := range values {
		L.Push(v)
	}
	return 1 + len(values)
}

func coroutineWrap(L *lua.LState) int {
	th := newThread(L)
	th.Context().(*meter).wrapped = true
	L.Push(L.NewClosure(coroutineWrapped, th))
	return 1
}

func coroutineWrapped(L *lua.LState) int {
	values, raised := resume(L, L.ToThread(lua.UpvalueIndex(1)), arguments(L, 1))
	if raised != nil {
		raise(L, raised, 1)
	}
	for _, v := range values {
		L.Push(v)
	}
	return len(values)
}

func coroutineYield(L *lua.LState) int {
	switch {
	case L == Of(L).main:
		L.RaiseError("attempt to yield from outside a coroutine")
	case !yieldable():
		L.RaiseError("attempt to yield across metamethod/C-call boundary")
	}
	return -1
}

// GiveWay has the coroutine L of a host function give way to who resumed it,
// while something goes on that takes time. Its resume gives no values then. The
// next one calls finish on its own thread, which waits for the end, and what
// finish gives is what the host function gives. The host function has to return
// -1 at once. false: L cannot give way, so the host function itself has to wait:
// L is no coroutine, one of coroutine.wrap, whose caller takes what it gets for a
// value, or in the midst of a pcall or metamethod.
func (vm *VM) GiveWay(L *lua.LState, finish func(L *lua.LState) []lua.LValue) bool {
	m := L.Context().(*meter)
	if L == vm.main || m.wrapped || !yieldable() {
		return false
	}
	m.finish = finish
	L.SetTop(0)
	return true
}

// yieldable tells whether the interpreter's innermost loop is the one that the
// coroutine was resumed with. A loop in between belongs to a Go function or a
// metamethod that called back into Lua; gopher-lua does not notice that a yield
// would leave it half done. As the loops are on the Go stack, that is where
// to look.
func yieldable() bool {
	var pcs [16]uintptr
	inLoop := false
	for _, pc := range pcs[:runtime.Callers(2, pcs[:])] {
		name := runtime.FuncForPC(pc - 1).Name()
		if inLoop {
			return strings.HasSuffix(name, ".threadRun")
		}
		inLoop = strings.HasSuffix(name, ".mainLoopWithContext")
	}
	return false
}
