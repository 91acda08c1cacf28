package luavm

import (
	lua "github.com/yuin/gopher-lua"
)

// baseRequire runs a file of the app once for each VM. In a turn the file runs
// as if it had been there before the turn: what it defines is everybody's.
func baseRequire(L *lua.LState) int {
	vm, name := Of(L), checkString(L, 1)
	if v, ok := vm.loaded[name]; ok {
		if v == nil {
			L.RaiseError("loop in require of '%s'", name)
		}
		L.Push(v)
		return 1
	}
	if vm.require == nil {
		L.RaiseError("module '%s' not found", name)
	}
	p, err := vm.require(name)
	if err != nil {
		L.RaiseError("%s", err.Error())
	}
	if vm.loaded == nil {
		vm.loaded = map[string]lua.LValue{}
	}
	vm.loaded[name] = nil
	v, err := vm.load(L, p)
	if err != nil {
		delete(vm.loaded, name)
		vm.Reraise(L, err)
	}
	if v == lua.LNil {
		v = lua.LTrue
	}
	vm.loaded[name] = v
	if vm.turn != nil {
		vm.turn.sealLoaded(v)
	}
	L.Push(v)
	return 1
}

// load runs a required file outside of the turn, if there is one.
func (vm *VM) load(L *lua.LState, p *Program) (v lua.LValue, err error) {
	if vm.turn != nil {
		resume := vm.turn.suspend()
		defer resume()
	}
	return vm.Call1(L.NewFunctionFromProto(p.proto), lua.LString(p.name))
}

// allGlobals copies what scripts see as globals, for iteration.
func (vm *VM) allGlobals(L *lua.LState) *lua.LTable {
	all := L.CreateTable(0, 64)
	add := func(k, v lua.LValue) { all.RawSet(k, v) }
	vm.library.content.ForEach(add)
	if vm.base != nil {
		vm.base.ForEach(add)
	}
	vm.globals.ForEach(add)
	vm.charge(L, 16<<10)
	return all
}
