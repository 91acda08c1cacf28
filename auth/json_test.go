package auth

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

func TestDecodeObject(t *testing.T) {
	many := func(last string) string {
		var b strings.Builder
		for i := range 40 {
			fmt.Fprintf(&b, `"k%d":%d,`, i, i)
		}
		return "{" + b.String() + last + "}"
	}
	tests := []struct {
		name, text string
		err        error
	}{
		{"empty", ` { } `, nil},
		{"all kinds", "{ \"a\" : [ 1 , -2.5e+3, true,false , null, \"x\\\"]\" , { } , [ ] ] ,\r\n\t\"b\":{\"a\":{\"a\":1}} }", nil},
		{"many", many(`"k40":1`), nil},
		{"same name at two depths", `{"a":{"a":[{"a":1},{"a":1}]}}`, nil},
		{"twice", `{"a":1,"b":2,"a":3}`, errDuplicate},
		{"twice, one escaped", `{"a":1,"\u0061":3}`, errDuplicate},
		{"twice, in an array", `{"x":[[{"a":1,"a":3}]]}`, errDuplicate},
		{"twice among many", many(`"k7":1`), errDuplicate},
		{"twice, late", many(`"z":1,"z":2`), errDuplicate},
		{"case makes another name", `{"a":1,"A":3}`, nil},
		{"deep", strings.Repeat(`{"a":`, 31) + "[]" + strings.Repeat("}", 31), nil},
		{"too deep", strings.Repeat(`{"a":`, 32) + "[]" + strings.Repeat("}", 32), errDepth},
		{"too deep, objects", strings.Repeat(`{"a":`, 32) + "{}" + strings.Repeat("}", 32), errDepth},
		{"large number", `{"a":1e308}`, nil},
		{"number out of range", `{"a":1e309}`, errNumber},
		{"number of many digits", `{"a":` + strings.Repeat("9", 310) + `}`, errNumber},
		{"array", `[{}]`, errNotObject},
		{"number", `1`, errNotObject},
		{"nothing", ``, errJSON},
		{"spaces", `  `, errJSON},
		{"second object", `{}{}`, errJSON},
		{"comma", `{"a":1,}`, errJSON},
		{"open", `{"a":1`, errJSON},
		{"not UTF-8", "{\"a\":\"\xc3\"}", errUTF8},
		{"NUL behind", "{}\x00", errJSON},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := decodeObject([]byte(tt.text)); err != tt.err {
				t.Errorf("%v, want %v", err, tt.err)
			}
		})
	}
}

// What decodeObject accepts, encoding/json reads the same way.
func FuzzDecodeObject(f *testing.F) {
	f.Add([]byte(`{"a":[1,-2.5e+3,true,false,null,"x\"]",{},[]],"b":{"a":1},"\u0061b":"\ud800"}`))
	f.Add([]byte(` {"a" : 1e400 , "b":{"a":[[[[{"x":0,"x":0}]]]]}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		members, err := decodeObject(text)
		var want map[string]json.RawMessage
		if valid := json.Unmarshal(text, &want) == nil && want != nil; err != nil {
			if (err == errJSON || err == errNotObject) && valid {
				t.Fatalf("%v for %q", err, text)
			}
			return
		}
		if len(members) != len(want) {
			t.Fatalf("%d members, want %d", len(members), len(want))
		}
		for name, value := range want {
			if string(members.get(name)) != string(value) {
				t.Fatalf("%q is %q, want %q", name, members.get(name), value)
			}
		}
	})
}
