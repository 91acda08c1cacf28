package app

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	lua "github.com/yuin/gopher-lua"

	"rollcall/luavm"
)

func testPool(soft, maximum int) *pool {
	return newPool(soft, maximum, func() (*worker, error) { return &worker{vm: luavm.New(luavm.Config{})}, nil })
}

// take lends a worker that must be there at once.
func (p *pool) must(t *testing.T, home *worker) *worker {
	t.Helper()
	w, err := p.get(home, rank{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// later asks for a worker in the background; got tells whether it came.
func (p *pool) later(home *worker) (got func() *worker) {
	var w atomic.Pointer[worker]
	go func() {
		if x, err := p.get(home, rank{}, nil); err == nil {
			w.Store(x)
		}
	}()
	synctest.Wait()
	return func() *worker { synctest.Wait(); return w.Load() }
}

func TestPoolUsesTheLastWorkerAgain(t *testing.T) {
	p := testPool(4, 8)
	a := p.must(t, nil)
	b := p.must(t, nil)
	if a == b {
		t.Fatal("one worker was lent twice")
	}
	p.put(b)
	p.put(a)
	if p.must(t, nil) != a || p.size() != 2 {
		t.Fatal("not the last used one, or more were made")
	}
}

func TestPoolWaitsAtItsLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := testPool(2, 8)
		a, b := p.must(t, nil), p.must(t, nil)
		first := p.later(nil)
		second := p.later(nil)
		if first() != nil || second() != nil {
			t.Fatal("more than two run")
		}
		p.put(b)
		if first() != b || second() != nil {
			t.Fatal("the first in line gets what was put back")
		}
		p.put(a)
		if second() != a {
			t.Fatal("the second in line gets the next")
		}
	})
}

// A worker that waits for Redis does not keep others from running, up to the maximum.
func TestPoolGrowsWhileWorkersWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := testPool(1, 2)
		a := p.must(t, nil)
		other := p.later(nil)
		third := p.later(nil)
		if other() != nil {
			t.Fatal("more than one runs")
		}
		p.block(1, false)
		b := other()
		if b == nil || b == a || third() != nil {
			t.Fatal("exactly one more may run")
		}
		p.block(1, false)
		if third() != nil || p.size() != 2 {
			t.Fatal("more than the maximum was made")
		}
		p.block(-1, false)
		p.block(-1, false)
		p.put(a)
		if third() != a {
			t.Fatal("the third gets what was put back")
		}
	})
}

func TestPoolLendsHome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := testPool(2, 2)
		a, b := p.must(t, nil), p.must(t, nil)
		p.put(a)
		p.put(b)
		if p.must(t, a) != a {
			t.Fatal("another worker than asked for")
		}
		mine := p.later(a) // while b is idle
		if mine() != nil {
			t.Fatal("a busy worker was lent twice")
		}
		if p.must(t, nil) != b {
			t.Fatal("the idle one was not lent")
		}
		anybody := p.later(nil)
		p.put(a)
		if mine() != a || anybody() != nil {
			t.Fatal("who needs this one comes first")
		}
		mine = p.later(a)
		p.put(a)
		if anybody() != a || mine() != nil {
			t.Fatal("then one of the others")
		}
		p.put(a)
		if mine() != a {
			t.Fatal("then who needs this one again")
		}
	})
}

// A VM whose Go code panicked is thrown away; those who waited for it get another.
func TestPoolThrowsBrokenWorkersAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := testPool(1, 1)
		a := p.must(t, nil)
		mine := p.later(a)
		other := p.later(nil)
		program, err := luavm.Compile("x", "return f()")
		if err != nil {
			t.Fatal(err)
		}
		a.vm.SetGlobal("f", luavm.Func(panics))
		if _, err := a.vm.Run(program); err == nil || !a.vm.Broken() {
			t.Fatal("the VM is not broken")
		}
		p.put(a)
		b := mine()
		if b == nil || b == a || other() != nil || p.size() != 1 {
			t.Fatal("who waited for the broken one does not have another")
		}
		p.put(b)
		if other() != b {
			t.Fatal("the line does not go on")
		}
		p.put(b)
		if p.must(t, a) != b {
			t.Fatal("a dead home was lent")
		}
	})
}

