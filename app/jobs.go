package app

import (
	"cmp"
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"rollcall/cluster"
	"rollcall/overload"
)

// Periods gives each period of a job to one node; *cluster.Cluster is one.
type Periods interface {
	// RedisNow is the time by the clock of Redis in ms, or a little less; false: not known yet.
	RedisNow() (ms int64, ok bool)
	// ClaimPeriod asks for the present period; heard is the last claim that is known of.
	ClaimPeriod(ctx context.Context, job cluster.Job, heard int64) (cluster.Claim, error)
}

// jobs have the jobs of the app run on this node (SPEC 11), in the periods that it wins. Each job has an alarm for its
// next period; so waiting costs nothing, and a period one command of Redis on each node.
//
//	waits ── its period begins ──▶ asks ── won ──▶ runs ──▶ waits
//	  ▲                             └─ not won ─────────────┘
//	  └──── another one begins while it asks or runs: left to other nodes
type jobs struct {
	server *Server

	mu      sync.Mutex
	all     map[string]*job // by name; those of former apps too, since they may be running
	stopped bool
}

// job is one job on this node.
type job struct {
	runner *jobs // static

	// Guarded by runner.mu.
	alarm    alarm
	def      *Job // nil: the app has no such job any more
	in       *instance
	schedule schedule
	running  bool // it asks for a period, or runs
	counts   map[JobOutcome]int64

	// Owned by who made it running.
	heard int64 // the last claim that this node knows of, ms of the Redis clock
	use   load
	lines overload.Limiter
}

// JobOutcome is what came of a period of a job on this node; it is a metric's label.
type JobOutcome string

// The outcomes.
const (
	JobRan       JobOutcome = "ran"       // this node won it, and called the handler
	JobElsewhere JobOutcome = "elsewhere" // another node had it
	JobUnsure    JobOutcome = "unsure"    // this node has come, or has lost Redis, in this period: who had it is not known
	JobBusy      JobOutcome = "busy"      // the handler was still at work for an earlier one
	JobLate      JobOutcome = "late"      // this node won it, and was held up until it was over
	JobFailed    JobOutcome = "failed"    // Redis did not answer
)

var jobOutcomes = []JobOutcome{JobRan, JobElsewhere, JobUnsure, JobBusy, JobLate, JobFailed}

const (
	// firstLook is how long a job waits for the first heartbeat, by which the time of Redis is known.
	firstLook = 100 * time.Millisecond
	// mostSpread bounds how far into a period a node asks for it, at random: so that not the one nearest to Redis gets
	// all. Of short periods it is a hundredth.
	mostSpread = 50 * time.Millisecond
)

func newJobs(s *Server) *jobs { return &jobs{server: s, all: map[string]*job{}} }

// use makes the jobs of an app those that run.
func (r *jobs) use(in *instance) {
	if r.server.cfg.Periods == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, j := range r.all {
		j.def, j.in = nil, nil
		r.server.alarms.drop(&j.alarm)
	}
	for _, def := range in.app.jobs {
		j := r.all[def.Name]
		if j == nil {
			j = &job{runner: r, counts: map[JobOutcome]int64{}}
			j.alarm.ring = j.ring
			r.all[def.Name] = j
		}
		j.def, j.in = def, in
		if period := def.Period.Milliseconds(); j.schedule.period != period {
			j.schedule = schedule{period: period}
		}
		r.lookLocked(j)
	}
}

// stop ends the asking for periods. What runs goes on.
func (r *jobs) stop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stopped = true
	for _, j := range r.all {
		r.server.alarms.drop(&j.alarm)
	}
}

func (j *job) ring() {
	j.runner.mu.Lock()
	defer j.runner.mu.Unlock()
	j.runner.lookLocked(j)
}

// lookLocked has the job run if its next period has begun, and sets the alarm.
func (r *jobs) lookLocked(j *job) {
	if r.stopped || j.def == nil {
		return
	}
	wait := firstLook
	if now, known := r.server.cfg.Periods.RedisNow(); known {
		var due bool
		j.schedule, due, wait = j.schedule.look(now)
		wait += rand.N(min(mostSpread, j.def.Period/100))
		switch {
		case due && j.running:
			j.counts[JobBusy]++
		case due:
			j.running = true
			def, in := j.def, j.in
			r.server.running.Go(func() { r.run(j, def, in) })
		}
	}
	r.server.alarms.set(&j.alarm, time.Now().Add(wait))
}

// run asks for the present period of a job, and runs it when this node has won.
func (r *jobs) run(j *job, def *Job, in *instance) {
	outcome := r.server.period(j, def, in)
	r.mu.Lock()
	defer r.mu.Unlock()
	j.running = false
	j.counts[outcome]++
}

// JobCount is how often something came of a period of a job on this node.
type JobCount struct {
	Job     string
	Outcome JobOutcome
	Periods int64
}

// counted lists all outcomes of all jobs, in the order of names.
func (r *jobs) counted() (all []JobCount) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for name, j := range r.all {
		for _, o := range jobOutcomes {
			all = append(all, JobCount{name, o, j.counts[o]})
		}
	}
	slices.SortStableFunc(all, func(a, b JobCount) int { return cmp.Compare(a.Job, b.Job) })
	return all
}
