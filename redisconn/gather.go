package redisconn

import "time"

// gatherOver is the time over which pipelines are counted.
const gatherOver = time.Second

// gathering says how long commands wait so that others leave with them. A pipeline costs the same whether it carries
// one or ten: a system call and a waking here, at Redis, and for a broadcast at each node that hears it.
//
// The rule: one pipeline may begin in each Config.Gather, and those that did not begin in the last second may begin at
// once. So commands wait only under a load that lasts, and then for Gather at most.
//
// It is a pure value; all times are since the same moment.
// Invariant: a pipeline that could begin as the last one did waits for every at most.
type gathering struct {
	every time.Duration // Config.Gather
	end   time.Duration // when the pipelines that have begun would be over, one after another, if each took every
}

// wait is how long a pipeline that could begin at now waits.
func (g gathering) wait(now time.Duration) time.Duration { return max(0, g.end-gatherOver-now) }

// begins notes that a pipeline begins at now.
func (g gathering) begins(now time.Duration) gathering {
	g.end = max(g.end, now) + g.every
	return g
}
