package luavm

import (
	"errors"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	lua "github.com/yuin/gopher-lua"
)

// TestBlockedTimeDoesNotCount: SPEC 6: "every call that waits (recv, Redis)
// starts it anew".
func TestBlockedTimeDoesNotCount(t *testing.T) {
	const budget = 100 * time.Millisecond
	lib := NewLibrary(map[string]lua.LValue{
		"wait": Func(func(L *lua.LState) int { Of(L).Block(func() { time.Sleep(budget / 2) }); return 0 }),
	})
	vm := newVM(t, Config{Library: lib, Limits: Limits{Budget: budget}, Gate: NewGate(1)})
	run(t, vm, `for i = 1, 4 do wait() for i = 1, 10000 do end end`)
	co := `coroutine.wrap(function() for i = 1, 4 do wait() for i = 1, 10000 do end end end)()`
	run(t, vm, co)
	if e := runError(t, vm, `wait() while true do end`); e.Kind != Budget {
		t.Error(e)
	}
}

// SPEC 1.4: "Each run between two blocking calls has a time budget". It is as long as it is said to be: time that
// passes while the process has no core counts less, so of several runs the shortest tells.
func TestLengthOfTheBudget(t *testing.T) {
	const budget = 100 * time.Millisecond
	vm := newVM(t, Config{Limits: Limits{Budget: budget}})
	shortest := time.Hour
	for range 20 {
		began := time.Now()
		if e := runError(t, vm, `while true do end`); e.Kind != Budget {
			t.Fatal(e)
		}
		if shortest = min(shortest, time.Since(began)); shortest < budget {
			t.Fatalf("over after %v of %v", shortest, budget)
		}
		if shortest < 2*budget {
			return
		}
	}
	t.Errorf("a budget of %v was used up after %v at the earliest", budget, shortest)
}

// SPEC 6: "every call that waits (recv, Redis) starts it anew".
func TestEachWaitStartsTheBudgetAnew(t *testing.T) {
	const budget = 100 * time.Millisecond
	lib := NewLibrary(map[string]lua.LValue{
		"wait": Func(func(L *lua.LState) int { Of(L).Block(func() {}); return 0 }),
	})
	vm := newVM(t, Config{Library: lib, Limits: Limits{Budget: budget}, Gate: NewGate(1)})
	const work = `local function work() local t = os.clock() while os.clock() - t < 0.05 do end end
`
	run(t, vm, work+`for i = 1, 20 do work() wait() end`)
	if e := runError(t, vm, work+`wait() for i = 1, 20 do work() end`); e.Kind != Budget {
		t.Error(e)
	}
}

// SPEC 6: "The budget is the time Lua runs, not the time it waits for a core". A look that gives way to others and
// waits for its turn again counts nothing of that; the next look would see it.
func TestWaitingAtTheGateDoesNotCount(t *testing.T) {
	gate := NewGate(1)
	vm := newVM(t, Config{Gate: gate, Limits: Limits{Budget: time.Minute}})
	least := time.Hour
	for range 20 { // the machine may be slow for a moment
		gate.enter()
		entered, left := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(left)
			gate.enter()
			close(entered)
			time.Sleep(20 * time.Millisecond)
			gate.leave()
		}()
		for gate.Waiting() == 0 {
			time.Sleep(time.Millisecond)
		}
		vm.looked = now()
		vm.entered = vm.looked - 2*giveWayAfter
		vm.look()
		select {
		case <-entered:
		default:
			t.Fatal("it did not give way")
		}
		before := vm.used
		vm.look()
		least = min(least, vm.used-before)
		<-left
		gate.leave()
	}
	if least > maxLook/2 {
		t.Errorf("%v of the wait counted", least)
	}
	checkEmpty(t, gate)
}

// TestLongRunsGiveWay: a VM at the gate gets its turn while another runs on.
func TestLongRunsGiveWay(t *testing.T) {
	gate := NewGate(1)
	var stop atomic.Bool
	started, done := make(chan struct{}), make(chan struct{})
	lib := NewLibrary(map[string]lua.LValue{
		"started": Func(func(*lua.LState) int { close(started); return 0 }),
		"stop":    Func(func(L *lua.LState) int { L.Push(lua.LBool(stop.Load())); return 1 }),
	})
	go func() {
		defer close(done)
		vm := New(Config{Gate: gate, Library: lib, Limits: Limits{Budget: time.Minute}})
		defer vm.Close()
		if _, err := vm.Run(compile(t, `started() while not stop() do end`)); err != nil {
			t.Error(err)
		}
	}()
	<-started
	vm := newVM(t, Config{Gate: gate})
	for range 3 {
		if got := run(t, vm, `return 1`); got != lua.LNumber(1) {
			t.Error(got)
		}
	}
	stop.Store(true)
	<-done
}

