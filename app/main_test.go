package app

import (
	"testing"

	lua "github.com/yuin/gopher-lua"
	"go.uber.org/goleak"

	"rollcall/luavm"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// eval runs a Lua expression, or a chunk that returns.
func eval(t testing.TB, source string) (*luavm.VM, lua.LValue) {
	t.Helper()
	vm := luavm.New(luavm.Config{})
	t.Cleanup(vm.Close)
	p, err := luavm.Compile("test.lua", source)
	if err != nil {
		if p, err = luavm.Compile("test.lua", "return "+source); err != nil {
			t.Fatal(err)
		}
	}
	results, err := vm.Run(p)
	if err != nil {
		t.Fatal(err)
	}
	if len(results) == 0 {
		return vm, lua.LNil
	}
	return vm, results[0]
}
