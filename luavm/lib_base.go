package luavm

import (
	"math"

	lua "github.com/yuin/gopher-lua"
)

// baseFunctions are the global functions of Lua 5.1, without those that load
// code, read files, reach environments or drive the collector.
func baseFunctions() map[string]lua.LValue {
	all := functions(map[string]lua.LGFunction{
		"assert":       baseAssert,
		"error":        baseError,
		"getmetatable": baseGetMetatable,
		"next":         baseNext,
		"pcall":        basePCall,
		"print":        basePrint,
		"rawequal":     baseRawEqual,
		"rawget":       baseRawGet,
		"rawlen":       baseRawLen,
		"rawset":       baseRawSet,
		"require":      baseRequire,
		"select":       baseSelect,
		"setmetatable": baseSetMetatable,
		"tonumber":     baseToNumber,
		"tostring":     baseToString,
		"type":         baseType,
		"unpack":       tableUnpack,
		"xpcall":       baseXPCall,
	})
	next, ipairsNext := all["next"], function(ipairsStep)
	all["pairs"] = function(func(L *lua.LState) int {
		t := L.CheckTable(1)
		if vm := Of(L); t == vm.globals {
			t = vm.allGlobals(L)
		}
		L.Push(next)
		L.Push(t)
		L.Push(lua.LNil)
		return 3
	})
	all["ipairs"] = function(func(L *lua.LState) int {
		t := L.CheckTable(1)
		L.Push(ipairsNext)
		L.Push(t)
		L.Push(lua.LNumber(0))
		return 3
	})
	return all
}

func baseAssert(L *lua.LState) int {
	if L.ToBool(1) {
		return L.GetTop()
	}
	L.CheckAny(1)
	message := "assertion failed!"
	if L.Get(2) != lua.LNil {
		message = checkString(L, 2)
	}
	raise(L, lua.LString(message), 1)
	return 0
}

func baseError(L *lua.LState) int {
	raise(L, L.Get(1), optInt(L, 2, 1))
	return 0
}

// raise raises a script's own error. A text gets the position of the function
// at the level: 1 is the one that called the library function.
func raise(L *lua.LState, v lua.LValue, level int) {
	vm := Of(L)
	if lua.LVCanConvToString(v) && level > 0 {
		text := plainText(v)
		if at := where(L, level); at != "" && len(text) < vm.limits.Value {
			text = at + " " + text
		}
		v = lua.LString(text)
	}
	vm.spend(L, 50)
	vm.raised = v
	L.Error(v, 0)
}

func baseGetMetatable(L *lua.LState) int {
	L.Push(visibleMetatable(L, L.CheckAny(1)))
	return 1
}

// visibleMetatable is what getmetatable returns: the marks of tables from JSON are
// not to be seen, and metatables that VMs share stay out of reach.
func visibleMetatable(L *lua.LState, v lua.LValue) lua.LValue {
	if t, ok := v.(*lua.LTable); ok && isMark(t.Metatable) {
		return lua.LNil
	}
	mt, ok := rawMetatable(L, v).(*lua.LTable)
	if !ok {
		return lua.LNil
	}
	if mt.Metatable == lua.LValue(sharedMark) {
		return lua.LFalse
	}
	if hidden := mt.RawGetString("__metatable"); hidden != lua.LNil {
		return hidden
	}
	return mt
}

func rawMetatable(L *lua.LState, v lua.LValue) lua.LValue {
	switch v := v.(type) {
	case *lua.LTable:
		return v.Metatable
	case *lua.LUserData:
		return v.Metatable
	case lua.LString:
		return stringMetatable
	}
	return lua.LNil
}

func baseSetMetatable(L *lua.LState) int {
	t := L.CheckTable(1)
	if L.GetTop() < 2 {
		L.ArgError(2, "nil or table expected")
	}
	readable(L, 1) // makes a lazy field
	L.CheckTypes(2, lua.LTNil, lua.LTTable)
	if mt, ok := t.Metatable.(*lua.LTable); ok {
		if mt.Metatable == lua.LValue(sharedMark) || mt.RawGetString("__metatable") != lua.LNil {
			L.RaiseError("cannot change a protected metatable")
		}
	}
	writable(L, 1)
	t.Metatable = L.Get(2)
	L.SetTop(1)
	return 1
}

func baseNext(L *lua.LState) int {
	t := readable(L, 1)
	if L.GetTop() < 2 {
		L.Push(lua.LNil)
	}
	k, v := nextEntry(t, L.Get(2))
	Of(L).spend(L, len(view(t).array)>>9) // there may be as many holes
	if k == lua.LNil {
		L.Push(lua.LNil)
		return 1
	}
	L.Push(k)
	L.Push(v)
	return 2
}

// nextEntry gives what follows a key: first the array part, then the hash part
// in the order in which the keys were set. A key that is not there any more,
// since compact has dropped it, begins the hash part anew.
func nextEntry(t *lua.LTable, key lua.LValue) (lua.LValue, lua.LValue) {
	v := view(t)
	at, hash := 0, 0
	if key != lua.LNil {
		at = len(v.array)
		if n, ok := key.(lua.LNumber); ok && n >= 1 && n <= lua.LNumber(at) && n == lua.LNumber(int(n)) {
			at = int(n)
		} else if i, ok := v.k2i[key]; ok {
			hash = i + 1
		}
	}
	for ; at < len(v.array); at++ {
		if e := v.array[at]; e != lua.LNil {
			return intValue(at + 1), e
		}
	}
	for ; hash < len(v.keys); hash++ {
		if e := v.hashGet(v.keys[hash]); e != lua.LNil {
			return v.keys[hash], e
		}
	}
	return lua.LNil, lua.LNil
}

