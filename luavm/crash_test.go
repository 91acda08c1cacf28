package luavm

import (
	"strings"
	"testing"

	lua "github.com/yuin/gopher-lua"
)

// TestBrokenMachine: code that leads the machine astray ends the run, not the
// process, in whatever way gopher-lua panics.
func TestBrokenMachine(t *testing.T) {
	for name, damage := range map[string]func(*lua.FunctionProto){
		"jump out of the code":  func(p *lua.FunctionProto) { p.Code[0] = abx(lua.OP_JMP, 0, maxJump+1000) },
		"end of the code":       func(p *lua.FunctionProto) { p.Code = p.Code[:1] },
		"constant out of range": func(p *lua.FunctionProto) { p.Code[0] = abx(lua.OP_LOADK, 0, 5000) },
		"upvalue out of range":  func(p *lua.FunctionProto) { p.Code[0] = abc(lua.OP_GETUPVAL, 0, 77, 0) },
		"function out of range": func(p *lua.FunctionProto) { p.Code[0] = abx(lua.OP_CLOSURE, 0, 99) },
		"no lines":              func(p *lua.FunctionProto) { p.DbgSourcePositions = nil },
		"no such instruction":   func(p *lua.FunctionProto) { p.Code[0] = 63 << 26 },
		"no string constants":   func(p *lua.FunctionProto) { setStringConstants(p, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			for _, source := range []string{`return x.y + nothing`,
				`local ok = pcall(function() return x.y end) return x.y + nothing`} {
				p := compile(t, source)
				damage(p.proto)
				for _, f := range p.proto.FunctionPrototypes {
					damage(f)
				}
				vm := New(Config{})
				_, err := vm.Run(p)
				e := asError(err)
				if err == nil {
					t.Fatal("it ran")
				}
				if e.Kind == Panic && !vm.Broken() {
					t.Errorf("the VM is thought fit: %v", e)
				}
				if e.Kind != Panic && e.Kind != Raised {
					t.Errorf("%v: %v", e.Kind, e)
				}
				vm.Close()
			}
		})
	}
}

func TestCrashedSaysWhat(t *testing.T) {
	vm := newVM(t, Config{})
	e := vm.Crashed("index out of range")
	if e.Kind != Panic || !strings.Contains(e.Message, "internal error: index out of range") ||
		!strings.Contains(e.Traceback, "crash_test.go") || !vm.Broken() {
		t.Errorf("%+v", e)
	}
}
