package luavm

import (
	"maps"
	"slices"

	lua "github.com/yuin/gopher-lua"
)

// A pooled VM loads the handler files once and then runs the events of many
// connections, one after another. What the files defined is the base: every
// table and every outer local reachable from the globals when the first turn
// begins. In a turn the base is copied on write: before a table of the base is
// written its content is copied, and before an outer local is assigned its
// value is noted. The end of the turn puts the base back and keeps what the
// turn wrote as the connection's Globals, which its next turn puts in place
// again. So every connection sees the handler files as if it alone had loaded
// them, and pays only for what it writes.
//
// Invariant: outside of a turn, the base is what the files made of it.

// Globals is what the handlers of one connection wrote over the base of one VM.
// It belongs to that VM: its values may hold functions of it.
type Globals struct {
	vm       *VM
	tables   []savedTable
	upvalues []savedUpvalue

	held  int // bytes, as last measured
	taken int // by its turns since
	share *share
}

// VM returns the VM that the globals belong to.
func (g *Globals) VM() *VM { return g.vm }

// savedTable is one table of the base, with the content it does not have now.
type savedTable struct {
	table   *lua.LTable
	content tableView
}

type savedUpvalue struct {
	upvalue *lua.Upvalue
	value   lua.LValue
}

// sealed is the base.
type sealed struct {
	tables   map[*lua.LTable]struct{}
	upvalues map[*lua.Upvalue]struct{}
	threads  map[*lua.LState]struct{}
}

// turn is one running turn.
type turn struct {
	vm       *VM
	globals  *Globals // nil while nothing was written
	tables   map[*lua.LTable]struct{}
	upvalues map[*lua.Upvalue]struct{}
	began    int // the VM's bytes when it began
}

// BeginTurn prepares the VM for events of one connection: globals is what
// EndTurn returned after that connection's last turn in this VM, nil if it
// returned nil or there was none. Globals of another VM make it panic. The
// first call seals what the files run so far have defined; what runs outside of
// turns later is added by the next.
func (vm *VM) BeginTurn(globals *Globals) {
	switch {
	case vm.turn != nil:
		panic("luavm: BeginTurn in a turn")
	case globals != nil && globals.vm != vm:
		panic("luavm: BeginTurn with the globals of another VM")
	}
	vm.seal()
	t := &vm.turnSpace
	t.vm, t.globals, t.began = vm, globals, vm.walked+vm.bytes
	vm.turn = t
	if globals == nil {
		return
	}
	globals.swap()
	for i := range globals.tables {
		t.remember(globals.tables[i].table)
	}
	for i := range globals.upvalues {
		t.rememberUpvalue(globals.upvalues[i].upvalue)
	}
}

// EndTurn puts the base back, and returns what the turn, and the turns of the
// same connection before it, wrote: nil if nothing. Values of the turn must not
// be used in another.
func (vm *VM) EndTurn() *Globals {
	t := vm.turn
	if t == nil {
		panic("luavm: EndTurn without a turn")
	}
	g := t.globals
	if g != nil {
		g.taken += vm.walked + vm.bytes - t.began
		g.swap()
		clear(t.tables)
		clear(t.upvalues)
	}
	t.globals, vm.turn = nil, nil
	return g
}

// swap exchanges what is in place with what is kept.
func (g *Globals) swap() {
	for i := range g.tables {
		s := &g.tables[i]
		v := view(s.table)
		*v, s.content = s.content, *v
	}
	for i := range g.upvalues {
		s := &g.upvalues[i]
		now := s.upvalue.Value()
		s.upvalue.SetValue(s.value)
		s.value = now
	}
}

func (t *turn) remember(table *lua.LTable) {
	if t.tables == nil {
		t.tables = map[*lua.LTable]struct{}{}
	}
	t.tables[table] = struct{}{}
}

func (t *turn) rememberUpvalue(u *lua.Upvalue) {
	if t.upvalues == nil {
		t.upvalues = map[*lua.Upvalue]struct{}{}
	}
	t.upvalues[u] = struct{}{}
}

func (t *turn) written() *Globals {
	if t.globals == nil {
		t.globals = &Globals{vm: t.vm}
	}
	return t.globals
}

