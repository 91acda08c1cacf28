package luavm

import (
	"strconv"
	"unsafe"

	lua "github.com/yuin/gopher-lua"
)

// Sizes in bytes, as measured; they need not be exact.
const (
	tableBytes    = 112  // a table without content
	emptyMapBytes = 2500 // gopher-lua makes a table's first map with room for 32 keys
	closureBytes  = 128
	threadBytes   = 4500
	longString    = 256 // from here on, strings are looked at one by one
)

// checkMemory measures what the VM holds, and stops the script when that is
// more than allowed. It is called when as much has been allocated since the
// last time as would be needed to get there.
func (vm *VM) checkMemory() {
	held := vm.measure(true)
	limit := vm.limits.Memory
	vm.bytes = 0
	vm.walkAt = max(limit-held, limit/8)
	if held > limit {
		vm.fail(Memory, "more than "+strconv.Itoa(limit)+" bytes of memory used")
	}
}

// Memory estimates the bytes that scripts hold in this VM: tables, strings,
// functions and coroutines that can be reached from its globals and its stacks,
// without programs and shared tables. Its cost grows with their number.
func (vm *VM) Memory() int { return vm.measure(false) }

func (vm *VM) measure(compact bool) int {
	w := walker{}
	seen := map[unsafe.Pointer]struct{}{}
	size := 0
	visit := func(p unsafe.Pointer) bool {
		if _, ok := seen[p]; ok {
			return false
		}
		seen[p] = struct{}{}
		return true
	}
	w.table = func(t *lua.LTable) bool {
		if !visit(unsafe.Pointer(t)) {
			return false
		}
		if compact {
			view(t).compact()
		}
		size += tableSize(view(t))
		return true
	}
	w.function = func(f *lua.LFunction) bool {
		if !visit(unsafe.Pointer(f)) {
			return false
		}
		size += closureBytes + 56*len(f.Upvalues)
		return true
	}
	w.thread = func(th *lua.LState) {
		if visit(unsafe.Pointer(th)) {
			regs := registryOf(th)
			size += threadBytes + 16*cap(regs.array)
			for _, v := range regs.array[:min(regs.top, len(regs.array))] {
				w.push(v)
			}
		}
	}
	w.str = func(s string) {
		if len(s) < longString || visit(unsafe.Pointer(unsafe.StringData(s))) {
			size += 16 + len(s)
		}
	}
	w.push(vm.globals)
	if vm.base != nil {
		w.push(vm.base)
	}
	for _, v := range vm.loaded {
		w.push(v)
	}
	w.push(vm.main)
	for _, th := range vm.threads {
		w.push(th)
	}
	w.run()
	return size
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
	return n + 8*len(v.array)
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

// walker goes through everything that some values lead to, without recursion.
// Shared tables and what they hold are left out. A nil function means: go on.
type walker struct {
	table    func(*lua.LTable) bool    // false: do not look inside
	function func(*lua.LFunction) bool // likewise
	upvalue  func(*lua.Upvalue)
	thread   func(*lua.LState)
	str      func(string)

	todo []lua.LValue
	fns  map[*lua.LFunction]struct{}
}

func (w *walker) push(v lua.LValue) {
	switch s := v.(type) {
	case lua.LString:
		if w.str != nil {
			w.str(string(s))
		}
	case *lua.LTable, *lua.LFunction, *lua.LState:
		w.todo = append(w.todo, v)
	}
}

func (w *walker) run() {
	for len(w.todo) > 0 {
		v := w.todo[len(w.todo)-1]
		w.todo = w.todo[:len(w.todo)-1]
		switch v := v.(type) {
		case *lua.LTable:
			w.walkTable(v)
		case *lua.LFunction:
			w.walkFunction(v)
		case *lua.LState:
			if w.thread != nil {
				w.thread(v)
			}
		}
	}
}

func (w *walker) walkTable(t *lua.LTable) {
	if t == arrayMark || isShared(t) {
		return
	}
	if w.table != nil && !w.table(t) {
		return
	}
	v := view(t)
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
	if mt, ok := t.Metatable.(*lua.LTable); ok && mt.Metatable != lua.LValue(sharedMark) {
		w.push(mt)
	}
}

// walkFunction goes through what a function refers to. Functions of this package
// that hold values of scripts keep them as upvalues too.
func (w *walker) walkFunction(f *lua.LFunction) {
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
