package lua51

import (
	"fmt"
	"strings"
)

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
