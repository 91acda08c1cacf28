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
