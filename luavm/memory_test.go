package luavm

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"
)

// pieces build something of about N parts in a table t.
var pieces = []string{
	`for i = 1, N do t[i] = i * 1.5 end`,
	`for i = 1, N do t[i] = "text " .. i end`,
	`for i = 1, N do t["key" .. i] = i end`,
	`for i = 1, N do t[i] = {x = i, y = i / 3} end`,
	`for i = 1, N do local o = {} o.a = i o.b = "b" .. i t[i] = o end`,
	`for i = 1, N do local o = {} for j = 1, i % 20 do o["f" .. j] = j end t[i] = o end`,
	`for i = 1, N do t[i] = {i, i + 0.5, i} end`,
	`for i = 1, N do local o = {} o[1] = i t[i] = o end`,
	`for i = 1, N do local a, b = i, {} t[i] = function() return a, b end end`,
	`local a, b, c = 1, 2, 3 for i = 1, N do t[i] = function() a = b return c end end`,
	`for i = 1, N do t[i] = json.decode('{"a":[1,2.5,{"b":null}],"c":"x","long key":true}') end`,
	`for i = 1, N do t[i] = json.decode('[{"":0},[],{},[[]]]') end`,
	`for i = 1, N do t[{}] = i t[i + 0.5] = "half" end`,
	`for i = 1, N / 10 do t[i] = coroutine.create(function() coroutine.yield() end) coroutine.resume(t[i]) end`,
	`local function down(n) if n == 0 then coroutine.yield() else down(n - 1) end return n end
	 for i = 1, N / 50 do t[i] = coroutine.wrap(function() down(i % 100) end) t[i]() end`,
	`for i = 1, N / 10 do t[i] = coroutine.create(function() end) end`,
	`for i = 1, N do t[i] = ("some words"):gmatch("%a+") end`,
	`for i = 1, N / 10 do t[i] = ("x"):rep(1000 + i) end`,
	`for i = 1, N do t[i] = setmetatable({}, {__index = {i}}) end`,
	`local x = 0 for i = 1, N do for j = 1, 31 do x = x + 0.1 end t[i] = x end`,
	`local s = "" for i = 1, N / 10 do s = s .. i t[i] = s end`,
	`for i = 1, N do t[i] = ("one,two"):gsub("%a", "%0%0") end`,
	`for i = 1, N do t[i] = string.format("%5d|%s", i, "x") end`,
	`for i = N, 1, -1 do table.insert(t, i) end`,
	`for i = 1, N do t[i] = table.pack(i, i) end`,
}

// TestMeterIsRight: what the meter says a VM holds is within a factor of two of
// what the heap holds for it, for random data.
func TestMeterIsRight(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	rng := rand.New(rand.NewPCG(seed, 0))
	for i := range len(pieces) + 20 {
		var source strings.Builder
		source.WriteString("keep = {}\n")
		add := func(piece string, n int) {
			fmt.Fprintf(&source, "do local N, t = %d, {} keep[#keep + 1] = t %s end\n", n, piece)
		}
		if i < len(pieces) {
			add(pieces[i], 5000)
		} else {
			for range 2 + rng.IntN(6) {
				add(pieces[rng.IntN(len(pieces))], 500+rng.IntN(5000))
			}
		}
		p := compile(t, source.String())
		before := heap()
		vm := newVM(t, Config{Limits: Limits{Budget: time.Hour, Memory: 1 << 30}})
		if _, err := vm.Run(p); err != nil {
			t.Fatal(err)
		}
		real := float64(heap()) - float64(before)
		if said := float64(vm.Memory()); said < real/2 || said > real*2 {
			t.Errorf("seed %d: %.2f of the heap's %.0f bytes:\n%s", seed, said/real, real, source.String())
		}
		runtime.KeepAlive(vm)
	}
}

