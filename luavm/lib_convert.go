package luavm

import (
	"math"

	lua "github.com/yuin/gopher-lua"
)

func baseToNumber(L *lua.LState) int {
	v := L.CheckAny(1)
	base := optInt(L, 2, 10)
	if base == 10 {
		if n, ok := toNumber(v); ok {
			Of(L).spend(L, len(lua.LVAsString(v))>>4)
			L.Push(n)
		} else {
			L.Push(lua.LNil)
		}
		return 1
	}
	s := checkString(L, 1)
	if base < 2 || base > 36 {
		L.ArgError(2, "base out of range")
	}
	Of(L).spend(L, len(s)>>4)
	L.Push(parseInteger(s, base))
	return 1
}

// baseToString gives what __tostring gives, whatever that is.
func baseToString(L *lua.LState) int {
	v := L.CheckAny(1)
	if f, ok := L.GetMetaField(v, "__tostring").(*lua.LFunction); ok {
		L.Push(f)
		L.Push(v)
		L.Call(1, 1)
	} else {
		L.Push(lua.LString(toString(L, v)))
	}
	return 1
}

// toString is tostring for what is printed: __tostring must give a string.
func toString(L *lua.LState, v lua.LValue) string {
	switch v := v.(type) {
	case lua.LString:
		return string(v)
	case lua.LNumber:
		return FormatNumber(v)
	case *lua.LUserData:
		if v == Null {
			return "null"
		}
	}
	if f, ok := L.GetMetaField(v, "__tostring").(*lua.LFunction); ok {
		L.Push(f)
		L.Push(v)
		L.Call(1, 1)
		s := L.Get(-1)
		L.Pop(1)
		if !lua.LVCanConvToString(s) {
			L.RaiseError("'tostring' must return a string to 'print'")
		}
		return plainText(s)
	}
	return v.String()
}

// checkNumber takes numbers, and strings that are numbers.
func checkNumber(L *lua.LState, n int) lua.LNumber {
	v, ok := toNumber(L.Get(n))
	if !ok {
		L.TypeError(n, lua.LTNumber)
	}
	return v
}

// checkString takes strings, and numbers as they print.
func checkString(L *lua.LState, n int) string {
	switch v := L.Get(n).(type) {
	case lua.LString:
		return string(v)
	case lua.LNumber:
		return FormatNumber(v)
	}
	L.TypeError(n, lua.LTString)
	return ""
}

// checkInt is checkNumber, truncated.
func checkInt(L *lua.LState, n int) int { return int(integer(float64(checkNumber(L, n)))) }

// optInt is checkInt for an argument that may be missing or nil.
func optInt(L *lua.LState, n, missing int) int {
	if L.Get(n) == lua.LNil {
		return missing
	}
	return checkInt(L, n)
}

// integer truncates within the range of int64.
func integer(f float64) int64 {
	switch {
	case math.IsNaN(f):
		return 0
	case f >= math.MaxInt64:
		return math.MaxInt64
	case f <= math.MinInt64:
		return math.MinInt64
	}
	return int64(f)
}
