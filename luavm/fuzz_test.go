package luavm

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	lua "github.com/yuin/gopher-lua"
)

// fuzzLimits end everything soon.
func fuzzLimits() Limits {
	return Limits{Budget: 50 * time.Millisecond, Value: 64 << 10, Memory: 4 << 20, Depth: 100}
}

// sound fails when something got as far as the last net, or was thought of as
// a fault of the script that is none.
func sound(t *testing.T, what string, err error) {
	t.Helper()
	if err == nil {
		return
	}
	e := asError(err)
	switch {
	case e.Kind == Panic:
		t.Fatalf("%s\n%v\n%s", what, e, e.Traceback)
	case e.Kind == Raised && e.Value == nil, e.Kind == Exit, e.Kind < Raised:
		t.Fatalf("%s\n%+v", what, e)
	}
}

// FuzzProgram runs any text as a program.
func FuzzProgram(f *testing.F) {
	for _, h := range hostile {
		f.Add(h.source)
	}
	if text, err := os.ReadFile("../integration_test/lua51/testdata/programs.lua"); err == nil {
		for part := range strings.SplitSeq(string(text), "--- ") {
			_, source, _ := strings.Cut(part, "\n")
			f.Add(source)
		}
	}
	for _, p := range pieces {
		f.Add("local N, t = 10, {} " + p)
	}
	f.Add("goto a do local x ::a:: end ::b:: local y goto b")
	f.Add("local a <const> = 1 return a // 2 & 3")
	f.Fuzz(func(t *testing.T, source string) {
		p, err := Compile("fuzz.lua", source)
		if err != nil {
			if ce, ok := err.(*CompileError); !ok || strings.Contains(ce.Message, "cannot be compiled") {
				t.Fatalf("%q: %v", source, err)
			}
			return
		}
		vm := New(Config{Limits: fuzzLimits(), Print: func(*VM, string) {}})
		defer vm.Close()
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		began := threadTime(t)
		_, err = vm.Run(p, lua.LNumber(1), lua.LString("x"))
		sound(t, source, err)
		if took := threadTime(t) - began; took > 3*time.Second {
			t.Fatalf("%q ran %v", source, took)
		}
		if !vm.Broken() {
			// It is as good as new: the next run finds its stacks in order.
			if v := run(t, vm, `local function f(a, ...) local b = a return function() return b, a end, select("#", ...) end
				local g, n = f(1, 2, 3) local x, y = g() return x + y + n`); v != lua.LNumber(4) {
				t.Fatalf("%q leaves a VM that computes %v", source, v)
			}
		}
	})
}

// arguments are values of every kind, as Lua text.
var fuzzValues = []string{
	"nil", "true", "false", "0", "1", "-1", "2", "3", "0.5", "-0.5", "1e308", "-1e308", "math.huge", "-math.huge", "0/0",
	"2^31", "2^53", "2^63", "-2^63",
	"''", "'a'", "'abc'", "'10'", "' 0x10 '", "'%'", "'%d %s %q'", "'(.-)%1'", "'[%a'", "'[]'", "'%b'", "'%f'", "'^$'",
	"'%%%0'", "'\\0\\255'", "('x'):rep(300)", "'k'", "'__index'", "'*t'", "'!%c'",
	"{}", "{1, 2, 3}", "{3, 'b', 1}", "{a = 1}", "{[1] = 1, [3] = 3}", "{[1e9] = 1}", "{{}, {}}", "json.array()",
	"json.null", "'[1,{\"a\":null}]'", "'{'",
	"setmetatable({}, {__index = function() return 1 end, __call = function(...) return ... end, __tostring = function() return 'T' end, __lt = function() return true end, __concat = function() return 'C' end, __len = function() return 3 end, __newindex = function() end})",
	"setmetatable({}, {__index = string, __metatable = 'M', __tostring = function() return {} end})",
	"print", "function(...) return ... end", "function() error('x') end", "function(a, b) return a end",
	"coroutine.create(function(...) coroutine.yield(...) return ... end)",
	"coroutine.wrap(function(...) return ... end)", "coroutine.running()", "string", "_G", "string.gmatch('a b', '%a')",
}

// fuzzFunctions are all functions that scripts can call, by name.
func fuzzFunctions(t testing.TB) []string {
	vm := New(Config{})
	defer vm.Close()
	list, ok := run(t, vm, `local names = {}
		for k, v in pairs(_G) do
			if type(v) == "function" then names[#names + 1] = k
			elseif type(v) == "table" and v ~= _G then
				for f, g in pairs(v) do if type(g) == "function" then names[#names + 1] = k .. "." .. f end end
			end
		end
		table.sort(names) return table.concat(names, " ")`).(lua.LString)
	if !ok || len(list) < 500 {
		t.Fatalf("functions: %v", list)
	}
	return strings.Fields(string(list))
}

// FuzzLibrary calls every function with every kind of argument: the bytes choose.
func FuzzLibrary(f *testing.F) {
	names := fuzzFunctions(f)
	for i := range names {
		f.Add([]byte{byte(i), 1, 20, 30, 3})
		f.Add([]byte{byte(i), 3, 41, 55, 2, 8})
		f.Add([]byte{byte(i), 2, 22, 27, 49, 1})
	}
	f.Fuzz(func(t *testing.T, choice []byte) {
		if len(choice) < 2 || len(choice) > 12 {
			return
		}
		var args []string
		for _, c := range choice[2:] {
			args = append(args, fuzzValues[int(c)%len(fuzzValues)])
		}
		name := names[int(choice[0])%len(names)]
		source := fmt.Sprintf([]string{"return %s(%s)", "return pcall(%s, %s)", "local r = {%s(%s)} return r[1], #r",
			"return coroutine.resume(coroutine.create(function(...) return %s(...) end), %s)"}[int(
			choice[1])%4], name, strings.Join(args, ", "))
		if len(args) == 0 {
			source = "return " + name + "()"
		}
		vm := New(Config{Limits: fuzzLimits(), Print: func(*VM, string) {}})
		defer vm.Close()
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		began := threadTime(t)
		_, err := vm.Run(compile(t, source))
		sound(t, source, err)
		if took := threadTime(t) - began; took > 3*time.Second {
			t.Fatalf("%s ran %v", source, took)
		}
	})
}

// TestEveryFunctionTakesAnything is what FuzzLibrary begins with, for CI: each
// function with each pair of arguments.
func TestEveryFunctionTakesAnything(t *testing.T) {
	vm := New(Config{Limits: fuzzLimits(), Print: func(*VM, string) {}})
	for _, name := range fuzzFunctions(t) {
		for _, a := range fuzzValues {
			source := "local f, a, values = " + name + ", " + a + ", {" + strings.Join(fuzzValues, ", ") + "} " +
				"pcall(f, a) for i = 1, " + fmt.Sprint(len(fuzzValues)) + " do pcall(f, a, values[i]) pcall(f, values[i], a, i) end"
			_, err := vm.Run(compile(t, source))
			sound(t, source, err)
			if vm.Broken() {
				vm = New(Config{Limits: fuzzLimits(), Print: func(*VM, string) {}})
			}
		}
	}
	vm.Close()
}