// TestFrozenTimeDoesNotCount: SPEC 5.2: a node is "frozen and thawed"; its
// scripts must not pay for it.
func TestFrozenTimeDoesNotCount(t *testing.T) {
	vm := newVM(t, Config{})
	vm.enter()
	vm.looked = now() - time.Hour
	vm.look()
	used := vm.used
	vm.leave()
	if vm.fatal != nil || used != maxLook {
		t.Errorf("used %v, %v", used, vm.fatal)
	}
}

func TestKill(t *testing.T) {
	vm := newVM(t, Config{Limits: Limits{Budget: time.Minute}, Print: func(vm *VM, _ string) { go vm.Kill() }})
	if e := runError(t, vm, `print("on") while true do end`); e.Kind != Exit {
		t.Error(e)
	}
	if e := runError(t, vm, `while true do end`); e.Kind != Exit {
		t.Error(e)
	}
}

func TestExitIsNoError(t *testing.T) {
	lib := NewLibrary(map[string]lua.LValue{
		"send": Func(func(L *lua.LState) int { Of(L).Exit(L); return 0 }),
	})
	vm := newVM(t, Config{Library: lib})
	for _, source := range []string{
		`send()`, `pcall(send) x = 1`, `xpcall(send, print) x = 1`,
		`coroutine.resume(coroutine.create(function() send() end)) x = 1`,
		`string.gsub("a", "a", send) x = 1`, `table.sort({1, 2}, send) x = 1`,
		`local t = setmetatable({}, {__index = send}) pcall(function() return t.x end) x = 1`,
	} {
		if e := runError(t, vm, source); e.Kind != Exit || e.Kind.String() != "exit" {
			t.Errorf("%s: %v", source, e)
		}
	}
	if vm.Global("x") != lua.LNil {
		t.Error("the script went on")
	}
}

// TestPanicsOfTheHost become errors that carry the Go stack.
func TestPanicsOfTheHost(t *testing.T) {
	lib := NewLibrary(map[string]lua.LValue{
		"crash": Func(func(L *lua.LState) int { panic(errors.New("disk on fire")) }),
	})
	for _, source := range []string{`crash()`, `pcall(crash)`, `coroutine.wrap(function() crash() end)()`,
		`("x"):gsub("x", crash)`} {
		vm := newVM(t, Config{Library: lib})
		e := runError(t, vm, source)
		if e.Kind != Panic || e.Message != "test.lua:1: internal error: disk on fire" ||
			!strings.Contains(e.Traceback, "limits_test.go") || !vm.Broken() {
			t.Errorf("%s: %+v", source, e)
		}
	}
}

// TestNestedCalls: a host function that calls back shares the budget.
func TestNestedCalls(t *testing.T) {
	lib := NewLibrary(map[string]lua.LValue{"apply": Func(func(L *lua.LState) int {
		vm := Of(L)
		values, err := vm.Call(L.Get(1), lua.LNumber(20))
		if err != nil {
			vm.Reraise(L, err)
		}
		for _, v := range values {
			L.Push(v)
		}
		return len(values)
	})})
	vm := newVM(t, Config{Library: lib, Limits: Limits{Budget: 50 * time.Millisecond}, Gate: NewGate(1)})
	if got := run(t, vm, `local a, b = apply(function(x) return x + 1, x end) return a + b + apply(function(x) return x end)`); got != lua.LNumber(61) {
		t.Error(got)
	}
	if got := run(t, vm, `return coroutine.wrap(function() return apply(function(x) return x end) end)()`); got != lua.LNumber(20) {
		t.Error(got)
	}
	for _, test := range []struct {
		source, message string
		kind            Kind
	}{
		{`apply(function() error("inner") end)`, "test.lua:1: inner", Raised},
		{`apply(nil)`, "test.lua:1: attempt to call a nil value", Raised},
		{`pcall(apply, function() while true do end end) x = 1`, "test.lua:1: time budget of 50ms used up", Budget},
		{`local function f() return 1 + apply(f) end f()`, "test.lua:1: stack overflow", Depth},
	} {
		if e := runError(t, vm, test.source); e.Kind != test.kind || e.Message != test.message {
			t.Errorf("%s: %v %v", test.source, e.Kind, e)
		}
	}
	if got := run(t, vm, `local ok, e = pcall(apply, function() error({7}) end) return e[1]`); got != lua.LNumber(7) {
		t.Error(got)
	}
}

