package lua51

import (
	"fmt"
	"strings"
)

// list writes about n expressions.
func (g *generator) list(n int) string {
	if g.chance(20) {
		n += g.rng.IntN(3) - 1
	}
	var all []string
	for range max(n, 1) {
		all = append(all, g.expr(1))
	}
	if g.chance(15) {
		all = append(all, g.one(g.call(1), g.dots(), "("+g.call(1)+")"))
	}
	return strings.Join(all, ", ")
}

func (g *generator) dots() string {
	if g.varg[len(g.varg)-1] {
		return "..."
	}
	return "nil"
}

var constants = []string{
	"nil", "true", "false", "0", "1", "2", "-1", "0.5", "10", "1e2", "0x1F", "3.75", "''", "'a'", "'10'", "' 7 '",
	"'0x10'", "'007'", "'1_0'",
	"\"q\\\"\\n\"", "([[long]])", "'b' .. 'c'", "2^3", "7 % 3", "-7 % 3", "7 % -3", "1 / 4", "(- -2)", "not nil", "not 0",
}

// expr writes an expression; level is how deep it stands.
func (g *generator) expr(level int) string {
	if level > 3 || g.chance(25+15*level) {
		if g.chance(60) {
			return g.variable()
		}
		return constants[g.rng.IntN(len(constants))]
	}
	a, b := g.expr(level+1), g.expr(level+1)
	switch g.rng.IntN(26) {
	case 0, 1:
		return fmt.Sprintf("(%s and %s)", a, b)
	case 2, 3:
		return fmt.Sprintf("(%s or %s)", a, b)
	case 4:
		return fmt.Sprintf("(%s and %s or %s)", a, b, g.expr(level+1))
	case 5:
		return fmt.Sprintf("not %s", a)
	case 6:
		return fmt.Sprintf("(%s %s %s)", a, g.one("==", "~="), b)
	case 7:
		return fmt.Sprintf("(tonumber((%s)) or 1) %s (tonumber((%s)) or 2)", a, g.one("<", "<=", ">", ">="), b)
	case 8:
		return fmt.Sprintf("tostring(%s) %s tostring(%s)", g.plain(), g.one("<", "<=", ">", ">="), g.plain())
	case 9, 10:
		return fmt.Sprintf("((tonumber((%s)) or 3) %s (tonumber((%s)) or 2))", a, g.one("+", "-", "*"), b)
	case 11:
		return fmt.Sprintf("(%s %s %s)", a, g.one("+", "-", "*", "/", "<", ".."), b)
	case 12:
		return fmt.Sprintf("(%s .. %s .. %s)", g.plain(), g.plain(), g.plain())
	case 13:
		return g.table(level)
	case 14:
		return fmt.Sprintf("%s.%s", g.variable(), g.one("a", "k", "b"))
	case 15:
		return fmt.Sprintf("G3[%s]", a)
	case 16:
		return fmt.Sprintf("#H(%s)", a)
	case 17:
		if g.chance(50) {
			return fmt.Sprintf("(%s)", g.dots())
		}
		return fmt.Sprintf("select('#', %s)", g.dots())
	case 18:
		return fmt.Sprintf("(function(a, ...) fuel() return a, ... end)(%s, %s)", a, b)
	case 19:
		return fmt.Sprintf("function(a) fuel() %s = a return %s end", g.variable(),
			g.inner(func() string { return g.expr(level + 1) }))
	case 20:
		return fmt.Sprintf("-(tonumber((%s)) or 4)", a)
	case 21:
		return "(" + g.one(g.literal(), g.numeral()) + ")"
	default:
		return g.call(level + 1)
	}
}

// plain is a value that can be joined.
func (g *generator) plain() string {
	return g.one("'x'", "1", "2.5", "-0.25", "1e100", "'10'", "type("+g.variable()+")", "tostring(G1 == 1)", "100 / 3",
		"2^31", "1 / 3")
}

func (g *generator) table(level int) string {
	var fields []string
	for range g.rng.IntN(5) {
		switch g.rng.IntN(5) {
		case 0:
			fields = append(fields, g.one("a", "b", "k")+" = "+g.expr(level+1))
		case 1:
			fields = append(fields, fmt.Sprintf("[%s] = %s", g.one("1", "2", "'k'", "0.5", "true", "-1"), g.expr(level+1)))
		default:
			fields = append(fields, g.expr(level+1))
		}
	}
	if g.chance(20) {
		fields = append(fields, g.one(g.dots(), g.call(level+1)))
	}
	if g.chance(2) {
		for i := range 60 {
			fields = append(fields, fmt.Sprint(i))
		}
	}
	return "{" + strings.Join(fields, g.one(", ", "; ")) + "}"
}

