package luavm

import (
	"fmt"
	"reflect"
	"sync"
	"unsafe"

	lua "github.com/yuin/gopher-lua"
)

// This is the one file that looks into private fields of gopher-lua. The types
// below repeat the layout of the library's own; useLibrary compares the two by
// reflection before the first VM is made, so another version of the library
// with another layout stops the program at start and corrupts nothing.
//
// It is used for three things that the public API cannot do: to see the
// operands of an instruction before it runs (meter.go), to measure and copy
// tables as a whole (memory.go, turn.go), and to fill tables from JSON without
// going through their maps twice.

// frameView is lua.callFrame.
type frameView struct {
	Idx        int
	Fn         *lua.LFunction
	Parent     *frameView
	Pc         int
	Base       int
	LocalBase  int
	ReturnBase int
	NArgs      int
	NRet       int
	TailCall   int
}

// registryView is how lua.registry begins.
type registryView struct {
	array []lua.LValue
	top   int
}

// tableView is lua.LTable.
type tableView struct {
	Metatable lua.LValue
	array     []lua.LValue
	dict      map[lua.LValue]lua.LValue
	strdict   map[string]lua.LValue
	keys      []lua.LValue
	k2i       map[lua.LValue]int
}

// maxArray is the length from which gopher-lua keeps integer keys in the hash
// part. Below it, one assignment to a high index fills everything under it, so
// the library's own 64 million would let one instruction take a gigabyte.
const maxArray = 1 << 18

type offsets struct{ frame, registry uintptr }

// useLibrary sets the limits of gopher-lua that are process wide and checks its
// layout, once.
var useLibrary = sync.OnceValue(func() offsets {
	lua.MaxArrayIndex = maxArray
	state := reflect.TypeFor[lua.LState]()
	frame, ok1 := state.FieldByName("currentFrame")
	registry, ok2 := state.FieldByName("reg")
	if !ok1 || !ok2 {
		panic("luavm: lua.LState has changed")
	}
	sameLayout(frame.Type.Elem(), reflect.TypeFor[frameView]())
	sameLayout(registry.Type.Elem(), reflect.TypeFor[registryView]())
	sameLayout(reflect.TypeFor[lua.LTable](), reflect.TypeFor[tableView]())
	return offsets{frame.Offset, registry.Offset}
})

// sameLayout panics unless every field of view stands at the same place, under
// the same name and with the same size as in real.
func sameLayout(real, view reflect.Type) {
	for i := range view.NumField() {
		v, r := view.Field(i), real.Field(i)
		if v.Name != r.Name || v.Offset != r.Offset || v.Type.Size() != r.Type.Size() || v.Type.Kind() != r.Type.Kind() {
			panic(fmt.Sprintf("luavm: %v.%s has changed", real, r.Name))
		}
	}
}

// framePointer returns where L keeps its current frame; valid as long as L is.
func framePointer(L *lua.LState) **frameView {
	return (**frameView)(unsafe.Add(unsafe.Pointer(L), useLibrary().frame))
}

// registryOf returns L's registers.
func registryOf(L *lua.LState) *registryView {
	return *(**registryView)(unsafe.Add(unsafe.Pointer(L), useLibrary().registry))
}

// view looks into a table.
func view(t *lua.LTable) *tableView { return (*tableView)(unsafe.Pointer(t)) }
