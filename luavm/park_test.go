package luavm

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	lua "github.com/yuin/gopher-lua"
	"pgregory.net/rapid"
)

// parking is a VM whose function wait parks the turn, and runs what during holds meanwhile.
type parking struct {
	t      *testing.T
	vm     *VM
	during func()
	parked int
	ends   atomic.Int32
}

func newParking(t *testing.T, c Config, files ...string) *parking {
	t.Helper()
	p := &parking{t: t}
	c.Library = NewLibrary(map[string]lua.LValue{"wait": Func(func(L *lua.LState) int {
		f := p.during
		p.during = nil
		if Of(L).Park(L, func() { p.ends.Add(1) }, func() {
			if f != nil {
				f()
			}
		}) {
			p.parked++
		} else {
			f()
		}
		L.Push(lua.LString("waited"))
		return 1
	})})
	p.vm = New(c)
	t.Cleanup(p.vm.Close)
	for _, source := range files {
		if _, err := p.vm.Run(compile(t, source)); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

// turn calls a global function in a turn of a connection.
func (p *parking) turn(g *Globals, fn string, args ...lua.LValue) (string, *Globals) {
	p.vm.BeginTurn(g)
	v, err := p.vm.Call1(p.vm.Global(fn), args...)
	out := ""
	switch {
	case err != nil:
		out = "error " + err.Error()
	default:
		out = v.String()
	}
	return out, p.vm.EndTurn()
}

func (p *parking) same(got, want string) {
	p.t.Helper()
	if got != want {
		p.t.Errorf("got  %s\nwant %s", got, want)
	}
}

// Turns of two connections, one in the midst of the other's wait, see nothing of each other: globals, tables of the
// base, outer locals, coroutines, errors that are caught, iterations.
func TestParkedTurnsSeeNothingOfOthers(t *testing.T) {
	p := newParking(t, Config{}, `
shared, count = { a = 1, b = 2, c = 3 }, 0
local outer = 0
function slow(id)
  shared[id], count, outer = true, count + 1, outer + 1
  mine = id
  local seen = {}
  local gen = coroutine.wrap(function()
    for k in pairs(shared) do
      if k == id then seen.waited = wait() end
      coroutine.yield(k)
    end
    return "end"
  end)
  repeat
    local k = gen()
    seen[#seen + 1] = k
  until k == "end"
  table.sort(seen)
  local ok, why = pcall(function() local x = wait() error("oops " .. x) end)
  return table.concat(seen, " ") .. " " .. tostring(seen.waited) .. count .. outer .. mine .. tostring(ok) .. why
end
function quick(id)
  shared[id], count, outer, mine = id, count + 10, outer + 10, id
  local n = 0
  for _ in pairs(shared) do n = n + 1 end
  return n .. " " .. count .. " " .. outer .. " " .. mine
end
function look() return tostring(mine) .. count .. tostring(shared.one) .. tostring(shared.two) end`)
	var two *Globals
	p.during = func() {
		var got string
		got, _ = p.turn(nil, "look")
		p.same(got, "nil0nilnil")
		got, two = p.turn(nil, "quick", lua.LString("two"))
		p.same(got, "4 10 10 two")
		p.during = func() { // when slow waits again, in pcall
			got, two = p.turn(two, "quick", lua.LString("two"))
			p.same(got, "4 20 20 two")
		}
	}
	got, one := p.turn(nil, "slow", lua.LString("one"))
	p.same(got, "a b c end one waited11onefalsetest.lua:20: oops waited")
	got, _ = p.turn(nil, "look")
	p.same(got, "nil0nilnil")
	got, _ = p.turn(one, "look")
	p.same(got, "one1truenil")
	got, _ = p.turn(two, "look")
	p.same(got, "two20niltwo")
	if p.parked != 2 {
		t.Errorf("parked %d times", p.parked)
	}
}

// Turns park inside of each other, and come back in any order; here the last first.
func TestManyParkedTurns(t *testing.T) {
	p := newParking(t, Config{}, `function slow(n) mine = n local w = wait() return mine .. w .. n end`)
	const most = 200
	var nest func(n int)
	nest = func(n int) {
		if n == most {
			return
		}
		p.during = func() { nest(n + 1) }
		got, _ := p.turn(nil, "slow", lua.LNumber(n))
		p.same(got, fmt.Sprintf("%dwaited%d", n, n))
	}
	nest(0)
	if p.parked != most || len(p.vm.spare) > maxSpare {
		t.Errorf("%d parked, %d spare threads", p.parked, len(p.vm.spare))
	}
}

// What others do with the VM is not the parked turn's: their errors, their time, their memory.
func TestParkedTurnsOutliveOthers(t *testing.T) {
	p := newParking(t, Config{Limits: Limits{Memory: 1 << 20, Budget: 2 * time.Second}}, `
function slow() local t = {} for i = 1, 6000 do t[i] = "x" .. i end wait() return #t end
function loop() while true do end end
function deep() return 1 + deep() end
function fill() local t = {} for i = 1, 1e6 do t[i] = "y" .. i end end
function some() local t = {} for i = 1, 6000 do t[i] = "x" .. i end return #t end
function raise() error("x") end`)
	p.during = func() {
		for fn, want := range map[string]string{"loop": "time budget", "deep": "stack overflow", "fill": "bytes of memory",
			"raise": "test.lua:7: x", "some": "6000"} {
			if got, _ := p.turn(nil, fn); !strings.Contains(got, want) {
				t.Errorf("%s: %s", fn, got)
			}
		}
	}
	got, _ := p.turn(nil, "slow")
	p.same(got, "6000")
	if p.vm.Broken() {
		t.Error("the VM is broken")
	}
	p.during = func() { p.vm.broken = true }
	got, _ = p.turn(nil, "slow")
	p.same(got, "error test.lua:2: another turn has broken the VM")
}

// SPEC 1.4: memory that parked turns hold counts for the node, and the largest is told to end.
func TestParkedTurnsCountForTheCeiling(t *testing.T) {
	ceiling := NewCeiling(2 << 20)
	p := newParking(t, Config{Ceiling: ceiling}, `
function hold(n) local s = string.rep("x", n) wait() return #s end`)
	var used []int64
	p.during = func() {
		used = append(used, ceiling.Used())
		p.during = func() { used = append(used, ceiling.Used()) }
		got, _ := p.turn(nil, "hold", lua.LNumber(1000))
		p.same(got, "1000")
		if p.ends.Load() != 0 {
			t.Error("a turn was ended early")
		}
		p.during = func() {}
		_, _ = p.turn(nil, "hold", lua.LNumber(1<<20-1))
	}
	got, _ := p.turn(nil, "hold", lua.LNumber(1<<20-1000))
	p.same(got, "1047576")
	if len(used) != 2 || used[0] < 1<<20-1000 || used[1]-used[0] < 1000 || used[1]-used[0] > 32<<10 {
		t.Errorf("counted %d", used)
	}
	if p.ends.Load() != 1 || ceiling.Used() > 64<<10 {
		t.Errorf("%d were ended, %d bytes are left", p.ends.Load(), ceiling.Used())
	}
}

// A VM that was ended because of the ceiling is thrown away, but what is parked in it goes on.
func TestParkedTurnsOutliveAnEvictedVM(t *testing.T) {
	p := newParking(t, Config{Ceiling: NewCeiling(1 << 20)}, `
function slow() wait() return "there" end
function fill() local t = {} for i = 1, 1e6 do t[i] = "y" .. i end end`)
	p.during = func() {
		if got, _ := p.turn(nil, "fill"); !strings.Contains(got, "hold more than") {
			t.Error(got)
		}
	}
	got, _ := p.turn(nil, "slow")
	p.same(got, "there")
	if !p.vm.Broken() {
		t.Error("the VM is not to be thrown away")
	}
}

// A file that a turn requires runs outside of the turn, and does not park.
func TestRequiredFilesDoNotPark(t *testing.T) {
	module := compile(t, `wait() return { there = true }`)
	p := newParking(t, Config{Require: func(string) (*Program, error) { return module, nil }}, `
function f() return tostring(require("m").there) .. wait() end`)
	calls := 0
	p.during = func() { calls++; p.during = func() {} }
	got, _ := p.turn(nil, "f")
	p.same(got, "truewaited")
	if calls != 1 || p.parked != 1 {
		t.Errorf("%d calls, %d parked", calls, p.parked)
	}
}

// GiveWay: what resume gives, and who waits.
func TestGiveWay(t *testing.T) {
	finished := 0
	library := NewLibrary(map[string]lua.LValue{"later": Func(func(L *lua.LState) int {
		v := L.Get(1)
		finish := func(on *lua.LState) []lua.LValue {
			if Of(on).main != on {
				t.Error("finish is not on the thread of who resumes")
			}
			finished++
			if v == lua.LNil {
				on.RaiseError("no value")
			}
			return []lua.LValue{v, lua.LString("more")}
		}
		if Of(L).GiveWay(L, finish) {
			return -1
		}
		L.Push(lua.LString("at once"))
		return 1
	})})
	vm := New(Config{Library: library})
	defer vm.Close()
	for source, want := range map[string]string{
		`return later(1)`:                         "[at once]",
		`return coroutine.wrap(later_)()`:         "[at once]",
		`return coroutine.resume(create(later_))`: "[true]",
		`local co = create(later_) coroutine.resume(co, 7) return coroutine.resume(co, "x", "y")`: "[true 7 more]",
		`local co = create(function() local a, b, c = later(7) return c, b, a end)
		 local n = select("#", coroutine.resume(co)) return n, coroutine.resume(co)`: "[1 true nil more 7]",
		`local co = create(function() local a = later(7) return (later(a)) end)
		 coroutine.resume(co) coroutine.resume(co) return coroutine.resume(co)`: "[true 7]",
		`local co = create(function() return pcall(later, 1) end) return coroutine.resume(co)`: "[true true at once]",
		`local co = create(function() later() end) coroutine.resume(co)
		 local ok, why = pcall(coroutine.resume, co) return ok, why, coroutine.status(co), coroutine.resume(co)`: "[false test.lua:5: no value suspended true]",
		`local co = create(function() return setmetatable({}, { __index = function(_, k) return later(k) end }).x end)
		 return coroutine.resume(co)`: "[true at once]",
	} {
		program := compile(t, "local create = coroutine.create\nlocal later_ = function(v) return later(v) end\n\n"+source)
		got, err := vm.Run(program)
		if fmt.Sprint(got) != want || err != nil {
			t.Errorf("%s\ngave %v, %v, want %s", source, got, err, want)
		}
	}
	if finished == 0 {
		t.Error("nothing was finished")
	}
	var e *Error
	program := compile(t, `local co = coroutine.create(function() later(1) end) coroutine.resume(co) return co`)
	if _, err := vm.Run(program); errors.As(err, &e) {
		t.Error(err)
	}
}

// TestParkedTurnsAreAsIfAlone is TestTurnsAreAsIfAlone with turns that park in
// the middle, while others run, park too and end.
func TestParkedTurnsAreAsIfAlone(t *testing.T) {
	const waiting = `
ops[28] = function()
  local c, f, l = count, fresh, list
  local ok = pcall(function() map.a.b.c = 1 wait() error("caught") end)
  if ok or count ~= c or fresh ~= f or list ~= l or map.a.b.c ~= 1 then error("changed") end
end
ops[29] = function()
  local n = 0
  for k in coroutine.wrap(function() for i = 1, 2 do wait() coroutine.yield(i) end end) do n = n + k end
  fresh = (fresh or 0) + n
end`
	rapid.Check(t, func(t *rapid.T) {
		const n = 4
		during := func() {}
		pooled := New(Config{Library: waiter(func(L *lua.LState) {
			if !Of(L).Park(L, func() {}, during) {
				t.Fatal("it was not parked")
			}
		})})
		s := newSharing(t, n, pooled, func() *VM { return New(Config{Library: waiter(func(*lua.LState) {})}) }, waiting)
		defer s.close()
		busy, events := [n]bool{}, rapid.IntRange(1, 40).Draw(t, "events")
		var event func()
		event = func() {
			events--
			c := rapid.IntRange(0, n-1).Draw(t, "connection")
			if busy[c] {
				return
			}
			busy[c] = true
			defer func() { busy[c] = false }()
			s.turn(t, c, 29, func() {
				during = func() {
					for events > 0 && rapid.Bool().Draw(t, "another") {
						event()
					}
				}
			})
		}
		for events > 0 {
			event()
		}
	})
}

// waiter is a library with a function wait.
func waiter(wait func(L *lua.LState)) *Library {
	return NewLibrary(map[string]lua.LValue{"wait": Func(func(L *lua.LState) int { wait(L); return 0 })})
}
