package redisconn

import "time"

const (
	// gatherOver is the time over which pipelines are counted.
	gatherOver = time.Second
	// gatherEnough commands do not wait for more.
	gatherEnough = 4
)

// gathering says how long commands wait so that others leave with them. A pipeline costs the same whether it carries
// one or ten: a system call and a waking here, at Redis, and for a broadcast at each node that hears it.
//
// The rule: one pipeline may begin in each Config.Gather, and those that did not begin in the last second may begin at
// once. So commands wait only under a load that lasts, and then for Gather at most. A few that wait together share a
// pipeline well enough: they begin. Else ten senders who wait for their answers would wait for nobody each time.
//
// It is a pure value; all times are since the same moment.
// Invariant: a pipeline that could begin as the last one did waits for every at most.
type gathering struct {
	every time.Duration // Config.Gather
	end   time.Duration // when the pipelines that have begun would be over, one after another, if each took every
}

// wait is how long a pipeline of so many commands that could begin at now waits for more of them.
func (g gathering) wait(now time.Duration, commands int) time.Duration {
	if commands >= gatherEnough {
		return 0
	}
	return max(0, g.end-gatherOver-now)
}

// begins notes that a pipeline begins at now.
func (g gathering) begins(now time.Duration) gathering {
	g.end = min(max(g.end, now), now+gatherOver) + g.every
	return g
}
