package history

import (
	"slices"
	"time"
)

// Back is what is aimed at: how long after a fault's end views take, where no lease has to run out. SPEC 5.1 allows
// Times.Gone.
const Back = 2 * time.Second

// Promise is what SPEC 5 leaves open under one kind of fault. What it does not leave open holds: the zero Promise is a
// cluster that nothing happens to.
type Promise struct {
	// Dies: the struck nodes end. Their connections end, and their users are shown until the lease and the grace are over.
	Dies bool
	// Ends: connections to the struck nodes end, because the node says so or the way to it is cut.
	Ends bool
	// Lingers: whom the struck nodes send away with 1012 stays present for Times.Restart, to come back unseen.
	Lingers bool
	// Silent: as Ends, but the node finds out only by its pings.
	Silent bool
	// Away: if it lasts longer than the lease, users who are only on the struck nodes are told gone, and back after it.
	Away bool
	// Misses: the struck nodes may miss messages of Redis. Of what happened meanwhile their clients are told the outcome,
	// each user once, in the order of the last changes; the order in which others were told it is not known any more.
	Misses bool
	// Disturbs: the way between the struck nodes and Redis is disturbed: a broadcast may raise and be sent all the same, a
	// write may wait.
	Disturbs bool
	// Loses: Redis may have lost what was written, or the way to it broke, so removals are held back for a lease time:
	// users who really went may be shown until Times.Gone.
	Loses bool
	// Forgets: Redis may have lost what it had acknowledged, of the last moment before.
	Forgets bool
	// Wipes: Redis has lost everything at Began. Nothing is left of dead nodes then: their users may go at once.
	Wipes bool
}

// Promises are the kinds of fault.
var Promises = map[string]Promise{
	"calm": {},

	"node-kill":         {Dies: true},
	"node-oom":          {Dies: true},
	"node-term":         {Ends: true, Lingers: true},
	"node-roll":         {Ends: true, Lingers: true}, // and its clients come back elsewhere
	"node-freeze-short": {},
	"node-freeze-long":  {Away: true, Misses: true, Disturbs: true, Loses: true},
	"node-cut":          {Away: true, Misses: true, Disturbs: true, Loses: true},
	"node-half-open":    {Away: true, Misses: true, Disturbs: true, Loses: true},
	"node-deaf":         {Away: true, Misses: true, Disturbs: true, Loses: true}, // what Redis says does not reach it
	"node-dumb":         {Away: true, Misses: true, Disturbs: true, Loses: true}, // what it says does not reach Redis
	"node-late":         {Away: true, Misses: true, Disturbs: true, Loses: true}, // what both say is delivered afterwards
	// its subscriptions are silent, its commands work
	"node-unheard": {Misses: true, Disturbs: true, Loses: true},
	// and what it had said last arrives when it has been reaped
	"node-kill-late": {Dies: true},
	"node-slow":      {Disturbs: true, Loses: true},

	"redis-restart-empty":  {Misses: true, Disturbs: true, Loses: true, Wipes: true},
	"redis-restart-data":   {Misses: true, Disturbs: true, Loses: true, Forgets: true},
	"redis-flush":          {Misses: true, Disturbs: true, Loses: true, Wipes: true},
	"redis-freeze":         {Misses: true, Disturbs: true, Loses: true},
	"redis-kill-pubsub":    {Misses: true, Disturbs: true, Loses: true},
	"redis-kill-normal":    {Disturbs: true, Loses: true},
	"redis-overflow":       {Misses: true, Disturbs: true, Loses: true},
	"redis-failover":       {Misses: true, Disturbs: true, Loses: true, Forgets: true},
	"redis-failover-lossy": {Misses: true, Disturbs: true, Loses: true, Forgets: true},

	"client-cut":       {Ends: true},
	"client-half-open": {Ends: true, Silent: true},
}

// Forgotten tells whether between two times a node died while Redis may have lost what that node wrote last. Then
// nobody knows what it had told the sinks of hooks.
func Forgotten(faults []Fault, from, to time.Duration) bool {
	died, forgets := false, false
	for _, f := range faults {
		if f.Ended >= from && f.Began <= to {
			died = died || Promises[f.Name].Dies
			forgets = forgets || Promises[f.Name].Forgets
		}
	}
	return died && forgets
}

// strikes tells whether a fault is done to a node.
func (f Fault) strikes(node string) bool { return len(f.Nodes) == 0 || slices.Contains(f.Nodes, node) }

// bound is how long after its cause a view may be wrong about one user: SPEC 5.1, "A killed node's users leave within
// lease + grace + one heartbeat + 1 s …; after any other fault … every view is exact again in that time too".
func (p Promise) bound(t Times) time.Duration {
	if p.Silent {
		return max(t.Gone(), 3*t.Ping+Back)
	}
	return t.Gone()
}
