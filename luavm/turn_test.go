package luavm

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	lua "github.com/yuin/gopher-lua"
	"pgregory.net/rapid"
)

// base is a handler file with everything that a turn may write.
const base = `
	count, list, map = 0, {1, 2, 3}, {a = {b = {}}}
	Class = {} Class.__index = Class
	function Class.new() return setmetatable({n = 0}, Class) end
	function Class:add() self.n = self.n + 1 return self.n end
	object = Class.new()
	proxied = setmetatable({}, {__newindex = list})
	local hidden, secret, n = 0, {}, 0
	local function bump() n = n + 1 return n end
	ops = {
		function() count = count + 1 end,
		function() hidden = hidden + 1 end,
		function() secret[#secret + 1] = #secret end,
		function() list[#list + 1] = count end,
		function() table.insert(list, 1, hidden) end,
		function() table.remove(list) end,
		function() table.sort(list, function(a, b) return a > b end) end,
		function() map.a.b.c = (map.a.b.c or 0) + 1 end,
		function() map.a = {b = {}} end,
		function() map.x = map.a end,
		function() rawset(map, "raw" .. count % 3, true) end,
		function() object:add() end,
		function() Class.extra = (Class.extra or 0) + 1 end,
		function() setmetatable(map, {__index = function(_, k) return k end}) end,
		function() setmetatable(map, nil) end,
		function() proxied[#list + 1] = "p" end,
		function() fresh = (fresh or 0) + 1 end,
		function() _G["g" .. count % 2] = count end,
		function() count = nil count = 5 end,
		function() bump() end,
		function() ops[1] = function() count = (count or 0) + 100 end end,
		function() local old = bump bump = function() return old() + 1 end end,
		function() json.array(secret) end,
		function() later = coroutine.wrap(function() while true do coroutine.yield(bump()) end end) later() end,
		function() if later then later() end end,
		function() list = {unpack(list)} end,
		function() error("in the middle") end,
	}
	function apply(i) ops[i]() end
	function dump()
		return json.encode({count or json.null, hidden, secret, list, map.a, map.a.b, map.x == map.a, map.zzz or json.null, map.raw0 or 0, map.raw1 or 0,
			object.n, Class.extra or 0, #proxied, fresh or 0, g0 or 0, g1 or 0, n, later ~= nil})
	end`

// TestTurnsAreAsIfAlone: SPEC 1.4: "Two connections never see each other's
// globals". Connections that share a VM see what they would see each with a VM
// of its own.
func TestTurnsAreAsIfAlone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const n = 3
		s := newSharing(t, n, New(Config{}), func() *VM { return New(Config{}) })
		defer s.close()
		for range rapid.IntRange(1, 40).Draw(t, "events") {
			s.turn(t, rapid.IntRange(0, n-1).Draw(t, "connection"), 27, func() {})
		}
	})
}

// sharing is a VM that connections share, and beside it one for each of them.
type sharing struct {
	pooled   *VM
	alone    []*VM
	globals  []*Globals // of each connection in pooled
	pristine string     // what a new connection sees
}

// newSharing takes the shared VM, and makes the others; sources are run in all of them after base.
func newSharing(t *rapid.T, n int, pooled *VM, alone func() *VM, sources ...string) *sharing {
	s := &sharing{pooled: pooled, globals: make([]*Globals, n)}
	load(t, pooled, sources...)
	for range n {
		vm := alone()
		load(t, vm, sources...)
		s.alone = append(s.alone, vm)
	}
	s.pristine = dump(t, s.alone[0])
	return s
}

func (s *sharing) close() {
	for _, vm := range append(s.alone, s.pooled) {
		vm.Close()
	}
}

