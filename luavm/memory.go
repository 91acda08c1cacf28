package luavm

import (
	"strconv"
	"unsafe"

	lua "github.com/yuin/gopher-lua"
)

// Sizes in bytes, as measured; they need not be exact.
const (
	tableBytes   = 96 // a table without content
	fieldBytes   = 72 // a new key, its place in the order of keys, and its value
	upvalueBytes = 64
	threadBytes  = 2500 // a coroutine without its stacks
	frameBytes   = 96   // a call in progress
	longString   = 256  // from here on, strings are looked at one by one
)

// functionSize is what a closure takes, without the upvalues, which it may share.
func functionSize(upvalues int) int { return 80 + 8*upvalues }

// ObjectSize is what an Object with n fields takes, in bytes, for VM.Charge;
// keys and values are apart.
func ObjectSize(n int) int {
	return tableBytes + 48*n + mapSize(n, 32) + mapSize(n, 24)
}

// checkMemory measures what the VM holds, and stops the script when that is
// more than allowed. It is called when as much has been allocated since the
// last time as would be needed to get there.
func (vm *VM) checkMemory() {
	limit := vm.limits.Memory
	vm.held = vm.measure(true)
	vm.walked += vm.bytes
	vm.bytes = 0
	vm.walkAt = max(limit-vm.held, limit/8)
	if vm.held > limit {
		vm.outOfMemory()
	}
}

func (vm *VM) outOfMemory() {
	vm.fail(Memory, "more than "+strconv.Itoa(vm.limits.Memory)+" bytes of memory used")
}

// OutOfMemory stops the script that called a function of the host on L, because
// what the function would give has no room in the VM. It does not return.
func (vm *VM) OutOfMemory(L *lua.LState) {
	vm.outOfMemory()
	vm.raiseFatal(L)
}

// Memory estimates the bytes that scripts hold in this VM: tables, strings,
// functions and coroutines that can be reached from its globals and its stacks,
// without programs and shared tables. Its cost grows with their number.
func (vm *VM) Memory() int { return vm.measure(false) }

func (vm *VM) measure(compact bool) int {
	m := newMeasure(compact)
	m.visitor.push(vm.globals)
	if vm.base != nil {
		m.visitor.push(vm.base)
	}
	for _, v := range vm.loaded {
		m.visitor.push(v)
	}
	m.visitor.push(vm.main)
	for _, th := range vm.threads {
		m.visitor.push(th)
	}
	return m.run() + vm.pending
}

// measure adds up what values hold, each thing once.
type measure struct {
	visitor visitor
	seen    map[unsafe.Pointer]struct{}
	size    int
}

// newMeasure makes a measure; compact has it tidy the tables that it meets.
func newMeasure(compact bool) *measure {
	m := &measure{seen: map[unsafe.Pointer]struct{}{}}
	m.visitor = visitor{
		table: func(t *lua.LTable) bool {
			if !m.first(unsafe.Pointer(t)) {
				return false
			}
			if compact {
				view(t).compact()
			}
			m.size += tableSize(view(t))
			return true
		},
		function: func(f *lua.LFunction) bool {
			if !m.first(unsafe.Pointer(f)) {
				return false
			}
			m.size += functionSize(len(f.Upvalues))
			return true
		},
		upvalue: func(u *lua.Upvalue) {
			if m.first(unsafe.Pointer(u)) {
				m.size += upvalueBytes
			}
		},
		thread: func(th *lua.LState) {
			if m.first(unsafe.Pointer(th)) {
				regs := registryOf(th)
				m.size += threadBytes + stackSize(th)
				for _, v := range regs.array[:min(regs.top, len(regs.array))] {
					m.visitor.push(v)
				}
			}
		},
		str: func(s string) {
			if len(s) < longString || m.first(unsafe.Pointer(unsafe.StringData(s))) {
				m.size += 16 + len(s)
			}
		},
	}
	return m
}

// first reports whether something is met for the first time.
func (m *measure) first(p unsafe.Pointer) bool {
	if _, ok := m.seen[p]; ok {
		return false
	}
	m.seen[p] = struct{}{}
	return true
}

// run goes through all that was pushed, and returns the sum.
func (m *measure) run() int {
	m.visitor.run()
	return m.size
}

// stackSize is what the stacks of a thread take: values and calls in progress.
func stackSize(th *lua.LState) int {
	n := 16 * cap(registryOf(th).array)
	if f := *framePointer(th); f != nil {
		n += frameBytes * (f.Idx + 1)
	}
	return n
}

