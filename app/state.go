package app

import (
	"encoding/binary"
	"fmt"
	"math"

	lua "github.com/yuin/gopher-lua"

	"rollcall/luavm"
)

// A connection's state (SPEC 1.2) is kept as text of a few bytes between events: so it may go to another VM next time,
// and an idle connection keeps no tables.
//
//	value = 't' | 'f' | '0' (json.null) | 'i' varint | 'n' 8 bytes | 's' length bytes | table | 'r' index (a table again)
//	table = ('o' | 'a', 'd' marked as JSON array, as decoded) length fields (value | '_' nil)… ('+' value value)… '.'

// maxStateDepth is how deep state may nest.
const maxStateDepth = 100

// The metatables by which luavm marks JSON arrays, and tables that were made of JSON objects.
var (
	arrayMark   = luavm.NewArray().Metatable
	decodedMark = func() lua.LValue {
		v, _ := luavm.DecodeJSON(nil, "{}")
		return v.(*lua.LTable).Metatable
	}()
)

// stateEncoder writes a table. What belongs to a VM (functions, coroutines, metatables) is left out; then lossy is set.
type stateEncoder struct {
	buf   []byte
	seen  []*lua.LTable
	index map[*lua.LTable]int // of seen, once they are many
	lossy bool
	// tooLong: buf has passed maxState. From then on nothing is written.
	tooLong bool
}

// value appends a value; false: it cannot be kept, and then nothing was appended and no table remembered.
func (e *stateEncoder) value(v lua.LValue, depth int) bool {
	if e.tooLong = e.tooLong || len(e.buf) > maxState; e.tooLong {
		return false
	}
	switch v := v.(type) {
	case lua.LBool:
		if v {
			e.buf = append(e.buf, 't')
		} else {
			e.buf = append(e.buf, 'f')
		}
		return true
	case lua.LNumber:
		if n, ok := wholeNumber(v); ok && !(n == 0 && math.Signbit(float64(v))) {
			e.buf = binary.AppendVarint(append(e.buf, 'i'), n)
		} else {
			e.buf = binary.LittleEndian.AppendUint64(append(e.buf, 'n'), math.Float64bits(float64(v)))
		}
		return true
	case lua.LString:
		if len(e.buf)+len(v) > maxState {
			e.tooLong = true
			return false
		}
		e.buf = binary.AppendUvarint(append(e.buf, 's'), uint64(len(v)))
		e.buf = append(e.buf, v...)
		return true
	case *lua.LTable:
		if depth < maxStateDepth && e.table(v, depth+1) {
			return true
		}
	case *lua.LUserData:
		if v == luavm.Null {
			e.buf = append(e.buf, '0')
			return true
		}
	}
	e.lossy = true
	return false
}

func (e *stateEncoder) table(t *lua.LTable, depth int) bool {
	if i := e.find(t); i >= 0 {
		e.buf = binary.AppendUvarint(append(e.buf, 'r'), uint64(i))
		return true
	}
	kind := byte('o')
	switch t.Metatable {
	case lua.LNil:
	case arrayMark:
		kind = 'a'
	case decodedMark:
		kind = 'd'
	default:
		return false
	}
	e.remember(t)
	n := t.Len()
	e.buf = binary.AppendUvarint(append(e.buf, kind), uint64(n))
	e.buf = binary.AppendUvarint(e.buf, uint64(countFields(t, n)))
	for i := 1; i <= n && !e.tooLong; i++ {
		if v := t.RawGetInt(i); v == lua.LNil || !e.value(v, depth) {
			e.buf = append(e.buf, '_')
		}
	}
	for k, v := t.Next(lua.LNil); k != lua.LNil && !e.tooLong; k, v = t.Next(k) {
		if inArray(k, n) {
			continue
		}
		start := len(e.buf)
		e.buf = append(e.buf, '+')
		if !e.key(k) || !e.value(v, depth) {
			e.buf = e.buf[:start]
		}
	}
	e.buf = append(e.buf, '.')
	return true
}

// key appends a key; tables as keys are not kept.
func (e *stateEncoder) key(k lua.LValue) bool {
	if k.Type() == lua.LTTable {
		e.lossy = true
		return false
	}
	return e.value(k, 0)
}

// inArray tells whether a key is one of 1 to n.
func inArray(k lua.LValue, n int) bool {
	i, ok := k.(lua.LNumber)
	return ok && i >= 1 && i <= lua.LNumber(n) && i == lua.LNumber(int(i))
}

