package luavm

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	lua "github.com/yuin/gopher-lua"
	"pgregory.net/rapid"
)

// TestJSONOfScripts: SPEC 1.3: "arrays stay arrays through a round trip, also
// empty; json.null; json.array(t); encoding a function, a cycle or NaN raises".
func TestJSONOfScripts(t *testing.T) {
	vm := newVM(t, Config{})
	for _, test := range []struct{ source, want string }{
		{`json.encode({})`, `{}`},
		{`json.encode(json.array({}))`, `[]`},
		{`json.encode(json.array())`, `[]`},
		{`json.encode(json.decode("[]"))`, `[]`},
		{`json.encode(json.decode("{}"))`, `{}`},
		{`json.encode(json.decode('{"a":[],"b":{},"c":[[]]}'))`, `{"a":[],"b":{},"c":[[]]}`},
		{`json.encode({1, 2, 3})`, `[1,2,3]`},
		{`json.encode({1, nil, 3})`, `{"1":1,"3":3}`},
		{`json.encode({[2] = "b"})`, `{"2":"b"}`},
		{`json.encode({"a", x = 1})`, `{"1":"a","x":1}`},
		{`json.encode({[1.5] = 1})`, `{"1.5":1}`},
		{`json.encode({[-1] = 1})`, `{"-1":1}`},
		{`json.encode(json.array({1, nil, 3}))`, `[1,null,3]`},
		{`(function() local t = json.decode("[1,2]") t.x = 1 return json.encode(t) end)()`, `{"1":1,"2":2,"x":1}`},
		{`(function() local t = json.decode("[1,2]") table.remove(t) table.remove(t) return json.encode(t) end)()`, `[]`},
		{`(function() local t = json.decode("[1]") t[#t + 1] = 2 table.insert(t, 3) return json.encode(t) end)()`, `[1,2,3]`},
		{`(function() local t = {1, 2} t[2] = nil return json.encode(t) end)()`, `[1]`},
		{`(function() local t = {} t.a = 1 t.a = nil return json.encode(t) end)()`, `{}`},
		{`json.encode({z = 1, a = 2, m = 3})`, `{"z":1,"a":2,"m":3}`},
		{`json.encode(json.null)`, `null`},
		{`json.encode({a = json.null})`, `{"a":null}`},
		{`json.encode(json.decode('{"a":null}'))`, `{"a":null}`},
		{`json.encode(nil)`, `null`},
		{`json.encode(1)`, `1`},
		{`json.encode(0 * -1)`, `0`},
		{`json.encode(json.decode("-0"))`, `0`},
		{`json.encode(-0.5)`, `-0.5`},
		{`json.encode(1e15)`, `1000000000000000`},
		{`json.encode(2^53)`, `9007199254740992`},
		{`json.encode(1e20)`, `100000000000000000000`},
		{`json.encode(1e21)`, `1e+21`},
		{`json.encode(1e-7)`, `1e-07`},
		{`json.encode(0.1)`, `0.1`},
		{`json.encode(1700000000123)`, `1700000000123`},
		{`json.encode(true)`, `true`},
		{`json.encode("a\"b\\c\n\t\r\b\f\1/é")`, `"a\"b\\c\n\t\r\b\f\u0001/é"`},
		{`json.encode("\255x")`, `"` + "\ufffd" + `x"`},
		{`JSON.stringify({1})`, `[1]`},
		{`JSON.parse('{"a":[1,2]}').a[2]`, `2`},
		{`json_encode({1})`, `[1]`},
		{`json_decode("[7]")[1]`, `7`},
		{`tostring(json.decode("null") == json.null)`, `true`},
		{`tostring(json.null)`, `null`},
		{`type(json.null)`, `userdata`},
		{`json.decode(' {"a" : [ 1 , -2.5e3 , "x\\u00e9\\ud83d\\ude00" , true , false ] } ').a[3]`, "xé😀"},
		{`tostring(json.decode("-2.5e3"))`, `-2500`},
		{`tostring(json.decode("0"))`, `0`},
		{`json.decode('"\\ud800x"')`, "\ufffdx"},
		{`json.decode('{"a":1,"a":2}').a`, `2`},
		{`tostring(getmetatable(json.decode("[]")))`, `nil`},
		{`tostring(getmetatable(setmetatable(json.decode("[]"), {__index = 1})).__index)`, `1`},
		{`select("#", pairs(json.decode("[1]")))`, `3`},
		{`(function() local n = 0 for k, v in pairs(json.decode('{"a":1,"b":2}')) do n = n + v end return n end)()`, `3`},
		{`#json.decode("[1,2,3]")`, `3`},
		{`tostring(getmetatable(json.decode('{"a":1}')))`, `nil`},
		{`tostring(json.decode('{"a":1}').b)`, `nil`},
		{`(function() local t = json.decode("{}") t.x = 1 rawset(t, "y", 2) return json.encode(t) end)()`, `{"x":1,"y":2}`},
		{`json.encode(json.array(json.decode("{}")))`, `[]`},
		{`tostring(getmetatable(setmetatable(json.decode("{}"), {__index = 1})).__index)`, `1`},
		{`tostring(json.decode("{}") == json.decode("{}"))`, `false`},
	} {
		if got := run(t, vm, "return "+test.source); got.String() != test.want {
			t.Errorf("%s = %s; want %s", test.source, got, test.want)
		}
	}
}

