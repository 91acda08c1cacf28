package luavm

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// stringFormat is string.format of Lua 5.1; width and precision have two
// digits at most, as there.
func stringFormat(L *lua.LState) int {
	vm, format := Of(L), L.CheckString(1)
	out := make([]byte, 0, len(format)+32)
	arg := 1
	for i := 0; i < len(format); i++ {
		c := format[i]
		if c != '%' {
			out = append(out, c)
			continue
		}
		if i++; i < len(format) && format[i] == '%' {
			out = append(out, '%')
			continue
		}
		spec, end := formatSpec(L, format, i)
		i = end
		arg++
		if i >= len(format) {
			L.RaiseError("invalid option '%%' to 'format'")
		}
		out = formatValue(L, out, spec, format[i], arg)
		if len(out) > vm.limits.Value {
			vm.tooLong()
		}
		vm.spend(L, 1)
	}
	return pushString(L, vm, string(out))
}

// formatSpec reads flags, width and precision, and returns them and where the
// letter stands.
func formatSpec(L *lua.LState, format string, i int) (spec string, end int) {
	start := i
	for i < len(format) && strings.IndexByte("-+ #0", format[i]) >= 0 {
		i++
	}
	if i-start > 5 {
		L.RaiseError("invalid format (repeated flags)")
	}
	for n := 0; i < len(format) && isDigit(format[i]); n++ {
		if i++; n == 2 {
			L.RaiseError("invalid format (width or precision too long)")
		}
	}
	if i < len(format) && format[i] == '.' {
		i++
		for n := 0; i < len(format) && isDigit(format[i]); n++ {
			if i++; n == 2 {
				L.RaiseError("invalid format (width or precision too long)")
			}
		}
	}
	return format[start:i], i
}

func formatValue(L *lua.LState, out []byte, spec string, letter byte, arg int) []byte {
	switch letter {
	case 'c':
		return formatString(out, spec, string([]byte{byte(checkInt(L, arg))}))
	case 'd', 'i':
		n := integer(float64(checkNumber(L, arg)))
		if spec == "" {
			return strconv.AppendInt(out, n, 10)
		}
		return fmt.Appendf(out, "%"+spec+"d", n)
	case 'u':
		return fmt.Appendf(out, "%"+spec+"d", unsigned(L, arg))
	case 'o', 'x', 'X':
		return fmt.Appendf(out, "%"+spec+string(letter), unsigned(L, arg))
	case 'e', 'E', 'f', 'g', 'G':
		f := float64(checkNumber(L, arg))
		if math.IsInf(f, 0) || math.IsNaN(f) {
			flags, _, _ := strings.Cut(spec, ".")
			return formatString(out, flags, notFinite(f))
		}
		if letter|0x20 == 'g' && !strings.Contains(spec, ".") {
			spec += ".6"
		}
		return fmt.Appendf(out, "%"+spec+string(letter), f)
	case 'q':
		return appendQuoted(out, L.CheckString(arg))
	case 's':
		s := toString(L, L.CheckAny(arg))
		if spec == "" {
			return append(out, s...)
		}
		return formatString(out, spec, s)
	}
	L.RaiseError("invalid option '%%%c' to 'format'", letter)
	return nil
}

func unsigned(L *lua.LState, arg int) uint64 {
	f := float64(checkNumber(L, arg))
	if f < 0 {
		return uint64(integer(f))
	}
	if f >= math.MaxUint64 {
		return math.MaxUint64
	}
	return uint64(f)
}

func notFinite(f float64) string {
	switch {
	case math.IsNaN(f):
		return "nan"
	case f < 0:
		return "-inf"
	}
	return "inf"
}

// formatString pads and cuts by bytes, where Go's fmt counts runes.
func formatString(out []byte, spec, s string) []byte {
	flags, precision, cut := strings.Cut(spec, ".")
	if cut {
		n, _ := strconv.Atoi(precision)
		s = s[:min(n, len(s))]
	}
	width, _ := strconv.Atoi(strings.TrimLeft(flags, "-+ #0"))
	pad := strings.Repeat(" ", max(width-len(s), 0))
	if strings.Contains(flags, "-") {
		return append(append(out, s...), pad...)
	}
	return append(append(out, pad...), s...)
}

// appendQuoted writes a string as Lua source.
func appendQuoted(out []byte, s string) []byte {
	out = append(out, '"')
	for _, c := range []byte(s) {
		switch c {
		case '"', '\\', '\n':
			out = append(out, '\\', c)
		case '\r':
			out = append(out, '\\', 'r')
		case 0:
			out = append(out, "\\000"...)
		default:
			out = append(out, c)
		}
	}
	return append(out, '"')
}