func TestLimitsAreKept(t *testing.T) {
	vm := newVM(t, Config{Limits: Limits{Budget: time.Minute, Depth: 50, Value: 1000, Memory: 1 << 20}})
	if got := run(t, vm, `local function f(n) if n == 0 then return 0 end return 1 + f(n - 1) end return f(45)`); got != lua.LNumber(45) {
		t.Error(got)
	}
	if e := runError(t, vm, `local function f(n) if n == 0 then return 0 end return 1 + f(n - 1) end return f(60)`); e.Kind != Depth {
		t.Error(e)
	}
	if got := run(t, vm, `return #("x"):rep(1000)`); got != lua.LNumber(1000) {
		t.Error(got)
	}
	if e := runError(t, vm, `local s = ("x"):rep(1000) return s .. "x"`); e.Kind != Value ||
		e.Message != "test.lua:1: string longer than 1000 bytes" {
		t.Error(e)
	}
	if e := runError(t, vm, `t = {} for i = 1, 5000 do t[i] = ("x"):rep(500) .. i end`); e.Kind != Memory ||
		e.Message != "test.lua:1: more than 1048576 bytes of memory used" {
		t.Error(e)
	}
	vm.SetGlobal("t", lua.LNil)
	// What is thrown away does not count, however much it is in all.
	run(t, vm, `for i = 1, 20000 do local t = {("x"):rep(500) .. i, {}} end`)
}

// TestMemoryIsMeasured: the estimate is of the right size for each kind of value.
func TestMemoryIsMeasured(t *testing.T) {
	for _, test := range []struct {
		name, source string
		low, high    int
	}{
		{"nothing", ``, 0, 8 << 10},
		{"string", `s = ("x"):rep(1e6)`, 1e6, 1.02e6},
		{"one string many times", `local s = ("x"):rep(1e5) t = {} for i = 1, 100 do t[i] = s end`, 1e5, 1.2e5},
		{"array", `t = {} for i = 1, 10000 do t[i] = i end`, 160e3, 400e3},
		{"fields", `t = {} for i = 1, 10000 do t["k" .. i] = i end`, 700e3, 2.5e6},
		{"fields removed", `t = {} for i = 1, 10000 do t["k" .. i] = i t["k" .. i] = nil end`, 500e3, 2e6},
		{"closures", `t = {} for i = 1, 1000 do t[i] = function() return i end end`, 100e3, 300e3},
		{"in an outer local", `local s = ("x"):rep(1e6) function f() return s end`, 1e6, 1.02e6},
		{"in a coroutine", `co = coroutine.create(function() local s = ("x"):rep(1e6) coroutine.yield() return s end) coroutine.resume(co)`, 1e6, 1.02e6},
		{"in a wrapped coroutine", `co = coroutine.wrap(function() local s = ("x"):rep(1e6) coroutine.yield() return s end) co()`, 1e6, 1.02e6},
		{"in a gmatch", `next = ("x"):rep(1e6):gmatch("y")`, 1e6, 1.02e6},
		{"in a metatable", `t = setmetatable({}, {s = ("x"):rep(1e6)})`, 1e6, 1.02e6},
		{"as a key", `t = {[{("x"):rep(1e6)}] = 1}`, 1e6, 1.02e6},
	} {
		t.Run(test.name, func(t *testing.T) {
			vm := newVM(t, Config{Limits: Limits{Budget: time.Minute}})
			run(t, vm, test.source)
			if got := vm.Memory(); got < test.low || got > test.high {
				t.Errorf("%d bytes; want %d to %d", got, test.low, test.high)
			}
		})
	}
}

