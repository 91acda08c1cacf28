package luavm

import (
	"maps"
	"slices"
	"sync"

	lua "github.com/yuin/gopher-lua"
)

// sharedMark is the metatable of the metatables of shared tables. Scripts
// cannot get hold of it, so it tells a shared table from one of their own.
var sharedMark = &lua.LTable{Metatable: lua.LNil}

// Library is the set of globals that many VMs share. It never changes.
type Library struct {
	content   *lua.LTable // the globals
	metatable *lua.LTable // {__index = content}, of each VM's own globals
}

// NewLibrary makes the standard globals plus those given; a value given
// replaces the standard one, and LNil takes it away. Values must be fit for
// sharing: functions of Func, tables of SharedTable, strings, numbers, booleans.
func NewLibrary(globals map[string]lua.LValue) *Library {
	all := standardGlobals()
	maps.Copy(all, globals)
	content := frozen(all)
	mt := frozen(map[string]lua.LValue{"__index": content})
	mt.Metatable = sharedMark
	return &Library{content: content, metatable: mt}
}

// standard is the library with nothing added.
var standard = sync.OnceValue(func() *Library { return NewLibrary(nil) })

// SharedTable makes a table that scripts can read and iterate but not change,
// and that all VMs may use at once. Functions become what Func makes of them;
// values must be fit for sharing, as for NewLibrary.
func SharedTable(functions map[string]lua.LGFunction, values map[string]lua.LValue) *lua.LTable {
	all := maps.Clone(values)
	if all == nil {
		all = map[string]lua.LValue{}
	}
	for name, f := range functions {
		all[name] = Func(f)
	}
	return shared(all, nil)
}

// SharedTableWith is SharedTable with fields that are worked out when they are
// read: field gives the value for a key that the table does not have, LNil for
// none. Fields found that way are not iterated.
func SharedTableWith(functions map[string]lua.LGFunction, values map[string]lua.LValue,
	field func(vm *VM, key string) lua.LValue) *lua.LTable {
	return sharedWith(SharedTable(functions, values), field, nil)
}

// SharedTableFields is SharedTableWith for fields whose names are known.
func SharedTableFields(functions map[string]lua.LGFunction, values map[string]lua.LValue,
	fields map[string]func(vm *VM) lua.LValue) *lua.LTable {
	return sharedWith(SharedTable(functions, values), func(vm *VM, key string) lua.LValue {
		if f := fields[key]; f != nil {
			return f(vm)
		}
		return lua.LNil
	}, slices.Collect(maps.Keys(fields)))
}

// sharedWith adds fields that are worked out; names are all there can be, nil when
// that is not known.
func sharedWith(t *lua.LTable, field func(vm *VM, key string) lua.LValue, names []string) *lua.LTable {
	content, _ := contentOf(t)
	mt := frozen(map[string]lua.LValue{"__newindex": noWrite, "__index": Func(func(L *lua.LState) int {
		key, ok := L.Get(2).(lua.LString)
		if !ok {
			L.Push(lua.LNil)
			return 1
		}
		L.Push(field(Of(L), string(key)))
		return 1
	})})
	if names != nil {
		mt.RawSet(workedOut, Strings(names))
	}
	mt.Metatable = sharedMark
	content.Metatable = mt
	return t
}

// workedOut is the key of the names of fields that are worked out.
const workedOut = lua.LString("(fields)")

// Members lists what a table of a library has, by name; a field that is worked
// out is LNil. known: there can be no others. It is for tools that look at the
// text of scripts.
func Members(t *lua.LTable) (members map[string]lua.LValue, known bool) {
	content, _ := contentOf(t)
	members, known = map[string]lua.LValue{}, true
	content.ForEach(func(k, v lua.LValue) { members[k.String()] = v })
	if mt, ok := content.Metatable.(*lua.LTable); ok && mt.RawGetString("__index") != lua.LNil {
		names, ok := mt.RawGet(workedOut).(*lua.LTable)
		if known = ok; known {
			names.ForEach(func(_, name lua.LValue) { members[name.String()] = lua.LNil })
		}
	}
	return members, known
}

// Globals lists what a library has, as Members does.
func (l *Library) Globals() map[string]lua.LValue {
	globals, _ := Members(l.content)
	return globals
}