func countFields(t *lua.LTable, n int) (fields int) {
	for k, _ := t.Next(lua.LNil); k != lua.LNil; k, _ = t.Next(k) {
		if !inArray(k, n) {
			fields++
		}
	}
	return fields
}

// find gives the index of a table that was met already, or -1.
func (e *stateEncoder) find(t *lua.LTable) int {
	if e.index != nil {
		if i, ok := e.index[t]; ok {
			return i
		}
		return -1
	}
	for i, o := range e.seen {
		if o == t {
			return i
		}
	}
	return -1
}

func (e *stateEncoder) remember(t *lua.LTable) {
	e.seen = append(e.seen, t)
	switch {
	case e.index != nil:
		e.index[t] = len(e.seen) - 1
	case len(e.seen) > 16:
		e.index = map[*lua.LTable]int{}
		for i, o := range e.seen {
			e.index[o] = i
		}
	}
}

// maxState is the most that a connection keeps (SPEC 6), in bytes as encoded.
const maxState = 64 << 10

var errStateTooLong = fmt.Errorf("event.state takes more than %d bytes; it stays as it was", maxState)

// encodeState writes what a connection keeps; nil for an empty table. lossy tells that something was left out. The
// error is errStateTooLong.
func encodeState(t *lua.LTable, scratch []byte) (state []byte, lossy bool, err error) {
	if isEmpty(t) {
		return nil, false, nil
	}
	e := stateEncoder{buf: scratch[:0]}
	whole := e.value(t, 0)
	switch {
	case e.tooLong:
		return nil, false, errStateTooLong
	case !whole:
		return nil, true, nil
	}
	return e.buf, e.lossy, nil
}

// stateDecoder reads what stateEncoder wrote.
type stateDecoder struct {
	l    *lua.LState
	text string
	i    int
	seen []*lua.LTable
}

// decodeState makes the table again.
func decodeState(l *lua.LState, state string) *lua.LTable {
	if state == "" {
		return l.CreateTable(0, 0)
	}
	d := stateDecoder{l: l, text: state}
	t, _ := d.value().(*lua.LTable)
	return t
}

func (d *stateDecoder) next() byte {
	d.i++
	return d.text[d.i-1]
}

func (d *stateDecoder) value() lua.LValue {
	switch kind := d.next(); kind {
	case 't':
		return lua.LTrue
	case 'f':
		return lua.LFalse
	case '0':
		return luavm.Null
	case 'i':
		n := d.uvarint()
		return lua.LNumber(int64(n>>1) ^ -int64(n&1)) // zigzag, as binary.AppendVarint
	case 'n':
		var bits uint64
		for j := range 8 {
			bits |= uint64(d.next()) << (8 * j)
		}
		return lua.LNumber(math.Float64frombits(bits))
	case 's':
		n := int(d.uvarint())
		d.i += n
		return lua.LString(d.text[d.i-n : d.i])
	case 'r':
		return d.seen[d.uvarint()]
	case 'o', 'a', 'd':
		return d.table(kind)
	}
	return lua.LNil
}

func (d *stateDecoder) uvarint() (n uint64) {
	for shift := 0; ; shift += 7 {
		b := d.next()
		n |= uint64(b&0x7f) << shift
		if b < 0x80 {
			return n
		}
	}
}

func (d *stateDecoder) table(kind byte) *lua.LTable {
	n, fields := int(d.uvarint()), int(d.uvarint())
	t := d.l.CreateTable(n, fields)
	switch kind {
	case 'a':
		t.Metatable = arrayMark
	case 'd':
		t.Metatable = decodedMark
	}
	d.seen = append(d.seen, t)
	for i := 1; i <= n; i++ {
		if v := d.value(); v != lua.LNil {
			t.RawSetInt(i, v)
		}
	}
	for d.next() == '+' {
		k := d.value()
		t.RawSet(k, d.value())
	}
	return t
}

// keepState keeps what the handler left in event.state, so that the next event may have it in any VM.
func (c *handling) keepState(w *worker, v lua.LValue, e event) error {
	t, ok := v.(*lua.LTable)
	if !ok {
		c.state = ""
		return nil
	}
	text, lossy, err := encodeState(t, w.buf)
	if err != nil {
		return err
	}
	if string(text) != c.state {
		c.state = string(text)
	}
	if cap(text) > cap(w.buf) && cap(text) <= maxScratch {
		w.buf = text
	}
	if lossy && !c.lossy {
		c.lossy = true
		c.log().Warn("event.state holds functions, coroutines or metatables, which are not kept", "event", string(e.kind))
	}
	return nil
}

// maxScratch is the largest buffer that a worker keeps, in bytes.
const maxScratch = 64 << 10
