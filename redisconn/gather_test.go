package redisconn

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

const (
	testGather = time.Millisecond
	answerTime = 100 * time.Microsecond // how long a pipeline takes in these tests
)

// row is a batcher in virtual time.
type row struct {
	t       *testing.T
	g       gathering
	arrive  []time.Duration // commands still to come, in order
	answers func(at time.Duration, n int) (more []time.Duration)

	began  []time.Duration // pipelines
	delays []time.Duration // from each command's arrival until it was sent
}

// run works until no command is left, or end.
func (r *row) run(end time.Duration) {
	now := time.Duration(0)
	for len(r.arrive) > 0 && now < end {
		now = max(now, r.arrive[0])
		wait := r.g.wait(now, 1)
		if wait > testGather {
			r.t.Fatalf("a wait of %v", wait)
		}
		over, n := now+wait, r.waiting(now)
		for r.g.wait(now, n) > 0 && now < over {
			if now = over; n < len(r.arrive) {
				now = min(over, r.arrive[n])
			}
			n = r.waiting(now)
		}
		r.g = r.g.begins(now)
		for _, at := range r.arrive[:n] {
			r.delays = append(r.delays, now-at)
		}
		r.began = append(r.began, now)
		r.arrive = r.arrive[n:]
		now += answerTime
		if r.answers != nil {
			r.arrive = append(r.arrive, r.answers(now, n)...)
			slices.Sort(r.arrive)
		}
	}
}

// waiting is how many commands have come.
func (r *row) waiting(now time.Duration) int {
	n, _ := slices.BinarySearch(r.arrive, now+1)
	return n
}

// arrivals are random ones, so many a second.
func arrivals(rng *rand.Rand, perSecond float64, end time.Duration) (at []time.Duration) {
	for t := 0.0; ; {
		t += -math.Log(1-rng.Float64()) / perSecond
		d := time.Duration(t * float64(time.Second))
		if d >= end {
			return at
		}
		at = append(at, d)
	}
}

// Commands of many senders who do not wait for each other share pipelines when there are many, and only then.
func TestGatherOpen(t *testing.T) {
	for _, tt := range []struct {
		perSecond   float64
		least, most float64 // commands in a pipeline
		median      time.Duration
	}{
		{50, 1, 1.05, 0},
		{400, 1, 1.1, 0},
		{800, 1, 1.2, 0},
		{2500, 2, 2.7, testGather},
		{10_000, gatherEnough - 0.5, gatherEnough + 0.5, testGather / 4},
		{100_000, 8, 12, testGather / 4},
	} {
		const end = 10 * time.Second
		r := &row{t: t, g: gathering{every: testGather}, arrive: arrivals(rand.New(rand.NewPCG(1, 2)), tt.perSecond, end)}
		r.run(end)
		slices.Sort(r.delays)
		commands := len(r.delays)
		size := float64(commands) / float64(len(r.began))
		median, longest := r.delays[commands/2], r.delays[commands-1]
		if size < tt.least || size > tt.most || median > tt.median || longest > testGather+answerTime {
			t.Errorf("%v/s: %.2f commands in a pipeline, want %v to %v; delayed by %v, want %v at most, the worst by %v",
				tt.perSecond, size, tt.least, tt.most, median, tt.median, longest)
		}
	}
}

// Senders who wait for their answers are not held up in their first thousand pipelines. Then few of them share one in
// each Gather, and many, whose commands make a pipeline each time, are not held up at all.
func TestGatherClosed(t *testing.T) {
	const end = 10 * time.Second
	const slowest = answerTime + 20*time.Microsecond
	for _, senders := range []int{1, 2, 3, 4, 5, 10, 50} {
		rng := rand.New(rand.NewPCG(3, 4))
		soon := func(at time.Duration, n int) (next []time.Duration) {
			for range n {
				next = append(next, at+time.Duration(rng.Float64()*float64(20*time.Microsecond)))
			}
			slices.Sort(next)
			return next
		}
		r := &row{t: t, g: gathering{every: testGather}, arrive: soon(0, senders), answers: soon}
		r.run(end)
		if free := r.began[1000]; free > 1000*slowest {
			t.Errorf("%d senders: a thousand pipelines take %v", senders, free)
		}
		n, most, commands := len(r.began), int((end+gatherOver)/testGather), len(r.delays)
		switch {
		case senders < gatherEnough && (n < most-1 || n > most+1):
			t.Errorf("%d senders: %d pipelines in %v, want %d", senders, n, end, most)
		case senders < gatherEnough && commands < (senders-1)*int(end/testGather):
			t.Errorf("%d senders: %d commands in %v: they do not share", senders, commands, end)
		case senders >= gatherEnough && commands < (senders-1)*int(end/slowest)/2:
			t.Errorf("%d senders: %d commands in %v: they are held up", senders, commands, end)
		}
	}
}

// However long a pause is, it saves no more than the pipelines of a second.
func TestGatherPause(t *testing.T) {
	for _, pause := range []time.Duration{time.Second, time.Hour} {
		g, now := gathering{every: testGather}, pause
		for range gatherOver / testGather {
			if wait := g.wait(now, 1); wait != 0 {
				t.Fatalf("after %v one of the first waits for %v", pause, wait)
			}
			g = g.begins(now)
		}
		g = g.begins(now)
		if wait := g.wait(now, 1); wait != testGather {
			t.Errorf("after %v and all that was saved one waits for %v, want %v", pause, wait, testGather)
		}
	}
}

func TestGatherWait(t *testing.T) {
	const full = time.Minute + gatherOver // nothing is saved at a minute
	for _, tt := range []struct {
		name     string
		g        gathering
		commands int
		want     time.Duration
	}{
		{"the first of all", gathering{every: testGather}, 1, 0},
		{"after a long pause", gathering{every: testGather, end: time.Second}, 1, 0},
		{"something is saved", gathering{every: testGather, end: full - testGather}, 1, 0},
		{"just in time", gathering{every: testGather, end: full}, 1, 0},
		{"too early", gathering{every: testGather, end: full + testGather/4}, 1, testGather / 4},
		{"at once after the last", gathering{every: testGather, end: full}.begins(time.Minute), 1, testGather},
		{"too few", gathering{every: testGather, end: full + testGather/4}, gatherEnough - 1, testGather / 4},
		{"enough", gathering{every: testGather, end: full + testGather/4}, gatherEnough, 0},
		{"after many that were enough", gathering{every: testGather, end: 2 * full}.begins(time.Minute), 1, testGather},
	} {
		if got := tt.g.wait(time.Minute, tt.commands); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

// Config.Gather: "negative: commands never wait".
func TestGatherNever(t *testing.T) {
	g := gathering{every: Config{Gather: -1}.defaults().Gather}
	for range 1_000_000 {
		if g = g.begins(time.Second); g.wait(time.Second, 1) != 0 {
			t.Fatalf("%+v", g)
		}
	}
	if got := (Config{}).defaults().Gather; got != time.Millisecond {
		t.Errorf("the default is %v", got)
	}
}
