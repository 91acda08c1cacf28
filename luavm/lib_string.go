package luavm

import (
	"slices"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

func stringFunctions() map[string]lua.LValue {
	return functions(map[string]lua.LGFunction{
		"byte":    stringByte,
		"char":    stringChar,
		"find":    stringFind,
		"format":  stringFormat,
		"gmatch":  stringGmatch,
		"gsub":    stringGsub,
		"len":     stringLen,
		"lower":   stringLower,
		"match":   stringMatch,
		"rep":     stringRep,
		"reverse": stringReverse,
		"sub":     stringSub,
		"upper":   stringUpper,
	})
}

// span turns Lua's start and end, which count from 1 and from the end when
// negative, into those of a Go slice.
func span(length, i, j int) (start, end int) {
	if i < 0 {
		i = max(i+length+1, 1)
	} else if i == 0 {
		i = 1
	}
	if j < 0 {
		j += length + 1
	} else if j > length {
		j = length
	}
	if i > j {
		return 0, 0
	}
	return i - 1, j
}

// part makes a string value of a part of s. A short part is copied, so that it
// does not hold the whole.
func part(s, p string) lua.LString {
	if len(s) > 64 && len(p) < len(s)/2 {
		return lua.LString(strings.Clone(p))
	}
	return lua.LString(p)
}

func pushString(L *lua.LState, vm *VM, s string) int {
	vm.chargeString(L, len(s))
	L.Push(lua.LString(s))
	return 1
}

func stringByte(L *lua.LState) int {
	s := checkString(L, 1)
	i := optInt(L, 2, 1)
	start, end := span(len(s), i, optInt(L, 3, i))
	if end-start > maxUnpack {
		L.RaiseError("string slice too long")
	}
	for _, c := range []byte(s[start:end]) {
		L.Push(smallNumbers[c])
	}
	return end - start
}

func stringChar(L *lua.LState) int {
	buf := make([]byte, L.GetTop())
	Of(L).charge(L, 2*len(buf))
	for i := range buf {
		c := checkInt(L, i+1)
		if c < 0 || c > 255 {
			L.ArgError(i+1, "invalid value")
		}
		buf[i] = byte(c)
	}
	L.Push(lua.LString(buf))
	return 1
}

func stringLen(L *lua.LState) int {
	L.Push(lua.LNumber(len(checkString(L, 1))))
	return 1
}

func stringLower(L *lua.LState) int { return mapBytes(L, isUpper) }
func stringUpper(L *lua.LState) int { return mapBytes(L, isLower) }

// mapBytes changes the case of the ASCII letters for which change is true.
func mapBytes(L *lua.LState, change func(byte) bool) int {
	vm, s := Of(L), checkString(L, 1)
	vm.chargeString(L, len(s))
	buf := []byte(s)
	for i, c := range buf {
		if change(c) {
			buf[i] = c ^ 0x20
		}
	}
	L.Push(lua.LString(buf))
	return 1
}

func stringReverse(L *lua.LState) int {
	vm, buf := Of(L), []byte(checkString(L, 1))
	vm.chargeString(L, len(buf))
	slices.Reverse(buf)
	L.Push(lua.LString(buf))
	return 1
}

func stringRep(L *lua.LState) int {
	vm, s, n := Of(L), checkString(L, 1), checkNumber(L, 2)
	if !(n >= 1) || s == "" { // NaN is no number of times
		L.Push(lua.LString(""))
		return 1
	}
	if float64(n)*float64(len(s)) > float64(vm.limits.Value) {
		vm.tooLong()
		vm.raiseFatal(L)
	}
	vm.chargeString(L, int(n)*len(s))
	L.Push(lua.LString(strings.Repeat(s, int(n))))
	return 1
}

func stringSub(L *lua.LState) int {
	s := checkString(L, 1)
	start, end := span(len(s), checkInt(L, 2), optInt(L, 3, -1))
	p := part(s, s[start:end])
	Of(L).charge(L, len(p)+16)
	L.Push(p)
	return 1
}

// newMatcher makes a matcher whose steps count for the script.
func newMatcher(L *lua.LState, src, pat string) *matcher {
	vm := Of(L)
	vm.charge(L, len(src)>>6)
	return &matcher{src: src, pat: pat, fuel: 256, vm: vm, L: L}
}

// search finds the first match at or after init. Its error is one of the
// pattern.
func (m *matcher) search(init int) (s, e int, err error) {
	defer malformed(&err)
	pat := m.pat
	if strings.HasPrefix(pat, "^") {
		m.pat = pat[1:]
		e = m.matchAt(init)
		m.pat = pat
		return init, e, nil
	}
	for s = init; s <= len(m.src); s++ {
		if e = m.matchAt(s); e >= 0 {
			return s, e, nil
		}
	}
	return -1, -1, nil
}

// next is the step of gmatch and gsub: a match at exactly s, without anchor.
func (m *matcher) next(s int) (e int, err error) {
	defer malformed(&err)
	return m.matchAt(s), nil
}

// pushCaptures pushes the captures, or the whole match if there are none.
func (m *matcher) pushCaptures(L *lua.LState, vm *VM, s, e int) int {
	n := max(m.level, 1)
	for i := range n {
		L.Push(m.value(L, vm, i, s, e))
	}
	return n
}

func (m *matcher) value(L *lua.LState, vm *VM, i, s, e int) lua.LValue {
	text, position, err := m.captured(i, s, e)
	if err != nil {
		L.RaiseError("%s", err.Error())
	}
	if position > 0 {
		return lua.LNumber(position)
	}
	vm.charge(L, len(text)+16)
	return part(m.src, text)
}

func stringFind(L *lua.LState) int  { return find(L, true) }
func stringMatch(L *lua.LState) int { return find(L, false) }

func find(L *lua.LState, positions bool) int {
	vm, src, pat := Of(L), checkString(L, 1), checkString(L, 2)
	init := optInt(L, 3, 1)
	if init < 0 {
		init = max(init+len(src)+1, 1)
	} else if init == 0 {
		init = 1
	}
	if init--; init > len(src) {
		init = len(src)
	}
	if positions && (L.ToBool(4) || isPlain(pat)) {
		vm.spend(L, len(src)>>6)
		at := strings.Index(src[init:], pat)
		if at < 0 {
			L.Push(lua.LNil)
			return 1
		}
		L.Push(lua.LNumber(init + at + 1))
		L.Push(lua.LNumber(init + at + len(pat)))
		return 2
	}
	m := newMatcher(L, src, pat)
	s, e, err := m.search(init)
	if err != nil {
		L.RaiseError("%s", err.Error())
	}
	if e < 0 {
		L.Push(lua.LNil)
		return 1
	}
	if !positions {
		return m.pushCaptures(L, vm, s, e)
	}
	L.Push(lua.LNumber(s + 1))
	L.Push(lua.LNumber(e))
	if m.level == 0 {
		return 2
	}
	return 2 + m.pushCaptures(L, vm, s, e)
}

// stringGmatch makes an iterator that holds the string, the pattern and where
// it stands.
func stringGmatch(L *lua.LState) int {
	Of(L).charge(L, functionSize(3)+3*upvalueBytes)
	L.Push(L.NewClosure(gmatchStep, lua.LString(checkString(L, 1)), lua.LString(checkString(L, 2)), lua.LNumber(0)))
	return 1
}

func gmatchStep(L *lua.LState) int {
	vm := Of(L)
	if vm.turn != nil { // the iterator may be one of the base
		vm.turn.beforeUpvalue((*framePointer(L)).Fn.Upvalues[2])
	}
	src, pat := string(L.Get(lua.UpvalueIndex(1)).(lua.LString)), string(L.Get(lua.UpvalueIndex(2)).(lua.LString))
	m := newMatcher(L, src, pat)
	for at := int(L.Get(lua.UpvalueIndex(3)).(lua.LNumber)); at <= len(src); at++ {
		e, err := m.next(at)
		if err != nil {
			L.RaiseError("%s", err.Error())
		}
		if e < 0 {
			continue
		}
		L.Replace(lua.UpvalueIndex(3), lua.LNumber(max(e, at+1)))
		return m.pushCaptures(L, vm, at, e)
	}
	L.Replace(lua.UpvalueIndex(3), lua.LNumber(len(src)+1))
	L.Push(lua.LNil)
	return 1
}

func stringGsub(L *lua.LState) int {
	vm, src, pat := Of(L), checkString(L, 1), checkString(L, 2)
	repl := L.Get(3)
	switch repl.Type() {
	case lua.LTString, lua.LTNumber, lua.LTTable, lua.LTFunction:
	default:
		L.ArgError(3, "string/function/table expected")
	}
	limit := optInt(L, 4, len(src)+1)
	anchored := strings.HasPrefix(pat, "^")
	m := newMatcher(L, src, strings.TrimPrefix(pat, "^"))
	out := newBuffer(L)
	n := 0
	at := 0
	for n < limit {
		e, err := m.next(at)
		if err != nil {
			L.RaiseError("%s", err.Error())
		}
		if e >= 0 {
			n++
			m.replace(&out, repl, at, e)
			vm.spend(L, 4)
		}
		switch {
		case e > at:
			at = e
		case at < len(src):
			out.addByte(src[at])
			at++
		default:
			at = len(src) + 1
		}
		if at > len(src) || anchored {
			break
		}
	}
	if at < len(src) {
		out.add(src[at:])
	}
	out.push()
	L.Push(lua.LNumber(n))
	return 2
}

// replace adds what takes the place of a match. A callback may use the same
// matcher in no way.
func (m *matcher) replace(out *buffer, repl lua.LValue, s, e int) {
	L, vm := out.L, out.vm
	var v lua.LValue
	switch r := repl.(type) {
	case *lua.LTable:
		v = L.GetTable(r, m.value(L, vm, 0, s, e))
	case *lua.LFunction:
		L.Push(r)
		n := m.pushCaptures(L, vm, s, e)
		L.Call(n, 1)
		v = L.Get(-1)
		L.Pop(1)
	default:
		m.expand(out, plainText(r), s, e)
		return
	}
	switch {
	case lua.LVIsFalse(v):
		out.add(m.src[s:e])
	case lua.LVCanConvToString(v):
		out.add(plainText(v))
	default:
		L.RaiseError("invalid replacement value (a %s)", v.Type())
	}
}

// expand adds a replacement string, in which %1 stands for a capture.
func (m *matcher) expand(out *buffer, repl string, s, e int) {
	L := out.L
	for i := 0; i < len(repl); i++ {
		c := repl[i]
		if c != '%' {
			out.addByte(c)
			continue
		}
		if i++; i >= len(repl) {
			L.RaiseError("invalid use of '%%' in replacement string")
		}
		switch c = repl[i]; {
		case c == '0':
			out.add(m.src[s:e])
		case isDigit(c):
			text, position, err := m.captured(int(c-'1'), s, e)
			if err != nil {
				L.RaiseError("%s", err.Error())
			}
			if position > 0 {
				text = FormatNumber(lua.LNumber(position))
			}
			out.add(text)
		default:
			out.addByte(c)
		}
	}
	out.vm.spend(L, len(repl)>>6)
}
