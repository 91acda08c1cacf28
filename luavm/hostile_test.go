package luavm

import (
	"fmt"
	"strings"
	"testing"
	"time"

	lua "github.com/yuin/gopher-lua"
)

// hostileLimits are small, so that the tests are quick.
func hostileLimits() Limits {
	return Limits{Budget: 60 * time.Millisecond, Value: 1 << 20, Memory: 8 << 20}
}

// hostile scripts must end with the kind of error, or with none for kind -1 and
// the value true.
var hostile = []struct {
	name   string
	kind   Kind
	source string
}{
	// Time. SPEC 1.4: "The budget holds inside library calls too".
	{"endless loop", Budget, `while true do end`},
	{"endless repeat", Budget, `repeat until false`},
	{"endless goto", Budget, `::a:: goto a`},
	{"endless for", Budget, `for i = 1, math.huge do end`},
	{"endless loop in pcall", Budget, `while true do pcall(function() while true do end end) end`},
	{"endless loop in xpcall", Budget,
		`while true do xpcall(function() while true do end end, function() while true do end end) end`},
	{"endless loop in a coroutine", Budget,
		`local co = coroutine.create(function() while true do end end) while true do coroutine.resume(co) end`},
	{"endless loop in wrap", Budget, `pcall(coroutine.wrap(function() while true do end end))`},
	{"endless pcall of error", Budget, `while true do pcall(error, "x") end`},
	{"endless coroutines", Budget, `while true do coroutine.wrap(function() coroutine.yield() end)() end`},
	{"find that backtracks", Budget, `string.find(("a"):rep(65536), ".-b")`},
	{"find that backtracks much", Budget, `string.find(("a"):rep(65536), ".-.-.-.-b")`},
	{"match that backtracks", Budget, `string.match(("a"):rep(4096), "a*a*a*a*a*a*a*b")`},
	{"gmatch that backtracks", Budget, `for _ in string.gmatch(("a"):rep(65536), ".-b") do end`},
	{"gsub that backtracks", Budget, `string.gsub(("a"):rep(65536), "(a-)b", "")`},
	{"balanced that never ends", Budget, `string.find(("("):rep(65536), "%b()")`},
	{"back reference", Budget, `string.find(("a"):rep(65536), "(a*)%1b")`},
	{"huge set", Budget, `string.find(("a"):rep(65536), "[" .. ("b"):rep(65536) .. "]")`},
	{"gsub with endless callback", Budget, `string.gsub(("a"):rep(1000), "a", function() while true do end end)`},
	{"gsub with callbacks without end", Budget, `while true do string.gsub(("a"):rep(1000), "a", function() end) end`},
	{"sort that never agrees", -1, `local t = {} for i = 1, 1000 do t[i] = i end
		pcall(table.sort, t, function() return true end)
		pcall(table.sort, t, function() return math.random() < 0.5 end) return true`},
	{"sort of much", Budget, `local t = {} for i = 1, 100000 do t[i] = -i end while true do table.sort(t, function(a, b) return a < b end) end`},
	{"sort with endless comparison", Budget, `table.sort({3, 2, 1}, function() while true do end end)`},
	{"sort that changes its table", -1, `local t = {} for i = 1, 100 do t[i] = i % 7 end
		pcall(table.sort, t, function(a, b) t[#t] = nil t[1] = "x" return a < b end) return true`},
	{"decode without end", Budget, `local s = "[" .. ("1,"):rep(100000) .. "1]" while true do json.decode(s) end`},
	{"encode without end", Budget, `local t = {} for i = 1, 1000 do t[i] = i end while true do json.encode(t) end`},
	{"encode of hollow arrays", Value,
		`local t, l = {}, {} t[200000] = 1 t[200000] = nil for i = 1, 10000 do l[i] = t end json.encode(l)`},
	{"encode of removed fields", Value, `local t, l = {}, {} for i = 1, 3000 do t["k" .. i] = 1 end for i = 1, 3000 do t["k" .. i] = nil end
		for i = 1, 10000 do l[i] = t end json.encode(l)`},
	{"concat without end", Budget, `local t = {} for i = 1, 1000 do t[i] = i end while true do table.concat(t) end`},
	{"unpack without end", Budget,
		`local t = {} for i = 1, 7000 do t[i] = i end while true do (function() end)(unpack(t)) end`},
	{"insert at the front", Budget, `local t = {} while true do table.insert(t, 1, 0) if #t > 100000 then t = {} end end`},
	{"length of a hollow array", Budget, `local t = {} t[200000] = 1 t[200000] = nil while true do local n = #t end`},
	{"compare long strings", Budget,
		`local a, b = ("x"):rep(1e6) .. "a", ("x"):rep(1e6) .. "b" while true do local c = a < b end`},
	{"equal long strings", Budget, `local a, b = ("x"):rep(1e6), ("x"):rep(1e6) while true do local c = a == b end`},
	{"number of a long string", Budget, `local a = ("0"):rep(1e6) while true do local c = a + 1 end`},
	{"long key", Budget, `local a, t = ("1"):rep(1e6), {} while true do local c = t[a] end`},
	{"hash without end", Budget, `local a = ("1"):rep(1e6) while true do crypto.sha256(a) end`},
	{"tostring that loops", Budget, `tostring(setmetatable({}, {__tostring = function() while true do end end}))`},
	{"index that loops", Budget, `local x = setmetatable({}, {__index = function() while true do end end}).x`},
	{"iterator without end", Budget, `for _ in function() return 1 end do end`},
	{"next on an empty table", -1, `local t = {} t.x = 1 t.x = nil return next(t) == nil and next({}) == nil`},

	// Depth.
	{"recursion", Depth, `local function f() return 1 + f() end f()`},
	{"recursion in pcall", Depth, `local function f() pcall(f) return 1 end f()`},
	{"recursion in xpcall", Depth, `local function f() xpcall(f, f) return 1 end f()`},
	{"mutual recursion", Depth, `local g local function f() g() return 1 end g = function() f() return 1 end f()`},
	{"tostring of itself", Depth, `local t t = setmetatable({}, {__tostring = function() return tostring(t) end}) tostring(t)`},
	{"index of itself", Depth, `local t t = setmetatable({}, {__index = function(_, k) return t[k] end}) return t.x`},
	{"newindex of itself", Depth, `local t t = setmetatable({}, {__newindex = function(_, k, v) t[k] = v end}) t.x = 1`},
	{"call of itself", Depth, `local t t = setmetatable({}, {__call = function() return 1 + t() end}) t()`},
	{"concat of itself", Depth, `local t t = setmetatable({}, {__concat = function(a) return a .. t end}) return t .. t`},
	{"arithmetic of itself", Depth, `local t t = setmetatable({}, {__add = function(a) return a + t end}) return t + t`},
	{"length of itself", Depth, `local t t = setmetatable({}, {__len = function(a) return #a end}) return #t`},
	{"equality of itself", Depth, `local mt = {} mt.__eq = function(a, b) return a == b end return setmetatable({}, mt) == setmetatable({}, mt)`},
	{"order of itself", Depth, `local mt = {} mt.__lt = function(a, b) return a < b end return setmetatable({}, mt) < setmetatable({}, mt)`},
	{"coroutines in coroutines", Depth, `local function f() return coroutine.wrap(f)() end f()`},
	{"gsub in gsub", Depth, `local function f(s) return (s:gsub(".", f)) end f("x")`},
	{"sort in sort", Depth, `local function f() table.sort({2, 1}, f) return false end f()`},
	{"arguments without end", Depth, `local function f(...) local n = f(1, 2, 3, 4, ...) return n end f()`},
	{"recursion in a coroutine", Depth, `local function f() return 1 + f() end coroutine.resume(coroutine.create(f))`},
	{"require of itself", Raised, `require("loop")`},
	{"tail calls", Budget, `local function f() return f() end f()`},
	{"index chain", Raised, `local t = {} for i = 1, 200 do t = setmetatable({}, {__index = t}) end return t.x`},
	{"index cycle", Raised, `local t = {} setmetatable(t, {__index = t}) return t.x`},
	{"newindex cycle", Raised, `local a, b = {}, {} setmetatable(a, {__newindex = b}) setmetatable(b, {__newindex = a}) a.x = 1`},
	{"resume of the one that resumed", -1, `local a, b
		a = coroutine.create(function() return coroutine.resume(b) end)
		b = coroutine.create(function() return coroutine.resume(a) end)
		local _, _, ok, why = coroutine.resume(a)
		return ok == false and why == "cannot resume normal coroutine"`},
	{"resume of itself", -1, `local co co = coroutine.create(function() return coroutine.resume(co) end)
		local _, ok = coroutine.resume(co) return ok == false`},
	{"yield outside", Raised, `coroutine.yield()`},
	{"yield in pcall", -1, `local co = coroutine.create(function() return pcall(coroutine.yield) end)
		local _, ok, why = coroutine.resume(co) return ok == false and why:find("C%-call boundary") ~= nil`},
	{"yield in a metamethod", -1, `local t = setmetatable({}, {__index = function() coroutine.yield() end})
		local ok, why = coroutine.resume(coroutine.create(function() return t.x end)) return not ok and why:find("boundary") ~= nil`},
	{"yield in an iterator", -1, `local ok, why = coroutine.resume(coroutine.create(function()
			for _ in function() coroutine.yield(1) return nil end do end end)) return not ok and why:find("boundary") ~= nil`},
	{"yield in gsub", -1, `local ok, why = coroutine.resume(coroutine.create(function() string.gsub("x", "x", coroutine.yield) end))
		return not ok and why:find("boundary") ~= nil`},
	{"yield in sort", -1, `local ok, why = coroutine.resume(coroutine.create(function() table.sort({2, 1}, coroutine.yield) end))
		return not ok and why:find("boundary") ~= nil`},

	// Size of one value.
	{"doubling", Value, `local s = "x" while true do s = s .. s end`},
	{"doubling in pcall", Value, `local s = "x" while true do pcall(function() s = s .. s end) end`},
	{"rep", Value, `return ("x"):rep(1e9)`},
	{"rep of much", Value, `return string.rep(("x"):rep(1000), 1e15)`},
	{"rep without bound", Value, `return ("x"):rep(math.huge)`},
	{"gsub that grows", Value, `local s = "xx" while true do s = s:gsub("x", "xx") end`},
	{"gsub with the match", Value, `local s = ("x"):rep(1000) return (s:gsub("x", ("%0"):rep(2000)))`},
	{"format that grows", Value, `local s = "x" while true do s = string.format("%s%s", s, s) end`},
	{"format of much", Value, `local s = ("x"):rep(9e5) return ("%s%s%s"):format(s, s, s)`},
	{"table.concat that grows", Value, `local s = "x" while true do s = table.concat({s, s, s}) end`},
	{"encode that grows", Value, `local t = {} for i = 1, 40 do t = {t, t} end return json.encode(t)`},
	{"encode of much", Value, `local s = "x" while true do s = json.encode({s, s}) end`},
	{"error that grows", Value, `local s = ("x"):rep(9e5) error(s .. s)`},
	{"date that grows", Value, `os.date(("%A"):rep(400000))`},
	{"base64 that grows", Value, `local s = "x" while true do s = crypto.base64_encode(s .. s) end`},

	// Memory.
	{"many strings", Memory, `local t = {} while true do t[#t + 1] = ("x"):rep(1000) .. #t end`},
	{"many tables", Memory, `local t = {} while true do t = {t} end`},
	{"many tables in pcall", Memory, `local t = {} while true do pcall(function() t = {t} end) end`},
	{"many fields", Memory, `local t = {} local i = 0 while true do i = i + 1 t["k" .. i] = true end`},
	{"many closures", Memory, `local t = {} while true do t[#t + 1] = function() return t end end`},
	{"many coroutines", Memory, `local t = {} while true do t[#t + 1] = coroutine.create(function() end) end`},
	{"many wrapped coroutines", Memory, `local t = {} while true do t[#t + 1] = coroutine.wrap(function() end) end`},
	{"many parts of long strings", -1,
		`local t = {} for i = 1, 100 do t[i] = (("x"):rep(1e6)):sub(1, 1) end return #t == 100`},
	{"a high index", Memory, `local all = {} for i = 1, 1000 do all[i] = {} all[i][200000] = 1 end`},
	{"a high index by rawset", Memory, `local all = {} for i = 1, 1000 do all[i] = {} rawset(all[i], 200000, 1) end`},
	{"a very high index", -1, `local t = {} t[60000000] = 1 t[2^52] = 2 return t[60000000] == 1 and t[2^52] == 2`},
	{"many rows decoded", Memory, `local t = {} local s = "[" .. ("{\"a\":1},"):rep(1000) .. "1]" while true do t[#t + 1] = json.decode(s) end`},
	{"upvalue of much", Memory, `local t = {} local function grow() t[#t + 1] = {} end while true do grow() end`},

	// Arguments that make no sense.
	{"format width", Raised, `string.format("%999999d", 1)`},
	{"format precision", Raised, `string.format("%.999999f", 1)`},
	{"unpack of much", Raised, `unpack({}, 1, 1e8)`},
	{"unpack over the edge", Raised, `unpack({}, -2^63, 2^62)`},
	{"unpack at the end of the numbers", -1, `return select("#", unpack({}, math.huge, math.huge)) == 1`},
	{"byte of much", Raised, `(("x"):rep(1e6)):byte(1, -1)`},
	{"char out of range", Raised, `string.char(256)`},
	{"select out of range", Raised, `select(-5, 1)`},
	{"select beyond", -1, `return select("#", select(100, 1, 2)) == 0 and select("#") == 0 and select(-1, 1, 2) == 2`},
	{"decode that is deep", Raised, `json.decode(("["):rep(1e5))`},
	{"decode of deep objects", Raised, `json.decode(("{\"a\":"):rep(1e5))`},
	{"encode that is deep", Raised, `local t = {} for i = 1, 1000 do t = {t} end json.encode(t)`},
	{"encode of a cycle", Raised, `local t = {} t.t = t json.encode(t)`},
	{"pattern that is deep", Raised, `string.find(("a"):rep(1000), ("a?"):rep(1000) .. "b")`},
	{"pattern with many captures", Raised, `string.find("a", ("()"):rep(33))`},
	{"pattern that ends early", Raised, `string.find("a", "[a")`},
	{"pattern that ends in percent", Raised, `string.find("a", "%")`},
	{"pattern with an open capture", Raised, `string.find("a", "(a")`},
	{"pattern with a lone bracket", Raised, `string.match("a", "a)")`},
	{"pattern with a bad reference", Raised, `string.find("a", "%1")`},
	{"frontier without a set", Raised, `string.find("a", "%f")`},
	{"balance without brackets", Raised, `string.find("a", "%b")`},
	{"sort with nil", Raised, `table.sort({3, nil, 1, nil, 2, nil, nil, 5})`},
	{"sort of a mixture", Raised, `table.sort({1, "x", {}})`},
	{"random of nothing", Raised, `math.random(0)`},
	{"random of too much", Raised, `math.random(-math.huge, math.huge)`},
	{"insert far out", -1, `local t = {} table.insert(t, 1e9, 1) return t[1e9] == 1 and #t == 0`},
	{"insert far below", Budget, `table.insert({}, -1e18, 1)`},
	{"error without a message", Raised, `error()`},
	{"error with nil in pcall", -1, `local ok, e = pcall(error) return ok == false and e == nil`},
	{"error with a table", -1, `local ok, e = pcall(error, {code = 7}) return ok == false and e.code == 7`},
	{"index of nil", Raised, `local x = nil .. "a"`},
	{"NaN as key", Raised, `local t = {} t[0/0] = 1`},
	{"nil as key", Raised, `local t = {} t[nil] = 1`},
	{"NaN as key by rawset", Raised, `rawset({}, 0/0, 1)`},
	{"false overflow", -1, `local ok, e = pcall(error, "stack overflow", 0) return not ok and e == "stack overflow"`},
	{"false overflow in a coroutine", -1, `local ok, e = coroutine.resume(coroutine.create(function() error("stack overflow", 0) end))
		return not ok and e == "stack overflow"`},
	{"wrap of a dead one", Raised, `local f = coroutine.wrap(function() end) f() f()`},
	{"coroutine of a library function", Raised, `coroutine.create(coroutine.yield)`},
	{"host panic", Panic, `crash()`},
	{"host panic in pcall", Panic, `pcall(crash) return true`},
	{"host panic in a coroutine", Panic, `coroutine.resume(coroutine.create(crashed)) return true`},
	{"exit in pcall", Exit, `pcall(exit) while true do end`},
	{"exit in a coroutine", Exit, `coroutine.wrap(function() pcall(exit) end)() return true`},
}

