package redisconn

import "time"

const (
	// gatherFor is the least time between two pipelines while commands are dense: more often than one in gatherFrom.
	gatherFor  = 2 * time.Millisecond
	gatherFrom = time.Millisecond
	// gatherEnough commands need not wait for others.
	gatherEnough = 64
	// longestPause is what counts of a pause between two commands, so that one does not end the gathering.
	longestPause = 10 * time.Millisecond
	// vainMost waits for others in vain, less those that were not, are enough: skipLeast pipelines leave without, and
	// twice as many each time after, up to skipMost.
	vainMost            = 8
	skipLeast, skipMost = 64, 4096
)

// gathering says how long commands wait so that others leave with them. A pipeline costs the same whether it carries
// one or ten: a system call and a waking here, at Redis, and for a broadcast at each node that hears it. So when
// commands are dense those that come within gatherFor of the last pipeline make the next one; one that comes after a
// pause never waits.
//
// Waiting is in vain when all who send commands wait for answers themselves: a loop that publishes, or ten. Their
// commands come at once after the answers to the last ones, and then no more. So a wait in whose second half nobody
// came is a sign against waiting, and the other way round.
//
// It is a pure value; all times are since the same moment. Invariant: 0 <= vain < vainMost, 0 <= skip <= skips <=
// skipMost.
type gathering struct {
	began time.Duration // the last pipeline
	mean  time.Duration // between two commands, of late
	vain  int           // waits in vain, less the others
	skip  int           // pipelines that still leave without waiting
	skips int           // how many left so the last time
}

func newGathering() gathering { return gathering{mean: longestPause} }

// wait is how long commands that are there at now wait for others.
func (g gathering) wait(now time.Duration, commands int) time.Duration {
	if g.mean > gatherFrom || g.skip > 0 || commands >= gatherEnough {
		return 0
	}
	return max(0, g.began+gatherFor-now)
}

// waited judges a wait, during which the last command came at last. Short ones say nothing.
func (g gathering) waited(from, last, to time.Duration) gathering {
	switch {
	case to-from < gatherFor/2:
	case last > (from+to)/2:
		if g.vain = max(g.vain-1, 0); g.vain == 0 {
			g.skips = 0
		}
	default:
		g.vain++
	}
	if g.vain == vainMost {
		g.skips = min(max(2*g.skips, skipLeast), skipMost)
		g.skip, g.vain = g.skips, vainMost/2
	}
	return g
}

// sends notes that a pipeline of so many commands begins at now.
func (g gathering) sends(now time.Duration, commands int) gathering {
	each := min(now-g.began, longestPause) / time.Duration(commands)
	g.mean += (each - g.mean) * time.Duration(commands) / time.Duration(commands+15)
	g.began = now
	g.skip = max(g.skip-1, 0)
	return g
}
