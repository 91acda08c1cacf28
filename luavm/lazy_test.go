package luavm

import (
	"strings"
	"testing"
	"time"

	lua "github.com/yuin/gopher-lua"
)

// lazyVM has a global request whose field body is decoded when it is looked at; made counts how often.
func lazyVM(t *testing.T, body string) (vm *VM, made *int) {
	vm, made = newVM(t, Config{Limits: Limits{Budget: time.Minute}}), new(int)
	o := NewObject(1)
	o.Set("path", lua.LString("/"))
	request := o.Table()
	vm.SetLazy(request, "body", body, func(vm *VM, text string) lua.LValue {
		*made++
		v, err := DecodeJSON(vm, text)
		if err != nil {
			return lua.LString(text)
		}
		return v
	})
	vm.SetGlobal("request", request)
	return vm, made
}

func TestLazyField(t *testing.T) {
	for source, want := range map[string]struct {
		result string
		made   int
	}{
		`return request.path`:                                                       {"/", 0},
		`return tostring(request.other)`:                                            {"nil", 0},
		`return tostring(getmetatable(request))`:                                    {"false", 0},
		`return request.body.a`:                                                     {"1", 1},
		`return request.body.a + request.body.a`:                                    {"2", 1},
		`request.body = "mine" return request.body`:                                 {"mine", 0},
		`request.body = "mine" return json.encode(request)`:                         {`{"path":"/","body":"mine"}`, 0},
		`return rawget(request, "body").a`:                                          {"1", 1},
		`return json.encode(request)`:                                               {`{"path":"/","body":{"a":1}}`, 1},
		`local n = 0 for k in pairs(request) do n = n + 1 end return n`:             {"2", 1},
		`return next(request, "path")`:                                              {"body", 1},
		`return setmetatable({}, {__index = request}).body.a`:                       {"1", 1},
		`return setmetatable(request, nil).body.a`:                                  {"1", 1},
		`return #request`:                                                           {"0", 0},
		`local c = coroutine.wrap(function() return request.body.a end) return c()`: {"1", 1},
	} {
		t.Run(source, func(t *testing.T) {
			vm, made := lazyVM(t, `{"a":1}`)
			if got := run(t, vm, source); got.String() != want.result || *made != want.made {
				t.Errorf("%s, made %d times; want %s, %d times", got, *made, want.result, want.made)
			}
		})
	}
	t.Run("bad text", func(t *testing.T) {
		vm, _ := lazyVM(t, `{"a":`)
		if got := run(t, vm, `return request.body`); got != lua.LString(`{"a":`) {
			t.Error(got)
		}
	})
	t.Run("as JSON", func(t *testing.T) {
		vm, _ := lazyVM(t, `{"a":1}`)
		if text, err := EncodeJSON(vm.Global("request"), 0); err != nil || !strings.Contains(string(text), `{"a":1}`) {
			t.Error(string(text), err)
		}
	})
}

// What the field takes counts for the script that looks at it.
func TestLazyFieldIsCharged(t *testing.T) {
	body := "[" + strings.Repeat(`{"":0},`, 100_000) + "0]"
	for _, source := range []string{`return request.body`, `pcall(function() return request.body end)`,
		`return next(request)`, `return json.encode(request)`} {
		vm, _ := lazyVM(t, body)
		if err := runError(t, vm, source); err.Kind != Memory {
			t.Errorf("%s: %v", source, err)
		}
		if got := run(t, vm, `return request.path`); got != lua.LString("/") {
			t.Errorf("then %s", got)
		}
	}
	vm, _ := lazyVM(t, body)
	if text, err := EncodeJSON(vm.Global("request"), 0); err != nil ||
		!strings.HasPrefix(string(text), `{"path":"/","body":"[{`) {
		t.Errorf("outside of a run it is no text: %.100s %v", text, err)
	}
	vm, _ = lazyVM(t, body)
	if held := vm.Memory(); held < len(body) {
		t.Errorf("before that it counts for %d bytes", held)
	}
}

// A text may hold as many values as an array may have elements.
func TestDecodeHasABoundOfValues(t *testing.T) {
	for text, ok := range map[string]bool{
		"[" + strings.Repeat("1,", maxDecoded-2) + "1]":             true,
		"[[" + strings.Repeat("1,", maxDecoded-2) + "1]]":           false,
		"[" + strings.Repeat("[],", maxDecoded-2) + "[]]":           true,
		"{" + strings.Repeat(`"":0,`, maxDecoded-1) + `"":0}`:       false,
		"[" + strings.Repeat("[[]],", maxDecoded/2+1) + "1]":        false,
		"[" + strings.Repeat("null,", maxDecoded-2) + `"last one"]`: true,
	} {
		_, err := DecodeJSON(nil, text)
		if ok != (err == nil) || !ok && !strings.Contains(err.Error(), "more than 262144 values") {
			t.Errorf("%.20s… of %d bytes: %v", text, len(text), err)
		}
	}
}
