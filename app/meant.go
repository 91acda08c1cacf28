package app

import (
	"fmt"

	lua "github.com/yuin/gopher-lua"

	"rollcall/app/lint"
	"rollcall/luavm"
)

// handlerNames are the functions that a handler file has.
func handlerNames(vm *luavm.VM) (names []string) {
	add := func(k, v lua.LValue) {
		if fn, ok := v.(*lua.LFunction); ok && !fn.IsG {
			names = append(names, k.String())
		}
	}
	if t, ok := vm.Global(returnedTable).(*lua.LTable); ok {
		t.ForEach(add)
	}
	if t, ok := vm.Global("_G").(*lua.LTable); ok {
		t.ForEach(add)
	}
	return names
}

// orMeant says which of the names was meant in place of one that is not there; "" when none resembles it.
func orMeant(name string, names []string) string {
	if near := lint.Nearest(name, names); near != "" {
		return fmt.Sprintf(": did you mean %q?", near)
	}
	return ""
}
