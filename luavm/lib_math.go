package luavm

import (
	"math"
	"math/rand/v2"

	lua "github.com/yuin/gopher-lua"
)

// random is a VM's own source of random numbers, made by math.randomseed.
type random struct{ *rand.Rand }

func mathFunctions() map[string]lua.LValue {
	all := functions(map[string]lua.LGFunction{
		"fmod":       mathFmod,
		"frexp":      mathFrexp,
		"ldexp":      mathLdexp,
		"max":        mathMax,
		"min":        mathMin,
		"modf":       mathModf,
		"random":     mathRandom,
		"randomseed": mathRandomSeed,
	})
	all["mod"] = all["fmod"]
	for name, f := range map[string]func(float64) float64{
		"abs": math.Abs, "acos": math.Acos, "asin": math.Asin, "atan": math.Atan,
		"ceil": math.Ceil, "cos": math.Cos, "cosh": math.Cosh, "exp": math.Exp,
		"floor": math.Floor, "log": math.Log, "log10": math.Log10, "sin": math.Sin,
		"sinh": math.Sinh, "sqrt": math.Sqrt, "tan": math.Tan, "tanh": math.Tanh,
		"deg": func(x float64) float64 { return x * 180 / math.Pi },
		"rad": func(x float64) float64 { return x * math.Pi / 180 },
	} {
		all[name] = function(func(L *lua.LState) int {
			L.Push(lua.LNumber(f(number(L, 1))))
			return 1
		})
	}
	for name, f := range map[string]func(x, y float64) float64{"atan2": math.Atan2, "pow": math.Pow} {
		all[name] = function(func(L *lua.LState) int {
			L.Push(lua.LNumber(f(number(L, 1), number(L, 2))))
			return 1
		})
	}
	all["pi"] = lua.LNumber(math.Pi)
	all["huge"] = lua.LNumber(math.Inf(1))
	return all
}

func number(L *lua.LState, n int) float64 { return float64(checkNumber(L, n)) }

func mathFmod(L *lua.LState) int {
	L.Push(lua.LNumber(math.Mod(number(L, 1), number(L, 2))))
	return 1
}

func mathFrexp(L *lua.LState) int {
	f, e := math.Frexp(number(L, 1))
	L.Push(lua.LNumber(f))
	L.Push(lua.LNumber(e))
	return 2
}

func mathLdexp(L *lua.LState) int {
	L.Push(lua.LNumber(math.Ldexp(number(L, 1), int(max(min(number(L, 2), 5000), -5000)))))
	return 1
}

func mathModf(L *lua.LState) int {
	x := number(L, 1)
	whole, part := math.Modf(x)
	if math.IsInf(x, 0) {
		part = math.Copysign(0, x)
	}
	L.Push(lua.LNumber(whole))
	L.Push(lua.LNumber(part))
	return 2
}

func mathMax(L *lua.LState) int {
	most := number(L, 1)
	for i := 2; i <= L.GetTop(); i++ {
		if n := number(L, i); n > most { // NaN is not
			most = n
		}
	}
	L.Push(lua.LNumber(most))
	return 1
}

func mathMin(L *lua.LState) int {
	least := number(L, 1)
	for i := 2; i <= L.GetTop(); i++ {
		if n := number(L, i); n < least {
			least = n
		}
	}
	L.Push(lua.LNumber(least))
	return 1
}

// mathRandom draws from the process's source, or from the VM's own once the
// script has seeded it.
func mathRandom(L *lua.LState) int {
	f := rand.Float64
	if r := Of(L).random; r != nil {
		f = r.Float64
	}
	low, high := 1.0, 0.0
	switch L.GetTop() {
	case 0:
		L.Push(lua.LNumber(f()))
		return 1
	case 1:
		high = math.Trunc(number(L, 1))
	case 2:
		low, high = math.Trunc(number(L, 1)), math.Trunc(number(L, 2))
	default:
		L.RaiseError("wrong number of arguments")
	}
	if !(low <= high) || math.IsInf(high-low, 0) {
		L.ArgError(L.GetTop(), "interval is empty")
	}
	L.Push(lua.LNumber(min(low+math.Floor(f()*(high-low+1)), high)))
	return 1
}

func mathRandomSeed(L *lua.LState) int {
	seed := math.Float64bits(number(L, 1))
	Of(L).random = &random{rand.New(rand.NewPCG(seed, 0))}
	return 0
}
