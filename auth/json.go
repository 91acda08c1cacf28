package auth

import (
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"unicode/utf8"
)

// maxDepth of nested arrays and objects in a token.
const maxDepth = 32

// What decodeObject says.
var (
	errUTF8      = errors.New("text that is not UTF-8")
	errJSON      = errors.New("broken JSON, or text after it")
	errNotObject = errors.New("no JSON object")
	errDuplicate = errors.New("a key twice in one object")
	errDepth     = errors.New("too deeply nested")
	errNumber    = errors.New("a number out of range")
)

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

// decodeObject reads the members of one JSON object and is stricter than encoding/json: no key twice at any depth (each
// party to a token may take another one of the two), no bad UTF-8, no number beyond float64, nothing after the object.
// The members point into text.
func decodeObject(text []byte) (object, error) {
	if !utf8.Valid(text) {
		return nil, errUTF8
	}
	if !json.Valid(text) {
		return nil, errJSON
	}
	w := walker{text: text}
	w.space()
	if w.text[w.i] != '{' {
		return nil, errNotObject
	}
	return w.object(0)
}

// walker reads text that is known to be valid JSON; i never passes its end.
type walker struct {
	text []byte
	i    int
}

func (w *walker) space() {
	for w.i < len(w.text) {
		switch w.text[w.i] {
		case ' ', '\t', '\n', '\r':
			w.i++
		default:
			return
		}
	}
}

// value passes one value, depth of them being open around it.
func (w *walker) value(depth int) error {
	switch c := w.text[w.i]; {
	case c == '{':
		_, err := w.object(depth)
		return err
	case c == '[':
		return w.array(depth)
	case c == '"':
		w.str()
		return nil
	case c == '-' || c >= '0' && c <= '9':
		return w.number()
	case c == 'f':
		w.i += len("false")
	default:
		w.i += len("true") // or null
	}
	return nil
}

func (w *walker) object(depth int) (object, error) {
	if depth == maxDepth {
		return nil, errDepth
	}
	var members object
	var names map[string]struct{} // once there are many
	for w.i++; ; {
		w.space()
		switch w.text[w.i] {
		case '}':
			w.i++
			return members, nil
		case ',':
			w.i++
			w.space()
		}
		name, _ := stringOf(w.str())
		w.space()
		w.i++ // the colon
		w.space()
		if names == nil && len(members) == 16 {
			names = make(map[string]struct{}, 64)
			for _, m := range members {
				names[m.name] = struct{}{}
			}
		}
		twice := false
		if names != nil {
			_, twice = names[name]
			names[name] = struct{}{}
		} else {
			twice = slices.ContainsFunc(members, func(m member) bool { return m.name == name })
		}
		if twice {
			return nil, errDuplicate
		}
		start := w.i
		if err := w.value(depth + 1); err != nil {
			return nil, err
		}
		members = append(members, member{name, w.text[start:w.i]})
	}
}

func (w *walker) array(depth int) error {
	if depth == maxDepth {
		return errDepth
	}
	for w.i++; ; {
		w.space()
		switch w.text[w.i] {
		case ']':
			w.i++
			return nil
		case ',':
			w.i++
			w.space()
		}
		if err := w.value(depth + 1); err != nil {
			return err
		}
	}
}

// str passes a string and is its text with the quotes.
func (w *walker) str() []byte {
	start := w.i
	for w.i++; w.text[w.i] != '"'; w.i++ {
		if w.text[w.i] == '\\' {
			w.i++
		}
	}
	w.i++
	return w.text[start:w.i]
}

// number passes a number. Only one with an exponent, or very many digits, can be out of range.
func (w *walker) number() error {
	start, exponent := w.i, false
	for ; w.i < len(w.text); w.i++ {
		switch c := w.text[w.i]; {
		case c == 'e' || c == 'E':
			exponent = true
		case c >= '0' && c <= '9' || c == '-' || c == '+' || c == '.':
		default:
			return w.inRange(start, exponent)
		}
	}
	return w.inRange(start, exponent)
}

func (w *walker) inRange(start int, exponent bool) error {
	if !exponent && w.i-start < 300 {
		return nil
	}
	if _, err := strconv.ParseFloat(string(w.text[start:w.i]), 64); err != nil {
		return errNumber
	}
	return nil
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
