package simulation

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"rollcall/history"
)

// Times of SPEC 3, as every simulated node has them.
const (
	ttl       = 6 * time.Second
	heartbeat = 2 * time.Second
	window    = 50 * time.Millisecond

	auditQuiet = time.Minute // it is ten, which would be a long time without faults
)

// How long after a storm every view is exact again. SPEC 5.1 says for a single fault: "lease + grace + one heartbeat +
// 1 s (10 s with the defaults) … after any other fault below is over, every view is exact again in that time too". For
// faults that strike together, and when all nodes are dead, it is "2 x lease + 2 s": a node whose own lease was in
// doubt waits for a whole ttl before it judges others.
const (
	Bound    = 10 * time.Second
	AllBound = 2*ttl + 2*time.Second
	// AuditBound is for a message that is lost without a sign: an audit finds it (DESIGN 3).
	AuditBound = auditQuiet + Bound
)

// Kind is what a fault does.
type Kind int

// The faults of SPEC 5.2. Those of Redis come first.
const (
	Wipe     Kind = iota // everything in Redis is lost, silently
	Restart              // Redis is away for a while; all connections break; it has its data when it is back
	Amnesia              // the same, but it is back empty
	Failover             // a replica that lacks the last writes takes over; its clock differs a little
	Stall                // Redis stands still for a while, and then does what waited
	Crash                // a node is gone at once; what it had sent may still arrive
	CrashAll             // all of them, and one is started
	Stop                 // a node stops in order
	Freeze               // nothing leaves or reaches a node for a while; then all of it does
	Cut                  // a node cannot reach Redis for a while; what was on its way is lost or late
	Deaf                 // what a node sends arrives, what it is sent is lost
	Unplug               // a pub/sub connection breaks, and with it what was on its way
	Slow                 // what a node sends takes up to seconds
	Straggle             // a node's next change of presence arrives when nobody waits for it any more
	Mute                 // the answer to it is lost
	Drop                 // a message to a node is lost, and nothing else shows it
	kinds
)

func (k Kind) String() string {
	return [...]string{"wipe", "restart", "amnesia", "failover", "stall", "crash", "crash all", "stop", "freeze", "cut",
		"deaf", "unplug", "slow", "straggle", "mute", "drop"}[k]
}

// Fault is one fault of a plan.
type Fault struct {
	At, For time.Duration // from the start; how long it lasts
	Kind    Kind
	Node    int
	N       int // how many writes a failover loses
}

func (f Fault) String() string {
	return fmt.Sprintf("%s of n%d at %v for %v (%d)", f.Kind, f.Node, f.At, f.For, f.N)
}

// Op is one act of a client; R decides who and where when its time comes.
type Op struct {
	At time.Duration
	R  uint64
}

// Plan is all that a seed decides before anything runs. What is left out of it (Without) stays in the list, so that the
// numbers of the others do not change.
type Plan struct {
	Seed     uint64
	Nodes    int
	Channels int
	Users    int
	Window   time.Duration
	Latency  time.Duration // the usual one is up to this
	Faults   []Fault
	Ops      []Op
	Checks   []time.Duration // when everything must be exact, each after a Bound of quiet
	Spans    []time.Duration // when each storm began

	// Of a plan that is about history (NewHistoryPlan), else zero.
	Keep   history.Policy // of all channels
	Memory int64          // of each node, for what it keeps

	WithoutFaults []int
	WithoutOps    []Range
}

// Range is a part of the ops: from A, before B.
type Range struct{ A, B int }

