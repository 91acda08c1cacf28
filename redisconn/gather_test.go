package redisconn

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// answerTime is how long a pipeline takes in these tests.
const answerTime = 100 * time.Microsecond

// row is a worker in virtual time.
type row struct {
	t       *testing.T
	g       gathering
	never   bool            // no command waits
	arrive  []time.Duration // commands still to come, in order
	answers func(at time.Duration, n int) (more []time.Duration)

	delays []time.Duration // from each command's arrival until it was sent
	sizes  []int           // of pipelines
}

// run works until no command is left, or end.
func (r *row) run(end time.Duration) {
	now := time.Duration(0)
	for len(r.arrive) > 0 && now < end {
		now = max(now, r.arrive[0])
		if wait := r.g.wait(now, r.queued(now)); wait > 0 && !r.never {
			if wait > gatherFor {
				r.t.Fatalf("a wait of %v", wait)
			}
			from := now
			now += wait
			r.g = r.g.waited(from, r.arrive[r.queued(now)-1], now)
		}
		n := r.queued(now)
		r.g = r.g.sends(now, n)
		r.check()
		for _, at := range r.arrive[:n] {
			r.delays = append(r.delays, now-at)
		}
		r.sizes = append(r.sizes, n)
		r.arrive = r.arrive[n:]
		now += answerTime
		if r.answers != nil {
			r.arrive = append(r.arrive, r.answers(now, n)...)
			slices.Sort(r.arrive)
		}
	}
}

// queued is the number of commands that have come by now.
func (r *row) queued(now time.Duration) int {
	n := 0
	for n < len(r.arrive) && r.arrive[n] <= now {
		n++
	}
	return n
}

// check checks the invariant of gathering.
func (r *row) check() {
	if g := r.g; g.vain < 0 || g.vain >= vainMost || g.skip < 0 || g.skip > g.skips || g.skips > skipMost {
		r.t.Fatalf("%+v", g)
	}
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
		{400, 1, 1.2, 0},
		{2500, 4.5, 7, gatherFor},
		{10_000, 16, 24, gatherFor},
		{100_000, 64, 220, gatherFor},
	} {
		const end = 10 * time.Second
		r := &row{t: t, g: newGathering(), arrive: arrivals(rand.New(rand.NewPCG(1, 2)), tt.perSecond, end)}
		r.run(end)
		slices.Sort(r.delays)
		commands := len(r.delays)
		size := float64(commands) / float64(len(r.sizes))
		if median := r.delays[commands/2]; size < tt.least || size > tt.most || median > tt.median {
			t.Errorf("%v/s: %.2f commands in a pipeline, want %v to %v; delayed by %v, want at most %v", tt.perSecond, size, tt.least, tt.most, median, tt.median)
		}
		if longest := r.delays[commands-1]; longest > gatherFor+answerTime {
			t.Errorf("%v/s: one is delayed by %v", tt.perSecond, longest)
		}
	}
}

// Senders who wait for their answers, and are the only ones, are not held up.
func TestGatherClosed(t *testing.T) {
	const end = 10 * time.Second
	for _, senders := range []int{1, 2, 10, 50} {
		rng := rand.New(rand.NewPCG(3, 4))
		soon := func(at time.Duration, n int) (next []time.Duration) {
			for range n {
				next = append(next, at+time.Duration(rng.Float64()*float64(20*time.Microsecond)))
			}
			slices.Sort(next)
			return next
		}
		r := &row{t: t, g: newGathering(), arrive: soon(0, senders), answers: soon}
		r.run(end)
		free := &row{t: t, g: newGathering(), arrive: soon(0, senders), answers: soon, never: true}
		free.run(end)
		if got, want := len(r.delays), len(free.delays); got < want*95/100 {
			t.Errorf("%d senders: %d commands in %v, and %d when none waits", senders, got, end, want)
		}
	}
}

// One pause, however long, does not end the gathering.
func TestGatherPause(t *testing.T) {
	g := gathering{began: time.Second, mean: gatherFrom / 4}
	if g = g.sends(time.Hour, 1); g.wait(time.Hour, 1) == 0 {
		t.Errorf("a pause ends it: %+v", g)
	}
	for range 8 {
		g = g.sends(g.began+time.Minute, 1)
	}
	if g.wait(g.began, 1) > 0 {
		t.Errorf("eight pauses do not: %+v", g)
	}
}

// After a pause a command leaves at once, and one that leaves with many others need not wait for more.
func TestGatherWait(t *testing.T) {
	dense := gathering{began: time.Second, mean: gatherFrom / 2}
	for _, tt := range []struct {
		name     string
		g        gathering
		now      time.Duration
		commands int
		want     time.Duration
	}{
		{"dense", dense, time.Second + gatherFor/4, 1, gatherFor * 3 / 4},
		{"after a pause", dense, time.Second + gatherFor, 1, 0},
		{"after a long one", dense, time.Hour, 1, 0},
		{"many", dense, time.Second, gatherEnough, 0},
		{"sparse", gathering{began: time.Second, mean: 2 * gatherFrom}, time.Second, 1, 0},
		{"in vain", gathering{began: time.Second, skip: 1, skips: skipLeast}, time.Second, 1, 0},
	} {
		if got := tt.g.wait(tt.now, tt.commands); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

// Waits in vain have the next pipelines leave without, more each time; one that was not ends that.
func TestGatherInVain(t *testing.T) {
	g := gathering{}
	vain := func() gathering { return g.waited(0, gatherFor/4, gatherFor) }
	for _, want := range []int{64, 128, 256, 512, 1024, 2048, 4096, 4096} {
		for i := 0; g.skip == 0; i++ {
			if g = vain(); i > vainMost {
				t.Fatalf("%d waits in vain: %+v", i, g)
			}
		}
		if g.skip != want {
			t.Fatalf("%d pipelines without, want %d", g.skip, want)
		}
		for range want {
			g = g.sends(0, 1)
		}
	}
	for range vainMost {
		if g = g.waited(0, gatherFor/4, gatherFor/3); g.skip > 0 { // too short to tell
			t.Fatal("short waits count")
		}
		g = g.waited(0, gatherFor*3/4, gatherFor)
	}
	if g.vain != 0 || g.skips != 0 {
		t.Errorf("%+v", g)
	}
}
