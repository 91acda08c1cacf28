package luavm

import (
	"runtime"
	"strings"
	"testing"

	lua "github.com/yuin/gopher-lua"
)

func BenchmarkNew(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		New(Config{}).Close()
	}
}

// BenchmarkRetained reports the bytes that an idle VM holds which has run a
// small script.
func BenchmarkRetained(b *testing.B) {
	const n = 1000
	p := compile(b, `function handler(event) return {send = event.message} end local t = {} t[1] = "x"`)
	for b.Loop() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&before)
		vms := make([]*VM, n)
		for i := range vms {
			vms[i] = New(Config{})
			if _, err := vms[i].Run(p); err != nil {
				b.Fatal(err)
			}
		}
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/n, "B/vm")
		for _, vm := range vms {
			vm.Close()
		}
	}
}

const handler = `
	function handler(event)
		if event.type == "message" then
			local m = json.decode(event.message)
			return {broadcast_room = {event = "said", text = m.text, from = event.connection_id}}
		end
	end
	function small(event) return {send = event.message} end`

func BenchmarkTurn(b *testing.B) {
	for _, name := range []string{"small", "handler"} {
		b.Run(name, func(b *testing.B) {
			vm := newVM(b, Config{Gate: NewGate(2)})
			run(b, vm, handler)
			fn := vm.Global(name)
			event := NewObject(3)
			event.Set("type", lua.LString("message"))
			event.Set("message", lua.LString(`{"text":"hello everybody","n":17}`))
			event.Set("connection_id", lua.LString("0190a6f2-0000-8000-8000-000000000001"))
			arg := event.Table()
			b.ReportAllocs()
			for b.Loop() {
				vm.BeginTurn(nil)
				if _, err := vm.Call1(fn, arg); err != nil {
					b.Fatal(err)
				}
				vm.EndTurn()
			}
		})
	}
}

const message = `{"event":"presence_diff","channel":"room:lobby","payload":{"joins":{"u1":{"metas":[{"phx_ref":"F1","online_at":1700000000,"state":"online","tags":["a","b"],"name":"Åsa \"Q\""}]}},"leaves":{}},"n":12345.5}`

func BenchmarkDecode(b *testing.B) {
	b.SetBytes(int64(len(message)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := DecodeJSON(nil, message); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	v, err := DecodeJSON(nil, message)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(message)))
	b.ReportAllocs()
	buf := make([]byte, 0, 1024)
	for b.Loop() {
		if _, err := AppendJSON(buf, v, 0); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkLua runs one loop of Lua; an operation is one round of it.
func BenchmarkLua(b *testing.B) {
	for _, test := range []struct{ name, body string }{
		{"empty", ``},
		{"add", `x = x + i`},
		{"concat", `x = "a" .. i`},
		{"field", `t.x = t.x`},
		{"index", `t[i % 10 + 1] = i`},
		{"global", `g = g`},
		{"library", `x = math.floor(1.5)`},
		{"method", `x = ("abc"):len()`},
		{"find", `x = s:find("(%w+)=(%w+)")`},
		{"find plain", `x = s:find("value", 1, true)`},
		{"gsub", `x = s:gsub("%w+", "x")`},
		{"pcall", `pcall(f)`},
		{"call", `f()`},
		{"coroutine", `co()`},
	} {
		b.Run(test.name, func(b *testing.B) {
			vm := newVM(b, Config{Limits: Limits{Budget: 1 << 60}})
			run(b, vm, `g = 1 function loop(n)
				local x, t, s = 0, {x = 1}, "some text before: key=value, and after"
				local function f() end
				local co = coroutine.wrap(function() while true do coroutine.yield() end end)
				for i = 1, n do `+test.body+` end end`)
			b.ReportAllocs()
			b.ResetTimer()
			if _, err := vm.Call1(vm.Global("loop"), lua.LNumber(b.N)); err != nil {
				b.Fatal(err)
			}
		})
	}
}

func BenchmarkMatchLong(b *testing.B) {
	src := strings.Repeat("a", 64<<10) + "b"
	b.SetBytes(int64(len(src)))
	for b.Loop() {
		m := &matcher{src: src, pat: "a*b"}
		if _, _, err := m.search(0); err != nil {
			b.Fatal(err)
		}
	}
}