// TestChargedBeforeTaken: no way to take memory gets far past the limit before
// the script is ended. What it took in all tells: a run is ended long before it
// has allocated a few times the limit more than it may throw away.
func TestChargedBeforeTaken(t *testing.T) {
	const limit = 8 << 20
	for _, test := range []struct {
		name, source string
		most         int // bytes allocated in all
	}{
		{"gsub with many references", `local s = ("x"):rep(1e6) return s:gsub(".*", ("%0"):rep(5e5))`, 16 << 20},
		{"gsub with many captures", `local s = ("x"):rep(1e5) return s:gsub("(.*)", ("%1"):rep(5e4))`, 16 << 20},
		{"gsub with a long replacement", `local r = ("y"):rep(1e6) return (("x"):rep(1e5)):gsub("x", r)`, 16 << 20},
		{"gsub with a function", `local r = ("y"):rep(1e6) return (("x"):rep(1e5)):gsub("x", function() return r end)`,
			16 << 20},
		{"format", `local s = ("x"):rep(1e6) return string.format(("%s"):rep(1000), unpack({s, s, s, s, s, s, s, s, s, s, s}))`, 16 << 20},
		{"format of widths", `return string.format(("%99.99f"):rep(2e5), unpack({}))`, 16 << 20},
		{"quoted", `return string.format("%q", ("\0"):rep(1e6))`, 16 << 20},
		{"concat", `local t = {} for i = 1, 1000 do t[i] = ("x"):rep(1e5) end return table.concat(t)`, 32 << 20},
		{"concat with a separator", `local t = {} for i = 1, 1000 do t[i] = i end return table.concat(t, ("x"):rep(1e6))`,
			16 << 20},
		{"print", `local s = ("x"):rep(1e6) print(s, s, s, s, s, s, s, s, s)`, 16 << 20},
		{"decode of tiny tables", `return json.decode("[" .. ('{"":0},'):rep(1e5) .. "0]")`, 24 << 20},
		{"decode of empty arrays", `return json.decode("[" .. ("[],"):rep(3e5) .. "0]")`, 48 << 20},
		{"decode in a loop", `local s, t = "[" .. ('{"":0},'):rep(1e4) .. "0]", {} while true do t[#t + 1] = json.decode(s) end`, 64 << 20},
		{"closures", `local a, b, c, d, e, f, g, h = 1, 2, 3, 4, 5, 6, 7, 8 local t = {}
			while true do local i, j, k, l = {}, {}, {}, {} t[#t + 1] = function() return a, b, c, d, e, f, g, h, i, j, k, l end end`, 64 << 20},
		{"deep coroutines", `local t = {} local function down(n) local a, b, c, d, e, f, g, h = n if n == 0 then coroutine.yield() else down(n - 1) end return a end
			while true do local co = coroutine.create(down) coroutine.resume(co, 150) t[#t + 1] = co end`, 64 << 20},
		{"coroutines with much on the stack", `local t, many = {}, {} for i = 1, 7000 do many[i] = i end
			while true do local co = coroutine.create(function(...) coroutine.yield() return ... end) coroutine.resume(co, unpack(many)) t[#t + 1] = co end`, 192 << 20},
		{"coroutines", `local t = {} while true do t[#t + 1] = coroutine.create(function() end) end`, 64 << 20},
		{"fields", `local t = {} for i = 1, 1e9 do t["key" .. i] = i end`, 96 << 20},
		{"keys of tables", `local t = {} while true do t[{}] = {} end`, 96 << 20},
		{"globals", `for i = 1, 1e9 do _G["g" .. i] = i end`, 96 << 20},
		{"numbers that are kept apart", `local t, x = {}, 0 while true do for j = 1, 31 do x = x + 0.1 end t[#t + 1] = x end`,
			128 << 20},
		{"constructors", `local t = {} while true do t[#t + 1] = {{{{}}}, {}, a = {}, b = {}, c = {}} end`, 64 << 20},
		{"varargs", `local t, many = {}, {} for i = 1, 7000 do many[i] = i end while true do t[#t + 1] = {unpack(many)} end`,
			64 << 20},
		{"holes", `local t = {} while true do local h = {} h[100000] = 1 t[#t + 1] = h end`, 64 << 20},
		{"inserts", `local t = {} while true do table.insert(t, 1, {}) end`, 96 << 20},
		{"metatables", `local t = {} while true do t[#t + 1] = setmetatable({}, {}) end`, 64 << 20},
		{"errors", `local t = {} while true do local _, e = pcall(error, ("x"):rep(1e5), 2) t[#t + 1] = e end`, 64 << 20},
		{"gmatch", `local t = {} while true do t[#t + 1] = (("x"):rep(1e5)):gmatch("x") end`, 64 << 20},
		{"dates", `local t = {} while true do t[#t + 1] = os.date("*t") end`, 64 << 20},
		{"packs", `local t = {} while true do t[#t + 1] = table.pack(1, 2, 3) end`, 64 << 20},
		{"encoded", `local t = {} for i = 1, 10 do t[i] = ("\1"):rep(1e5) end return json.encode(t)`, 32 << 20},
		{"base64", `local t, s = {}, ("x"):rep(5e5) while true do t[#t + 1] = crypto.base64_encode(s) end`, 64 << 20},
		{"hashes", `local t = {} while true do t[#t + 1] = crypto.sha256("x") end`, 64 << 20},
		{"tostring of tables", `local t = {} while true do t[#t + 1] = tostring(t) end`, 64 << 20},
		{"cases", `local t, s = {}, ("x"):rep(1e5) while true do t[#t + 1] = s:upper():lower():reverse() end`, 64 << 20},
	} {
		t.Run(test.name, func(t *testing.T) {
			vm := newVM(t, Config{Limits: Limits{Budget: time.Hour, Memory: limit}})
			p := compile(t, test.source)
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			before := m.TotalAlloc
			_, err := vm.Run(p)
			runtime.ReadMemStats(&m)
			if e := asError(err); err == nil || e.Kind != Memory && e.Kind != Value && e.Kind != Raised {
				t.Errorf("%v", err)
			}
			if took := int(m.TotalAlloc - before); took > test.most {
				t.Errorf("took %d MiB before %v", took>>20, err)
			}
		})
	}
}
