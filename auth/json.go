package auth

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"unicode/utf8"
)

// maxDepth of nested arrays and objects in a token.
const maxDepth = 32

// errors of decodeObject
var (
	errUTF8      = errors.New("text that is not UTF-8")
	errNotObject = errors.New("no JSON object")
	errDuplicate = errors.New("a key twice in one object")
	errDepth     = errors.New("too deeply nested")
	errTrailing  = errors.New("text after the JSON object")
	errJSON      = errors.New("broken JSON")
)

// decodeObject reads the members of one JSON object and is stricter than encoding/json: no key twice at any depth (the
// parties of a token may each take another one), no bad UTF-8, no number beyond float64, nothing after the object.
func decodeObject(text []byte) (map[string]json.RawMessage, error) {
	if !utf8.Valid(text) {
		return nil, errUTF8
	}
	if err := checkObject(text); err != nil {
		return nil, err
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(text, &members); err != nil {
		return nil, errJSON
	}
	return members, nil
}

// level is an open array or object of checkObject.
type level struct {
	names map[string]struct{} // nil: an array
	value bool                // a name was read, its value comes next
}

func checkObject(text []byte) error {
	d := json.NewDecoder(bytes.NewReader(text))
	var open []level
	for {
		token, err := d.Token()
		if err != nil {
			return errJSON
		}
		var top *level
		if len(open) > 0 {
			top = &open[len(open)-1]
		}
		delim, isDelim := token.(json.Delim)
		switch {
		case top == nil && delim != '{':
			return errNotObject
		case isDelim && (delim == '}' || delim == ']'):
			open = open[:len(open)-1]
			if len(open) == 0 {
				if _, err := d.Token(); err != io.EOF {
					return errTrailing
				}
				return nil
			}
			continue
		case top != nil && top.names != nil && !top.value:
			name, _ := token.(string) // the decoder takes nothing else for a name
			if _, twice := top.names[name]; twice {
				return errDuplicate
			}
			top.names[name] = struct{}{}
			top.value = true
			continue
		}
		if top != nil {
			top.value = false
		}
		if isDelim {
			if len(open) == maxDepth {
				return errDepth
			}
			next := level{}
			if delim == '{' {
				next.names = make(map[string]struct{}, 8)
			}
			open = append(open, next)
		}
	}
}
