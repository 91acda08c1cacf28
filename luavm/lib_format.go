package luavm

import (
	"bytes"
	"fmt"
	"math"
	"strconv"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// stringFormat is string.format of Lua 5.1; width and precision have two
// digits at most, as there.
func stringFormat(L *lua.LState) int {
	vm, format := Of(L), checkString(L, 1)
	out := newBuffer(L)
	arg := 1
	for i := 0; i < len(format); i++ {
		c := format[i]
		if c != '%' {
			out.addByte(c)
			continue
		}
		if i++; i < len(format) && format[i] == '%' {
			out.addByte('%')
			continue
		}
		spec, end := formatSpec(L, format, i)
		i = end
		arg++
		if i >= len(format) {
			L.RaiseError("invalid option '%%' to 'format'")
		}
		formatValue(&out, spec, format[i], arg)
		vm.spend(L, 1)
	}
	return out.push()
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

// maxFormatted is more than what a number can take: "%99.99f" of the largest one.
const maxFormatted = 512

func formatValue(b *buffer, spec string, letter byte, arg int) {
	L := b.L
	switch letter {
	case 's':
		s := toString(L, L.CheckAny(arg))
		b.room(len(s) + maxFormatted)
		if spec == "" {
			b.text = append(b.text, s...)
		} else {
			b.text = formatString(b.text, spec, s)
		}
	case 'q':
		s := checkString(L, arg)
		b.room(4*len(s) + 2)
		b.text = appendQuoted(b.text, s)
	default:
		b.room(maxFormatted)
		b.text = formatNumeric(L, b.text, spec, letter, arg)
	}
}

func formatNumeric(L *lua.LState, out []byte, spec string, letter byte, arg int) []byte {
	switch letter {
	case 'c':
		flags, _, _ := strings.Cut(spec, ".")
		return formatString(out, flags, string([]byte{byte(checkInt(L, arg))}))
	case 'd', 'i':
		n := integer(float64(checkNumber(L, arg)))
		if spec == "" {
			return strconv.AppendInt(out, n, 10)
		}
		flags := strings.ReplaceAll(spec, "#", "")
		switch {
		case n < 0:
			return formatInteger(out, flags, "-", strconv.FormatUint(-uint64(n), 10))
		case strings.Contains(flags, "+"):
			return formatInteger(out, flags, "+", strconv.FormatInt(n, 10))
		case strings.Contains(flags, " "):
			return formatInteger(out, flags, " ", strconv.FormatInt(n, 10))
		}
		return formatInteger(out, flags, "", strconv.FormatInt(n, 10))
	case 'u':
		return formatInteger(out, spec, "", strconv.FormatUint(unsigned(L, arg), 10))
	case 'o':
		digits := strconv.FormatUint(unsigned(L, arg), 8)
		return formatInteger(out, spec, octalPrefix(spec, digits), digits)
	case 'x', 'X':
		n, prefix := unsigned(L, arg), ""
		if n != 0 && strings.Contains(spec, "#") {
			prefix = "0x"
		}
		start := len(out)
		out = formatInteger(out, spec, prefix, strconv.FormatUint(n, 16))
		if letter == 'X' {
			copy(out[start:], bytes.ToUpper(out[start:]))
		}
		return out
	case 'e', 'E', 'f', 'g', 'G':
		f := float64(checkNumber(L, arg))
		if math.IsInf(f, 0) || math.IsNaN(f) {
			flags, _, _ := strings.Cut(spec, ".")
			text := notFinite(f)
			if sign := strings.Trim(flags, "-#.0123456789"); sign != "" && f > 0 {
				text = sign[:1] + text
				if strings.Contains(sign, "+") {
					text = "+" + text[1:]
				}
			}
			if letter < 'a' {
				text = strings.ToUpper(text)
			}
			return formatString(out, flags, text)
		}
		if letter|0x20 == 'g' && !strings.Contains(spec, ".") {
			spec += ".6"
		}
		return fmt.Appendf(out, "%"+spec+string(letter), f)
	}
	L.RaiseError("invalid option '%%%c' to 'format'", letter)
	return nil
}

// formatInteger writes a whole number as C does: precision is the least number of
// digits, and without one the flag 0 fills the width behind the prefix.
func formatInteger(out []byte, spec, prefix, digits string) []byte {
	flags, precision, precise := strings.Cut(spec, ".")
	least, _ := strconv.Atoi(precision)
	width := strings.TrimLeft(flags, "-+ #0")
	flags = flags[:len(flags)-len(width)]
	switch {
	case precise && least == 0 && digits == "0":
		digits = ""
	case !precise && strings.Contains(flags, "0") && !strings.Contains(flags, "-"):
		least, _ = strconv.Atoi(width)
		least -= len(prefix)
	}
	return formatString(out, flags+width, prefix+strings.Repeat("0", max(least-len(digits), 0))+digits)
}

// octalPrefix is what "%#o" begins with, unless there is a 0 already.
func octalPrefix(spec, digits string) string {
	_, precision, precise := strings.Cut(spec, ".")
	least, _ := strconv.Atoi(precision)
	zero := digits == "0" && !(precise && least == 0)
	if !strings.Contains(spec, "#") || zero || least > len(digits) {
		return ""
	}
	return "0"
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
