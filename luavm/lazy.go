package luavm

import (
	lua "github.com/yuin/gopher-lua"
)

// lazyMark is the metatable of the metatables of tables with a lazy field.
var lazyMark = &lua.LTable{Metatable: lua.LNil}

// lazyField is a field that is not made yet.
type lazyField struct {
	vm   *VM
	key  string
	text string
	make func(vm *VM, text string) lua.LValue
}

// Keys of the metatable of a table with a lazy field.
const (
	lazyKey  = lua.LString("(field)")
	lazyText = lua.LString("(text)") // so that it counts for the memory
)

// SetLazy gives a table of the VM that has no metatable a field that is made of a
// text when a script, or a function that goes through the table, first looks at
// it. When make has the run end, the field is not there.
func (vm *VM) SetLazy(t *lua.LTable, key, text string, make func(vm *VM, text string) lua.LValue) {
	mt := &lua.LTable{Metatable: lazyMark}
	mt.RawSetString("__index", lazyIndex)
	mt.RawSetString("__metatable", lua.LFalse)
	mt.RawSet(lazyKey, &lua.LUserData{Value: &lazyField{vm, key, text, make}, Metatable: lua.LNil})
	mt.RawSet(lazyText, lua.LString(text))
	t.Metatable = mt
}

// lazyOf is the field of t that is not made yet, or nil.
func lazyOf(t *lua.LTable) *lazyField {
	mt, ok := t.Metatable.(*lua.LTable)
	if !ok || mt.Metatable != lua.LValue(lazyMark) {
		return nil
	}
	return mt.RawGet(lazyKey).(*lua.LUserData).Value.(*lazyField)
}

// settled makes the lazy field of t, if it has one, and returns t.
func settled(t *lua.LTable) *lua.LTable {
	f := lazyOf(t)
	if f == nil {
		return t
	}
	if t.RawGetString(f.key) == lua.LNil { // else the script has set it
		v := f.make(f.vm, f.text)
		if f.vm.nesting > 0 && f.vm.fatal != nil {
			return t
		}
		t.RawSetString(f.key, v)
	}
	t.Metatable = lua.LNil
	return t
}

// lazyIndex is __index of a table with a lazy field.
var lazyIndex = function(func(L *lua.LState) int {
	v := lua.LValue(lua.LNil)
	if t, ok := L.Get(1).(*lua.LTable); ok {
		if f := lazyOf(t); f != nil && L.Get(2) == lua.LString(f.key) {
			v = settled(t).RawGetString(f.key)
			Of(L).raiseFatal(L)
		}
	}
	L.Push(v)
	return 1
})