// intValue makes a number value, without allocation for small ones.
func intValue(n int) lua.LValue {
	if n >= 0 && n < len(smallNumbers) {
		return smallNumbers[n]
	}
	return lua.LNumber(n)
}

func ipairsStep(L *lua.LState) int {
	t := readable(L, 1)
	i := checkInt(L, 2) + 1
	v := t.RawGetInt(i)
	if v == lua.LNil {
		L.Push(lua.LNil)
		return 1
	}
	L.Push(lua.LNumber(i))
	L.Push(v)
	return 2
}

func basePCall(L *lua.LState) int {
	fn := L.CheckAny(1)
	if !callable(L, fn) {
		L.Push(lua.LFalse)
		L.Push(lua.LString("attempt to call a " + fn.Type().String() + " value"))
		return 2
	}
	if err := protect(L, L.GetTop()-1, lua.MultRet); err != nil {
		L.Push(lua.LFalse)
		L.Push(err.Object)
		return 2
	}
	L.Insert(lua.LTrue, 1)
	return L.GetTop()
}

// baseXPCall calls the handler when the stack has been unwound: without the
// debug library nothing could tell the difference. Arguments after the handler
// go to the function, as in Lua 5.2.
func baseXPCall(L *lua.LState) int {
	fn, handler := L.CheckAny(1), L.CheckAny(2)
	raised := lua.LValue(lua.LString("attempt to call a " + fn.Type().String() + " value"))
	if callable(L, fn) {
		L.Remove(2)
		err := protect(L, L.GetTop()-1, lua.MultRet)
		if err == nil {
			L.Insert(lua.LTrue, 1)
			return L.GetTop()
		}
		raised = err.Object
	}
	L.Push(lua.LFalse)
	L.Push(handled(L, handler, raised))
	return 2
}

// maxHandled is how often a handler may fail with the error of its last failure.
const maxHandled = 100

// handled is what the handler of an xpcall makes of an error. Its own errors are
// given to it too.
func handled(L *lua.LState, handler, raised lua.LValue) lua.LValue {
	for range maxHandled {
		if _, ok := handler.(*lua.LFunction); !ok {
			break
		}
		L.Push(handler)
		L.Push(raised)
		err := protect(L, 1, 1)
		if err == nil {
			v := L.Get(-1)
			L.Pop(1)
			return v
		}
		raised = err.Object
	}
	return lua.LString("error in error handling")
}

func basePrint(L *lua.LState) int {
	out := newBuffer(L)
	for i := 1; i <= L.GetTop(); i++ {
		if i > 1 {
			out.addByte('\t')
		}
		out.add(toString(L, L.Get(i)))
	}
	if vm := out.vm; vm.print != nil {
		vm.print(vm, string(out.text))
	}
	out.vm.pending -= cap(out.text)
	return 0
}

func baseRawEqual(L *lua.LState) int {
	a, b := L.CheckAny(1), L.CheckAny(2)
	if s, ok := a.(lua.LString); ok {
		Of(L).spend(L, len(s)>>8)
	}
	L.Push(lua.LBool(a == b))
	return 1
}

func baseRawGet(L *lua.LState) int {
	L.Push(readable(L, 1).RawGet(L.CheckAny(2)))
	return 1
}

func baseRawLen(L *lua.LState) int {
	if s, ok := L.Get(1).(lua.LString); ok {
		L.Push(lua.LNumber(len(s)))
		return 1
	}
	L.Push(lua.LNumber(readable(L, 1).Len()))
	return 1
}

func baseRawSet(L *lua.LState) int {
	t := writable(L, 1)
	rawSet(L, t, L.CheckAny(2), L.CheckAny(3))
	L.SetTop(1)
	return 1
}

// rawSet assigns within the memory limit; the caller has asked writable.
func rawSet(L *lua.LState, t *lua.LTable, key, value lua.LValue) {
	vm := Of(L)
	checkKey(L, key)
	vm.beforeWrite(t, key)
	vm.spend(L, 1)
	t.RawSet(key, value)
}

// checkKey raises an error for what cannot be the key of an assignment.
func checkKey(L *lua.LState, key lua.LValue) {
	switch k := key.(type) {
	case *lua.LNilType:
		L.RaiseError("table index is nil")
	case lua.LNumber:
		if math.IsNaN(float64(k)) {
			L.RaiseError("table index is NaN")
		}
	}
}

func baseSelect(L *lua.LState) int {
	n := L.GetTop() - 1
	if s, ok := L.Get(1).(lua.LString); ok && s == "#" {
		L.Push(lua.LNumber(n))
		return 1
	}
	i := checkInt(L, 1)
	if i < 0 {
		i += n + 1
	}
	if i < 1 {
		L.ArgError(1, "index out of range")
	}
	return max(n-i+1, 0)
}

func baseType(L *lua.LState) int {
	L.Push(lua.LString(L.CheckAny(1).Type().String()))
	return 1
}
