package luavm

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	lua "github.com/yuin/gopher-lua"
)

// writes are ways to change what VMs share.
var writes = []string{
	`string.x = 1`,
	`string.rep = nil`,
	`string["sub"] = print`,
	`rawset(string, "x", 1)`,
	`rawset(string, "rep", nil)`,
	`setmetatable(string, {})`,
	`setmetatable(string, nil)`,
	`table.insert(string, 1)`,
	`table.insert(string, 1, 1)`,
	`table.remove(string)`,
	`table.remove(string, 1)`,
	`table.sort(string)`,
	`json.array(string)`,
	`getmetatable(string).__index = {}`,
	`getmetatable(string).x = 1`,
	`getmetatable("").__index = {}`,
	`getmetatable("").__index.rep = nil`,
	`setmetatable("", {})`,
	`setmetatable(_G, {})`,
	`getmetatable(_G).__index = {}`,
	`setmetatable(json.null, {})`,
	`json.null.x = 1`,
	`setmetatable({}, {__newindex = string}).x = 1`,
	`setmetatable({}, {__newindex = function(_, k, v) rawset(string, k, v) end}).x = 1`,
	`for k, v in pairs(string) do string[k] = nil end`,
	`local _, t = pairs(string) rawset(t, "x", 1)`,
	`local _, t = ipairs(string) rawset(t, "x", 1)`,
	`coroutine.wrap(function() math.pi = 3 end)()`,
	`string.sub.x = 1`,
	`shared.x = 1`,
	`shared.inner.x = 1`,
	`rawset(shared.inner, 1, 1)`,
	`getmetatable(json.array({})).__index = function() end`,
}

// check fails when something that VMs share is not as it was.
const check = `
	assert(string.x == nil and ("ab"):rep(2) == "abab" and string.sub("abc", 2) == "bc" and string[1] == nil)
	assert(math.pi > 3.1 and shared.x == nil and shared.inner.x == nil and shared.inner.y == 2 and shared.f() == 7)
	assert(getmetatable(string) == false and getmetatable("") == false and getmetatable(_G) == false)
	assert(getmetatable(json.array({})) == nil and json.array({}).x == nil and json.encode(json.array({})) == "[]")
	local n = 0
	for k, v in pairs(string) do n = n + 1 assert(string[k] == v) end
	assert(n == 13)
	for k in pairs(shared) do assert(k == "f" or k == "inner") end
	assert(next(math) and rawget(math, "pi") == math.pi and #table == 0)
	local all = {}
	for k in pairs(_G) do all[k] = true end
	assert(all.string and all._G and all.pcall and all.shared)`

func sharedLibrary() *Library {
	inner := SharedTable(nil, map[string]lua.LValue{"y": lua.LNumber(2)})
	return NewLibrary(map[string]lua.LValue{"shared": SharedTable(map[string]lua.LGFunction{
		"f": func(L *lua.LState) int { L.Push(lua.LNumber(7)); return 1 },
	}, map[string]lua.LValue{"inner": inner})})
}

// TestLibraryTablesAreReadOnly: SPEC 1.4: "library tables are read-only".
func TestLibraryTablesAreReadOnly(t *testing.T) {
	lib := sharedLibrary()
	other := newVM(t, Config{Library: lib})
	for _, source := range writes {
		vm := newVM(t, Config{Library: lib})
		e := runError(t, vm, source)
		if e.Kind != Raised {
			t.Errorf("%s: %v", source, e)
		}
		for _, vm := range []*VM{vm, other, newVM(t, Config{Library: lib})} {
			if _, err := vm.Run(compile(t, check)); err != nil {
				t.Fatalf("after %s: %v", source, err)
			}
		}
	}
}

// TestManyVMsShare is for the race detector: 64 VMs use, iterate and try to
// change the same tables at once.
func TestManyVMsShare(t *testing.T) {
	lib := sharedLibrary()
	gate := NewGate(8)
	attempts := make([]*Program, len(writes))
	for i, source := range writes {
		attempts[i] = compile(t, "pcall(function() "+source+" end)")
	}
	checks := compile(t, check)
	work := compile(t, `
		local t = {}
		for i = 1, 200 do
			t[i] = {name = "n" .. i, at = os.time(), list = json.decode('[1,{"a":[]}]')}
			t[i].name = t[i].name:gsub("n", "m"):upper()
			t[i].co = coroutine.wrap(function(a) local b = coroutine.yield(a) return b end)
			t[i].co(1)
		end
		table.sort(t, function(a, b) return a.name < b.name end)
		for i = 1, 200 do t[i].co = nil end
		return #json.encode(t) + select("#", unpack(t))`)
	var wg sync.WaitGroup
	for n := range 64 {
		wg.Go(func() {
			vm := New(Config{Library: lib, Gate: gate, Limits: Limits{Budget: time.Minute}})
			defer vm.Close()
			for i := range attempts {
				for _, p := range []*Program{attempts[(i+n)%len(attempts)], checks, work} {
					if i%8 != 0 && p == work {
						continue
					}
					if _, err := vm.Run(p); err != nil {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	wg.Wait()
}

func TestGlobalsOfOneVM(t *testing.T) {
	a, b := newVM(t, Config{}), newVM(t, Config{})
	run(t, a, `x = 1 string = "mine" _G.y = 2`)
	if got := run(t, a, `return json.encode({x, string, y})`); got.String() != `[1,"mine",2]` {
		t.Errorf("a has %v", got)
	}
	if got := run(t, b, `return tostring(x) .. type(string) .. tostring(y)`); got.String() != "niltablenil" {
		t.Errorf("b has %v", got)
	}
	a.SetGlobal("z", lua.LNumber(3))
	if a.Global("z") != lua.LNumber(3) || a.Global("nothing") != lua.LNil || a.Global("pcall") == lua.LNil {
		t.Error("Global")
	}
	if got := run(t, a, `return z`); got != lua.LNumber(3) {
		t.Errorf("z is %v", got)
	}
}

func TestFieldsWorkedOut(t *testing.T) {
	lib := NewLibrary(map[string]lua.LValue{"ws": SharedTableWith(nil, map[string]lua.LValue{"a": lua.LNumber(1)},
		func(vm *VM, key string) lua.LValue {
			if key == "id" {
				return lua.LString(vm.Data.(string))
			}
			return lua.LNil
		})})
	for i := range 2 {
		vm := newVM(t, Config{Library: lib, Data: fmt.Sprint("conn", i)})
		if got, want := run(t, vm, `return ws.id .. ws.a .. tostring(ws.b)`).String(), fmt.Sprintf("conn%d1nil",
			i); got != want {
			t.Errorf("got %s; want %s", got, want)
		}
		if e := runError(t, vm, `ws.id = 1`); !strings.Contains(e.Message, "read-only table (field 'id')") {
			t.Error(e)
		}
	}
}