// TestRemovedFieldsAreForgotten: a script that runs for days may see any number
// of names, as long as it keeps few of them.
func TestRemovedFieldsAreForgotten(t *testing.T) {
	vm := newVM(t, Config{Limits: Limits{Budget: time.Minute, Memory: 1 << 20}})
	run(t, vm, `
		here = {[0] = "first"}
		for i = 1, 100000 do
			here["name" .. i] = i
			here["name" .. i - 10] = nil
		end
		local n = 0
		for k, v in pairs(here) do n = n + 1 assert(v == "first" or v > 99990 and k == "name" .. v) end
		assert(n == 11)
		-- Removing all while iterating ends, whenever the table is compacted.
		for round = 1, 20 do
			local t = {}
			for i = 1, 1000 do t["k" .. i] = ("x"):rep(i % 50) end
			for k in pairs(t) do t[k] = nil local waste = ("y"):rep(500) .. k end
			assert(next(t) == nil)
		end`)
	if n := len(view(vm.Global("here").(*lua.LTable)).keys); n > 20000 {
		t.Errorf("%d keys kept", n)
	}
}

func TestNextInOrder(t *testing.T) {
	vm := newVM(t, Config{})
	for _, test := range []struct{ source, want string }{
		{`{}`, ``},
		{`{1, 2, 3}`, `1=1 2=2 3=3`},
		{`{1, nil, 3}`, `1=1 3=3`},
		{`{z = 1, a = 2, [true] = 3, [0] = 4, [-1] = 5, [2.5] = 6, 7}`, `1=7 z=1 a=2 true=3 0=4 -1=5 2.5=6`},
		{`(function() local t = {a = 1, b = 2, c = 3} t.b = nil t.a = nil t.a = 4 return t end)()`, `a=4 c=3`},
		{`(function() local t = {a = 1} t.a = nil return t end)()`, ``},
		{`(function() local t = {1, 2, x = 1} table.remove(t) table.remove(t) return t end)()`, `x=1`},
		{`json.decode('{"b":[],"a":1}')`, `b=table a=1`},
		{`setmetatable({1}, {__index = {2, 3}})`, `1=1`},
	} {
		got := run(t, vm, `local out = {} for k, v in pairs(`+test.source+`) do
			out[#out + 1] = tostring(k) .. "=" .. (type(v) == "table" and "table" or tostring(v)) end return table.concat(out, " ")`)
		if got.String() != test.want {
			t.Errorf("%s: %s; want %s", test.source, got, test.want)
		}
	}
}

// TestPartsDoNotHoldTheWhole: in Go a part of a string holds all of it, which
// no estimate of the memory would see.
func TestPartsDoNotHoldTheWhole(t *testing.T) {
	for _, part := range []string{
		`big:sub(1, 1)`, `big:match("x")`, `big:gmatch("x")()`, `big:gsub("^(x).*$", "%1")`,
		`json.decode('["' .. big .. '","y"]')[2]`,
		`(function() local p big:gsub("^x", function(m) p = m end) return p end)()`,
	} {
		vm := newVM(t, Config{Limits: Limits{Budget: time.Minute}})
		before := heap()
		run(t, vm, `parts = {} for i = 1, 50 do local big = ("x"):rep(5e5) parts[i] = `+part+` end assert(#parts[50] == 1)`)
		if grown := int(heap()) - int(before); grown > 10<<20 {
			t.Errorf("%s: %d bytes held", part, grown)
		}
	}
}

// heap is what is alive: after two collections nothing of earlier tests is left in a sync.Pool, after a third none of
// what that held.
func heap() uint64 {
	for range 3 {
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// A handler's author is shown the stack of Lua, not that of the machine below.
func TestTracebackOfOverflowIsLuas(t *testing.T) {
	vm := newVM(t, Config{})
	e := runError(t, vm, "local function f(n) return 1 + f(n + 1) end\nf(0)")
	if e.Kind != Depth || !strings.HasPrefix(e.Traceback, "stack traceback:") ||
		strings.Contains(e.Traceback, "goroutine") {
		t.Errorf("%s: %.300s", e.Kind, e.Traceback)
	}
}

// In a synctest bubble the time of the machine stands still while Lua runs; the budget holds by the clock that it is
// given.
func TestBudgetByAClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ticks := time.Duration(0)
		vm := newVM(t, Config{Limits: Limits{Budget: 100 * time.Millisecond}, Clock: func() time.Duration {
			ticks += time.Millisecond
			return ticks
		}})
		if e := runError(t, vm, `while true do end`); e.Kind != Budget || ticks > time.Second {
			t.Errorf("%v after %v", e, ticks)
		}
	})
}