// TestJSONErrors: SPEC 1.3: "decoding bad text raises with the position".
func TestJSONErrors(t *testing.T) {
	vm := newVM(t, Config{})
	for _, test := range []struct{ source, want string }{
		{`json.encode(print)`, "cannot encode a function as JSON"},
		{`json.encode({f = function() end})`, "cannot encode a function as JSON"},
		{`json.encode(coroutine.create(function() end))`, "cannot encode a thread as JSON"},
		{`json.encode(0/0)`, "cannot encode NaN or infinity as JSON"},
		{`json.encode({math.huge})`, "cannot encode NaN or infinity as JSON"},
		{`json.encode({[true] = 1})`, "cannot encode a table with a boolean as key as JSON"},
		{`(function() local t = {} t[1] = {t} json.encode(t) end)()`, "cannot encode a table that contains itself as JSON"},
		{`json.encode(string)`, "cannot encode a function as JSON"},
		{`json.encode()`, "bad argument #1 to encode (value expected)"},
		{`json.decode("")`, "invalid JSON at position 1: unexpected end of text"},
		{`json.decode("{")`, "invalid JSON at position 2: unexpected end of text"},
		{`json.decode("[1,]")`, "invalid JSON at position 4: unexpected ']'"},
		{`json.decode("[1 2]")`, "invalid JSON at position 4: unexpected '2'"},
		{`json.decode('{"a" 1}')`, "invalid JSON at position 6: unexpected '1'"},
		{`json.decode("{a:1}")`, "invalid JSON at position 2: unexpected 'a'"},
		{`json.decode("1 2")`, "invalid JSON at position 3: unexpected '2'"},
		{`json.decode("nul")`, "invalid JSON at position 4: unexpected end of text"},
		{`json.decode("nulx")`, "invalid JSON at position 4: unexpected 'x'"},
		{`json.decode("01")`, "invalid JSON at position 2: unexpected '1'"},
		{`json.decode("-")`, "invalid JSON at position 2: unexpected end of text"},
		{`json.decode("1.")`, "invalid JSON at position 3: unexpected end of text"},
		{`json.decode("1e")`, "invalid JSON at position 3: unexpected end of text"},
		{`json.decode("1e999")`, "invalid JSON at position 1: number out of range"},
		{`json.decode('"abc')`, "invalid JSON at position 5: unexpected end of text"},
		{`json.decode('"a\\x"')`, "invalid JSON at position 4: unknown escape"},
		{`json.decode('"a\\u12"')`, "invalid JSON at position 4: \\u needs four hexadecimal digits"},
		{`json.decode('"a\nb"')`, "invalid JSON at position 3: control character in a string"},
		{`json.decode("NaN")`, "invalid JSON at position 1: unexpected 'N'"},
		{`json.decode(("["):rep(201))`, "invalid JSON at position 201: nested deeper than 200"},
		{`json.decode({})`, "bad argument #1 to decode (string expected, got table)"},
	} {
		e := runError(t, vm, test.source)
		if e.Message != "test.lua:1: "+test.want {
			t.Errorf("%s: %s; want %s", test.source, e.Message, test.want)
		}
	}
}

