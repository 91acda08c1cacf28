package luavm

import (
	"errors"

	lua "github.com/yuin/gopher-lua"
)

// jsonFunctions are the same under the names of Lua and of JavaScript.
func jsonFunctions() map[string]lua.LValue {
	all := functions(map[string]lua.LGFunction{
		"encode": jsonEncode,
		"decode": jsonDecode,
		"array":  jsonArray,
	})
	all["stringify"], all["parse"] = all["encode"], all["decode"]
	all["null"] = Null
	return all
}

func jsonEncode(L *lua.LState) int {
	vm := Of(L)
	vm.scratch = vm.scratch[:0]
	buf, err := vm.encode(L, encoder{buf: vm.scratch}, L.CheckAny(1))
	if err != nil {
		L.RaiseError("%s", err.Error())
	}
	vm.chargeString(L, len(buf))
	if cap(buf) <= maxScratch {
		vm.scratch = buf
	}
	L.Push(lua.LString(buf))
	return 1
}

// EncodeText is the function EncodeText for one of the host's that the script calls on L: its work counts, and a text
// that is longer than a value may be stops the script.
func (vm *VM) EncodeText(L *lua.LState, v lua.LValue) ([]byte, error) {
	return vm.encode(L, encoder{strict: true}, v)
}

func (vm *VM) encode(L *lua.LState, e encoder, v lua.LValue) ([]byte, error) {
	e.vm = vm
	buf, err := encode(e, v, vm.limits.Value)
	vm.raiseFatal(L)
	switch {
	case errors.Is(err, ErrTooLong):
		vm.tooLong()
		vm.raiseFatal(L)
	case err != nil:
		vm.spend(L, 200)
		return nil, err
	}
	return buf, nil
}

// maxScratch is the largest buffer that a VM keeps for encoding.
const maxScratch = 4 << 10

func jsonDecode(L *lua.LState) int {
	v, err := Of(L).DecodeJSON(L, checkString(L, 1))
	if err != nil {
		L.RaiseError("%s", err.Error())
	}
	L.Push(v)
	return 1
}

// DecodeJSON is the function DecodeJSON for one of the host's that the script calls on L: it stops a script that has
// run out of time or memory. The value itself is among what the script holds only when it can be reached from its
// stack.
func (vm *VM) DecodeJSON(L *lua.LState, text string) (lua.LValue, error) {
	v, err := DecodeJSON(vm, text)
	vm.raiseFatal(L)
	return v, err
}

// jsonArray marks a table as an array, or makes an empty one.
func jsonArray(L *lua.LState) int {
	if L.Get(1) == lua.LNil {
		L.Push(NewArray())
		return 1
	}
	if t := L.CheckTable(1); t.Metatable != lua.LValue(arrayMark) {
		if Array(writable(L, 1)); t.Metatable != lua.LValue(arrayMark) {
			L.ArgError(1, "table has a metatable")
		}
	}
	L.SetTop(1)
	return 1
}
