package luavm

import lua "github.com/yuin/gopher-lua"

// Null is json.null: what JSON's null decodes to, since a table cannot hold
// nil. All VMs share it.
var Null = &lua.LUserData{Metatable: lua.LNil}

// arrayMark is the metatable of tables that are JSON arrays even when empty. It
// is empty, all VMs share it, and scripts do not get to see it.
var arrayMark = &lua.LTable{Metatable: lua.LNil}

// objectMark is the metatable of tables that were made of JSON objects. As
// arrayMark it is empty, shared and not to be seen.
var objectMark = &lua.LTable{Metatable: lua.LNil}

// isMark tells whether a metatable is one that scripts do not get to see.
func isMark(mt lua.LValue) bool { return mt == lua.LValue(arrayMark) || mt == lua.LValue(objectMark) }

// Decoded tells whether a table was made of a JSON object, and not by a script:
// what is in it may be anybody's. A script that gives it a metatable takes it
// for its own.
func Decoded(t *lua.LTable) bool { return t.Metatable == lua.LValue(objectMark) }

// Array marks a table as a JSON array and returns it. A table with another
// metatable is left alone.
func Array(t *lua.LTable) *lua.LTable {
	if t.Metatable == lua.LNil || Decoded(t) {
		t.Metatable = arrayMark
	}
	return t
}

// StringsSize is what Strings takes, in bytes, for VM.Charge.
func StringsSize(values []string) int {
	n := tableBytes
	for _, s := range values {
		n += 32 + len(s)
	}
	return n
}

// NewArray makes an array of values, marked as one.
func NewArray(values ...lua.LValue) *lua.LTable {
	t := &lua.LTable{Metatable: arrayMark}
	if len(values) > 0 {
		view(t).array = values
	}
	return t
}

// Strings makes an array of strings, marked as one.
func Strings(values []string) *lua.LTable {
	all := make([]lua.LValue, len(values))
	for i, s := range values {
		all[i] = lua.LString(s)
	}
	return NewArray(all...)
}

// maxDepth is how deep tables may nest in JSON.
const maxDepth = 200

// Object builds a table with string keys at once, which costs a third of
// setting them one by one: the table has just the room it needs.
type Object struct{ v tableView }

// NewObject makes room for n fields; 0 when unknown.
func NewObject(n int) *Object { o := newObject(n); return &o }

func newObject(n int) Object {
	return Object{tableView{
		Metatable: lua.LNil,
		strdict:   make(map[string]lua.LValue, n),
		keys:      make([]lua.LValue, 0, n),
		k2i:       make(map[lua.LValue]int, n),
	}}
}

// Set sets a field; LNil is skipped. The last value of a key counts.
func (o *Object) Set(key string, v lua.LValue) { o.set(key, v) }

func (o *Object) set(key string, v lua.LValue) {
	if v == lua.LNil || v == nil {
		return
	}
	o.setValue(key, lua.LString(key), v)
}

// setValue is set for a key that is a value already.
func (o *Object) setValue(key string, k, v lua.LValue) {
	if _, ok := o.v.strdict[key]; !ok {
		o.v.k2i[k] = len(o.v.keys)
		o.v.keys = append(o.v.keys, k)
	}
	o.v.strdict[key] = v
}

// Table ends the building.
func (o *Object) Table() *lua.LTable { return o.table() }

func (o *Object) table() *lua.LTable {
	t := &lua.LTable{}
	*view(t) = o.v
	return t
}