// TestJSONAgreesWithGo: what encoding/json makes and takes, we take and make.
func TestJSONAgreesWithGo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text, err := json.Marshal(genJSON(t, 3))
		if err != nil {
			t.Fatal(err)
		}
		v, err := DecodeJSON(nil, string(text))
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		again, err := EncodeJSON(v, 0)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		var a, b any
		if json.Unmarshal(text, &a) != nil || json.Unmarshal(again, &b) != nil {
			t.Fatalf("%s became %s", text, again)
		}
		x, _ := json.Marshal(a)
		y, _ := json.Marshal(b)
		if string(x) != string(y) {
			t.Fatalf("%s became %s", x, y)
		}
	})
}

func genJSON(t *rapid.T, depth int) any {
	most := 5
	if depth == 0 {
		most = 3
	}
	switch rapid.IntRange(0, most).Draw(t, "kind") {
	case 0:
		return rapid.SampledFrom([]any{nil, true, false}).Draw(t, "word")
	case 1:
		f := rapid.OneOf(rapid.Float64Range(-1e30, 1e30),
			rapid.Map(rapid.IntRange(-1e9, 1e9), func(i int) float64 { return float64(i) })).Draw(t, "number")
		return f + 0 // -0, which Lua's arithmetic makes easily, is written as 0: TestJSONOfScripts
	case 2, 3:
		return rapid.String().Draw(t, "string")
	case 4:
		list := make([]any, rapid.IntRange(0, 4).Draw(t, "length"))
		for i := range list {
			list[i] = genJSON(t, depth-1)
		}
		return list
	default:
		m := map[string]any{}
		for range rapid.IntRange(0, 4).Draw(t, "fields") {
			m[rapid.String().Draw(t, "key")] = genJSON(t, depth-1)
		}
		return m
	}
}

// TestDecodeRefusesWhatGoRefuses: any text is JSON for us exactly when it is for Go.
func TestDecodeRefusesWhatGoRefuses(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[ \[\]{}:,"a1\-.e0\\untrfals]{0,12}`).Draw(t, "text")
		_, err := DecodeJSON(nil, text)
		if valid := json.Valid([]byte(text)); valid != (err == nil) {
			if strings.ContainsAny(text, "eE") { // out of range is valid for Go
				return
			}
			t.Fatalf("%q: Go says %v, we say %v", text, valid, err)
		}
		var se *SyntaxError
		if err != nil && (!errors.As(err, &se) || se.Position < 1 || se.Position > len(text)+1) {
			t.Fatalf("%q: %#v", text, err)
		}
	})
}

func TestEncodeLimit(t *testing.T) {
	v, err := DecodeJSON(nil, `{"a":["xxxxxxxxxx","yyyyyyyyyy"]}`)
	if err != nil {
		t.Fatal(err)
	}
	want, err := EncodeJSON(v, 0)
	if err != nil {
		t.Fatal(err)
	}
	for limit := 1; limit <= len(want); limit++ {
		got, err := AppendJSON([]byte("before"), v, limit)
		switch {
		case limit < len(want) && !errors.Is(err, ErrTooLong):
			t.Errorf("limit %d: %v", limit, err)
		case limit == len(want) && (err != nil || string(got) != "before"+string(want)):
			t.Errorf("limit %d: %s, %v", limit, got, err)
		}
	}
}

// A host can tell what came as JSON from what a script made, however deep it stands and whatever is added to it.
func TestDecoded(t *testing.T) {
	vm := newVM(t, Config{})
	for source, want := range map[string]bool{
		`json.decode("{}")`:                    true,
		`json.decode('{"a":1}')`:               true,
		`json.decode('[{"a":{"b":1}}]')[1].a`:  true,
		`JSON.parse('{"a":1}')`:                true,
		`json_decode('{"a":1}')`:               true,
		`json.decode("[]")`:                    false,
		`{}`:                                   false,
		`{a = json.decode('{"a":1}')}`:         false,
		`json.array(json.decode("{}"))`:        false,
		`setmetatable(json.decode("{}"), nil)`: false,
		`(function() local t = json.decode('{"a":1}') t.b = 2 t.a = nil return t end)()`: true,
	} {
		if got := Decoded(run(t, vm, "return "+source).(*lua.LTable)); got != want {
			t.Errorf("%s is decoded: %v", source, got)
		}
	}
}
