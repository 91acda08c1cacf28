package app

import (
	"strings"

	lua "github.com/yuin/gopher-lua"

	"rollcall/luavm"
)

// envPrefix is what the names of an app's own variables begin with (SPEC 11).
const envPrefix = "ROLLCALL_APP_"

// Env is what an app is told by the environment of its node: values by name, without ROLLCALL_APP_. It never changes.
type Env map[string]string

// EnvOf takes an app's own variables out of an environment such as os.Environ gives. Names with other letters than
// those of env(name) are left out, as nobody could ask for them.
func EnvOf(environ []string) Env {
	e := Env{}
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if name, ok := strings.CutPrefix(name, envPrefix); ok && isEnvName(name) && name == strings.ToUpper(name) {
			e[name] = value
		}
	}
	return e
}

// isEnvName tells whether env may be asked for a name. So no name can reach another variable.
func isEnvName(name string) bool {
	for i := range len(name) {
		switch c := name[i]; {
		case c == '_', '0' <= c && c <= '9', 'A' <= c && c <= 'Z', 'a' <= c && c <= 'z':
		default:
			return false
		}
	}
	return name != ""
}

// value gives what env(name) does; a name counts in upper case.
func (e Env) value(name string) lua.LValue {
	if v, ok := e[strings.ToUpper(name)]; ok {
		return lua.LString(v)
	}
	return lua.LNil
}

// envOf is the environment of the app that a VM runs, also while its files are loaded: Data is the App then.
func envOf(vm *luavm.VM) Env {
	switch data := vm.Data.(type) {
	case *call:
		return data.app.load.Env
	case *App:
		return data.load.Env
	}
	return nil
}

// env(name) -> string or nil
func envFunction(l *lua.LState) int {
	a := args{l, "env"}
	name := a.str(1, "name")
	if !isEnvName(name) {
		a.fail("name must have letters, digits and _ only, not %q", name)
	}
	return a.push(envOf(luavm.Of(l)).value(name))
}