// call writes a call, of a library function or of one of the program's.
func (g *generator) call(level int) string {
	switch g.rng.IntN(16) {
	case 0, 1, 2, 3:
		return fmt.Sprintf("P(%s, %s)", g.variable(), g.expr(level+1))
	case 4:
		return fmt.Sprintf("%s(%s)", g.variable(), g.expr(level+1))
	case 5:
		return fmt.Sprintf("P(function(s, ...) return s:m(...) end, %s, %s)", g.variable(), g.expr(level+1))
	case 6:
		return fmt.Sprintf("unpack(H(%s))", g.expr(level+1))
	case 7:
		return fmt.Sprintf("(P(function() return %s end))", g.inner(func() string { return g.expr(level + 1) }))
	case 8:
		return fmt.Sprintf("type(%s)", g.expr(level+1))
	case 9:
		return fmt.Sprintf("select(%s, %s, %s)", g.one("1", "2", "-1", "'2'", "3"), g.expr(level+1), g.expr(level+1))
	}
	return g.libraryCall()
}

// library calls one function of the libraries with odd arguments.
func (g *generator) library() {
	for range 1 + g.rng.IntN(3) {
		g.line("out(P(function() return %s end))", g.libraryCall())
	}
}

func (g *generator) number() string {
	return g.one("0", "1", "-1", "2", "3", "-2", "0.5", "1.5", "10", "100", "-7.25", "1e10", "'3'", "'0x1f'", "N(G1 or 1)",
		"5 / 3", "255", "65")
}

func (g *generator) text() string {
	return g.one("'hello world'", "'key = value'", "'a.b.c'", "'aaab'", "'(a(b)c)'", "'x1y22z333'", "''",
		"'THE (quick) fox'", "'f%s'", "12345", "'\\1z'", "' pad '", "type(G2)", "'nil'", "'aXbXc'",
		"'\\128\\200\\255z'", "'a-b]c^d'", "'%a%%'", "'[[x]]'", "'\\n\\t\\r .'", "('ab'):rep(40)", "'((()))'")
}

func (g *generator) pattern() string {
	var b strings.Builder
	if g.chance(20) {
		b.WriteByte('^')
	}
	open := 0
	for range 1 + g.rng.IntN(4) {
		if g.chance(20) {
			b.WriteByte('(')
			open++
		}
		b.WriteString(g.one(".", "a", "b", "%a", "%d", "%s", "%w", "%p", "[abc]", "[^a]", "[a-c%d]", "%%", "%(", "%u", "%x",
			"%z", "[]]", "[^]x]", "%b()", "%f[%w]", "X", "=", "()", "%1", " ",
			"%l", "%c", "%S", "%W", "%A", "[%a_]", "[a-]", "[-a]", "[^%s]", "[%]]", "[a-c-e]", "[\\128-\\255]", "%bxy", "%f[%z]",
			"%f[^a]", "[]", "[^", "%2", "%b", "%f", "$", "^", "-"))
		if g.chance(50) {
			b.WriteString(g.one("*", "+", "-", "?"))
		}
		if open > 0 && g.chance(50) {
			b.WriteByte(')')
			open--
		}
	}
	if g.chance(90) {
		b.WriteString(strings.Repeat(")", open))
	}
	if g.chance(15) {
		b.WriteByte('$')
	}
	return "'" + b.String() + "'"
}

