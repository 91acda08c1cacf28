package luavm

import (
	"math"
	"strconv"

	lua "github.com/yuin/gopher-lua"
)

// register returns R(i) of the frame; nil when there is none.
func (m *meter) register(cf *frameView, i int) lua.LValue {
	if i += cf.LocalBase; i < len(m.regs.array) {
		return m.regs.array[i]
	}
	return nil
}

// operand returns RK(i) of the frame.
func (m *meter) operand(cf *frameView, i int) lua.LValue {
	if i&0x100 != 0 {
		return cf.Fn.Proto.Constants[i&0xff]
	}
	return m.register(cf, i)
}

// watch looks at the operands of an instruction that may be costly.
func (m *meter) watch(cf *frameView, inst uint32) {
	vm := m.vm
	a, b, c := int(inst>>18)&0xff, int(inst&0x1ff), int(inst>>9)&0x1ff
	switch int(inst >> 26) {
	case lua.OP_ADD, lua.OP_SUB, lua.OP_MUL, lua.OP_DIV, lua.OP_MOD, lua.OP_POW:
		m.longString(m.operand(cf, b), 2)
		m.longString(m.operand(cf, c), 2)
		if int(inst>>26) == lua.OP_MOD && c&0x100 == 0 {
			m.beforeModulo(cf, b, c)
		}
	case lua.OP_UNM:
		m.longString(m.operand(cf, b), 2)
	case lua.OP_EQ, lua.OP_LT, lua.OP_LE:
		m.longString(m.operand(cf, b), 8)
	case lua.OP_GETTABLE:
		m.longString(m.operand(cf, c), 32)
	case lua.OP_LEN:
		if t, ok := m.operand(cf, b).(*lua.LTable); ok {
			if array := view(t).array; len(array) > 64 && array[len(array)-1] == lua.LNil {
				vm.steps -= len(array) >> 4
			}
		}
	case lua.OP_SETTABLE:
		key := m.operand(cf, b)
		m.longString(key, 32)
		m.beforeSet(m.register(cf, a), key)
	case lua.OP_SETTABLEKS:
		m.beforeSet(m.register(cf, a), m.operand(cf, b))
	case lua.OP_SETGLOBAL:
		m.beforeSet(cf.Fn.Env, cf.Fn.Proto.Constants[inst&0x3ffff])
	case lua.OP_SETUPVAL:
		if vm.turn != nil {
			vm.turn.beforeUpvalue(cf.Fn.Upvalues[b])
		}
	case lua.OP_NEWTABLE:
		m.take(tableBytes + b*16 + mapSize(c, 32))
	case lua.OP_CLOSURE:
		n := int(cf.Fn.Proto.FunctionPrototypes[inst&0x3ffff].NumUpvalues)
		m.take(functionSize(n) + n*upvalueBytes)
	case lua.OP_SETLIST:
		if b == 0 {
			b = max(m.regs.top-cf.LocalBase-a-1, 0)
		}
		m.take(b * 16)
		vm.steps -= b >> 3
	case lua.OP_CONCAT:
		m.beforeConcat(cf, b, c)
	case lua.OP_FORPREP:
		m.beforeFor(cf, a)
	}
}

// beforeFor makes numbers of the strings of a numeric for, which the machine
// does not take.
func (m *meter) beforeFor(cf *frameView, a int) {
	for i := a + cf.LocalBase; i < a+cf.LocalBase+3; i++ {
		if s, ok := m.regs.array[i].(lua.LString); ok {
			m.vm.steps -= len(s) >> 4
			if n, ok := toNumber(s); ok {
				m.regs.array[i] = n
			}
		}
	}
}

// beforeModulo has the machine give what modulo gives: it divides the result by
// infinity, with the same sign. The generator leaves both operands of "%" in
// registers of their own unless the right one is a whole constant.
func (m *meter) beforeModulo(cf *frameView, b, c int) {
	x, ok1 := m.register(cf, b).(lua.LNumber)
	y, ok2 := m.register(cf, c).(lua.LNumber)
	if !ok1 || !ok2 || isWhole(x) && isWhole(y) {
		return
	}
	r := modulo(x, y)
	m.regs.array[cf.LocalBase+b] = r
	m.regs.array[cf.LocalBase+c] = lua.LNumber(math.Copysign(math.Inf(1), float64(r)))
}

// longString counts the work of reading a whole string once, n bytes a step.
func (m *meter) longString(v lua.LValue, n int) {
	if s, ok := v.(lua.LString); ok && len(s) > 256 {
		m.vm.steps -= len(s) / (n * 8)
	}
}