func TestHostileScriptsEnd(t *testing.T) {
	modules := func(name string) (*Program, error) {
		if name == "loop" {
			return Compile("loop.lua", `return require("loop")`)
		}
		return nil, fmt.Errorf("module '%s' not found", name)
	}
	lib := NewLibrary(map[string]lua.LValue{
		"crash": Func(func(L *lua.LState) int { var none []int; return none[L.GetTop()+1] }),
		"exit":  Func(func(L *lua.LState) int { Of(L).Exit(L); return 0 }),
	})
	for _, test := range hostile {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			limits := hostileLimits()
			if test.kind != Budget {
				limits.Budget = 10 * time.Second
			}
			vm := New(Config{Limits: limits, Require: modules, Library: lib})
			defer vm.Close()
			if _, err := vm.Run(compile(t, `function crashed() crash() end`)); err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			got, err := vm.Run(compile(t, "\n"+test.source))
			took := time.Since(start)
			if took > 20*time.Second { // much less without the race detector
				t.Errorf("took %v", took)
			}
			if test.kind == -1 {
				if err != nil || len(got) == 0 || got[0] != lua.LTrue {
					t.Fatalf("got %v, %v", got, err)
				}
				return
			}
			if err == nil {
				t.Fatalf("no error, but %v", got)
			}
			e := asError(err)
			if e.Kind != test.kind {
				t.Fatalf("kind %v (%v); want %v\n%s", e.Kind, e, test.kind, e.Traceback)
			}
			// SPEC 1.4: "raises an error that names the line".
			if e.File != "test.lua" && e.File != "loop.lua" || e.Line == 0 || !strings.HasPrefix(e.Message, e.File+":") {
				t.Errorf("error names %q line %d: %s", e.File, e.Line, e.Message)
			}
			// The VM can be used again.
			if v, err := vm.Run(compile(t, `local t = {} for i = 1, 10 do t[i] = function() i = i + 1 return i end end
				return t[3]() + t[3]() + #string.rep("x", 10), coroutine.wrap(function() coroutine.yield(1) end)()`)); err != nil || v[0] != lua.LNumber(19) {
				t.Errorf("afterwards: %v, %v", v, err)
			}
		})
	}
}
