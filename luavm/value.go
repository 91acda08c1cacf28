package luavm

import (
	"errors"
	"fmt"
	"sort"

	lua "github.com/yuin/gopher-lua"
)

// Null is json.null: what JSON's null decodes to, since a table cannot hold
// nil. All VMs share it.
var Null = &lua.LUserData{Metatable: lua.LNil}

// arrayMark is the metatable of tables that are JSON arrays even when empty. It
// is empty, all VMs share it, and scripts do not get to see it.
var arrayMark = &lua.LTable{Metatable: lua.LNil}

// Array marks a table as a JSON array and returns it. A table with another
// metatable is left alone.
func Array(t *lua.LTable) *lua.LTable {
	if t.Metatable == lua.LNil {
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

// maxDepth is how deep tables may nest in JSON, ToGo and Copy.
const maxDepth = 200

// ToGo converts a value to what encoding/json knows: nil, bool, float64,
// string, []any, map[string]any. Functions, cycles and the like are errors.
func ToGo(v lua.LValue) (any, error) {
	left := maxValues
	return toGo(v, 0, &left)
}

// maxValues bounds ToGo: tables that share tables may stand for more values
// than there is memory.
const maxValues = 1 << 20

func toGo(v lua.LValue, depth int, left *int) (any, error) {
	if *left--; *left < 0 {
		return nil, errors.New("more than a million values")
	}
	switch v := v.(type) {
	case nil, *lua.LNilType:
		return nil, nil
	case lua.LBool:
		return bool(v), nil
	case lua.LNumber:
		return float64(v), nil
	case lua.LString:
		return string(v), nil
	case *lua.LUserData:
		if v == Null {
			return nil, nil
		}
	case *lua.LTable:
		if depth >= maxDepth {
			return nil, errors.New("table nested too deeply or in a cycle")
		}
		return tableToGo(v, depth+1, left)
	}
	return nil, fmt.Errorf("cannot convert a %s", v.Type())
}

func tableToGo(t *lua.LTable, depth int, left *int) (any, error) {
	t, _ = contentOf(settled(t))
	if n, ok := arrayLen(t); ok {
		list := make([]any, n)
		for i := range n {
			e, err := toGo(t.RawGetInt(i+1), depth, left)
			if err != nil {
				return nil, err
			}
			list[i] = e
		}
		return list, nil
	}
	m := map[string]any{}
	var failed error
	t.ForEach(func(k, e lua.LValue) {
		if !lua.LVCanConvToString(k) {
			failed = fmt.Errorf("cannot convert a table with a %s as key", k.Type())
			return
		}
		if failed != nil {
			return
		}
		g, err := toGo(e, depth, left)
		if err != nil {
			failed = err
		}
		m[k.String()] = g
	})
	return m, failed
}

// FromGo is the way back; it also takes ints, []string and map[string]string.
// nil becomes Null inside of slices and maps and LNil outside; slices are marked
// as arrays. Any other type is an error.
func FromGo(v any) (lua.LValue, error) {
	switch v := v.(type) {
	case nil:
		return lua.LNil, nil
	case lua.LValue:
		return v, nil
	case bool:
		return lua.LBool(v), nil
	case float64:
		return lua.LNumber(v), nil
	case int:
		return lua.LNumber(v), nil
	case int64:
		return lua.LNumber(v), nil
	case string:
		return lua.LString(v), nil
	case []string:
		return Strings(v), nil
	case []any:
		list := make([]lua.LValue, len(v))
		for i, e := range v {
			l, err := inside(e)
			if err != nil {
				return nil, err
			}
			list[i] = l
		}
		return NewArray(list...), nil
	case map[string]string:
		b := newObject(len(v))
		for _, k := range sortedKeys(v) {
			b.set(k, lua.LString(v[k]))
		}
		return b.table(), nil
	case map[string]any:
		b := newObject(len(v))
		for _, k := range sortedKeys(v) {
			l, err := inside(v[k])
			if err != nil {
				return nil, err
			}
			b.set(k, l)
		}
		return b.table(), nil
	}
	return nil, fmt.Errorf("cannot convert a %T", v)
}

func inside(v any) (lua.LValue, error) {
	if v == nil {
		return Null, nil
	}
	return FromGo(v)
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}

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

// Copy copies plain data, so that it can be used in another VM: nothing that
// belongs to a VM may be. Functions, coroutines and metatables other than the
// mark of arrays are left out; whole reports whether nothing was. Tables that
// occur twice, or in themselves, do so in the copy.
func Copy(v lua.LValue) (c lua.LValue, whole bool) {
	cp := copier{seen: map[*lua.LTable]*lua.LTable{}, whole: true}
	c = cp.copy(v, 0)
	return c, cp.whole
}

type copier struct {
	seen  map[*lua.LTable]*lua.LTable
	whole bool
}

func (c *copier) copy(v lua.LValue, depth int) lua.LValue {
	switch v := v.(type) {
	case *lua.LNilType, lua.LBool, lua.LNumber, lua.LString:
		return v
	case *lua.LUserData:
		if v == Null {
			return v
		}
	case *lua.LTable:
		if isShared(v) {
			return v
		}
		if done, ok := c.seen[v]; ok {
			return done
		}
		if depth < maxDepth {
			return c.table(v, depth+1)
		}
	}
	c.whole = false
	return lua.LNil
}

func (c *copier) table(t *lua.LTable, depth int) *lua.LTable {
	settled(t)
	to := &lua.LTable{Metatable: lua.LNil}
	c.seen[t] = to
	switch t.Metatable {
	case lua.LValue(arrayMark):
		to.Metatable = arrayMark
	case lua.LNil:
	default:
		c.whole = false
	}
	for _, e := range view(t).array {
		if e = c.copy(e, depth); e != nil {
			view(to).array = append(view(to).array, e)
		}
	}
	for _, k := range view(t).keys {
		if e := t.RawGetH(k); e != lua.LNil {
			if k, e = c.copy(k, depth), c.copy(e, depth); k != lua.LNil && e != lua.LNil {
				to.RawSet(k, e)
			}
		}
	}
	return to
}
