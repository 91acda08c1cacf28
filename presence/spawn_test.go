package presence

import (
	"context"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

// What waits for its turn is run in the end; but not after Close.
func TestSpawn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := &Tracker{ctx: t.Context()}
		var begun atomic.Int64
		release := make(chan struct{})
		load := func(context.Context) { begun.Add(1); <-release }
		goroutines := inBubbles()
		for range 10 * maxLoads {
			tr.spawn(load)
		}
		synctest.Wait()
		if n := inBubbles() - goroutines; n != maxLoads {
			t.Errorf("%d goroutines for %d at once", n, maxLoads)
		}
		if n := begun.Load(); n != maxLoads {
			t.Errorf("%d run at once", n)
		}
		close(release)
		tr.done.Wait()
		if n := begun.Load(); n != 10*maxLoads {
			t.Errorf("%d have run", n)
		}
		tr.spawn(load)
		tr.done.Wait()
		tr.closed = true
		tr.spawn(load)
		tr.done.Wait()
		if n := begun.Load(); n != 10*maxLoads+1 {
			t.Errorf("after Close: %d", n-10*maxLoads)
		}
	})
}

// inBubbles counts goroutines in virtual time: others may be left of tests before, and end at any moment.
func inBubbles() int {
	stacks := make([]byte, 4<<20)
	return strings.Count(string(stacks[:runtime.Stack(stacks, true)]), "synctest bubble")
}
