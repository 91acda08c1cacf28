package luavm

import (
	"fmt"
	"strconv"
	"unicode/utf8"

	lua "github.com/yuin/gopher-lua"
)

// SyntaxError is what DecodeJSON returns for text that is not JSON.
type SyntaxError struct {
	Position int // of the first byte that is wrong, from 1
	Message  string
}

func (e *SyntaxError) Error() string {
	return "invalid JSON at position " + strconv.Itoa(e.Position) + ": " + e.Message
}

// DecodeJSON decodes JSON text. Arrays are marked as such, null is Null, also
// at the top. Nesting deeper than 200 and more than 262,144 values are errors.
// What it takes counts for the memory and the time of vm, which may be nil. The
// error is a *SyntaxError, or an *Error when the run of vm in which it is called
// has to end.
func DecodeJSON(vm *VM, text string) (lua.LValue, error) {
	d := decoder{s: text, clone: len(text) > 512, vm: vm}
	defer d.end()
	d.space()
	v, err := d.value()
	if err == nil {
		d.space()
		if d.i < len(d.s) {
			err = d.unexpected()
		}
	}
	if err != nil {
		return nil, err
	}
	return v, nil
}

// maxDecoded is how many values one text may hold: as many as the longest array
// may have.
const maxDecoded = maxArray

type decoder struct {
	values int
	s      string
	i      int
	depth  int
	clone  bool // so that a short string of a long text does not hold all of it
	vm     *VM  // may be nil
	taken  int  // bytes
	// values of the arrays and objects that are being read
	stack []lua.LValue
}

// take charges the VM for n bytes before they are taken. The error is that of a
// run that has to end.
func (d *decoder) take(n int) error {
	vm := d.vm
	if vm == nil {
		return nil
	}
	d.taken += n
	vm.pending += n // no walk sees it until it is whole
	vm.bytes += n
	vm.steps -= 1 + n>>8
	switch {
	case vm.nesting == 0 && d.taken > vm.limits.Memory: // there is no run that could end
		return d.fail(d.i, "more than %d bytes of memory", vm.limits.Memory)
	case vm.nesting == 0, vm.steps >= 0 && vm.bytes < vm.walkAt:
		return nil
	}
	vm.look()
	if vm.fatal != nil {
		return vm.fatal
	}
	return nil
}

func (d *decoder) end() {
	if d.vm != nil {
		d.vm.pending -= d.taken
	}
}

func (d *decoder) fail(at int, format string, args ...any) error {
	return &SyntaxError{Position: at + 1, Message: fmt.Sprintf(format, args...)}
}

func (d *decoder) unexpected() error {
	if d.i >= len(d.s) {
		return d.fail(d.i, "unexpected end of text")
	}
	r, _ := utf8.DecodeRuneInString(d.s[d.i:])
	return d.fail(d.i, "unexpected %q", r)
}

func (d *decoder) space() {
	for d.i < len(d.s) {
		switch d.s[d.i] {
		case ' ', '\t', '\n', '\r':
			d.i++
		default:
			return
		}
	}
}

func (d *decoder) value() (lua.LValue, error) {
	if d.i >= len(d.s) {
		return nil, d.unexpected()
	}
	if d.values++; d.values > maxDecoded {
		return nil, d.fail(d.i, "more than %d values", maxDecoded)
	}
	switch c := d.s[d.i]; c {
	case '{':
		return d.object()
	case '[':
		return d.array()
	case '"':
		s, err := d.str()
		if err == nil {
			err = d.take(16 + len(s))
		}
		return lua.LString(s), err
	case 't':
		return lua.LTrue, d.word("true")
	case 'f':
		return lua.LFalse, d.word("false")
	case 'n':
		return Null, d.word("null")
	default:
		if c == '-' || c >= '0' && c <= '9' {
			if err := d.take(8); err != nil {
				return nil, err
			}
			return d.number()
		}
		return nil, d.unexpected()
	}
}

func (d *decoder) enter() error {
	if d.depth++; d.depth > maxDepth {
		return d.fail(d.i, "nested deeper than %d", maxDepth)
	}
	d.i++
	d.space()
	return nil
}

func (d *decoder) array() (lua.LValue, error) {
	if err := d.enter(); err != nil {
		return nil, err
	}
	base := len(d.stack)
	if d.i < len(d.s) && d.s[d.i] == ']' {
		d.i++
		d.depth--
		return &lua.LTable{Metatable: arrayMark}, d.take(tableBytes)
	}
	for {
		v, err := d.value()
		if err != nil {
			return nil, err
		}
		d.stack = append(d.stack, v)
		more, err := d.comma(']')
		if err != nil {
			return nil, err
		}
		if !more {
			break
		}
	}
	d.depth--
	if len(d.stack)-base >= maxArray {
		return nil, d.fail(d.i-1, "array of more than %d elements", maxArray-1)
	}
	if err := d.take(tableBytes + 32*(len(d.stack)-base)); err != nil {
		return nil, err
	}
	t := &lua.LTable{Metatable: arrayMark}
	view(t).array = append(make([]lua.LValue, 0, len(d.stack)-base), d.stack[base:]...)
	d.drop(base)
	return t, nil
}

func (d *decoder) object() (lua.LValue, error) {
	if err := d.enter(); err != nil {
		return nil, err
	}
	base := len(d.stack)
	if d.i < len(d.s) && d.s[d.i] == '}' {
		d.i++
		d.depth--
		return &lua.LTable{Metatable: objectMark}, d.take(tableBytes)
	}
	for {
		if d.i >= len(d.s) || d.s[d.i] != '"' {
			return nil, d.unexpected()
		}
		k, err := d.str()
		if err != nil {
			return nil, err
		}
		d.space()
		if d.i >= len(d.s) || d.s[d.i] != ':' {
			return nil, d.unexpected()
		}
		d.i++
		d.space()
		v, err := d.value()
		if err != nil {
			return nil, err
		}
		if err := d.take(32 + len(k)); err != nil {
			return nil, err
		}
		d.stack = append(d.stack, lua.LString(k), v)
		more, err := d.comma('}')
		if err != nil {
			return nil, err
		}
		if !more {
			break
		}
	}
	d.depth--
	fields := (len(d.stack) - base) / 2
	if err := d.take(ObjectSize(fields)); err != nil {
		return nil, err
	}
	o := newObject(fields)
	o.v.Metatable = objectMark
	for j := base; j < len(d.stack); j += 2 {
		o.setValue(string(d.stack[j].(lua.LString)), d.stack[j], d.stack[j+1])
	}
	d.drop(base)
	return o.table(), nil
}

// drop empties the stack down to base.
func (d *decoder) drop(base int) {
	clear(d.stack[base:])
	d.stack = d.stack[:base]
}

// comma reads what comes after an element: whether there are more.
func (d *decoder) comma(end byte) (more bool, err error) {
	d.space()
	if d.i < len(d.s) {
		switch d.s[d.i] {
		case ',':
			d.i++
			d.space()
			return true, nil
		case end:
			d.i++
			return false, nil
		}
	}
	return false, d.unexpected()
}
