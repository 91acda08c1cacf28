package luavm

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"unicode/utf8"

	lua "github.com/yuin/gopher-lua"
)

// ErrTooLong is what EncodeJSON returns when the text passes the limit, or the places in tables do, empty ones
// included, that have to be looked at for it.
var ErrTooLong = errors.New("JSON text too long")

// ErrNotUTF8 is what EncodeText returns for a string, or a key, that is not UTF-8.
var ErrNotUTF8 = errors.New("a string in it is not UTF-8")

// EncodeText is EncodeJSON for what is sent or kept: bytes that are no UTF-8 are an error.
func EncodeText(v lua.LValue, limit int) ([]byte, error) {
	return encode(encoder{strict: true}, v, limit)
}

// EncodeJSON encodes a value as JSON text of at most limit bytes (0: no limit).
//
// A table is an array when it is marked as one (Array) and has only integer
// keys, or when it has the elements 1 to n and nothing else; the empty table is
// an object unless it is marked. Holes of a marked array are null. Any other
// table is an object; number keys become strings. Fields come in the order in
// which they were first set. Integers print as integers. Bytes that are no
// UTF-8 become U+FFFD. A function, a coroutine, NaN, an infinity, a cycle and
// nesting deeper than 200 are errors.
func EncodeJSON(v lua.LValue, limit int) ([]byte, error) { return AppendJSON(nil, v, limit) }

// AppendJSON is EncodeJSON onto a buffer, whose present length does not count.
func AppendJSON(buf []byte, v lua.LValue, limit int) ([]byte, error) {
	return encode(encoder{buf: buf}, v, limit)
}

// encode has e, of which buf, vm and strict are set, encode a value. The error is
// also an *Error, when the run of vm has to end.
func encode(e encoder, v lua.LValue, limit int) ([]byte, error) {
	if limit <= 0 {
		limit = math.MaxInt
	}
	e.limit, e.places, e.seen, e.path = limit, limit, len(e.buf), e.space[:0]
	if limit < math.MaxInt-len(e.buf) {
		e.limit += len(e.buf)
	}
	if err := e.value(v); err != nil {
		return nil, err
	}
	if e.bad {
		return nil, ErrNotUTF8
	}
	if len(e.buf) > e.limit {
		return nil, ErrTooLong
	}
	return e.buf, e.spend(0)
}

// spend charges n steps of work, and the text since the last time.
func (e *encoder) spend(n int) error {
	vm := e.vm
	if vm == nil {
		return nil
	}
	vm.steps -= n + (len(e.buf)-e.seen)>>4
	e.seen = len(e.buf)
	if vm.steps >= 0 {
		return nil
	}
	vm.look()
	if vm.fatal != nil {
		return vm.fatal
	}
	return nil
}

// spendText is spend when much text has come since the last time.
func (e *encoder) spendText() error {
	if len(e.buf)-e.seen < 1<<10 {
		return nil
	}
	return e.spend(0)
}

type encoder struct {
	buf    []byte
	strict bool // strings that are no UTF-8 are an error
	bad    bool // there was one
	limit  int
	// places is how many more places of tables may be looked at. One that is not empty takes a byte of text at least; a
	// table may also have a million empty ones, and stand in the value a million times.
	places int
	vm     *VM           // that runs, and whose time the encoding takes; nil: nobody's
	seen   int           // how much of buf has been charged
	path   []*lua.LTable // tables that are being encoded, outermost first
	space  [16]*lua.LTable
}

func (e *encoder) value(v lua.LValue) error {
	switch v := v.(type) {
	case lua.LString:
		e.string(string(v))
	case lua.LNumber:
		return e.number(float64(v))
	case lua.LBool:
		e.buf = strconv.AppendBool(e.buf, bool(v))
	case *lua.LTable:
		return e.table(v)
	case nil, *lua.LNilType:
		e.buf = append(e.buf, "null"...)
	case *lua.LUserData:
		if v != Null {
			return errors.New("cannot encode a userdata as JSON")
		}
		e.buf = append(e.buf, "null"...)
	default:
		return errors.New("cannot encode a " + v.Type().String() + " as JSON")
	}
	return nil
}

func (e *encoder) string(s string) {
	e.bad = e.bad || e.strict && !utf8.ValidString(s)
	e.buf = appendString(e.buf, s)
}

func (e *encoder) number(f float64) error {
	if i := int64(f); float64(i) == f && i > -1e15 && i < 1e15 {
		e.buf = strconv.AppendInt(e.buf, i, 10)
		return nil
	}
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return errors.New("cannot encode NaN or infinity as JSON")
	}
	format := byte('f')
	if abs := math.Abs(f); abs < 1e-6 || abs >= 1e21 {
		format = 'e'
	}
	e.buf = strconv.AppendFloat(e.buf, f, format, -1, 64)
	return nil
}