// take counts bytes that an instruction is about to allocate.
func (m *meter) take(n int) {
	m.vm.bytes += n
	if m.vm.bytes >= m.vm.walkAt {
		m.vm.steps = -1
	}
}

// beforeConcat keeps the result of R(b)..…..R(c) under the size limit, and makes
// texts of the numbers among them. A value that is neither has __concat or is an
// error; its result is a string that was checked when it was made.
func (m *meter) beforeConcat(cf *frameView, b, c int) {
	operands := m.regs.array[cf.LocalBase+b : cf.LocalBase+c+1]
	total, plain := 0, 0 // plain: how many at the end are strings and numbers
	for i := len(operands) - 1; i >= 0; i-- {
		switch v := operands[i].(type) {
		case lua.LString:
			total += len(v)
		case lua.LNumber:
			total += 24
		default:
			continue
		}
		if plain == len(operands)-1-i {
			plain++
		}
	}
	vm := m.vm
	if total > vm.limits.Value {
		vm.tooLong()
		return
	}
	vm.steps -= total >> 8
	m.take(total + 32)
	if plain < 2 {
		return // a metamethod gets the number itself
	}
	for i, v := range operands[len(operands)-plain:] {
		if n, ok := v.(lua.LNumber); ok {
			operands[len(operands)-plain+i] = lua.LString(FormatNumber(n))
		}
	}
}

// beforeSet is told of every assignment to a table that Lua code makes. It
// follows __newindex to the table that will be written, as the library does. A
// key that no table can have is an error before __newindex is called.
func (m *meter) beforeSet(v, key lua.LValue) {
	for range lua.MaxTableGetLoop {
		t, ok := v.(*lua.LTable)
		if !ok {
			return
		}
		mt, ok := t.Metatable.(*lua.LTable)
		if !ok {
			m.vm.beforeWrite(t, key)
			return
		}
		next := mt.RawGetString("__newindex")
		if next == lua.LNil || t.RawGet(key) != lua.LNil {
			m.vm.beforeWrite(t, key)
			return
		}
		checkKey(m.L, key)
		v = next
	}
}

// beforeWrite is called before t[key] is assigned, by Lua code or by a library
// function: it counts the bytes, refuses what would fill half the memory, and
// lets a turn save the table's content.
func (vm *VM) beforeWrite(t *lua.LTable, key lua.LValue) {
	v := view(t)
	n := 0
	switch k := key.(type) {
	case lua.LNumber:
		n = vm.arrayGrowth(v, k)
	case lua.LString:
		if v.strdict == nil { // the library would make room for 32 fields
			v.strdict = map[string]lua.LValue{}
			n = firstFieldBytes
		} else if _, ok := v.strdict[string(k)]; !ok {
			n = fieldBytes + mapGrowth(len(v.strdict))
		}
	default:
		n = vm.fieldGrowth(v, key)
	}
	vm.bytes += n
	if vm.bytes >= vm.walkAt {
		vm.steps = -1
	}
	if vm.turn != nil {
		vm.turn.beforeTable(t)
	}
}

// fieldGrowth is what assigning to a key takes that is neither a string nor of
// the array part.
func (vm *VM) fieldGrowth(v *tableView, key lua.LValue) int {
	if _, ok := v.dict[key]; ok {
		return 0
	}
	return fieldBytes + mapGrowth(len(v.dict))
}

// arrayGrowth is what assigning to an integer key takes: gopher-lua fills the
// array part up to it.
func (vm *VM) arrayGrowth(v *tableView, k lua.LNumber) int {
	length := len(v.array)
	if k < 1 || k >= maxArray || k != lua.LNumber(int(k)) {
		if k == maxArray && length == maxArray-1 {
			vm.fail(Memory, "array longer than "+strconv.Itoa(maxArray-1)+" elements")
		}
		return vm.fieldGrowth(v, k)
	}
	if v.array == nil { // the library would make room for 32 elements
		v.array = make([]lua.LValue, 0, 4)
	}
	gap := int(k) - length
	if gap <= 0 {
		return 0
	}
	vm.steps -= gap >> 3
	n := numberBytes
	if int(k) > cap(v.array) {
		n += 16 * max(int(k), 2*cap(v.array)) // at most; the old one is garbage then
	}
	if n < vm.limits.Memory {
		return n
	}
	vm.outOfMemory()
	return 0
}
