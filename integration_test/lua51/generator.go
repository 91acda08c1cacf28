package lua51

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// generator writes random programs that end: loops have few turns, and each
// function asks for fuel. Errors are part of it; a program catches most.
type generator struct {
	rng   *rand.Rand
	b     strings.Builder
	names [][]string // locals in scope, for each function
	made  int        // names made so far
	loops int        // around this place, in this function
	varg  []bool     // whether the function has "..."
	depth int
	left  int // statements
}

// Program returns the program of a seed.
func Program(seed uint64) string {
	g := &generator{rng: rand.New(rand.NewPCG(seed, 51)), names: [][]string{nil}, varg: []bool{true}, left: 30}
	g.line("G1, G2, G3 = 1, 'two', {3, k = 'v'}")
	g.block(6 + g.rng.IntN(6))
	g.line("out(G1, G2, G3, %s)", g.list(3))
	return g.b.String()
}

func (g *generator) line(format string, args ...any) {
	g.b.WriteString(strings.Repeat(" ", len(g.names)+g.depth))
	text := fmt.Sprintf(format, args...)
	if g.chance(5) {
		text = g.broken(text)
	}
	g.b.WriteString(text)
	g.b.WriteByte('\n')
}

func (g *generator) one(of ...string) string { return of[g.rng.IntN(len(of))] }

func (g *generator) chance(percent int) bool { return g.rng.IntN(100) < percent }

// fresh makes a name, often one that hides another.
func (g *generator) fresh() string {
	if g.chance(25) {
		if n := g.local(); n != "" {
			return n
		}
	}
	g.made++
	return fmt.Sprintf("v%d", g.made)
}

func (g *generator) declare(names ...string) {
	top := len(g.names) - 1
	g.names[top] = append(g.names[top], names...)
}

// local is a local of this function or, less often, of one around it.
func (g *generator) local() string {
	for range 4 {
		at := len(g.names) - 1
		for at > 0 && g.chance(30) {
			at--
		}
		if scope := g.names[at]; len(scope) > 0 {
			return scope[g.rng.IntN(len(scope))]
		}
	}
	return ""
}

func (g *generator) variable() string {
	if g.chance(80) {
		if n := g.local(); n != "" {
			return n
		}
	}
	return g.one("G1", "G2", "G3")
}

// scoped writes a block with an indent, and forgets its locals.
func (g *generator) scoped(write func()) {
	top := len(g.names) - 1
	n := len(g.names[top])
	g.depth++
	write()
	g.depth--
	g.names[top] = g.names[top][:n]
}

func (g *generator) block(n int) {
	for range n {
		g.statement()
	}
}

func (g *generator) small() { g.block(1 + g.rng.IntN(3)) }

func (g *generator) statement() {
	if g.left--; g.left < 0 || g.depth > 4 {
		g.line("out(%s)", g.list(2))
		return
	}
	switch g.rng.IntN(28) {
	case 0, 1, 2:
		g.declaration()
	case 3, 4, 5, 6:
		g.assignment()
	case 7, 8:
		g.line("out(%s)", g.list(3))
	case 9:
		g.line("do")
		g.scoped(g.small)
		g.line("end")
	case 10, 11:
		g.branches()
	case 12, 13:
		g.loop()
	case 14, 15:
		g.function()
	case 16:
		g.line("out(P(function(...)")
		g.body(true, g.small)
		g.line("end, %s))", g.list(2))
	case 17:
		g.coroutine()
	case 18:
		g.metatable()
	case 19:
		g.library()
	case 20:
		g.count()
	case 21:
		g.until()
	case 22:
		g.nested()
	case 23:
		g.objects()
	case 24, 25:
		g.line("out(P(function() return %s end))",
			g.inner(func() string { return g.one(g.odd(), g.coerced(), g.ranges(), g.sorting()) }))
	case 26:
		// A local written after an error that was caught.
		n := g.fresh()
		g.line("local %s = %s", n, g.expr(1))
		g.declare(n)
		g.made++
		g.line("local function f%d() return %s end", g.made, n)
		g.line("out(P(%s))", g.one("error, 'E:x'", "error", "string.rep", "f0", "function() local a = nil; return a.b end",
			"function() error({1}) end"))
		g.line("%s = %s out(%s, f%d())", n, g.expr(1), n, g.made)
	default:
		g.line("%s(%s)", g.one("out", "type", "tostring", "f1", "G2"), g.list(2))
	}
}