// turn runs some of the first ops of base as one turn of connection c, and compares what it and a new one see then.
// before is called before each.
func (s *sharing) turn(t *rapid.T, c, ops int, before func()) {
	s.pooled.BeginTurn(s.globals[c])
	for range rapid.IntRange(1, 3).Draw(t, "ops") {
		op := lua.LNumber(rapid.IntRange(1, ops).Draw(t, "op"))
		before()
		_, err1 := s.pooled.Call1(s.pooled.Global("apply"), op)
		_, err2 := s.alone[c].Call1(s.alone[c].Global("apply"), op)
		if (err1 == nil) != (err2 == nil) {
			t.Fatalf("op %v: %v; alone: %v", op, err1, err2)
		}
	}
	got, want := dump(t, s.pooled), dump(t, s.alone[c])
	s.globals[c] = s.pooled.EndTurn()
	if got != want {
		t.Fatalf("connection %d sees\n%s; alone\n%s", c, got, want)
	}
	s.pooled.BeginTurn(nil)
	got = dump(t, s.pooled)
	if g := s.pooled.EndTurn(); g != nil || got != s.pristine {
		t.Fatalf("a new connection sees\n%s; want\n%s (%v)", got, s.pristine, g)
	}
}

func load(t *rapid.T, vm *VM, sources ...string) {
	for _, source := range append([]string{base}, sources...) {
		p, err := Compile("base.lua", source)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := vm.Run(p); err != nil {
			t.Fatal(err)
		}
	}
}

func dump(t *rapid.T, vm *VM) string {
	v, err := vm.Call1(vm.Global("dump"))
	if err != nil {
		t.Fatal(err)
	}
	return v.String()
}

// inTurn runs source as a function of its own in one turn.
func inTurn(t *testing.T, vm *VM, g *Globals, source string) (lua.LValue, *Globals, error) {
	t.Helper()
	fn := vm.L().NewFunctionFromProto(compile(t, source).proto)
	vm.BeginTurn(g)
	v, err := vm.Call1(fn)
	return v, vm.EndTurn(), err
}

func TestTurnThatWritesNothingKeepsNothing(t *testing.T) {
	vm := newVM(t, Config{})
	run(t, vm, `words = ("a b"):gmatch("%a")`)
	if v, g, err := inTurn(t, vm, nil, `return words() .. words()`); err != nil || v.String() != "ab" || g == nil {
		t.Fatalf("%v, %v, %v", v, g, err)
	}
	if v, _, err := inTurn(t, vm, nil, `return words()`); err != nil || v.String() != "a" {
		t.Fatalf("%v, %v", v, err)
	}
	run(t, vm, `config = {max = 3} function helper(t) t.x = 1 return t end`)
	_, g, err := inTurn(t, vm, nil, `
		local t = helper({max = config.max}) t[1] = string.rep("x", 3)
		for k, v in pairs(config) do t[k] = v end
		local n = 0 local function f() n = n + 1 end f()
		for k in pairs(_G) do n = n + 1 end
		return json.encode(t)`)
	if err != nil || g != nil {
		t.Fatalf("%v, %v", g, err)
	}
}

// TestTurnEndsWhateverHappens: the base is put back after every kind of error.
func TestTurnEndsWhateverHappens(t *testing.T) {
	for _, test := range []struct{ name, source string }{
		{"error", `x = 1 t.x = 1 error("no")`},
		{"budget", `x = 1 t.x = 1 while true do end`},
		{"depth", `x = 1 t.x = 1 local function f() x = f() + 1 end f()`},
		{"depth in pcall", `x = 1 t.x = 1 local function f() pcall(f) x = 2 end f()`},
		{"value", `x = 1 t.x = ("x"):rep(1e9)`},
		{"memory", `x = {} t.x = 1 while true do x = {x} end`},
		{"panic", `x = 1 t.x = 1 crash()`},
		{"in a coroutine", `x = 1 t.x = 1 coroutine.wrap(function() t.y = 1 while true do end end)()`},
	} {
		t.Run(test.name, func(t *testing.T) {
			lib := NewLibrary(map[string]lua.LValue{"crash": Func(func(*lua.LState) int { panic("oh") })})
			vm := newVM(t, Config{Library: lib, Limits: Limits{Budget: 50 * time.Millisecond, Memory: 1 << 20}})
			run(t, vm, `x, t = 0, {}`)
			_, g, err := inTurn(t, vm, nil, test.source)
			if err == nil || g == nil {
				t.Fatalf("%v, %v", g, err)
			}
			v, g2, err := inTurn(t, vm, nil, `return x == 0 and next(t) == nil`)
			if err != nil || v != lua.LTrue || g2 != nil {
				t.Fatalf("the next connection sees %v, %v, %v", v, g2, err)
			}
			if v, _, err := inTurn(t, vm, g, `return x ~= 0 and t`); err != nil || v.Type() != lua.LTTable {
				t.Fatalf("the same connection sees %v, %v", v, err)
			}
		})
	}
}

