package auth

import (
	"encoding/json"
	"errors"
	"testing"

	"rollcall/ijson"
)

func TestDecodeObject(t *testing.T) {
	tests := []struct {
		name, text, b string // b: the member's value
		err           error
	}{
		{"empty", ` { } `, "", nil},
		{"spaces", "{ \"a\" : [ 1 , { \"b\" : 2 } ] ,\r\n\t\"b\" :\t{\"a\": {\"b\":1}} \n}", `{"a": {"b":1}}`, nil},
		{"escaped name", `{"\u0062":":b"}`, `":b"`, nil},
		{"last number", `{"a":"b","b":-1.50}`, `-1.50`, nil},
		{"twice", `{"a":1,"b":2,"a":3}`, "", ijson.ErrTwice},
		{"array", `[{}]`, "", errNotObject},
		{"empty array", ` []`, "", errNotObject},
		{"number", `1`, "", errNotObject},
		{"string", ` "{}"`, "", errNotObject},
		{"nothing", ``, "", ijson.ErrShort},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			members, err := decodeObject([]byte(tt.text))
			if !errors.Is(err, tt.err) || err == nil && string(members.get("b")) != tt.b {
				t.Errorf("%q, %v; want %q, %v", members.get("b"), err, tt.b, tt.err)
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
		if err != nil {
			return
		}
		var want map[string]json.RawMessage
		if err := json.Unmarshal(text, &want); err != nil || want == nil {
			t.Fatalf("%q is an object: %v", text, err)
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
