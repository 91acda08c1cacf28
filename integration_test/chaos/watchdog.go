package chaos

import (
	"context"
	"time"

	"rollcall/integration_test/chaos/history"
)

const (
	watchEvery = 20 * time.Millisecond
	// stallAfter is the lateness of a tick that counts: the machine had no time for this process, and so likely none for
	// the nodes either.
	stallAfter = 100 * time.Millisecond
)

// watch notes the times in which this process did not run, until ctx ends.
func watch(ctx context.Context, clock *clock) (stalls []history.Span) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	last := clock.now()
	for {
		select {
		case <-ctx.Done():
			return stalls
		case <-tick.C:
		}
		now := clock.now()
		if now-last > watchEvery+stallAfter {
			stalls = append(stalls, history.Span{From: last + watchEvery, To: now})
		}
		last = now
	}
}

// clock counts from the beginning of a run.
type clock struct{ began time.Time }

func (c *clock) now() time.Duration { return time.Since(c.began) }
