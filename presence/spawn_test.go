package presence

import (
	"context"
	"runtime"
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
		goroutines := runtime.NumGoroutine()
		for range 10 * maxLoads {
			tr.spawn(load)
		}
		synctest.Wait()
		if n := runtime.NumGoroutine() - goroutines; n != maxLoads {
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