func (g *generator) declaration() {
	names := []string{g.fresh()}
	for g.chance(30) && len(names) < 4 {
		names = append(names, g.fresh())
	}
	switch g.rng.IntN(8) {
	case 0:
		g.line("local %s", strings.Join(names, ", "))
	case 1: // not in its own scope
		g.line("local %s = function(a) fuel() return a, type(%s) end", names[0], names[0])
		names = names[:1]
	default:
		g.line("local %s = %s", strings.Join(names, ", "), g.list(len(names)))
	}
	g.declare(names...)
}

func (g *generator) target() string {
	switch g.rng.IntN(10) {
	case 0:
		return g.variable() + "." + g.one("a", "b", "k")
	case 1:
		return fmt.Sprintf("%s[%s]", g.variable(), g.expr(2))
	case 2:
		return fmt.Sprintf("G3[%s]", g.expr(2))
	case 3:
		return g.one("G1", "G2")
	}
	return g.variable()
}

func (g *generator) assignment() {
	targets := []string{g.inner(g.target)}
	for g.chance(45) && len(targets) < 4 {
		targets = append(targets, g.inner(g.target))
	}
	caught := g.chance(50)
	var values string
	write := func() string { return g.list(len(targets)) }
	if caught {
		values = g.inner(write)
	} else {
		values = write()
	}
	switch {
	case g.chance(25) && len(targets) > 1: // a swap
		shuffled := append([]string(nil), targets...)
		g.rng.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		values = strings.Join(shuffled, ", ")
	case g.chance(20):
		v := targets[0]
		values = fmt.Sprintf(g.one("%s and %s", "%s or %s", "not %s and %s", "%s == %s", "(%s and %s) or false"), v,
			g.inner(func() string { return g.expr(1) }))
	}
	if caught {
		g.line("out(P(function() %s = %s end)) out(%s)", strings.Join(targets, ", "), values, g.variable())
	} else {
		g.line("%s = %s", strings.Join(targets, ", "), values)
	}
}

// inner writes what stands in a function without "...".
func (g *generator) inner(write func() string) string {
	g.varg = append(g.varg, false)
	defer func() { g.varg = g.varg[:len(g.varg)-1] }()
	return write()
}

func (g *generator) branches() {
	g.line("if %s then", g.condition())
	g.scoped(g.small)
	for g.chance(30) {
		g.line("elseif %s then", g.condition())
		g.scoped(g.small)
	}
	if g.chance(50) {
		g.line("else")
		g.scoped(g.small)
	}
	g.line("end")
}

func (g *generator) condition() string {
	if g.chance(25) {
		return g.one("false", "nil", "true", "1", "''", "not nil", "false or nil", "true and false")
	}
	return g.expr(0)
}

func (g *generator) loop() {
	i := g.fresh()
	var ends string
	g.loops++
	switch g.rng.IntN(9) {
	case 0:
		g.line("for %s = %s, %s do", i, g.one("1", "2", "'1'", "-1"), g.one("3", "4", "'3'", "0"))
		ends = "end"
	case 1:
		g.line("for %s = %s, %s, %s do", i, g.one("1", "5", "3.5"), g.one("5", "1", "0.5"),
			g.one("1", "-1", "2", "-0.5", "'1'"))
		ends = "end"
	case 2:
		g.made++
		n := fmt.Sprintf("n%d", g.made)
		g.line("local %s = 0", n)
		g.line("while %s < %d %s do %s = %s + 1", n, 1+g.rng.IntN(4), g.one("", "and true", "and not false"), n, n)
		g.loops--
		g.loopBody("", "end")
		return
	case 3:
		g.made++
		n := fmt.Sprintf("n%d", g.made)
		g.line("local %s = 0", n)
		g.line("repeat %s = %s + 1", n, n)
		g.loops--
		g.loopBody("", fmt.Sprintf("until %s >= %d or %s", n, 1+g.rng.IntN(3), g.one("false", "nil", "G9")))
		return
	case 4:
		g.line("for %s, w in ipairs(H(%s)) do", i, g.variable())
		ends = "end"
	case 5:
		g.line("for %s in next, {%d} do", i, g.rng.IntN(9))
		ends = "end"
	case 6:
		g.line("for _, %s in ipairs(keys(H(%s))) do", i, g.variable())
		ends = "end"
	case 7:
		g.line("for %s in (function(s, c) if c < s then return c + 1 end end), %d, 0 do", i, 1+g.rng.IntN(3))
		ends = "end"
	default:
		g.line("for %s, w in string.gmatch(%q, %q) do", i, g.one("key=value", "a1b22", "", "x y z"),
			g.one("%w+", "(%a)(%d*)", "()", "."))
		ends = "end"
	}
	g.loops--
	g.loopBody(i, ends)
}