func TestRequire(t *testing.T) {
	modules := map[string]string{
		"lib.a":   `loads = (loads or 0) + 1 return {name = "a", list = {}}`,
		"lib.b":   `shared = require("lib.a") function from_b() return shared.name .. loads end`,
		"lib.bad": `local x = = 1`,
		"lib.err": `error("broken module")`,
		"lib.co":  `paused = coroutine.create(function() coroutine.yield(1) end) coroutine.resume(paused)`,
	}
	vm := newVM(t, Config{Require: func(name string) (*Program, error) {
		source, ok := modules[name]
		if !ok {
			return nil, errors.New("module '" + name + "' not found in handlers/ and lib/")
		}
		return Compile(strings.ReplaceAll(name, ".", "/")+".lua", source)
	}})
	run(t, vm, `a = require("lib.a") assert(a == require("lib.a") and loads == 1)`)
	// In a turn, what a file defines is for everybody, and what the turn itself
	// writes is not.
	v, g, err := inTurn(t, vm, nil,
		`mine = 1 assert(require("lib.b") == true) a.list[1] = "x" return from_b() .. #a.list .. mine`)
	if err != nil || v.String() != "a111" || g == nil {
		t.Fatalf("%v, %v, %v", v, g, err)
	}
	v, g2, err := inTurn(t, vm, nil, `return from_b() .. #a.list .. #shared.list .. tostring(mine)`)
	if err != nil || v.String() != "a100nil" || g2 != nil {
		t.Fatalf("%v, %v, %v", v, g2, err)
	}
	v, _, err = inTurn(t, vm, nil, `shared.list[1] = 1 from_b = nil loads = 9 return require("lib.a").list[1]`)
	if err != nil || v != lua.LNumber(1) {
		t.Fatalf("%v, %v", v, err)
	}
	v, _, err = inTurn(t, vm, nil, `return from_b() .. #shared.list .. loads`)
	if err != nil || v.String() != "a101" {
		t.Fatalf("%v, %v", v, err)
	}
	for name, want := range map[string]string{
		"nothing": "test.lua:1: module 'nothing' not found in handlers/ and lib/",
		"lib.bad": "test.lua:1: lib/bad.lua:1: syntax error near '='",
		"lib.err": "lib/err.lua:1: broken module",
	} {
		for range 2 {
			if e := runError(t, vm, fmt.Sprintf(`require(%q)`, name)); e.Message != want {
				t.Errorf("%s: %s; want %s", name, e.Message, want)
			}
		}
	}
	run(t, vm, `require("lib.co") wrapped = coroutine.wrap(function() while true do coroutine.yield() end end)`)
	if _, _, err := inTurn(t, vm, nil, `wrapped()`); err == nil ||
		!strings.Contains(err.Error(), "cannot resume a coroutine made while the file was loaded") {
		t.Errorf("%v", err)
	}
	if v, _, err := inTurn(t, vm, nil, `local ok, why = coroutine.resume(paused) return why`); err != nil ||
		v.String() != "cannot resume a coroutine made while the file was loaded" {
		t.Errorf("%v, %v", v, err)
	}
	if e := runError(t, newVM(t, Config{}), `require("x")`); e.Message != "test.lua:1: module 'x' not found" {
		t.Error(e)
	}
}

func TestTurnMisuse(t *testing.T) {
	vm, other := newVM(t, Config{}), newVM(t, Config{})
	_, g, err := inTurn(t, vm, nil, `x = 1`)
	if err != nil || g.VM() != vm {
		t.Fatal(err)
	}
	for name, f := range map[string]func(){
		"foreign globals": func() { other.BeginTurn(g) },
		"end without":     func() { other.EndTurn() },
		"begin twice":     func() { vm.BeginTurn(nil); vm.BeginTurn(nil) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			f()
		}()
	}
	vm.EndTurn()
}