// compact drops the keys of removed fields once they are the most. gopher-lua
// keeps them for ever, so that a table of who is there now would grow with
// everyone who ever was.
func (v *tableView) compact() {
	live := len(v.strdict) + len(v.dict)
	if len(v.keys) < 64 || len(v.keys) < 2*live {
		return
	}
	keys := make([]lua.LValue, 0, live)
	k2i := make(map[lua.LValue]int, live)
	for _, k := range v.keys {
		if v.hashGet(k) != lua.LNil {
			k2i[k] = len(keys)
			keys = append(keys, k)
		}
	}
	v.keys, v.k2i = keys, k2i
}

// hashGet reads the hash part.
func (v *tableView) hashGet(k lua.LValue) lua.LValue {
	var e lua.LValue
	if s, ok := k.(lua.LString); ok {
		e = v.strdict[string(s)]
	} else {
		e = v.dict[k]
	}
	if e == nil {
		return lua.LNil
	}
	return e
}

// tableSize is what a table takes, without what its values lead to.
func tableSize(v *tableView) int {
	n := tableBytes + 16*cap(v.array) + 16*cap(v.keys)
	n += mapSize(len(v.strdict), 32) + mapSize(len(v.dict), 32) + mapSize(len(v.k2i), 24)
	return n + numberBytes*(len(v.array)+len(v.strdict)+len(v.dict))
}

// firstFieldBytes is what the first field of an empty table takes.
const firstFieldBytes = fieldBytes + 48 + 8*33 + 48 + 8*25

// FieldSize is what one more field of a table takes, in bytes, for VM.Charge; its
// value is apart.
func FieldSize(key string) int { return fieldBytes + 2*(33+25) + len(key) }

// mapGrowth is what one more key takes of the two maps of a table, n keys being
// there: what they grow by, spread over all keys.
func mapGrowth(n int) int {
	if n < 8 {
		return 0
	}
	return 2 * (33 + 25)
}

func mapSize(n, slot int) int {
	if n == 0 {
		return 0
	}
	slots := 8
	for slots*7 < n*8 {
		slots *= 2
	}
	return 48 + slots*(slot+1)
}

// visitor goes through everything that some values lead to, without recursion.
// Shared tables and what they hold are left out. A nil function means: go on.
type visitor struct {
	table    func(*lua.LTable) bool    // false: do not look inside
	function func(*lua.LFunction) bool // likewise
	upvalue  func(*lua.Upvalue)
	thread   func(*lua.LState)
	str      func(string)

	todo []lua.LValue
	fns  map[*lua.LFunction]struct{}
}

func (w *visitor) push(v lua.LValue) {
	switch s := v.(type) {
	case lua.LString:
		if w.str != nil {
			w.str(string(s))
		}
	case *lua.LTable, *lua.LFunction, *lua.LState:
		w.todo = append(w.todo, v)
	}
}

func (w *visitor) run() {
	for len(w.todo) > 0 {
		v := w.todo[len(w.todo)-1]
		w.todo = w.todo[:len(w.todo)-1]
		switch v := v.(type) {
		case *lua.LTable:
			w.visitTable(v)
		case *lua.LFunction:
			w.visitFunction(v)
		case *lua.LState:
			if w.thread != nil {
				w.thread(v)
			}
		}
	}
}

func (w *visitor) visitTable(t *lua.LTable) {
	if isMark(t) || isShared(t) {
		return
	}
	if w.table != nil && !w.table(t) {
		return
	}
	w.content(view(t))
}

// content goes through what a table holds.
func (w *visitor) content(v *tableView) {
	for _, e := range v.array {
		w.push(e)
	}
	for _, e := range v.strdict {
		w.push(e)
	}
	for _, e := range v.dict {
		w.push(e)
	}
	for _, k := range v.keys { // the removed ones too
		w.push(k)
	}
	if mt, ok := v.Metatable.(*lua.LTable); ok && mt.Metatable != lua.LValue(sharedMark) {
		w.push(mt)
	}
}

// visitFunction goes through what a function refers to. Functions of this package
// that hold values of scripts keep them as upvalues too.
func (w *visitor) visitFunction(f *lua.LFunction) {
	if w.function != nil {
		if !w.function(f) {
			return
		}
	} else {
		if w.fns == nil {
			w.fns = map[*lua.LFunction]struct{}{}
		}
		if _, ok := w.fns[f]; ok {
			return
		}
		w.fns[f] = struct{}{}
	}
	for _, u := range f.Upvalues {
		if u == nil {
			continue
		}
		if w.upvalue != nil {
			w.upvalue(u)
		}
		w.push(u.Value())
	}
}
