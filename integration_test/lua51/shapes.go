package lua51

import (
	"fmt"
	"strings"
)

// oddFunctions are those that odd calls. Not among them: next, which takes any key
// here, getmetatable, which keeps that of strings, and those that write or wait.
var oddFunctions = strings.Fields(`string.byte string.char string.find string.gmatch string.gsub string.len
	string.lower string.match string.rep string.reverse string.sub string.upper table.concat table.getn table.insert
	table.maxn table.remove math.abs math.ceil math.floor math.fmod math.max math.min math.modf math.sqrt math.ldexp
	math.frexp assert error setmetatable pairs ipairs P rawequal rawget rawset select tonumber tostring type
	unpack coroutine.create coroutine.resume coroutine.status coroutine.wrap`)

var oddValues = []string{
	"nil", "true", "0", "1", "2", "-1", "-2", "2.5", "'abc'", "'10'", "' 2 '", "''", "'%a+'", "{}", "{3, 1, 2}", "type",
	"function(...) return select('#', ...), ... end", "coroutine.create(function(...) return ... end)",
	"setmetatable({7}, {__tostring = function() return 'T' end, __index = {x = 1}, __call = function(...) return ... end})",
}

// odd calls a library function with arguments of any kind, and tells how many
// results it has.
func (g *generator) odd() string {
	var args []string
	for range g.rng.IntN(5) {
		args = append(args, oddValues[g.rng.IntN(len(oddValues))])
	}
	call := fmt.Sprintf("%s(%s)", oddFunctions[g.rng.IntN(len(oddFunctions))], strings.Join(args, ", "))
	return g.one(call, "(function(...) return select('#', ...), ... end)("+call+")", "("+call+")")
}

// numeral is a number, or the text of one or of what is nearly one.
func (g *generator) numeral() string {
	switch g.rng.IntN(6) {
	case 0:
		return fmt.Sprint(g.rng.IntN(1000) - 500)
	case 1:
		return fmt.Sprintf("%d", g.rng.Uint64N(1e14)>>g.rng.IntN(40)) // with more digits they print otherwise
	case 2:
		return fmt.Sprintf("%.*e", g.rng.IntN(17), g.rng.NormFloat64()*1000)
	case 3:
		return fmt.Sprintf("%d / %d", g.rng.IntN(100), 1+g.rng.IntN(100))
	case 4:
		return g.one("0xff", "3.", ".5", "1e+2", "0Xa", "2^64", "2^-20", "1e300", "5e-324", "99999999999999", "1e17")
	default:
		digits := g.one("7", "0x1F", "1e3", ".5e1", "3.", "1e", "0x", "08", "1e+1", "0X0a", "12 3", "1_0", "1f", "", "1e400")
		return "'" + g.one("", " ", "\\t", "-", "+", " -", "- ") + digits + g.one("", "", " ", "\\n", "x") + "'"
	}
}

// coerced uses numbers as strings and strings as numbers.
func (g *generator) coerced() string {
	a, b := g.numeral(), g.numeral()
	switch g.rng.IntN(10) {
	case 0, 1:
		return fmt.Sprintf("%s %s %s", a, g.one("+", "-", "*", "/"), b)
	case 2:
		return fmt.Sprintf("(%s) .. (%s)", a, b)
	case 3:
		return fmt.Sprintf("tostring(%s), tonumber(%s)", a, b)
	case 4:
		return fmt.Sprintf("tonumber(%s, %s)", a, g.one("10", "'10'", "16", "2", "36", "8.9"))
	case 5:
		return fmt.Sprintf("(%s) %s (%s)", a, g.one("<", "<=", "==", "~="), b)
	case 6:
		return fmt.Sprintf("string.format('%s|%%s', %s, %s)", g.format("gef"), a, b)
	case 7:
		return fmt.Sprintf("string.len(%s), (%s):sub(%s)", a, g.text(), g.one("'2'", "' 3'", "'-2'", "'0x1'", "'x'", "2.7"))
	case 8:
		return fmt.Sprintf("-(%s), math.floor(%s)", a, b)
	default:
		return fmt.Sprintf("({[%s] = 'k'})[%s]", a, g.one(a, b))
	}
}

