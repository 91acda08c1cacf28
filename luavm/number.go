package luavm

import (
	"math"
	"strconv"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// What gopher-lua makes of numbers and strings is not Lua's: "010" + 0 would be
// 8 there, and 0.1 prints with 17 digits. So both ways are here, and the
// machine comes here for them: arithmetic on strings through the metamethods of
// strings, concatenation and loops through the meter.

// exactInteger is where whole numbers stop being all there.
const exactInteger = 1 << 53

// isWhole tells numbers that the machine computes with exactly.
func isWhole(n lua.LNumber) bool {
	return n > -exactInteger && n < exactInteger && n == lua.LNumber(int64(n))
}

// FormatNumber gives the text of a number, as tostring does: as PUC Lua's "%.14g", but whole
// numbers up to 2^53 with all their digits, so that no two ids become one. There
// is no "-0": the machine does not keep it.
func FormatNumber(n lua.LNumber) string { return string(appendNumber(nil, n)) }

func appendNumber(buf []byte, n lua.LNumber) []byte {
	f := float64(n)
	if i := int64(f); float64(i) == f && i > -exactInteger && i < exactInteger {
		return strconv.AppendInt(buf, i, 10)
	}
	if math.IsInf(f, 0) || math.IsNaN(f) {
		return append(buf, notFinite(f)...)
	}
	text := strconv.AppendFloat(buf, f, 'e', 13, 64)
	exponent := strings.LastIndexByte(string(text[len(buf):]), 'e') + len(buf)
	e, _ := strconv.Atoi(string(text[exponent+1:]))
	if e < -4 || e >= 14 {
		return append(trimZeros(text[:exponent:exponent]), text[exponent:]...)
	}
	return trimZeros(strconv.AppendFloat(buf, f, 'f', 13-e, 64))
}

// trimZeros cuts the zeros at the end of a fraction.
func trimZeros(text []byte) []byte {
	n := len(text)
	for n > 0 && text[n-1] == '0' {
		n--
	}
	if n > 0 && text[n-1] == '.' {
		n--
	}
	return text[:n]
}

// plainText gives strings as they are, numbers as they print, and of other
// values what gopher-lua calls them.
func plainText(v lua.LValue) string {
	if n, ok := v.(lua.LNumber); ok {
		return FormatNumber(n)
	}
	return v.String()
}

// toNumber converts numbers, and strings that are numbers.
func toNumber(v lua.LValue) (lua.LNumber, bool) {
	switch v := v.(type) {
	case lua.LNumber:
		return v, true
	case lua.LString:
		n, ok := parseNumber(string(v)).(lua.LNumber)
		return n, ok
	}
	return 0, false
}

const whitespace = " \t\n\v\f\r"

// parseNumber reads a decimal or hexadecimal number with white space around it,
// or gives LNil. A zero byte ends it, as in PUC Lua. Go's parser knows
// underscores, "inf", "nan" and other bases, which the Lua manual does not.
func parseNumber(s string) lua.LValue {
	s, _, _ = strings.Cut(s, "\x00")
	s = strings.Trim(s, whitespace)
	digits := strings.TrimLeft(s, "+-")
	if len(s)-len(digits) > 1 || strings.ContainsAny(s, "_iInN") {
		return lua.LNil
	}
	if strings.HasPrefix(digits, "0x") || strings.HasPrefix(digits, "0X") {
		if !strings.ContainsAny(s, "pP") {
			s += "p0" // Go wants an exponent
		}
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil && !math.IsInf(f, 0) {
		return lua.LNil
	}
	return lua.LNumber(f)
}

// parseInteger reads a whole number in another base, as C's strtoul does: a
// negative one wraps around 2^64, and the largest stands for all beyond.
func parseInteger(s string, base int) lua.LValue {
	s, _, _ = strings.Cut(s, "\x00")
	s = strings.Trim(s, whitespace)
	digits := strings.TrimLeft(s, "+-")
	if len(s)-len(digits) > 1 || strings.Contains(digits, "_") {
		return lua.LNil
	}
	if base == 16 && len(digits) > 2 && (digits[:2] == "0x" || digits[:2] == "0X") {
		digits = digits[2:]
	}
	n, err := strconv.ParseUint(digits, base, 64)
	if err != nil && n != math.MaxUint64 {
		return lua.LNil
	}
	if s[0] == '-' && err == nil {
		n = -n
	}
	return lua.LNumber(n)
}

// arithmetic is what the machine does with two numbers.
func arithmetic(op int, a, b lua.LNumber) lua.LNumber {
	switch op {
	case lua.OP_ADD:
		return a + b
	case lua.OP_SUB:
		return a - b
	case lua.OP_MUL:
		return a * b
	case lua.OP_DIV:
		return a / b
	case lua.OP_POW:
		return lua.LNumber(math.Pow(float64(a), float64(b)))
	}
	return modulo(a, b)
}

// modulo is "%" as the manual defines it, with the rounding that follows: 1 % 0.1
// is 0. The machine takes the exact remainder, which is the same for whole numbers.
func modulo(a, b lua.LNumber) lua.LNumber {
	whole := lua.LNumber(math.Floor(float64(a / b)))
	return a - lua.LNumber(whole*b) // rounded twice, on every processor
}

// stringArithmetic are the metamethods of strings for arithmetic. The machine
// asks them before it reads numbers from strings itself.
func stringArithmetic() map[string]lua.LGFunction {
	all := map[string]lua.LGFunction{"__unm": func(L *lua.LState) int {
		n, ok := toNumber(L.Get(1))
		if !ok {
			L.RaiseError("attempt to perform arithmetic on a string that is no number")
		}
		L.Push(-n)
		return 1
	}}
	for op, name := range map[int]string{
		lua.OP_ADD: "add", lua.OP_SUB: "sub", lua.OP_MUL: "mul", lua.OP_DIV: "div", lua.OP_MOD: "mod", lua.OP_POW: "pow",
	} {
		event := "__" + name
		all[event] = func(L *lua.LState) int {
			x, y := L.Get(1), L.Get(2)
			a, ok1 := toNumber(x)
			b, ok2 := toNumber(y)
			if ok1 && ok2 {
				L.Push(arithmetic(op, a, b))
				return 1
			}
			// The string was asked first; the other operand may know what to do.
			f := L.GetMetaField(y, event)
			if y.Type() == lua.LTString || !callable(L, f) {
				L.RaiseError("cannot perform %s operation between %s and %s", name, x.Type(), y.Type())
			}
			L.Push(f)
			L.Push(x)
			L.Push(y)
			L.Call(2, 1)
			return 1
		}
	}
	return all
}