// beforeTable is called before a table is written in the turn.
func (t *turn) beforeTable(table *lua.LTable) {
	if _, ok := t.vm.sealed.tables[table]; !ok {
		return
	}
	if _, ok := t.tables[table]; ok {
		return
	}
	t.remember(table)
	v := view(table)
	g := t.written()
	g.tables = append(g.tables, savedTable{table, *v})
	t.vm.bytes += tableSize(v)
	*v = v.clone()
}

// beforeUpvalue is called before an outer local is assigned in the turn.
func (t *turn) beforeUpvalue(u *lua.Upvalue) {
	if _, ok := t.vm.sealed.upvalues[u]; !ok {
		return
	}
	if _, ok := t.upvalues[u]; ok {
		return
	}
	t.rememberUpvalue(u)
	g := t.written()
	g.upvalues = append(g.upvalues, savedUpvalue{u, u.Value()})
}

// suspend puts the base in place while a required file runs, and returns what
// undoes that.
func (t *turn) suspend() (resume func()) {
	t.vm.turn = nil
	if t.globals != nil {
		t.globals.swap()
	}
	globals := t.vm.globals
	unsealed := view(globals)
	saved := *unsealed
	*unsealed = *view(t.vm.base)
	return func() {
		*view(t.vm.base) = *unsealed
		*unsealed = saved
		t.vm.sealFrom(t.vm.base)
		if t.globals != nil {
			t.globals.swap()
		}
		t.vm.turn = t
	}
}

// sealLoaded adds what a required file returned to the base.
func (t *turn) sealLoaded(v lua.LValue) { t.vm.sealFrom(v) }

// clone copies a table's content one level deep.
func (v *tableView) clone() tableView {
	return tableView{
		Metatable: v.Metatable,
		array:     slices.Clone(v.array),
		dict:      maps.Clone(v.dict),
		strdict:   maps.Clone(v.strdict),
		keys:      slices.Clone(v.keys),
		k2i:       maps.Clone(v.k2i),
	}
}

// seal makes the base of what the files have defined. Their globals move to a
// table of their own behind the scripts' _G, so that a turn which sets a global
// copies the few that turns have set and not all.
func (vm *VM) seal() {
	if vm.sealed != nil {
		vm.sealAgain()
		return
	}
	vm.unsealed = false
	vm.sealed = &sealed{
		tables:   map[*lua.LTable]struct{}{},
		upvalues: map[*lua.Upvalue]struct{}{},
		threads:  map[*lua.LState]struct{}{},
	}
	vm.base = &lua.LTable{}
	*view(vm.base) = *view(vm.globals)
	mt := frozen(map[string]lua.LValue{"__index": vm.base})
	mt.Metatable = sharedMark
	*view(vm.globals) = tableView{Metatable: mt}
	vm.sealed.tables[vm.globals] = struct{}{}
	vm.sealFrom(vm.base)
	for _, v := range vm.loaded {
		vm.sealFrom(v)
	}
}

// sealAgain adds to the base what ran outside of turns since it was sealed.
func (vm *VM) sealAgain() {
	if !vm.unsealed {
		return
	}
	vm.unsealed = false
	vm.globals.ForEach(func(k, v lua.LValue) { vm.base.RawSet(k, v) })
	*view(vm.globals) = tableView{Metatable: vm.globals.Metatable}
	vm.sealFrom(vm.base)
	for _, v := range vm.loaded {
		vm.sealFrom(v)
	}
}

// sealFrom adds everything that v leads to.
func (vm *VM) sealFrom(v lua.LValue) {
	seen := map[*lua.LTable]struct{}{}
	w := visitor{
		table: func(t *lua.LTable) bool {
			_, known := seen[t]
			seen[t], vm.sealed.tables[t] = struct{}{}, struct{}{}
			return !known
		},
		upvalue: func(u *lua.Upvalue) { vm.sealed.upvalues[u] = struct{}{} },
		thread:  func(th *lua.LState) { vm.sealed.threads[th] = struct{}{} },
	}
	w.push(v)
	w.run()
}