// NewPlan draws a plan: some storms of faults, each followed by quiet. nodes 0: drawn too.
func NewPlan(seed uint64, nodes int) *Plan {
	rng := rand.New(rand.NewPCG(seed, 1))
	p := &Plan{Seed: seed, Nodes: 2 + rng.IntN(3), Channels: 1 + rng.IntN(3), Users: 2 + rng.IntN(6)}
	p.Window = []time.Duration{0, window, window}[rng.IntN(3)]
	p.Latency = []time.Duration{time.Millisecond, 5 * time.Millisecond, 50 * time.Millisecond}[rng.IntN(3)]
	if nodes > 0 {
		p.Nodes = nodes
	}
	now := 2 * time.Second
	for range 3 {
		p.Spans = append(p.Spans, now)
		end, bound := p.storm(rng, now)
		now = end + bound
		p.Checks = append(p.Checks, now)
		now += time.Second
	}
	slices.SortStableFunc(p.Faults, func(a, b Fault) int { return cmp.Compare(a.At, b.At) })
	return p
}

// NewHistoryPlan draws a plan in which clients publish, follow channels, go and come back.
func NewHistoryPlan(seed uint64, nodes int) *Plan {
	p := NewPlan(seed, nodes)
	rng := rand.New(rand.NewPCG(seed, 4))
	p.Keep.Size = []int{1 + rng.IntN(4), 5 + rng.IntN(10), 100}[rng.IntN(3)]
	p.Keep.TTL = []time.Duration{3 * time.Second, 9 * time.Second, time.Minute}[rng.IntN(3)]
	p.Memory = []int64{0, 1 << 10, 1 << 20}[rng.IntN(3)]
	return p
}

// storm draws the ops and faults of a few seconds, and gives when the last of it is over, and what may then be
// expected.
func (p *Plan) storm(rng *rand.Rand, begin time.Duration) (end, bound time.Duration) {
	between := func(a, b time.Duration) time.Duration { return a + time.Duration(rng.Int64N(int64(b-a))) }
	end = begin + between(3*time.Second, 20*time.Second)
	count := []int{0, 1, 1, 1, 2, 3, 4}[rng.IntN(7)]
	bound = Bound
	if count > 1 {
		bound = AllBound
	}
	for range count {
		f := Fault{Kind: Kind(rng.IntN(int(kinds))), Node: rng.IntN(8), N: 1 + rng.IntN(12), At: between(begin, end)}
		switch f.Kind {
		case CrashAll:
			bound = max(bound, AllBound)
		case Drop:
			bound = AuditBound
			if rng.IntN(3) > 0 {
				f.At = end - between(0, 300*time.Millisecond) // late, so that it may be the last: a later one shows the gap
			}
		case Straggle, Mute:
			f.For = 2 * redisTimeout // until it is known to have happened
		case Stop: // how long its users are waited for
			if rng.IntN(4) > 0 {
				f.For = lingerFor(rng)
			}
		case Wipe, Crash, Unplug:
		case Failover:
			f.For = between(0, ttl/2)
		case Restart, Amnesia, Stall, Freeze, Cut:
			f.For = between(100*time.Millisecond, 2*ttl)
		default:
			f.For = between(100*time.Millisecond, ttl)
		}
		p.Faults = append(p.Faults, f)
	}
	for _, f := range p.Faults {
		end = max(end, f.At+f.For)
	}
	pause := between(5*time.Millisecond, 500*time.Millisecond)
	for at := begin; at < end; at += time.Millisecond + between(0, pause) {
		// Half milliseconds: no two connections are tracked in one millisecond, so lists have one order.
		p.Ops = append(p.Ops, Op{at.Truncate(time.Millisecond) + time.Millisecond/2, rng.Uint64()})
	}
	return end, bound
}

// channel names one of the plan's channels. Clients of a hub cannot join those of users, of which last_seen is kept.
func (p *Plan) channel(i int) string {
	if p.Keep.Size > 0 {
		return fmt.Sprint("c", i)
	}
	return fmt.Sprint("@c", i)
}

func (p *Plan) runsFault(i int) bool { return !slices.Contains(p.WithoutFaults, i) }

func (p *Plan) runsOp(i int) bool {
	return !slices.ContainsFunc(p.WithoutOps, func(r Range) bool { return r.A <= i && i < r.B })
}
