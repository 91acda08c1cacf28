package cluster

import (
	"log/slog"
	"math/rand/v2"
	"testing"
	"time"

	"rollcall/redisconn"
)

// SPEC 11: "on one node of the cluster, at most once a period … counted from the epoch".
func testPeriod(t *testing.T, c *Cluster, b *redisconn.Client) {
	job := Job{"app", "digest", time.Hour}
	period := job.Period.Milliseconds()
	want := func(what string, o Outcome, last int64) Claim {
		t.Helper()
		got, err := c.ClaimPeriod(t.Context(), job, 0)
		if err != nil || got.Outcome != o || got.Last != last && o != Won {
			t.Errorf("%s: %+v, %v; want %s with %d", what, got, err, o, last)
		}
		return got
	}
	want("without a lease", Fenced, 0)
	if err := c.beat(t.Context()); err != nil {
		t.Fatal(err)
	}
	want("the lease began in the period", Young, 0)
	c.lease.began -= period
	first := want("the lease is older than the period", Won, 0)
	now := redisNow(t, b)
	if first.At > now || first.At < now-5000 || first.Last != first.At {
		t.Errorf("%+v at %d", first, now)
	}
	if left := time.Until(first.Ends).Milliseconds(); left > period-first.At%period || left < period-first.At%period-5000 {
		t.Errorf("the period has %d ms left: %+v", left, first)
	}
	if ms, ok := c.RedisNow(); !ok || ms > redisNow(t, b) || ms < now-5000 {
		t.Errorf("RedisNow is %d, %v; %d", ms, ok, now)
	}
	want("again", Taken, first.At)
	key := b.Keys().JobClaim("app", "digest")
	if ttl := do(t, b, "pttl", key).(int64); ttl < period || ttl > 2*period+60000 {
		t.Errorf("the key lives %d ms", ttl)
	}
	do(t, b, "set", key, first.At-period)
	want("the last one had the period before", Won, 0)
	do(t, b, "del", key)
	if got, err := c.ClaimPeriod(t.Context(), job, first.At); err != nil || got.Outcome != Taken || got.Last != first.At {
		t.Errorf("Redis has forgotten it, the node has not: %+v, %v", got, err)
	}
	do(t, b, "set", key, first.At+30_000)
	want("the clock was set back a little", Taken, first.At+30_000)
	do(t, b, "set", key, first.At+10*period)
	want("the clock was wrong", Won, 0)
	do(t, b, "del", key)
	do(t, b, "zadd", b.Keys().Nodes(), now-1, c.lease.inc())
	want("the lease is over", Fenced, 0)
	do(t, b, "zrem", b.Keys().Nodes(), c.lease.inc())
	want("the lease was wiped", Fenced, 0)
}

// Whatever happens to nodes and to Redis, no period is won twice; and one in which nothing happens is won. What is not
// promised: that a period which comes again, as the clock was set back, is not given again when Redis has lost it too.
func TestPeriodsAtRandom(t *testing.T) {
	r, _ := mini(t)
	b, err := redisconn.Open(t.Context(), redisconn.Config{URL: r.URL()})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	w := &periodWorld{t: t, b: b, won: map[int64]string{}, set: r.Mini().SetTime}
	w.forward(1_700_000_000_000)
	for range 4 {
		w.nodes = append(w.nodes, &asker{Cluster: w.member()})
	}
	random := rand.New(rand.NewPCG(7, 8))
	key := b.Keys().JobClaim(periodJob.App, periodJob.Name)
	broke := func() {
		for _, n := range w.nodes {
			n.Renounce("a connection broke")
		}
	}
	for step := range 8000 {
		n := w.nodes[random.IntN(len(w.nodes))]
		switch random.IntN(30) {
		case 0:
			if w.loses() {
				r.Mini().FlushAll()
			}
		case 1: // a failover loses the last claim
			if w.loses() {
				do(t, b, "del", key)
				if random.IntN(2) == 0 {
					do(t, b, "set", key, w.now-random.Int64N(30_000))
				}
				broke()
			}
		case 2: // a failover to a host whose clock is behind
			if back := random.Int64N(5000); (w.now-back)/10_000 > w.lost/10_000 {
				w.forward(-back)
				broke()
			}
		case 3: // a node starts again
			n.Cluster, n.heard = w.member(), 0
		case 4: // all stand still
			w.forward(random.Int64N(20_000))
		case 5, 6, 7, 8:
			w.beat(n)
		case 9, 10, 11, 12, 13, 14:
			w.forward(random.Int64N(1000))
		default:
			w.ask(n)
		}
		if step%400 == 399 {
			w.calm()
		}
	}
	if len(w.won) < 50 {
		t.Errorf("only %d periods were won", len(w.won))
	}
}

var periodJob = Job{"app", "digest", 10 * time.Second}

// periodWorld are nodes without loops, and a Redis whose clock they share.
type periodWorld struct {
	t         *testing.T
	b         *redisconn.Client
	set       func(time.Time)
	now, peak int64 // ms
	lost      int64 // when Redis last lost something, ms
	nodes     []*asker
	won       map[int64]string // period → process
}

// asker is a node and what it has heard.
type asker struct {
	*Cluster
	heard int64
}

func (w *periodWorld) member() *Cluster {
	return New(Config{Redis: w.b, Process: NewProcess(), TTL: 6 * time.Second, Heartbeat: time.Second,
		Log: slog.New(slog.DiscardHandler)})
}

func (w *periodWorld) forward(ms int64) {
	w.now += ms
	w.peak = max(w.peak, w.now)
	w.set(time.UnixMilli(w.now))
}

// loses tells that Redis may lose something now: no time comes again.
func (w *periodWorld) loses() bool {
	if w.now < w.peak {
		return false
	}
	w.lost = w.now
	return true
}

func (w *periodWorld) beat(n *asker) {
	w.t.Helper()
	if err := n.beat(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

func (w *periodWorld) ask(n *asker) (won bool) {
	w.t.Helper()
	claim, err := n.ClaimPeriod(w.t.Context(), periodJob, n.heard)
	if err != nil {
		w.t.Fatal(err)
	}
	n.heard = max(n.heard, claim.Last)
	if claim.Outcome != Won {
		return false
	}
	p := claim.At / periodJob.Period.Milliseconds()
	if w.won[p] != "" {
		w.t.Fatalf("period %d is won by %s after %s", p, n.Process(), w.won[p])
	}
	w.won[p] = n.Process()
	return true
}

// calm lets a quiet time pass, and then a period begin: one node wins it.
func (w *periodWorld) calm() {
	w.t.Helper()
	for range 14 {
		w.forward(5000)
		for _, n := range w.nodes {
			w.beat(n)
		}
	}
	period := periodJob.Period.Milliseconds()
	w.forward(period - w.now%period)
	wins := 0
	for _, n := range w.nodes {
		w.beat(n)
		if w.ask(n) {
			wins++
		}
	}
	if wins != 1 {
		w.t.Fatalf("%d nodes win a quiet period", wins)
	}
}
