package luavm

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// checkInvariant checks what the Gate's comment says of its fields.
func (g *Gate) checkInvariant(t *testing.T) {
	t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.taken < 0 || g.taken > g.slots || g.taken < g.slots && len(g.queue) > 0 ||
		int(g.waiting.Load()) != len(g.queue) {
		t.Errorf("%d slots, %d taken, %d in the queue, %d waiting", g.slots, g.taken, len(g.queue), g.waiting.Load())
	}
}

// checkEmpty checks that nobody is inside or waits.
func checkEmpty(t *testing.T, g *Gate) {
	t.Helper()
	g.checkInvariant(t)
	if g.taken != 0 || g.Waiting() != 0 {
		t.Errorf("%d inside, %d waiting", g.taken, g.Waiting())
	}
}

// VMs enter in the order they came, as many as there are slots.
func TestGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGate(2)
		var mu sync.Mutex
		var inside []int
		come := func(n int) {
			go func() {
				g.enter()
				mu.Lock()
				inside = append(inside, n)
				mu.Unlock()
			}()
			synctest.Wait()
		}
		check := func(name string, want ...int) {
			t.Helper()
			synctest.Wait()
			g.checkInvariant(t)
			got := slices.Sorted(slices.Values(inside)) // those of one moment come in any order
			if !slices.Equal(got, want) {
				t.Errorf("%s: %v entered, want %v", name, got, want)
			}
		}
		for n := range 6 {
			come(n)
		}
		check("two slots", 0, 1)
		g.leave()
		check("one left", 0, 1, 2)
		time.Sleep(time.Second)
		g.leave()
		g.leave()
		check("two left", 0, 1, 2, 3, 4)
		g.leave()
		check("the last one", 0, 1, 2, 3, 4, 5)
		if w := g.Waited(); w != 3*time.Second {
			t.Errorf("waited %v", w)
		}
		g.leave()
		check("a slot is free", 0, 1, 2, 3, 4, 5)
		g.leave()
		checkEmpty(t, g)
	})
}

// No gate is shut: it has one slot at least.
func TestGateOfNone(t *testing.T) {
	for _, n := range []int{-1, 0, 1} {
		g := NewGate(n)
		g.enter()
		g.checkInvariant(t)
		g.leave()
		checkEmpty(t, g)
	}
}