func (g *generator) libraryCall() string {
	n, m, s, p := g.number(), g.number(), g.text(), g.pattern()
	switch g.rng.IntN(46) {
	case 0:
		return fmt.Sprintf("string.find(%s, %s%s)", s, p, g.one("", ", "+n, ", "+n+", true"))
	case 1:
		return fmt.Sprintf("string.match(%s, %s%s)", s, p, g.one("", ", "+n))
	case 2, 3:
		return fmt.Sprintf("string.gsub(%s, %s, %s%s)", s, p,
			g.one("'<%0>'", "'%1'", "'-'", "'%%'", "{a = 'A', b = false, hello = 1}",
				"function(...) return select('#', ...) end", "function(a) return a and tostring(a):upper() end", "'%2'", "'%9'",
				"7", "function() end", "string.upper"), g.one("", ", 1", ", 0", ", "+n))
	case 4:
		return fmt.Sprintf("string.sub(%s, %s%s)", s, n, g.one("", ", "+m))
	case 5:
		return fmt.Sprintf("string.byte(%s, %s%s)", s, n, g.one("", ", "+g.one("1", "3", "-1")))
	case 6:
		return fmt.Sprintf("string.char(%s, %s)", g.one("65", "'66'", "0", "97.9", "256", "-1"), g.one("65", "255", "13"))
	case 7:
		return fmt.Sprintf("string.rep(%s, %s)", s, g.one("0", "1", "2", "-1", "'2'", "'010'", "2.9"))
	case 8:
		return fmt.Sprintf("string.%s(%s)", g.one("upper", "lower", "len", "reverse"), s)
	case 9:
		return fmt.Sprintf("string.format('%s', %s)", g.format("diouxX"),
			g.one("0", "1", "-1", "65", "255", "-7", "1e9", "'12'", "2147483648", "97"))
	case 10:
		return fmt.Sprintf("string.format('%s|', %s)", g.format("eEfgG"),
			g.one("0", "1", "-1.5", "1/3", "1e300", "-2.5e-7", "123456.789", "math.huge", "-math.huge", "'0.1'", "100"))
	case 11:
		if g.chance(20) {
			return fmt.Sprintf("string.format('%s', %d)", g.format("c"), 1+g.rng.IntN(255))
		}
		return fmt.Sprintf("string.format('%s|%%s', %s, %s)", g.format("sq"), strings.ReplaceAll(s, `\0`, ""),
			g.one("1", "'z'", "1.5"))
	case 12:
		if g.chance(30) { // "%s" takes any value here
			return fmt.Sprintf("string.format(%s, tostring(%s), %s)", g.one("'%s'", "'%s %s %s'", "'%s%q'"), n, s)
		}
		return fmt.Sprintf("string.format(%s, %s, %s)",
			g.one("'%d %s'", "'%5.1f%%%3d'", "'%y'", "'%'", "'%10.123f'", "'%-+5d|%s'", "'%d'"), n, strings.ReplaceAll(s, `\0`,
				""))
	case 13:
		return fmt.Sprintf("tonumber(%s%s)",
			g.one(s, n, "'12'", "'0x1F'", "' 0x '", "'1e1'", "'1e'", "'.5'", "'5.'", "'.'", "'- 1'", "'1 2'", "'ff'", "'zz'",
				"'08'", "'1_000'", "'+3'", "'0x'", "'-0x2'", "nil", "{}"), g.one("", "", ", 10", ", 16", ", 36", ", 2", ", 8"))
	case 14:
		return fmt.Sprintf("tostring(%s)",
			g.one(n, s, "nil", "true", "100 / 3", "1e15 / 7", "2^60", "-2^40", "1e-5", "123456789012", "0.1", "1e300 * 1e5",
				"5 % 3"))
	case 15:
		return fmt.Sprintf("math.%s(%s)",
			g.one("floor", "ceil", "abs", "sqrt", "exp", "modf", "frexp", "deg", "rad", "log", "log10", "sin", "cos", "tan",
				"asin", "atan"), g.one(n, "math.huge", "-math.huge"))
	case 16:
		if g.chance(15) { // a high power differs in its last digits
			return fmt.Sprintf("math.pow(%s, %s)", n, g.one("0", "1", "2", "-3", "0.5", "'2'"))
		}
		return fmt.Sprintf("math.%s(%s, %s)", g.one("max", "min", "fmod", "atan2", "ldexp", "mod"), n,
			g.one("1", "2", "-3", "0.5", "'2'", m))
	case 17:
		return fmt.Sprintf("math.%s()", g.one("max", "min", "floor"))
	case 18:
		return fmt.Sprintf("table.concat(H(%s)%s)", g.variable(),
			g.one("", ", ','", ", '-', 1, 2", ", 7", ", '', 2", ", ',', 3, 1"))
	case 19:
		return fmt.Sprintf("(function(t) table.insert(t, %s) return t end)({1, 2, 3})",
			g.one("9", "1, 9", "2, 'x'", "4, 9", "nil", "'1', 8", "2, nil"))
	case 20:
		return fmt.Sprintf("(function(t) return table.remove(t%s), t end)({5, 6, 7})",
			g.one("", ", 1", ", 2", ", 3", ", '1'", ", 0", ", -1"))
	case 21:
		return fmt.Sprintf("(function(t) table.sort(t%s) return t end)({%s})", g.one("", ", function(a, b) return a > b end"),
			g.one("3, 1, 2", "'b', 'a'", "2, 'x'", "1, 1, 1", "5, 4, 3, 2, 1, 9, 8, 7", "", "1.5, -2"))
	case 22:
		return fmt.Sprintf("table.%s({1, 2, 3%s})", g.one("getn", "maxn"), g.one("", ", [2.5] = 1", ", x = 1"))
	case 23:
		return fmt.Sprintf("unpack({1, 2, 3}%s)",
			g.one("", ", 2", ", 2, 3", ", 0, 1", ", -1, 1", ", 3, 2", ", '2'", ", 1, 5"))
	case 24:
		return fmt.Sprintf("select(%s, 'a', 'b', 'c')", g.one("1", "2", "3", "4", "-1", "-3", "'#'", "'2'", "0", "-4", "1.9"))
	case 25:
		return fmt.Sprintf("rawequal(%s, %s)", g.variable(), g.variable())
	case 26:
		return fmt.Sprintf("rawget(G3, %s)", g.one("1", "'k'", "nil", "2.5", "{}"))
	case 27:
		return fmt.Sprintf("rawset({}, %s, 1)", g.one("1", "'k'", "2.5", "true", "nil", "0/0"))
	case 28:
		return fmt.Sprintf("next(%s)", g.one("{}", "{1}", "{1}, 1", "{a = 1}", "{a = 1}, 'a'", "{1, a = 1}, 1"))
	case 29:
		return fmt.Sprintf("type(%s)", g.one("nil", "", "1", "print", "{}", "coroutine.create(function() end)"))
	case 30:
		return fmt.Sprintf("assert(%s)", g.one("1, 2", "false", "nil, 'E:m'", "false, {}", "", "nil, nil"))
	case 31:
		return fmt.Sprintf("pcall(error, %s)", g.one("'E:a'", "nil", "{1}", "'E:a', 1", "'E:a', 2", "5", "'E:b', 0"))
	case 32:
		return fmt.Sprintf("pcall(function() error(%s) end)",
			g.one("'E:a'", "nil", "{1}", "'E:a', 1", "'E:a', 2", "5", "'E:b', 0", "'E:c', 3"))
	case 33:
		return fmt.Sprintf("xpcall(function() %s end, function(e) return 'H', type(e) end)",
			g.one("error('E:x')", "return 1, 2", "error()", "local x = nil + 1"))
	case 34:
		return fmt.Sprintf("getmetatable(%s)",
			g.one("{}", "setmetatable({}, {__metatable = 'M'})", "1", "setmetatable({}, {a = 1})"))
	case 35:
		return fmt.Sprintf("setmetatable(%s)",
			g.one("{}, {}", "{}, nil", "{}", "1, {}", "setmetatable({}, {__metatable = 1}), {}", "{}, 1"))
	case 36:
		return fmt.Sprintf("os.date(%s, %s)",
			g.one("'!%Y-%m-%d %H:%M:%S'", "'!%c'", "'!%x %X'", "'!%a %A %b %B %p %I %j %w %y %%'", "'!*t'"), g.one("0", "1e9",
				"86399", "951782400", "'5'"))
	case 37:
		return fmt.Sprintf("(%s):%s", s, g.one("upper()", "len()", "sub(2)", "rep(2)", "byte()", "find('a')", "nope()"))
	case 38:
		return fmt.Sprintf("#%s", g.one("'abc'", "''", "{1, 2}", "{}", "('x\\0y'):gsub('%z', '-')", "'\\0\\0'", "nil", "5"))
	case 39:
		return fmt.Sprintf("coroutine.%s",
			g.one("status(coroutine.create(function() end))", "resume(coroutine.create(function(...) return ... end), 1, 2)",
				"running()", "wrap(function() return 7 end)()", "yield()", "resume(1)", "create(1)", "create(print)"))
	case 40:
		return fmt.Sprintf("(function() local t = {} for w in string.gmatch(%s, %s) do t[#t + 1] = w if #t > 30 then break end end return t end)()", s, p)
	case 41:
		return fmt.Sprintf("%s %s %s", g.one("'10'", "5", "'0x10'", "'abc'", "nil", "' 2 '", "'010'"),
			g.one("+", "-", "*", "/", "%", "^"), g.one("'3'", "2", "'1e1'", "{}", "'0'", "'09'"))
	case 42:
		return fmt.Sprintf("-%s", g.one("'2'", "'abc'", "nil", "{}", "'-3'", "'0x2'"))
	case 43:
		return fmt.Sprintf("%s .. %s", g.one("1", "'a'", "nil", "1.5", "{}", "-0.1", "1e20"),
			g.one("2", "'b'", "true", "0.1 + 0.2", "1e16"))
	case 44:
		return fmt.Sprintf("%s %s %s", g.one("1", "'a'", "nil", "{}", "'10'"), g.one("<", "<=", ">", ">=", "==", "~="),
			g.one("2", "'b'", "1", "nil", "'10'", "'9'"))
	default:
		return fmt.Sprintf("(function(...) return arg.n, arg[1] end)(%s)", g.one("", "1", "nil, 2", s))
	}
}

func (g *generator) format(letters string) string {
	var b strings.Builder
	b.WriteByte('%')
	for g.chance(25) {
		b.WriteByte("-+ #0"[g.rng.IntN(5)])
	}
	if g.chance(40) {
		fmt.Fprint(&b, g.rng.IntN(12))
	}
	if g.chance(30) {
		fmt.Fprintf(&b, ".%d", g.rng.IntN(8))
	}
	b.WriteByte(letters[g.rng.IntN(len(letters))])
	return b.String()
}