// ranges takes parts of lists.
func (g *generator) ranges() string {
	i, j := g.rng.IntN(9)-4, g.rng.IntN(9)-4
	switch g.rng.IntN(6) {
	case 0:
		return fmt.Sprintf("unpack({1, nil, 3, [-1] = 'm', [0] = 'z'}, %d, %d)", i, j)
	case 1:
		return fmt.Sprintf("select(%d, %s)", i, g.list(3))
	case 2:
		return fmt.Sprintf("select('#', %s)", g.list(3))
	case 3:
		return fmt.Sprintf("table.concat({1, 'b', 3, [-1] = 'm', [0] = 'z'}, %s, %d, %d)", g.one("','", "''", "5", "nil"), i,
			j)
	case 4:
		return fmt.Sprintf("(function(t) table.insert(t, %d, 'i') return t end)({1, 2, 3})", i)
	default:
		return fmt.Sprintf("select('#', table.remove({1, 2, 3}, %d)), ('abcdef'):byte(%d, %d)", i, i, j)
	}
}

// sorting sorts, with what decides who is first failing now and then.
func (g *generator) sorting() string {
	list := g.one("3, 1, 2", "'b', 'a', 'c', 'B', ''", "9, 8, 7, 6, 5, 4, 3, 2, 1, 0", "2, 'x', 1", "{}, {}",
		"true, false", "1", "", "0.5, -1, 1e10, -1e-3")
	less := g.one("", "", ", nil", ", function(a, b) return a > b end",
		", function(a, b) return tostring(a) < tostring(b) end",
		", function(a) return a.x.y end", ", function() error('E:less') end", ", function() error({7}) end",
		", function(a) return coroutine.yield(a) end", ", 5")
	if g.chance(25) {
		return fmt.Sprintf("(function(m) local t = {} for i, v in ipairs({%s}) do t[i] = setmetatable({v}, m) end table.sort(t) return t end)({%s})",
			list, g.one("__lt = function(a, b) return a[1] < b[1] end", "__lt = function(a, b) return b[1] < a[1] end",
				"__lt = function() error('E:lt') end", ""))
	}
	return fmt.Sprintf("(function(t) table.sort(t%s) return t end)({%s})", less, list)
}

// count is a numeric for with bounds of any kind.
func (g *generator) count() {
	i := g.fresh()
	g.made++
	n := fmt.Sprintf("n%d", g.made)
	g.line("out(P(function()")
	g.names, g.varg = append(g.names, []string{i}), append(g.varg, false)
	g.line("local %s = 0", n)
	g.line("for %s = %s, %s%s do", i,
		g.one("1", "0", "0.1", "1e15", "2^53", "-2", "'3'", "1 / 3", "-math.huge", "math.huge", "0 / 0", "' 0x10 '", "nil",
			"{}", "''"),
		g.one("3", "1.05", "1e15 + 2", "2^53 + 3", "math.huge", "-3", "'5'", "0 / 0", "'x'", "-math.huge", "G2"),
		g.one("", "", ", 1", ", 0.25", ", -0.5", ", 0", ", 1e-3", ", 0 / 0", ", math.huge", ", '2'", ", -1", ", 3", ", {}"))
	g.line("%s = %s + 1 out(%s, %s)", n, n, n, i)
	if g.chance(30) {
		g.line("G2 = function() fuel() %s = %s return %s end", i, g.expr(2), i)
	}
	if g.chance(30) {
		g.line("%s = %s", i, g.expr(2))
	}
	g.line("if %s > %d then break end", n, 1+g.rng.IntN(6))
	g.line("end")
	g.names, g.varg = g.names[:len(g.names)-1], g.varg[:len(g.varg)-1]
	g.line("end))")
}

// until is a loop whose condition sees a local of its body.
func (g *generator) until() {
	g.made++
	n, c := fmt.Sprintf("n%d", g.made), fmt.Sprintf("c%d", g.made)
	g.line("local %s = 0", n)
	g.line("repeat local %s = %s", c, g.expr(1))
	g.loops++
	g.scoped(func() {
		g.declare(c)
		g.line("%s = %s + 1", n, n)
		g.line("G3[#H(G3) + 1] = function() fuel() %s = %s return %s end", c, g.inner(func() string { return g.expr(2) }), c)
		g.small()
		if g.chance(30) {
			g.line("if %s then break end", g.condition())
		}
	})
	g.loops--
	g.line("until %s > 2 or (function() return %s end)()", n, c)
	g.line("for _, f in ipairs(H(G3)) do if type(f) == 'function' then out(P(f)) end end")
}

