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
