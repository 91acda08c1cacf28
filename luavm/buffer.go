package luavm

import (
	lua "github.com/yuin/gopher-lua"
)

// buffer builds a string for a library function. It charges what it takes before
// it takes it, and unwinds the function when the string grows over the limit.
type buffer struct {
	vm   *VM
	L    *lua.LState
	text []byte
}

func newBuffer(L *lua.LState) buffer { return buffer{vm: Of(L), L: L} }

// room makes room for n bytes.
func (b *buffer) room(n int) {
	length := len(b.text) + n
	if length > b.vm.limits.Value {
		b.vm.tooLong()
		b.vm.raiseFatal(b.L)
	}
	if length <= cap(b.text) {
		return
	}
	size := max(length, 2*cap(b.text), 64)
	b.vm.pending += size - cap(b.text)
	b.vm.charge(b.L, size)
	b.text = append(make([]byte, 0, size), b.text...)
}

func (b *buffer) add(s string) {
	b.room(len(s))
	b.text = append(b.text, s...)
}

func (b *buffer) addByte(c byte) {
	b.room(1)
	b.text = append(b.text, c)
}

// push pushes the string and ends the building.
func (b *buffer) push() int {
	n := pushString(b.L, b.vm, string(b.text))
	b.vm.pending -= cap(b.text)
	return n
}