// nested has coroutines in coroutines, and a for over one.
func (g *generator) nested() {
	g.made++
	a, b := fmt.Sprintf("ca%d", g.made), fmt.Sprintf("cb%d", g.made)
	last := func() string {
		return g.one("error('E:n')", "error({2})", "error('E:n', 2)", "local z = nil + 1", "do return 7, nil end",
			"coroutine.yield('last')", "")
	}
	g.line("local %s, %s", a, b)
	g.line("%s = coroutine.create(function(...)", a)
	g.body(true, func() {
		g.line("%s = coroutine.wrap(function(...)", b)
		g.body(true, func() {
			g.line("out(coroutine.status(%s), coroutine.resume(%s))", a, a)
			g.line("out('in', coroutine.yield(%s))", g.list(2))
			g.line("%s", last())
		})
		g.line("end)")
		g.line("out(%s)", g.one("P("+b+")", b+"()", "P(function() return ("+b+"(1)) end)"))
		g.line("coroutine.yield(%s)", g.one("P("+b+", 2)", b+"(2)", "P(coroutine.yield, 1)", g.list(2)))
		g.line("%s", last())
	})
	g.line("end)")
	for range 2 + g.rng.IntN(2) {
		g.line("out((function(ok, e, ...) if ok then return ok, e, ... end return ok, L(e) end)(coroutine.resume(%s, %s)))",
			a, g.list(1))
	}
	g.line("out(coroutine.status(%s), P(%s or type, 3))", a, b)
	g.line("out(P(function()")
	g.line("for x, y in coroutine.wrap(function(...) for i = 1, 3 do coroutine.yield(i, ...) end %s end)%s do", last(),
		g.one("", ", 's'", ", 's', 'c'"))
	g.line("out(x, y) %s", g.one("", "if x == 2 then break end", "if x == 'last' then return y end"))
	g.line("end end))")
}

// objects raises what is no string.
func (g *generator) objects() {
	g.made++
	e := fmt.Sprintf("e%d", g.made)
	g.line("local %s = setmetatable({%s}, {__tostring = function() return %s end})", e, g.list(1),
		g.inner(func() string { return g.one("'EO'", "5", "nil", g.expr(2)) }))
	raise := g.one("error("+e+")", "error("+e+", 2)", "assert(false, "+e+")",
		"coroutine.wrap(function() error("+e+") end)()", "error(tostring("+e+"))")
	g.line("local ok%d, r%d = pcall(function() %s end)", g.made, g.made, raise)
	g.line("out(ok%d, r%d == %s, P(tostring, %s))", g.made, g.made, e, e)
	g.line("out(xpcall(function() %s end, %s))", raise,
		g.one("function(x) return x == "+e+", 2 end", "type", "function(x) error('E:again', 0) end", "nil"))
}

// text literals with each kind of escape.
func (g *generator) literal() string {
	return g.one(`"\a\b\f\n\r\t\v\\\"\'"`, `'\10\065\0z'`, `'\q\z'`, `[[a\n]]`, "[==[a]]b]=]c]==]", `'\195\169'`, `"'"`,
		`'"'`, `"\0651"`)
}

// broken breaks a line where no token that ends an expression is left behind.
func (g *generator) broken(s string) string {
	var b strings.Builder
	var quote byte
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case quote != 0 && c == '\\':
			b.WriteByte(c)
			i++
			c = s[i]
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '\'' || c == '"':
			quote = c
		case c == '[' && i+1 < len(s) && (s[i+1] == '[' || s[i+1] == '='):
			return b.String() + s[i:] // a long string
		case c == ' ' && i > 0 && strings.IndexByte(",=+-*/<>.{", s[i-1]) >= 0 && g.chance(40):
			c = '\n'
		}
		b.WriteByte(c)
	}
	return b.String()
}
