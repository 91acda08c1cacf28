package luavm

import (
	"reflect"
	"testing"

	lua "github.com/yuin/gopher-lua"
)

// TestLayoutIsChecked: another layout of the library's types is noticed.
func TestLayoutIsChecked(t *testing.T) {
	useLibrary()
	array, number := reflect.TypeFor[[]lua.LValue](), reflect.TypeFor[int]()
	field := func(name string, t reflect.Type) reflect.StructField {
		return reflect.StructField{Name: name, PkgPath: "rollcall/luavm", Type: t}
	}
	for _, other := range []reflect.Type{
		reflect.StructOf([]reflect.StructField{field("array", array), field("extra", number), field("top", number)}),
		reflect.StructOf([]reflect.StructField{field("array", array), field("size", number)}),
		reflect.StructOf([]reflect.StructField{field("array", array), field("top", reflect.TypeFor[float64]())}),
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%v passed for registryView", other)
				}
			}()
			sameLayout(other, reflect.TypeFor[registryView]())
		}()
	}
}

func TestViews(t *testing.T) {
	vm := newVM(t, Config{})
	L := vm.L()
	L.Push(lua.LString("here"))
	if r := registryOf(L); r.top != 1 || r.array[0] != lua.LString("here") {
		t.Errorf("registry is %+v", r)
	}
	L.Pop(1)
	if *framePointer(L) != nil {
		t.Error("a frame, though nothing runs")
	}
	table := L.CreateTable(0, 0)
	table.RawSetInt(1, lua.LTrue)
	table.RawSetString("k", lua.LFalse)
	table.RawSet(lua.LTrue, lua.LNumber(1))
	v := view(table)
	if len(v.array) != 1 || v.strdict["k"] != lua.LFalse || v.dict[lua.LTrue] != lua.LNumber(1) || len(v.keys) != 2 ||
		len(v.k2i) != 2 {
		t.Errorf("table is %+v", v)
	}
}