func (g *generator) loopBody(name, ends string) {
	g.loops++
	g.scoped(func() {
		if name != "" {
			g.declare(name)
		}
		if g.chance(20) {
			g.line("if %s then %s end", g.condition(), g.one("out(1)", "break", "local x = 1"))
		}
		g.small()
		if g.chance(40) { // closures of a loop
			g.made++
			g.line("local c%d = %s", g.made, g.expr(1))
			g.line("G3[#H(G3) + 1] = function() c%d = c%d return c%d end", g.made, g.made, g.made)
			g.declare(fmt.Sprintf("c%d", g.made))
		}
		if g.chance(25) {
			c := g.fresh()
			g.line("if %s then local %s = %s; G2 = function() return %s end %s end", g.condition(), c, g.expr(1), c,
				g.one("break", ""))
		}
		if g.chance(15) {
			g.line("if %s then break end", g.expr(1))
		}
	})
	g.line("%s", ends)
	if g.chance(40) {
		g.line("for _, f in ipairs(H(G3)) do if type(f) == 'function' then out(P(f)) end end")
	}
}

// body writes what stands inside of a function.
func (g *generator) body(dots bool, write func(), params ...string) {
	g.names = append(g.names, append([]string(nil), params...))
	g.varg = append(g.varg, dots)
	depth, loops := g.depth, g.loops
	g.loops = 0
	if depth > 2 {
		g.depth = depth
	}
	g.line("fuel()")
	write()
	if g.chance(80) {
		g.line("return %s", g.one(g.list(1), g.list(3), g.call(1)))
	}
	g.depth, g.loops = depth, loops
	g.names = g.names[:len(g.names)-1]
	g.varg = g.varg[:len(g.varg)-1]
}

func (g *generator) function() {
	var params []string
	for range g.rng.IntN(4) {
		g.made++
		params = append(params, fmt.Sprintf("p%d", g.made))
	}
	dots := g.chance(35)
	list := append([]string(nil), params...)
	if dots {
		list = append(list, "...")
	}
	var name string
	switch g.rng.IntN(5) {
	case 0:
		name = g.one("f1", "f2", "G2")
		g.line("function %s(%s)", name, strings.Join(list, ", "))
	case 1:
		name = "G3.m"
		g.line("function G3:m(%s)", strings.Join(list, ", "))
		params = append(params, "self")
	case 2:
		name = g.fresh()
		g.line("local %s = function(%s)", name, strings.Join(list, ", "))
		defer g.declare(name)
	default:
		name = g.fresh()
		g.declare(name)
		g.line("local function %s(%s)", name, strings.Join(list, ", "))
	}
	g.depth++
	g.body(dots, g.small, params...)
	g.depth--
	g.line("end")
	g.line("out(P(%s, %s))", name, g.list(2))
	if g.chance(30) {
		g.line("out(P(%s, %s))", name, g.list(3))
	}
}

