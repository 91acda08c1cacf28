package luavm

import (
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	lua "github.com/yuin/gopher-lua"
)

// longestLook runs a piece of Lua after another, and gives the longest time that it computed without looking at the
// clock.
func longestLook(t *testing.T, prepare, source string) (longest time.Duration, ended error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var last time.Duration
	note := func() {
		at := threadTime(t)
		longest, last = max(longest, at-last), at
	}
	vm := New(Config{Limits: Limits{Budget: 100 * time.Millisecond}, Over: func(*VM) error { note(); return nil }})
	defer vm.Close()
	vm.limits.Budget = time.Minute
	if _, err := vm.Run(compile(t, prepare)); err != nil {
		t.Fatalf("%s: %v", prepare, err)
	}
	vm.limits.Budget = 100 * time.Millisecond
	p := compile(t, source)
	runtime.GC()
	last, longest = threadTime(t), 0
	_, err := vm.Run(p)
	note()
	return longest, err
}

// bigInputs are what library functions are called with: long texts of several kinds, and large tables.
var bigInputs = map[string]string{
	"text":    `text = ("x"):rep(1e6)`,
	"lines":   `lines = ("a b\n"):rep(250000)`,
	"digits":  `digits = ("1"):rep(1e6)`,
	"high":    `high = ("\255"):rep(1e6)`,
	"quotes":  `quotes = ("\"\\\n\1"):rep(250000)`,
	"words":   `words = ("%s"):rep(1000)`,
	"numbers": `numbers = {} for i = 1, 200000 do numbers[i] = i % 7919 end`,
	"texts":   `texts = {} for i = 1, 60000 do texts[i] = "t" .. i end`,
	"fields":  `fields = {} for i = 1, 30000 do fields["k" .. i] = i end`,
	"removed": `removed = {} for i = 1, 30000 do removed["k" .. i] = i end for i = 1, 30000 do removed["k" .. i] = nil end`,
	"hollow":  `hollow = {} hollow[200000] = 1 hollow[200000] = nil`,
}

var bigCalls = []string{
	`#hollow`, `#numbers`, `next(removed)`, `next(fields, "k30000")`, `unpack(numbers, 1, 7000)`,
	`select("#", unpack(numbers, 1, 7000))`,
	`tostring(text)`, `tonumber(digits)`, `tonumber(digits, 2)`, `tonumber((" "):rep(1e6) .. "1")`,
	`tonumber("0x" .. ("f"):rep(9e5))`, `digits + 1`,
	`text .. "x"`, `text == text .. ""`, `text < text .. "x"`, `fields[digits]`, `({[digits] = 1})[digits]`,
	`text:len()`, `text:sub(2)`, `text:upper()`, `text:lower()`, `text:reverse()`, `text:byte(1, 7000)`,
	`string.char(text:byte(1, 7000))`, `text:rep(1, "")`, `("x"):rep(1e6)`, `("ab"):rep(3e5, ",")`,
	`text:find("y", 1, true)`, `text:find("xy", 1, true)`, `text:find("y")`, `text:find(".-y")`, `text:find("^x*$")`,
	`text:find("x-$")`, `text:match("(x*)")`, `("("):rep(1e6):find("%b()")`, `text:find("%f[y]")`,
	`lines:gsub("\n", "")`, `text:gsub("x", "yy")`, `text:gsub("x", {x = "y"})`, `text:gsub("x", function() end)`,
	`text:gsub("", "-", 400000)`, `text:gsub(".", "%0%0", 400000)`,
	`(function() for _ in lines:gmatch("%a") do end end)()`, `text:find("[" .. ("b"):rep(1e5) .. "]")`,
	`text:find(("x"):rep(1e5) .. "y")`, `text:find(("x-"):rep(3) .. "y")`,
	`string.format("%s", text)`, `string.format("%q", quotes)`, `string.format("%.99s", text)`,
	`string.format(words, unpack(texts, 1, 1000))`, `string.format("%99d", 1)`,
	`table.concat(numbers)`, `table.concat(texts, ",")`, `table.insert(numbers, 1, 0)`, `table.remove(numbers, 1)`,
	`table.sort(numbers)`, `table.sort(texts)`, `table.sort(numbers, function(a, b) return a > b end)`,
	`table.maxn(numbers)`, `table.maxn(fields)`, `table.pack(unpack(numbers, 1, 7000))`,
	`json.encode(numbers)`, `json.encode(texts)`, `json.encode(fields)`, `json.encode(removed)`, `json.encode(hollow)`,
	`json.encode(text)`, `json.encode(quotes:sub(1, 2e5))`, `json.encode(high:sub(1, 3e5))`,
	`json.encode((function() local l = {} for i = 1, 100 do l[i] = text end return l end)())`,
	`json.encode((function() local l = {} for i = 1, 30 do l[i] = fields end return l end)())`,
	`json.encode((function() local t = 1 for i = 1, 190 do t = {t, t} end return t end)())`,
	`json.encode(fields, nil) .. json.encode(numbers)`,
	`json.decode("[" .. ("1,"):rep(3e5) .. "1]")`, `json.decode("[" .. ("[],"):rep(1e5) .. "1]")`,
	`json.decode("[" .. ("{},"):rep(1e5) .. "1]")`, `json.decode('[' .. ('{"":0},'):rep(1e5) .. '1]')`,
	`json.decode('["' .. ("\\n"):rep(4e5) .. '"]')`, `json.decode('"' .. ("\\u00e9"):rep(1.6e5) .. '"')`,
	`json.decode('"' .. text:sub(1, 9e5) .. '"')`, `json.decode((" "):rep(1e6) .. "1")`, `json.decode(digits)`,
	`json.decode("[" .. ("1.5e3,"):rep(1e5) .. "1]")`,
	`json.decode("[" .. ("true,"):rep(2e5) .. "1]")`, `json.decode("[" .. ("null,"):rep(2e5) .. "1]")`,
	`json.decode(("["):rep(150) .. ("]"):rep(150))`, `json.decode('{' .. ('"a":1,'):rep(1.5e5) .. '"b":1}')`,
	`json.decode((function() local t = {} for i = 1, 4e4 do t[i] = '"k' .. i .. '":' .. i end return "{" .. table.concat(t, ",") .. "}" end)())`, `json.array(numbers)`,
	`crypto.sha256(text)`, `crypto.hmac_sha256(text, text)`, `crypto.base64_encode(text:sub(1, 7e5))`,
	`crypto.base64_decode(("QUJD"):rep(2.5e5))`, `crypto.uuid()`,
	`os.date(("%c"):rep(1000))`, `os.date(("x"):rep(1e5))`, `os.time({year = 2000, month = 1, day = 1})`,
	`math.max(unpack(numbers, 1, 7000))`, `math.min(unpack(numbers, 1, 7000))`,
	`error(text)`, `assert(false, text)`, `pcall(error, text)`, `setmetatable(fields, {})`, `rawequal(fields, texts)`,
	`rawget(fields, digits)`, `rawset({}, digits, 1)`, `rawlen(hollow)`,
	`(function() for _ in pairs(removed) do end end)()`,
	`(function() for k in pairs(fields) do fields[k] = nil end end)()`,
	`(function() for _ in ipairs(numbers) do end end)()`,
	`coroutine.wrap(function(...) coroutine.yield(...) end)(unpack(numbers, 1, 7000))`,
	`coroutine.resume(coroutine.create(function(...) return ... end), unpack(numbers, 1, 7000))`,
	`(function() numbers[#numbers + 2] = 1 end)()`, `(function() local t = {} t[100000] = 1 end)()`,
}