func TestPoolPassesOnThatNoWorkerCouldBeMade(t *testing.T) {
	fail := true
	p := newPool(1, 1, func() (*worker, error) {
		if fail {
			return nil, errors.New("no memory")
		}
		return &worker{vm: luavm.New(luavm.Config{})}, nil
	})
	if _, err := p.get(nil, rank{}, nil); err == nil || !strings.Contains(err.Error(), "start a Lua VM: no memory") {
		t.Fatal(err)
	}
	fail = false
	p.must(t, nil)
}

func TestPoolUnderLoad(t *testing.T) {
	p := testPool(3, 6)
	var running, most atomic.Int32
	var done sync.WaitGroup
	for i := range 16 {
		done.Go(func() {
			var home *worker
			for j := range 200 {
				w, err := p.get(home, rank{}, nil)
				if err != nil {
					t.Error(err)
					return
				}
				if n := running.Add(1); n > most.Load() {
					most.Store(n)
				}
				if home != nil && w != home {
					t.Error("another worker than home")
				}
				if (i+j)%3 == 0 {
					p.block(1, false)
					running.Add(-1)
					running.Add(1)
					p.block(-1, false)
				}
				home = nil
				if (i+j)%4 == 0 {
					home = w
				}
				running.Add(-1)
				p.put(w)
			}
		})
	}
	done.Wait()
	if p.size() > 6 || len(p.idle) != p.size() || len(p.light) != 0 || p.blocked != 0 {
		t.Fatalf("size %d, idle %d, line %d, blocked %d, at most %d ran", p.size(), len(p.idle), len(p.light), p.blocked,
			most.Load())
	}
}

func panics(*lua.LState) int { panic("a mistake in Go") }

// size is the number of workers.
func (p *pool) size() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.total
}

// A parked turn does not keep its worker from others, and gets the same one again.
func TestPoolParks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := testPool(1, 1)
		a := p.must(t, nil)
		other := p.later(nil)
		p.park(a)
		if other() != a || p.parkedTurns() != 1 {
			t.Fatal("the worker is not free")
		}
		back := p.laterBack(a)
		if back() {
			t.Fatal("it was lent twice")
		}
		p.put(a)
		if !back() || p.parkedTurns() != 0 {
			t.Fatal("the parked turn does not have its worker")
		}
		p.put(a)
		a = p.must(t, nil)
		p.park(a)
		if p.regain(a, rank{}); p.size() != 1 || len(p.idle) != 0 {
			t.Fatal("an idle worker is not regained")
		}
		p.put(a)
	})
}

// A worker that breaks while turns are parked in it stays for them alone, and is closed after the last.
func TestPoolKeepsBrokenWorkersForTheParked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := testPool(1, 1)
		a := p.must(t, nil)
		for range 2 {
			p.park(a)
			p.must(t, nil)
		}
		one, home := p.laterBack(a), p.later(a)
		program, err := luavm.Compile("x", "return f()")
		if err != nil {
			t.Fatal(err)
		}
		a.vm.SetGlobal("f", luavm.Func(panics))
		if _, err := a.vm.Run(program); err == nil || !a.vm.Broken() {
			t.Fatal("the VM is not broken")
		}
		p.put(a)
		if !one() {
			t.Fatal("the first parked turn does not have its worker")
		}
		b := home()
		if b == nil || b == a || p.size() != 1 {
			t.Fatal("the others do not have another")
		}
		two := p.laterBack(a)
		if two() {
			t.Fatal("it was lent twice")
		}
		p.put(a)
		if !two() {
			t.Fatal("the second parked turn does not have its worker")
		}
		p.put(a)
		p.put(b)
		if p.must(t, a) != b || p.parkedTurns() != 0 || p.size() != 1 || len(p.idle) != 0 {
			t.Fatal("the dead worker is still there")
		}
	})
}

// laterBack regains a worker in the background; back tells whether it did.
func (p *pool) laterBack(w *worker) (back func() bool) {
	var done atomic.Bool
	go func() {
		p.regain(w, rank{})
		done.Store(true)
	}()
	synctest.Wait()
	return func() bool { synctest.Wait(); return done.Load() }
}

func (p *pool) parkedTurns() int {
	_, _, _, parked := p.load()
	return parked
}