func (e *encoder) table(t *lua.LTable) error {
	for _, outer := range e.path {
		if outer == t {
			return errors.New("cannot encode a table that contains itself as JSON")
		}
	}
	if len(e.path) >= maxDepth {
		return fmt.Errorf("cannot encode tables nested deeper than %d as JSON", maxDepth)
	}
	if len(e.buf) > e.limit {
		return ErrTooLong
	}
	content, _ := contentOf(settled(t))
	if err := e.spend(1 + len(e.path)>>3); err != nil {
		return err
	}
	if e.places -= len(view(content).array) + len(view(content).keys); e.places < 0 {
		return ErrTooLong
	}
	e.path = append(e.path, t)
	var err error
	if n, ok := arrayLen(content); ok {
		err = e.array(content, n)
	} else {
		err = e.object(content)
	}
	e.path = e.path[:len(e.path)-1]
	return err
}

// arrayLen tells whether a table is an array in JSON, and its length.
func arrayLen(t *lua.LTable) (n int, ok bool) {
	v := view(t)
	marked := t.Metatable == lua.LValue(arrayMark)
	for n = len(v.array); n > 0 && v.array[n-1] == lua.LNil; n-- {
	}
	if n == 0 && !marked || hasFields(v) {
		return 0, false
	}
	if !marked {
		for _, e := range v.array[:n] {
			if e == lua.LNil {
				return 0, false
			}
		}
	}
	return n, true
}

// hasFields tells whether there is anything outside of the array part.
func hasFields(v *tableView) bool { return len(v.strdict) > 0 || len(v.dict) > 0 }

func (e *encoder) array(t *lua.LTable, n int) error {
	e.buf = append(e.buf, '[')
	for i, v := range view(t).array[:n] {
		if i > 0 {
			e.buf = append(e.buf, ',')
		}
		if err := e.value(v); err != nil {
			return err
		}
		if len(e.buf) > e.limit {
			return ErrTooLong
		}
		if err := e.spendText(); err != nil {
			return err
		}
	}
	e.buf = append(e.buf, ']')
	return nil
}

func (e *encoder) object(t *lua.LTable) error {
	e.buf = append(e.buf, '{')
	start := len(e.buf)
	v := view(t)
	for i, value := range v.array {
		if value != lua.LNil {
			if err := e.field(start, strconv.Itoa(i+1), value); err != nil {
				return err
			}
		}
	}
	for _, key := range v.keys {
		var name string
		var value lua.LValue
		switch k := key.(type) {
		case lua.LString:
			name, value = string(k), v.strdict[string(k)]
		case lua.LNumber:
			name, value = k.String(), v.dict[k]
		default:
			if value = v.dict[k]; value != nil && value != lua.LNil {
				return errors.New("cannot encode a table with a " + k.Type().String() + " as key as JSON")
			}
		}
		if value == nil || value == lua.LNil {
			continue
		}
		if err := e.field(start, name, value); err != nil {
			return err
		}
	}
	e.buf = append(e.buf, '}')
	return nil
}

func (e *encoder) field(start int, name string, value lua.LValue) error {
	if len(e.buf) > start {
		e.buf = append(e.buf, ',')
	}
	e.string(name)
	e.buf = append(e.buf, ':')
	if len(e.buf) > e.limit {
		return ErrTooLong
	}
	if err := e.spendText(); err != nil {
		return err
	}
	return e.value(value)
}

const hex = "0123456789abcdef"

// plain has the bytes that stand for themselves in a JSON string.
var plain = func() (p [256]bool) {
	for c := range 0x80 {
		p[c] = c >= ' ' && c != '"' && c != '\\' && c != 0x7f
	}
	return p
}()

func appendString(buf []byte, s string) []byte {
	buf = append(buf, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if plain[c] {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			if r != utf8.RuneError || size > 1 {
				i += size
				continue
			}
		}
		buf = append(buf, s[start:i]...)
		switch c {
		case '"', '\\':
			buf = append(buf, '\\', c)
		case '\n':
			buf = append(buf, '\\', 'n')
		case '\r':
			buf = append(buf, '\\', 'r')
		case '\t':
			buf = append(buf, '\\', 't')
		case '\b':
			buf = append(buf, '\\', 'b')
		case '\f':
			buf = append(buf, '\\', 'f')
		default:
			if c >= utf8.RuneSelf {
				buf = append(buf, "\ufffd"...)
			} else {
				buf = append(buf, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
			}
		}
		i++
		start = i
	}
	buf = append(buf, s[start:]...)
	return append(buf, '"')
}