// overrun is what one call may run past the budget, on a core of its own.
const overrun = 20 * time.Millisecond

// SPEC 1.4: "The budget holds inside library calls too". No call computes for long without a look at the clock, which
// is where the budget, the gate and the ceiling are looked at.
func TestNoLibraryCallRunsOn(t *testing.T) {
	for _, call := range bigCalls {
		prepare := ""
		for name, source := range bigInputs {
			if strings.Contains(call, name) {
				prepare += source + "\n"
			}
		}
		longest, err := longestLook(t, prepare, "local _ = "+call)
		if longest > overrun*raceFactor {
			t.Errorf("%v without a look at the clock: %s (%v)", longest.Round(100*time.Microsecond), call, err)
		}
	}
}

// TestBigCallsAreAll: each function of the library is among bigCalls, or takes nothing that could be big.
func TestBigCallsAreAll(t *testing.T) {
	small := strings.Fields(`math.abs math.acos math.asin math.atan math.atan2 math.ceil math.cos math.cosh math.deg math.exp math.floor
		math.fmod math.frexp math.ldexp math.log math.log10 math.mod math.modf math.pow math.rad math.random math.randomseed math.sin math.sinh
		math.sqrt math.tan math.tanh os.clock coroutine.create coroutine.isyieldable coroutine.running coroutine.status getmetatable
		rawequal type print require xpcall json.stringify json.parse JSON.stringify JSON.parse json_encode json_decode table.getn`)
	calls := strings.Join(bigCalls, "\n")
	check := func(table, name string, v lua.LValue) {
		full := strings.TrimPrefix(table+"."+name, ".")
		if v.Type() == lua.LTFunction && !slices.Contains(small, full) && !strings.Contains(calls, name+"(") {
			t.Errorf("%s is not called with big inputs", full)
		}
	}
	for name, v := range standardGlobals() {
		if table, ok := v.(*lua.LTable); ok {
			content, _ := contentOf(table)
			content.ForEach(func(k, v lua.LValue) { check(name, k.String(), v) })
			continue
		}
		check("", name, v)
	}
}
