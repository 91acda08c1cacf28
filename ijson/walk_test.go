package ijson

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

const depth = 32

func read(text string) error {
	return Walk([]byte(text), depth, func(*jsontext.Decoder, jsontext.Token) error { return nil })
}

// RFC 7493, 2: UTF-8, no name twice, numbers that a float64 holds.
func TestWalk(t *testing.T) {
	many := func(last string) string {
		var b strings.Builder
		for i := range 40 {
			fmt.Fprintf(&b, `"k%d":%d,`, i, i)
		}
		return "{" + b.String() + last + "}"
	}
	syntax := errors.New("of any kind")
	tests := []struct {
		name, text string
		err        error
	}{
		{"empty", ` { } `, nil},
		{"all kinds",
			"{ \"a\" : [ 1 , -2.5e+3, true,false , null, \"x\\\"]\" , { } , [ ] ] ,\r\n\t\"b\":{\"a\":{\"a\":1}} }", nil},
		{"many", many(`"k40":1`), nil},
		{"array", `[{}]`, nil},
		{"number", `1`, nil},
		{"same name at two depths", `{"a":{"a":[{"a":1},{"a":1}]}}`, nil},
		{"twice", `{"a":1,"b":2,"a":3}`, ErrTwice},
		{"twice, one escaped", `{"a":1,"\u0061":3}`, ErrTwice},
		{"twice, in an array", `{"x":[[{"a":1,"a":3}]]}`, ErrTwice},
		{"twice among many", many(`"k7":1`), ErrTwice},
		{"twice, late", many(`"z":1,"z":2`), ErrTwice},
		{"case makes another name", `{"a":1,"A":3}`, nil},
		{"deep", strings.Repeat(`{"a":`, 31) + "[]" + strings.Repeat("}", 31), nil},
		{"too deep", strings.Repeat(`{"a":`, 32) + "[]" + strings.Repeat("}", 32), ErrDepth},
		{"too deep, objects", strings.Repeat(`{"a":`, 32) + "{}" + strings.Repeat("}", 32), ErrDepth},
		{"large number", `{"a":1e308}`, nil},
		{"small number", `{"a":1e-400}`, nil},
		{"number out of range", `{"a":1e309}`, ErrNumber},
		{"number of many digits", `{"a":` + strings.Repeat("9", 310) + `}`, ErrNumber},
		{"nothing", ``, ErrShort},
		{"spaces", `  `, ErrShort},
		{"second object", `{}{}`, ErrTrailing},
		{"second number", `1 2`, ErrTrailing},
		{"comma", `{"a":1,}`, syntax},
		{"open", `{"a":1`, syntax},
		{"not UTF-8", "{\"a\":\"\xc3\"}", syntax},
		{"half of a surrogate pair", `{"a":"\ud800"}`, syntax},
		{"NUL behind", "{}\x00", syntax},
		{"byte order mark", "\ufeff{}", syntax},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := read(tt.text)
			var fault *Error
			switch {
			case tt.err == nil && err != nil, tt.err != nil && !errors.As(err, &fault),
				tt.err != syntax && !errors.Is(err, tt.err):
				t.Errorf("%v, want %v", err, tt.err)
			}
		})
	}
}

// The caller's own error ends the reading and comes back as it is; the reader's says where it is.
func TestWalkEnds(t *testing.T) {
	enough, n := errors.New("enough"), 0
	err := Walk([]byte(`[1,2,3`), depth, func(*jsontext.Decoder, jsontext.Token) error {
		if n++; n == 3 {
			return enough
		}
		return nil
	})
	if err != enough || n != 3 {
		t.Errorf("after %d tokens: %v", n, err)
	}
	var fault *Error
	if err := read(`{"a":[1,{"b":1e999}]}`); !errors.As(err, &fault) || fault.Where != "/a/1/b" || fault.Offset != 18 {
		t.Errorf("%+v", fault)
	}
}

func TestIsMediaType(t *testing.T) {
	for kind, want := range map[string]bool{
		"application/json": true, "Application/JSON; charset=utf-8": true, "application/problem+json": true,
		"": false, "text/json": false, "application/jsonp": false, "application/json;": true, ";": false,
	} {
		if IsMediaType(kind) != want {
			t.Errorf("%q: want %v", kind, want)
		}
	}
}

// What Walk accepts is JSON to everybody, and what is no JSON it refuses.
func FuzzWalk(f *testing.F) {
	f.Add(`{"a":[1,-2.5e+3,true,false,null,"x\"]",{},[]],"b":{"a":1},"\u0061b":"\ud800"}`)
	f.Add(` {"a" : 1e400 , "b":{"a":[[[[{"x":0,"x":0}]]]]}}`)
	f.Fuzz(func(t *testing.T, text string) {
		if err := read(text); err == nil && !json.Valid([]byte(text)) {
			t.Errorf("%q was read", text)
		}
	})
}
