package cluster

import (
	"context"
	_ "embed"
	"fmt"
	"time"

	"rollcall/redisconn"
)

//go:embed scripts/period.lua
var periodSrc string

var periodScript = redisconn.NewScript(periodSrc).AllowOOM()

// Job is what one node of the cluster does once a period. Periods are counted from the epoch by the clock of Redis, so
// all nodes have the same.
type Job struct {
	App, Name string
	Period    time.Duration // at least a millisecond
}

// Outcome of a claim; it is a metric's label.
type Outcome string

// The outcomes.
const (
	Won    Outcome = "won"    // this node has the period, and nobody else will
	Taken  Outcome = "taken"  // another node has it, or this one had it
	Young  Outcome = "young"  // this node's lease began in the period: who had it may have been forgotten
	Fenced Outcome = "fenced" // this node holds no lease
)

// Claim is the answer to ClaimPeriod.
type Claim struct {
	Outcome Outcome
	At      int64     // ms of the Redis clock
	Last    int64     // when somebody last won a period of the job, ms; 0: not known
	Ends    time.Time // when the period is over, by this node's clock, at the earliest
}

// ClaimPeriod asks Redis for the present period of a job. heard is the last claim that this node knows of, so that a
// period is not given twice although Redis has forgotten. After an error nobody knows who has the period.
func (c *Cluster) ClaimPeriod(ctx context.Context, job Job, heard int64) (Claim, error) {
	c.mu.Lock()
	l := c.lease
	c.mu.Unlock()
	if l.phase(time.Now()) != Held {
		return Claim{Outcome: Fenced}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, max(c.cfg.TTL/3, time.Second))
	defer cancel()
	sent, period := time.Now(), job.Period.Milliseconds()
	res, err := c.cfg.Redis.Run(ctx, periodScript, []string{c.keys.Nodes(), c.keys.JobClaim(job.App, job.Name)},
		l.inc(), l.began, period, heard)
	if err != nil {
		return Claim{}, fmt.Errorf("claim a period of job %s: %w", job.Name, err)
	}
	claim, ok := readClaim(res)
	if !ok {
		return Claim{}, fmt.Errorf("claim a period of job %s: unexpected answer %v", job.Name, res)
	}
	left := period - claim.At%period
	claim.Ends = sent.Add(time.Duration(left) * time.Millisecond)
	c.learn(claim.At)
	return claim, nil
}

func readClaim(res any) (Claim, bool) {
	list, _ := res.([]any)
	if len(list) != 3 {
		return Claim{}, false
	}
	outcome, ok1 := list[0].(string)
	at, ok2 := list[1].(int64)
	last, ok3 := list[2].(int64)
	return Claim{Outcome: Outcome(outcome), At: at, Last: last}, ok1 && ok2 && ok3
}

// redisClock is what a node knows of the clock of Redis: its time in an answer that has just come. It is a pure value,
// and never ahead of Redis but for what the two clocks differ in speed.
type redisClock struct {
	ms int64 // 0: not known yet
	at time.Time
}

// now is the time in ms; false: not known yet.
func (k redisClock) now(at time.Time) (ms int64, ok bool) {
	return k.ms + at.Sub(k.at).Milliseconds(), k.ms != 0
}

// RedisNow is the time by the clock of Redis in ms, or a little less; false: there was no heartbeat yet. It asks
// nobody.
func (c *Cluster) RedisNow() (ms int64, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.clock.now(time.Now())
}

// learn takes the time of Redis from an answer that has just come.
func (c *Cluster) learn(ms int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.clock = redisClock{ms, time.Now()}
}
