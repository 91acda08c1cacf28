package luavm

import (
	"fmt"
	"reflect"
	"unsafe"

	lua "github.com/yuin/gopher-lua"
)

// This is the one file that looks into private fields of gopher-lua. The types
// below repeat the layout of the library's own; useLibrary compares the two by
// reflection before the first VM is made, so another version of the library
// with another layout stops the program at start and corrupts nothing.
//
// It is used for what the public API cannot do: to see the operands of an
// instruction before it runs (meter.go), to measure and copy tables as a whole
// (memory.go, turn.go), to fill tables from JSON without going through their
// maps twice, to give compiled code its names (codegen.go), and to close the
// right upvalues after an error (protect.go), and to tell where a function has
// returned (call.go).

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

// upvalueView is lua.Upvalue.
type upvalueView struct {
	next   *lua.Upvalue
	reg    *registryView
	index  int
	value  lua.LValue
	closed bool
}

// allocatorView is how lua.allocator begins, which makes numbers.
type allocatorView struct {
	size int // how many at a time
}

// numberBytes is what a number takes. The library makes blocks of 32, and one
// that is kept keeps the block; with blocks of 4 no more than 32 bytes.
const (
	numberBlock = 4
	numberBytes = 12
)

// maxArray is the length from which gopher-lua keeps integer keys in the hash
// part. Below it, one assignment to a high index fills everything under it, so
// the library's own 64 million would let one instruction take a gigabyte.
const maxArray = 1 << 18

// stackView is how the stack of a small state's frames begins. A frame stays where it was when its function has
// returned, until another call takes its place.
type stackView struct {
	segments []*[lua.FramesPerSegment]frameView
}

type offsets struct{ frame, stack, registry, upvalues, hasErrorFunc, allocator, stringConstants uintptr }

// useLibrary gives the layout.
func useLibrary() offsets { return layout }

// layout is checked before anything runs: a Redis for tests in this process uses
// gopher-lua too, and the limit that is set here is the process's.
var layout = func() offsets {
	lua.MaxArrayIndex = maxArray
	state := reflect.TypeFor[lua.LState]()
	frame := field(state, "currentFrame", reflect.Pointer)
	registry := field(state, "reg", reflect.Pointer)
	upvalues := field(state, "uvcache", reflect.Pointer)
	hasErrorFunc := field(state, "hasErrorFunc", reflect.Bool)
	allocator := field(state, "alloc", reflect.Pointer)
	stack := field(state, "stack", reflect.Interface)
	sameStack(stack.Name)
	stringConstants := field(reflect.TypeFor[lua.FunctionProto](), "stringConstants", reflect.Slice)
	sameLayout(frame.Type.Elem(), reflect.TypeFor[frameView]())
	sameLayout(registry.Type.Elem(), reflect.TypeFor[registryView]())
	sameLayout(upvalues.Type.Elem(), reflect.TypeFor[upvalueView]())
	sameLayout(reflect.TypeFor[lua.LTable](), reflect.TypeFor[tableView]())
	field(allocator.Type.Elem(), "size", reflect.Int)
	sameLayout(allocator.Type.Elem(), reflect.TypeFor[allocatorView]())
	if upvalues.Type.Elem() != reflect.TypeFor[lua.Upvalue]() || stringConstants.Type.Elem().Kind() != reflect.String {
		panic("luavm: gopher-lua has changed")
	}
	return offsets{frame.Offset, stack.Offset, registry.Offset, upvalues.Offset, hasErrorFunc.Offset, allocator.Offset,
		stringConstants.Offset}
}()

// sameStack panics unless the frames of a state that is made as ours are stand where stackView has them.
func sameStack(name string) {
	state := lua.NewState(stateOptions(lua.FramesPerSegment))
	defer state.Close()
	stack := reflect.ValueOf(state).Elem().FieldByName(name).Elem()
	if stack.Kind() != reflect.Pointer {
		panic("luavm: the stack of gopher-lua has changed")
	}
	segments := field(stack.Type().Elem(), "segments", reflect.Slice)
	array := segments.Type.Elem().Elem().Field(0)
	if segments.Offset != 0 || array.Name != "array" || array.Type.Len() != lua.FramesPerSegment {
		panic("luavm: the stack of gopher-lua has changed")
	}
	sameLayout(array.Type.Elem(), reflect.TypeFor[frameView]())
}

// bottomFrame is the frame of the function that was called first, also when it has returned.
func bottomFrame(L *lua.LState) *frameView {
	stack := *(*struct {
		kind  unsafe.Pointer
		value *stackView
	})(unsafe.Add(unsafe.Pointer(L), useLibrary().stack))
	return &stack.value.segments[0][0]
}

// field finds a private field, and panics when it is not there or of another kind.
func field(t reflect.Type, name string, kind reflect.Kind) reflect.StructField {
	f, ok := t.FieldByName(name)
	if !ok || f.Type.Kind() != kind {
		panic(fmt.Sprintf("luavm: %v.%s has changed", t, name))
	}
	return f
}

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

// setStringConstants gives a function the constants that are strings, at their
// places among all constants.
func setStringConstants(p *lua.FunctionProto, constants []string) {
	*(*[]string)(unsafe.Add(unsafe.Pointer(p), useLibrary().stringConstants)) = constants
}

// keepUpvalues says whether an error leaves the upvalues of L's frames open, as
// long as nothing else sets it.
func keepUpvalues(L *lua.LState) *bool {
	return (*bool)(unsafe.Add(unsafe.Pointer(L), useLibrary().hasErrorFunc))
}

// closeUpvalues closes those of L's registers from r on: what closures see of
// them stays when the registers are used anew. The list is in order.
func closeUpvalues(L *lua.LState, r int) {
	at := (**lua.Upvalue)(unsafe.Add(unsafe.Pointer(L), useLibrary().upvalues))
	for *at != nil && upvalueViewOf(*at).index < r {
		at = &upvalueViewOf(*at).next
	}
	u := *at
	*at = nil
	for u != nil {
		v := upvalueViewOf(u)
		u.Close()
		u, v.next = v.next, nil
	}
}

func upvalueViewOf(u *lua.Upvalue) *upvalueView { return (*upvalueView)(unsafe.Pointer(u)) }

// smallBlocks lets numbers of L be made in small blocks.
func smallBlocks(L *lua.LState) {
	(*(**allocatorView)(unsafe.Add(unsafe.Pointer(L), useLibrary().allocator))).size = numberBlock
}

// view looks into a table.
func view(t *lua.LTable) *tableView { return (*tableView)(unsafe.Pointer(t)) }
