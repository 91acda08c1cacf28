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
	buf, err := AppendJSON(vm.scratch, L.CheckAny(1), vm.limits.Value)
	switch {
	case errors.Is(err, ErrTooLong):
		vm.tooLong()
		vm.raiseFatal(L)
	case err != nil:
		vm.spend(L, 200)
		L.RaiseError("%s", err.Error())
	}
	vm.spend(L, len(buf)>>4)
	vm.chargeString(L, len(buf))
	if cap(buf) <= maxScratch {
		vm.scratch = buf
	}
	L.Push(lua.LString(buf))
	return 1
}

// maxScratch is the largest buffer that a VM keeps for encoding.
const maxScratch = 4 << 10

func jsonDecode(L *lua.LState) int {
	vm := Of(L)
	v, err := DecodeJSON(vm, L.CheckString(1))
	vm.charge(L, 0)
	if err != nil {
		L.RaiseError("%s", err.Error())
	}
	L.Push(v)
	return 1
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
