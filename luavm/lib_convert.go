package luavm

import (
	"math"
	"strconv"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

func baseToNumber(L *lua.LState) int {
	base := optInt(L, 2, 10)
	v := L.CheckAny(1)
	if n, ok := v.(lua.LNumber); ok && base == 10 {
		L.Push(n)
		return 1
	}
	if base < 2 || base > 36 {
		L.ArgError(2, "base out of range")
	}
	if !lua.LVCanConvToString(v) {
		L.Push(lua.LNil)
		return 1
	}
	s := v.String()
	Of(L).spend(L, len(s)>>4)
	s = strings.Trim(s, " \t\n\v\f\r")
	if base == 10 {
		L.Push(parseNumber(s))
		return 1
	}
	if base == 16 && len(s) > 2 && s[0] == '0' && (s[1] == 'x' || s[1] == 'X') {
		s = s[2:]
	}
	n, err := strconv.ParseInt(s, base, 64)
	if err != nil || strings.Contains(s, "_") {
		L.Push(lua.LNil)
		return 1
	}
	L.Push(lua.LNumber(n))
	return 1
}

// parseNumber reads a decimal or hexadecimal number, or gives LNil. Go's
// parsers know underscores, "inf", "nan" and other bases, which Lua does not.
func parseNumber(s string) lua.LValue {
	if s == "" || strings.ContainsAny(s, "_iInN") {
		return lua.LNil
	}
	digits := strings.TrimLeft(s, "+-")
	if len(s)-len(digits) > 1 {
		return lua.LNil
	}
	if strings.HasPrefix(digits, "0x") || strings.HasPrefix(digits, "0X") {
		n, err := strconv.ParseUint(digits[2:], 16, 64)
		if err != nil {
			return lua.LNil
		}
		if s[0] == '-' {
			return -lua.LNumber(n)
		}
		return lua.LNumber(n)
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil && !math.IsInf(f, 0) {
		return lua.LNil
	}
	return lua.LNumber(f)
}

func baseToString(L *lua.LState) int {
	L.Push(lua.LString(toString(L, L.CheckAny(1))))
	return 1
}

// toString is tostring: it asks __tostring, which must give a string.
func toString(L *lua.LState, v lua.LValue) string {
	switch v := v.(type) {
	case lua.LString:
		return string(v)
	case lua.LNumber:
		return v.String()
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
			L.RaiseError("'__tostring' must return a string")
		}
		return s.String()
	}
	return v.String()
}

// checkNumber takes numbers, and strings that are numbers.
func checkNumber(L *lua.LState, n int) lua.LNumber {
	switch v := L.Get(n).(type) {
	case lua.LNumber:
		return v
	case lua.LString:
		if f, ok := parseNumber(strings.TrimSpace(string(v))).(lua.LNumber); ok {
			return f
		}
	}
	L.TypeError(n, lua.LTNumber)
	return 0
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