// shared makes the empty table that stands for content that nobody may write:
// reads go through __index, writes end in __newindex, and the functions of this
// package that would get past those look for sharedMark.
func shared(all map[string]lua.LValue, metamethods map[string]lua.LValue) *lua.LTable {
	fields := maps.Clone(metamethods)
	if fields == nil {
		fields = map[string]lua.LValue{}
	}
	content := frozen(all)
	content.Metatable = locked
	fields["__index"] = content
	fields["__newindex"] = noWrite
	mt := frozen(fields)
	mt.Metatable = sharedMark
	return &lua.LTable{Metatable: mt}
}

// noWrite is what assignments to shared tables call.
var noWrite = function(refuseWrite)

// locked is the metatable of content: a second line of defence.
var locked = func() *lua.LTable {
	mt := &lua.LTable{Metatable: sharedMark}
	mt.RawSetString("__newindex", noWrite)
	return mt
}()

// frozen makes a table in the order of the keys, so that iteration is the same
// everywhere.
func frozen(all map[string]lua.LValue) *lua.LTable {
	t := &lua.LTable{Metatable: lua.LNil}
	for _, k := range slices.Sorted(maps.Keys(all)) {
		if all[k] != lua.LNil {
			t.RawSetString(k, all[k])
		}
	}
	return t
}

// contentOf returns what a shared table stands for, and whether t is one.
func contentOf(t *lua.LTable) (*lua.LTable, bool) {
	mt, ok := t.Metatable.(*lua.LTable)
	if !ok || mt.Metatable != lua.LValue(sharedMark) {
		return t, false
	}
	if mt.RawGetString("__newindex") == lua.LNil { // a VM's globals
		return t, false
	}
	if content, ok := mt.RawGetString("__index").(*lua.LTable); ok {
		return content, true
	}
	return t, true // content itself; no script gets hold of one
}

// isShared reports whether t may not be written.
func isShared(t *lua.LTable) bool {
	_, ok := contentOf(t)
	return ok
}

func refuseWrite(L *lua.LState) int {
	name := ""
	if s, ok := L.Get(2).(lua.LString); ok {
		name = " (field '" + string(s) + "')"
	}
	L.RaiseError("attempt to change a read-only table%s", name)
	return 0
}

// writable checks argument n before a library function changes it, and tells
// the running turn.
func writable(L *lua.LState, n int) *lua.LTable {
	t := L.CheckTable(n)
	if isShared(t) {
		refuseWrite(L)
	}
	if vm := Of(L); vm.turn != nil {
		vm.turn.beforeTable(t)
	}
	return t
}

// readable returns argument n, or what it stands for when it is shared.
func readable(L *lua.LState, n int) *lua.LTable {
	t := L.CheckTable(n)
	if lazyOf(t) != nil {
		settled(t)
		Of(L).raiseFatal(L)
	}
	t, _ = contentOf(t)
	return t
}

// stringMetatable makes ("x"):rep(2) and "1" + 1 work. It is not reachable for scripts.
var stringMetatable = func() *lua.LTable {
	fields := functions(stringArithmetic())
	fields["__index"] = frozen(stringFunctions())
	mt := frozen(fields)
	mt.Metatable = sharedMark
	return mt
}()

// functions makes a map for frozen and shared.
func functions(all map[string]lua.LGFunction) map[string]lua.LValue {
	m := make(map[string]lua.LValue, len(all))
	for name, f := range all {
		m[name] = function(f)
	}
	return m
}

// standardGlobals is what SPEC 1.3 lists, without log, store and the ws
// functions, which are the host's.
func standardGlobals() map[string]lua.LValue {
	all := baseFunctions()
	json := jsonFunctions()
	for name, v := range map[string]map[string]lua.LValue{
		"string":    stringFunctions(),
		"table":     functions(tableFunctions),
		"math":      mathFunctions(),
		"os":        functions(osFunctions),
		"coroutine": functions(coroutineFunctions),
		"json":      json,
		"JSON":      json,
		"crypto":    functions(cryptoFunctions),
	} {
		all[name] = shared(v, nil)
	}
	all["json_encode"] = json["encode"]
	all["json_decode"] = json["decode"]
	all["_VERSION"] = lua.LString(lua.LuaVersion)
	return all
}
