package luavm

import (
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	lua "github.com/yuin/gopher-lua"
)

const hog = `keep = keep or {} for i = 1, N do keep[#keep + 1] = {("x"):rep(1000) .. i} end`

// hogVM makes a VM for a connection script; ended counts how often it was told to end while it waits.
func hogVM(t *testing.T, c *Ceiling, ended *atomic.Int64) *VM {
	vm := newVM(t, Config{Ceiling: c, End: func() { ended.Add(1) }, Limits: Limits{Budget: time.Minute}})
	return vm
}

func fill(vm *VM, n int) error {
	vm.SetGlobal("N", lua.LNumber(n))
	p, err := Compile("test.lua", hog)
	if err != nil {
		return err
	}
	_, err = vm.Run(p)
	return err
}

// TestCeilingEndsTheLargest: SPEC 3: "Lua of all connections of a node together (beyond: the largest is ended, 1011)".
func TestCeilingEndsTheLargest(t *testing.T) {
	c := NewCeiling(1 << 40)
	var small, large, ended3 atomic.Int64
	a, b, d := hogVM(t, c, &small), hogVM(t, c, &large), hogVM(t, c, &ended3)
	for _, step := range []struct {
		vm *VM
		n  int
	}{{a, 1000}, {b, 4000}, {d, 1000}} {
		if err := fill(step.vm, step.n); err != nil {
			t.Fatal(err)
		}
	}
	used := c.Used()
	if used < 6<<20 || used > 15<<20 {
		t.Errorf("%d bytes used", used)
	}
	c.limit = used + 1<<20
	if err := fill(d, 1500); err != nil { // now it is too much, and b waits
		t.Errorf("the one that asked for more was ended, though another holds the most: %v", err)
	}
	if small.Load() != 0 || large.Load() != 1 || ended3.Load() != 0 {
		t.Errorf("ended: %d, %d, %d", small.Load(), large.Load(), ended3.Load())
	}
	e := asError(fill(b, 1))
	if e.Kind != Memory || !strings.Contains(e.Message,
		"scripts of this node hold more than "+strconv.FormatInt(c.limit, 10)+" bytes together") || e.Line != 1 ||
		!b.Broken() {
		t.Errorf("%+v", e)
	}
	b.Close()
	if err := fill(a, 1000); err != nil { // there is room again
		t.Error(err)
	}
	a.Close()
	d.Close()
	if used := c.Used(); used != 0 {
		t.Errorf("%d bytes used after all have gone", used)
	}
}

// TestCeilingWhileRunning: the one that runs is ended when it is the largest; the limit of one VM is far.
func TestCeilingWhileRunning(t *testing.T) {
	c := NewCeiling(2 << 20)
	vm := newVM(t, Config{Ceiling: c, End: func() {}, Limits: Limits{Budget: time.Minute, Memory: 64 << 20}})
	if e := runError(t, vm, `t = {} while true do t[#t + 1] = {} end`); e.Kind != Memory ||
		!strings.Contains(e.Message, "together") {
		t.Error(e)
	}
	pooled := newVM(t, Config{Ceiling: c, Limits: Limits{Budget: time.Minute, Memory: 64 << 20}})
	vm.Close()
	if e := runError(t, pooled, `t = {} while true do t[#t + 1] = {} end`); e.Kind != Memory ||
		!strings.Contains(e.Message, "together") || !pooled.Broken() {
		t.Error(e)
	}
	if used := c.Used(); used != 0 {
		t.Errorf("%d bytes of a pooled VM that does not run count", used)
	}
}

// TestGarbageDoesNotCount: one that throws away what it makes is not ended, however much that is.
func TestGarbageDoesNotCount(t *testing.T) {
	c := NewCeiling(1 << 20)
	var ended atomic.Int64
	vm := hogVM(t, c, &ended)
	run(t, vm, `for i = 1, 20000 do local s = ("x"):rep(1000) .. i end`)
	if ended.Load() != 0 || c.Used() > 1<<19 {
		t.Errorf("ended %d, %d bytes used", ended.Load(), c.Used())
	}
}

// TestGlobalsCount: what handlers write over globals counts for the connection, also while other connections run.
func TestGlobalsCount(t *testing.T) {
	c := NewCeiling(4 << 20)
	vm := newVM(t, Config{Ceiling: c, Limits: Limits{Budget: time.Minute}})
	run(t, vm, `function keep(n) data = data or {} for i = 1, n do data[#data + 1] = {("x"):rep(1000) .. i} end end`)
	turn := func(g *Globals, n int, end func()) *Globals {
		vm.BeginTurn(g)
		if _, err := vm.Call1(vm.Global("keep"), lua.LNumber(n)); err != nil {
			t.Fatal(err)
		}
		g = vm.EndTurn()
		g.Account(c, end)
		return g
	}
	var ended [3]int
	a := turn(nil, 500, func() { ended[0]++ })
	b := turn(nil, 2000, func() { ended[1]++ })
	if used := c.Used(); used < 2500<<10 || used > 4<<20 {
		t.Errorf("%d bytes used", used)
	}
	d := turn(nil, 1200, func() { ended[2]++ })
	if ended != [3]int{0, 1, 0} {
		t.Errorf("ended %v", ended)
	}
	for _, g := range []*Globals{a, b, d, nil} {
		g.Release()
	}
	if used := c.Used(); used != 0 {
		t.Errorf("%d bytes used after all have gone", used)
	}
}
