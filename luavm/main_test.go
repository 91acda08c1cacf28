package luavm

import (
	"errors"
	"testing"

	lua "github.com/yuin/gopher-lua"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// compile compiles source under the name test.lua.
func compile(t testing.TB, source string) *Program {
	t.Helper()
	p, err := Compile("test.lua", source)
	if err != nil {
		t.Fatalf("compile: %v", err)
	}
	return p
}

// newVM makes a VM that is closed with the test.
func newVM(t testing.TB, c Config) *VM {
	t.Helper()
	vm := New(c)
	t.Cleanup(vm.Close)
	return vm
}

// run runs source and returns its first result.
func run(t testing.TB, vm *VM, source string) lua.LValue {
	t.Helper()
	values, err := vm.Run(compile(t, source))
	if err != nil {
		t.Fatalf("run: %v\n%s", err, asError(err).Traceback)
	}
	if len(values) == 0 {
		return lua.LNil
	}
	return values[0]
}

// runError runs source that must fail.
func runError(t testing.TB, vm *VM, source string) *Error {
	t.Helper()
	values, err := vm.Run(compile(t, source))
	if err == nil {
		t.Fatalf("%s: no error, but %v", source, values)
	}
	return asError(err)
}

func asError(err error) *Error {
	var e *Error
	if !errors.As(err, &e) {
		return &Error{Kind: -1, Message: err.Error()}
	}
	return e
}
