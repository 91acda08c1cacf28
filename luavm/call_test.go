package luavm

import (
	"testing"

	lua "github.com/yuin/gopher-lua"
)

func TestCallReturnsResults(t *testing.T) {
	vm := newVM(t, Config{})
	run(t, vm, `function add(a, b) return a + b, "x" .. a end`)
	got, err := vm.Call(vm.Global("add"), lua.LNumber(2), lua.LNumber(3))
	if err != nil || len(got) != 2 || got[0] != lua.LNumber(5) || got[1] != lua.LString("x2") {
		t.Fatalf("got %v, %v", got, err)
	}
	one, err := vm.Call1(vm.Global("add"), lua.LNumber(2), lua.LNumber(3))
	if err != nil || one != lua.LNumber(5) {
		t.Fatalf("got %v, %v", one, err)
	}
	if n := vm.main.GetTop(); n != 0 {
		t.Fatalf("%d values left on the stack", n)
	}
}

func TestTurnsKeepGlobalsApart(t *testing.T) {
	vm := newVM(t, Config{})
	run(t, vm, `
		count, seen = 0, {}
		local hidden = 0
		function visit(id)
			count = count + 1
			hidden = hidden + 10
			seen[#seen + 1] = id
			fresh = (fresh or "") .. id
			return json.encode({count, hidden, seen, fresh})
		end`)
	visit := vm.Global("visit")
	var a, b *Globals
	for _, step := range []struct {
		globals **Globals
		id      string
		want    string
	}{
		{&a, "a", `[1,10,["a"],"a"]`},
		{&b, "b", `[1,10,["b"],"b"]`},
		{&a, "a", `[2,20,["a","a"],"aa"]`},
		{&b, "b", `[2,20,["b","b"],"bb"]`},
	} {
		vm.BeginTurn(*step.globals)
		got, err := vm.Call1(visit, lua.LString(step.id))
		*step.globals = vm.EndTurn()
		if err != nil || got.String() != step.want {
			t.Fatalf("got %v, %v; want %s", got, err, step.want)
		}
	}
}

func TestReturnedAt(t *testing.T) {
	vm := newVM(t, Config{})
	p, err := Compile("handlers/a.lua", `
local function helper(x)
  return { x }
end
function plain(x)
  if x == 1 then
    return {
      a = 1,
    }
  elseif x == 2 then
    return helper(x)
  elseif x == 3 then
    local t = helper(x)
    return t
  elseif x == 4 then
    pcall(error, "x")
    return (helper(x))
  elseif x == 5 then
    return tostring(x)
  elseif x == 6 then
    return coroutine.wrap(function() return helper(x) end)()
  end
end`)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := vm.Run(p); err != nil {
		t.Fatal(err)
	}
	for x, want := range []int{23, 7, 3, 14, 17, 0, 0} {
		if _, err := vm.Call1(vm.Global("plain"), lua.LNumber(x)); err != nil {
			t.Fatal(err)
		}
		file, line := vm.ReturnedAt()
		if line != want || (file != "handlers/a.lua") != (want == 0) {
			t.Errorf("%d returned at %s:%d, want line %d", x, file, line, want)
		}
	}
}
