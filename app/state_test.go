package app

import (
	"strings"
	"testing"

	lua "github.com/yuin/gopher-lua"

	"rollcall/luavm"
)

// keep sends a value through state and gives it as JSON, and whether all of it was kept.
func TestStateIsKept(t *testing.T) {
	tests := []struct {
		name, source, want string
		lossy              bool
	}{
		{"empty", `{}`, `{}`, false},
		{"scalars", `{a = true, b = false, c = "x", d = 12, e = -1, f = 1.5, g = ""}`, "", false},
		{"large numbers", `{2^53, -2^53, 2^60, 1e300, -0.1}`, "", false},
		{"null", `{a = json.null}`, "", false},
		{"array", `{list = {1, "two", {3}}}`, "", false},
		{"empty arrays stay arrays", `{a = json.array({}), o = {}}`, "", false},
		{"array of null", `{a = json.array({json.null, 1})}`, "", false},
		{"mixed keys", `{1, 2, x = 3, [10] = 4}`, "", false},
		{"boolean key", `local t = {[true] = "x"} return {n = 1, t = t}`, `{"n":1,"t":{}}`, false},
		{"nested", `{a = {b = {c = {d = "e"}}}}`, "", false},
		{"long string", `{s = string.rep("x", 60000)}`, "", false},
		{"many tables", `local t = {} for i = 1, 100 do t[i] = {i = i} end return {t = t}`, "", false},
		{"decoded JSON", `{a = json.decode('{"b":{"c":[]},"d":{}}')}`, "", false},
		{"function", `{f = print, x = 1}`, `{"x":1}`, true},
		{"function in an array", `{l = json.array({1, print, 3})}`, `{"l":[1,null,3]}`, true},
		{"coroutine", `{c = coroutine.create(function() end)}`, `{}`, true},
		{"metatable", `{m = setmetatable({}, {}), x = 1}`, `{"x":1}`, true},
		{"table as key", `{[{}] = 1, x = 1}`, `{"x":1}`, true},
		{"a library table", `{j = json, x = 1}`, `{"x":1}`, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			vm, v := eval(t, tt.source)
			state, lossy, _ := encodeState(v.(*lua.LTable), nil)
			got := decodeState(vm.L(), string(state))
			want := tt.want
			if want == "" {
				text, err := luavm.EncodeJSON(v, 0)
				if err != nil {
					t.Fatal(err)
				}
				want = string(text)
			}
			if tt.name == "boolean key" {
				if b := got.RawGetString("t").(*lua.LTable).RawGet(lua.LTrue); b != lua.LString("x") || lossy {
					t.Fatalf("t[true] is %v", b)
				}
				return
			}
			text, err := luavm.EncodeJSON(got, 0)
			if err != nil || string(text) != want || lossy != tt.lossy {
				t.Fatalf("got %.200s (lossy %v, %v), want %.200s", text, lossy, err, want)
			}
		})
	}
}

func TestStateKeepsIdentity(t *testing.T) {
	vm, v := eval(t, `
local t = {name = "t"}
local s = {a = t, b = t, list = {}}
s.self = s
for i = 1, 40 do s.list[i] = {i} end
s.last = s.list[40]
return s`)
	state, lossy, _ := encodeState(v.(*lua.LTable), nil)
	got := decodeState(vm.L(), string(state))
	if lossy || got.RawGetString("a") != got.RawGetString("b") || got.RawGetString("self") != got ||
		got.RawGetString("last") != got.RawGetString("list").(*lua.LTable).RawGetInt(40) {
		t.Fatal("tables that were one are two")
	}
}

// What a client sent stays told apart from what the handler made, also when it was kept meanwhile.
func TestStateKeepsWhatWasDecoded(t *testing.T) {
	vm, v := eval(t, `{own = {}, sent = json.decode('{"deep":{"er":1}}')}`)
	state, _, _ := encodeState(v.(*lua.LTable), nil)
	got := decodeState(vm.L(), string(state))
	sent := got.RawGetString("sent").(*lua.LTable)
	if luavm.Decoded(got) || luavm.Decoded(got.RawGetString("own").(*lua.LTable)) || !luavm.Decoded(sent) ||
		!luavm.Decoded(sent.RawGetString("deep").(*lua.LTable)) {
		t.Error("it does not")
	}
}

func TestStateNestedTooDeeply(t *testing.T) {
	_, v := eval(t, `local s = {} local t = s for i = 1, 150 do t.t = {} t = t.t end return s`)
	if _, lossy, _ := encodeState(v.(*lua.LTable), nil); !lossy {
		t.Fatal("it is not told that something was left out")
	}
}

func TestStateIsSmall(t *testing.T) {
	_, v := eval(t, `{user = "ann", room = "red", n = 12}`)
	if state, _, _ := encodeState(v.(*lua.LTable), nil); len(state) > 40 || strings.Contains(string(state), "\x00\x00") {
		t.Fatalf("%d bytes: %q", len(state), state)
	}
}

// SPEC 6: "`event.state`: at most 64 KiB". What is too long is an error of that event, and the state stays as it was.
func TestStateIsBounded(t *testing.T) {
	n := startNode(t, handler(`
local s = event.state
if event.message == "long" then s.text = string.rep("x", 65536)
elseif event.message == "many" then for i = 1, 20000 do s[i] = {i} end
elseif event.message == "most" then s.text = string.rep("x", 65000)
elseif event.message then s.n = (s.n or 0) + 1 end
return event.message and {send = "n=" .. (s.n or 0) .. " text=" .. #(s.text or "") .. " #=" .. #s}`))
	c := n.dial("/ws/x")
	c.say("count")
	c.expect("n=1 text=0 #=0")
	c.say("long", "many", "count")
	c.expect("n=2 text=0 #=0")
	for _, f := range n.seen.all() {
		if f.Reason != ReasonActions ||
			!strings.Contains(f.Message, "event.state takes more than 65536 bytes; it stays as it was") || f.Line == 0 {
			t.Errorf("%+v", f)
		}
	}
	if len(n.seen.all()) != 2 {
		t.Errorf("%d failures", len(n.seen.all()))
	}
	c.say("most", "count")
	c.expect("n=2 text=65000 #=0", "n=3 text=65000 #=0")
}