func (g *generator) coroutine() {
	g.made++
	co := fmt.Sprintf("co%d", g.made)
	wrap := g.chance(40)
	if wrap {
		g.line("local %s = coroutine.wrap(function(...)", co)
	} else {
		g.line("local %s = coroutine.create(function(...)", co)
	}
	g.body(true, func() {
		for range 1 + g.rng.IntN(3) {
			switch g.rng.IntN(6) {
			case 4:
				n := g.fresh()
				g.line("local %s, x2, x3 = coroutine.yield(%s) out(%s, x2, x3)", n, g.list(2), n)
				g.declare(n, "x2")
			case 5:
				g.line("local function y(...) fuel() return coroutine.yield(...) end")
				g.line("local r1, r2 = y(%s) out(r1, r2, (y(%s)))", g.list(2), g.list(1))
			case 0:
				g.line("out('got', coroutine.yield(%s))", g.list(2))
			case 1:
				g.line("for i = 1, 2 do coroutine.yield(i, %s) end", g.expr(1))
			case 2:
				g.line("out(P(function(...) %s end, %s))",
					g.one("return ...", "error('E:in', 2)", "coroutine.yield(1)", "return #nil"), g.list(2))
			default:
				g.small()
			}
		}
		if g.chance(20) {
			g.line("error(%s)", g.one("'E:co'", "nil", "{1}", "'E:co', 0"))
		}
		if g.chance(10) {
			g.line("do return coroutine.yield(%s) end", g.list(1))
		}
	})
	g.line("end)")
	for range 2 + g.rng.IntN(3) {
		if wrap {
			g.line("out(P(%s, %s))", co, g.list(2))
		} else {
			g.line("out((function(ok, a, ...) if ok then return ok, a, ... end return ok, L(a) end)(coroutine.resume(%s, %s)))",
				co, g.list(2))
			g.line("out(coroutine.status(%s))", co)
		}
	}
}

func (g *generator) metatable() {
	g.made++
	mt := fmt.Sprintf("mt%d", g.made)
	g.line("local %s = {}", mt)
	for range 1 + g.rng.IntN(4) {
		event := g.one("__index", "__newindex", "__call", "__add", "__sub", "__concat", "__eq", "__lt", "__le", "__unm",
			"__tostring", "__mod", "__mul", "__div", "__pow")
		switch {
		case event == "__index" && g.chance(40):
			g.line("%s.__index = {a = 'ia', k = %s}", mt, g.expr(2))
		case event == "__tostring":
			g.line("%s.__tostring = function(t) return 'T' .. tostring(rawget(t, 1)) end", mt)
		case event == "__newindex" && g.chance(30):
			g.line("%s.__newindex = G3", mt)
		case event == "__newindex":
			g.line("%s.__newindex = function(t, k, v) fuel() rawset(t, k, {v}) end", mt)
		case event == "__unm": // the machine gives it its operand once
			g.line("%s.__unm = function(a) fuel() return type(a) end", mt)
		default:
			g.line("%s.%s = function(a, b, ...) fuel() return %s end", mt, event,
				g.one("1", "type(a) .. type(b)", "type(a) == type(b)", "nil", "a, b", "select('#', ...)"))
		}
	}
	a := g.fresh()
	g.line("local %s = setmetatable({%s}, %s)", a, g.list(2), mt)
	g.declare(a)
	b := g.inner(func() string { return g.expr(2) })
	for range 2 + g.rng.IntN(3) {
		e := g.one("%s + %s", "%s - %s", "%s * %s", "%s / %s", "%s %% %s", "%s ^ %s", "%s .. %s", "%s == %s", "%s < %s",
			"%s <= %s", "%s > %s", "- %s, %s", "%s.a, %s", "%s(%s, 2)", "tostring(%s), %s", "%s[%s]", "%s.k, %s")
		x, y := a, b
		if g.chance(40) {
			y = fmt.Sprintf("setmetatable({2}, %s)", mt)
		}
		if g.chance(30) && !strings.Contains(e, "[") && !strings.Contains(e, ".a") && !strings.Contains(e, ".k") &&
			!strings.Contains(e, "(") {
			x, y = y, x
		}
		g.line("out(P(function() return "+e+" end))", x, y)
	}
	g.line("%s.%s = %s out(rawget(%s, 'a'), %s)", a, g.one("a", "z"), g.expr(1), a, a)
}
