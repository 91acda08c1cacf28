package luavm

import (
	"strconv"

	lua "github.com/yuin/gopher-lua"
)

// protect calls the function below n arguments on top of L's stack, leaves nret
// results there, and returns the error of the script's that it raised. Errors
// that nothing may catch pass on at once.
//
// gopher-lua closes all upvalues of the thread when an error is raised, those of
// frames that go on after a pcall too: from then on a local and the closures
// that use it are two (yuin/gopher-lua#448). So the function runs below a frame
// of ours, which has errors close what belongs to the frames they end.
func protect(L *lua.LState, n, nret int) *lua.ApiError {
	vm := Of(L)
	err := guardedCall(L, n, nret)
	if err == nil {
		return nil
	}
	vm.spend(L, 50)
	api := err.(*lua.ApiError)
	if vm.fatal == nil && (api.Type == lua.ApiErrorPanic || isOverflow(api.Object) && api.Object != vm.raised) {
		vm.fatal = vm.failure(api)
		vm.steps = -1
	}
	vm.raiseFatal(L)
	return api
}

// guardedCall is L.PCall, but for the upvalues.
func guardedCall(L *lua.LState, n, nret int) error {
	m := L.Context().(*meter)
	keep := keepUpvalues(L)
	outer, kept, pending := m.guarded, *keep, m.vm.pending
	m.guarded = m.regs.top - n - 1
	L.Insert(guard, -n-1)
	*keep = true
	err := L.PCall(n+1, nret, nil)
	*keep, m.guarded = kept, outer
	if err != nil {
		m.vm.pending = pending
	}
	return err
}

// guard calls its first argument with the others.
var guard = function(func(L *lua.LState) int {
	L.Panic = raiseGuarded
	L.Call(L.GetTop()-1, lua.MultRet)
	return L.GetTop()
})

// raiseGuarded leaves by panic with the value on top of L's stack.
func raiseGuarded(L *lua.LState) {
	m := L.Context().(*meter)
	closeUpvalues(L, m.guarded)
	err := &lua.ApiError{Type: lua.ApiErrorRun, Object: L.Get(-1)}
	// Without a trace PCall makes one, which is dear, and which pcall throws away.
	err.StackTrace = "-"
	if m.vm.traced || isOverflow(err.Object) {
		_, _, err.StackTrace = trace(L)
	}
	panic(err)
}

// where is the position of the function at a level, "file:line:", or "" when it
// is not of Lua, or has left by a tail call. Level 1 called the library function
// that asks.
func where(L *lua.LState, level int) string {
	for frame := *framePointer(L); frame != nil; frame = frame.Parent {
		fn := frame.Fn
		switch {
		case fn == guard: // not there for scripts
			continue
		case level == 0 && !fn.IsG:
			return fn.Proto.SourceName + ":" + strconv.Itoa(fn.Proto.DbgSourcePositions[frame.Pc-1]) + ":"
		case !fn.IsG:
			level -= frame.TailCall
		}
		if level--; level < 0 {
			break
		}
	}
	return ""
}
