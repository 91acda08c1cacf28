package auth

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"rollcall/ijson"
)

// maxDepth of nested arrays and objects in a token.
const maxDepth = 32

var errNotObject = errors.New("no JSON object")

// object are the members of a JSON object, each name once.
type object []member

type member struct {
	name  string
	value []byte // JSON text
}

// get is the value of a member as JSON text; nil: there is none.
func (o object) get(name string) []byte {
	for i := range o {
		if o[i].name == name {
			return o[i].value
		}
	}
	return nil
}

// decodeObject reads the members of one object of I-JSON: of a name twice each party to a token might take another one.
// The members point into text.
func decodeObject(text []byte) (object, error) {
	var members object
	var name string
	var after int64 // the name
	err := ijson.Walk(text, maxDepth, func(d *jsontext.Decoder, token jsontext.Token) error {
		if d.StackDepth() != 1 {
			return nil
		}
		switch kind, n := d.StackIndex(1); {
		case kind != '{':
			return errNotObject
		case n%2 == 1:
			name, after = token.String(), d.InputOffset()
		case n > 0:
			members = append(members, member{name, bytes.TrimLeft(text[after:d.InputOffset()], ": \t\r\n")})
		}
		return nil
	})
	if err == nil && bytes.TrimLeft(text, " \t\r\n")[0] != '{' {
		err = errNotObject
	}
	return members, err
}

// stringOf reads a value as a string; false: it is something else, or nil.
func stringOf(value []byte) (string, bool) {
	if len(value) < 2 || value[0] != '"' {
		return "", false
	}
	if inner := value[1 : len(value)-1]; !slices.Contains(inner, '\\') {
		return string(inner), true
	}
	var s string
	err := json.Unmarshal(value, &s)
	return s, err == nil
}

// stringsOf reads a value as an array of strings; false: it is something else, or nil.
func stringsOf(value []byte) ([]string, bool) {
	var list []*string // pointers, to see null
	if len(value) == 0 || value[0] != '[' || json.Unmarshal(value, &list) != nil || slices.Contains(list, nil) {
		return nil, false
	}
	texts := make([]string, len(list))
	for i, s := range list {
		texts[i] = *s
	}
	return texts, true
}

// oneOrMore reads a string as an array of one.
func oneOrMore(value []byte) ([]string, bool) {
	if s, ok := stringOf(value); ok {
		return []string{s}, true
	}
	return stringsOf(value)
}
