package luavm

import (
	"slices"

	lua "github.com/yuin/gopher-lua"
)

var tableFunctions = map[string]lua.LGFunction{
	"concat": tableConcat,
	"getn":   tableGetn,
	"insert": tableInsert,
	"maxn":   tableMaxn,
	"pack":   tablePack,
	"remove": tableRemove,
	"sort":   tableSort,
	"unpack": tableUnpack,
}

func tableConcat(L *lua.LState) int {
	vm, t := Of(L), readable(L, 1)
	sep := ""
	if L.Get(2) != lua.LNil {
		sep = checkString(L, 2)
	}
	i, j := optInt(L, 3, 1), optInt(L, 4, t.Len())
	out := newBuffer(L)
	for ; i <= j; i++ {
		v := t.RawGet(lua.LNumber(i))
		if !lua.LVCanConvToString(v) {
			L.RaiseError("invalid value (%s) at index %d in table for 'concat'", v.Type(), i)
		}
		out.add(plainText(v))
		if i < j {
			out.add(sep)
		}
		vm.spend(L, 1)
	}
	return out.push()
}

func tableGetn(L *lua.LState) int {
	L.Push(lua.LNumber(readable(L, 1).Len()))
	return 1
}

func tableMaxn(L *lua.LState) int {
	t := readable(L, 1)
	Of(L).spend(L, (len(view(t).array)+len(view(t).dict))>>3)
	n := lua.LNumber(t.Len())
	for k := range view(t).dict {
		if f, ok := k.(lua.LNumber); ok && f > n {
			n = f
		}
	}
	L.Push(n)
	return 1
}

func tableInsert(L *lua.LState) int {
	vm, t := Of(L), writable(L, 1)
	n := t.Len()
	switch L.GetTop() {
	case 2:
		v := L.Get(2)
		vm.beforeWrite(t, lua.LNumber(n+1))
		vm.spend(L, 1)
		t.RawSetInt(n+1, v)
	case 3:
		pos := checkInt(L, 2)
		if pos < 1 || pos > n+1 {
			insertOutside(L, t, n, pos)
			break
		}
		vm.beforeWrite(t, lua.LNumber(n+1))
		vm.spend(L, 1+(n-pos)>>5)
		if pos == n+1 {
			t.RawSetInt(pos, L.Get(3))
		} else {
			v := view(t)
			v.array = slices.Insert(v.array[:n], pos-1, L.Get(3))
		}
	default:
		L.RaiseError("wrong number of arguments to 'insert'")
	}
	return 0
}

// insertOutside inserts argument 3 at a place that is not among the n elements of
// t: those above it move up, the first to 1 and below.
func insertOutside(L *lua.LState, t *lua.LTable, n, pos int) {
	for i := n + 1; i > pos; i-- {
		rawSet(L, t, lua.LNumber(i), t.RawGet(lua.LNumber(i-1)))
	}
	rawSet(L, t, lua.LNumber(pos), L.Get(3))
}

func tableRemove(L *lua.LState) int {
	vm, t := Of(L), writable(L, 1)
	n := t.Len()
	pos := optInt(L, 2, n)
	if pos < 1 || pos > n {
		return 0
	}
	v := view(t)
	old := v.array[pos-1]
	vm.spend(L, 1+(n-pos)>>5)
	v.array = slices.Delete(v.array[:n], pos-1, pos)
	L.Push(old)
	return 1
}

// tableSort sorts a copy, so that a comparison that changes the table does no
// harm. Sorting ends after n log n comparisons whatever the function answers.
func tableSort(L *lua.LState) int {
	vm, t := Of(L), writable(L, 1)
	var less *lua.LFunction
	if L.Get(2) != lua.LNil {
		less = L.CheckFunction(2)
	}
	n := t.Len()
	vm.charge(L, n*16)
	values := slices.Clone(view(t).array[:n])
	slices.SortFunc(values, func(a, b lua.LValue) int {
		vm.spend(L, 2)
		if sortLess(L, less, a, b) {
			return -1
		}
		return 0 // SortFunc only asks whether a comes first
	})
	for i, v := range values {
		if i < len(view(t).array) {
			view(t).array[i] = v
		} else {
			t.RawSetInt(i+1, v)
		}
	}
	return 0
}

func sortLess(L *lua.LState, less *lua.LFunction, a, b lua.LValue) bool {
	if less == nil {
		if a == lua.LNil || b == lua.LNil {
			L.RaiseError("attempt to compare %s with %s", a.Type(), b.Type())
		}
		if x, ok := a.(lua.LString); ok {
			if y, ok := b.(lua.LString); ok {
				Of(L).spend(L, min(len(x), len(y))>>8)
				return x < y
			}
		}
		return L.LessThan(a, b)
	}
	L.Push(less)
	L.Push(a)
	L.Push(b)
	L.Call(2, 1)
	is := L.ToBool(-1)
	L.Pop(1)
	return is
}

func tablePack(L *lua.LState) int {
	n := L.GetTop()
	Of(L).charge(L, tableBytes+16*n)
	t := L.CreateTable(n, 1)
	for i := 1; i <= n; i++ {
		t.RawSetInt(i, L.Get(i))
	}
	t.RawSetString("n", lua.LNumber(n))
	L.Push(t)
	return 1
}

func tableUnpack(L *lua.LState) int {
	t := readable(L, 1)
	i, j := optInt(L, 2, 1), optInt(L, 3, t.Len())
	if i > j {
		return 0
	}
	n := j - i + 1
	if n <= 0 || n > maxUnpack {
		L.RaiseError("too many results to unpack")
	}
	Of(L).charge(L, n*16)
	for k := range n {
		L.Push(t.RawGet(lua.LNumber(i + k)))
	}
	return n
}
