package load

import (
	"flag"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"rollcall/testkit/nodetest"
)

var (
	runs    = flag.Int("runs", 5, "runs of each scenario, of which the medians are told")
	soakFor = flag.Duration("soak", 10*time.Minute, "how long the soak is")
	plotTo  = flag.String("plot", "", "file for the picture of the soak's memory, an SVG")
	settle  = flag.Duration("settle", 15*time.Minute, "how long idle channels rest first: their audits grow rarer")
	size    = flag.Float64("size", 1, "share of the full number of clients, and of the time of a stretch")
)

func TestMain(m *testing.M) {
	if os.Getenv(apartEnv) != "" {
		if err := serveApart(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "a part of the crowd:", err)
			os.Exit(1)
		}
		return
	}
	nodetest.Main(m)
}

func scaled(n int) int { return max(int(float64(n)**size), 4) }

func lasting(d time.Duration) time.Duration {
	return max(time.Duration(float64(d)**size), 500*time.Millisecond)
}

// measure makes the runs of one scenario, each on two fresh nodes and Redis, and reports the median of each figure.
// With floorOf, the floor is measured before each run, and cpu-s/M told as a multiple of it too.
func measure(b *testing.B, route string, floorOf int, run func(s *stage) result) {
	b.Helper()
	measureOn(b, 2, route, floorOf, run)
}

func measureOn(b *testing.B, nodes int, route string, floorOf int, run func(s *stage) result, flags ...string) {
	b.Helper()
	all := figures{}
	for range *runs {
		var base float64
		if floorOf > 0 {
			var err error
			if base, err = floor(floorOf, lasting(2*time.Second)); err != nil {
				b.Fatal(err)
			}
			all.add(result{"floor-cpu-s/M": base})
		}
		s := newStageOf(b, nodes, route, flags...)
		r := run(s)
		s.close()
		if base > 0 {
			r["x-floor"] = r["cpu-s/M"] / base
		}
		all.add(r)
	}
	all.report(b)
}

// figures are those of some runs, by name.
type figures map[string][]float64

func (f figures) add(r result) {
	for name, v := range r {
		f[name] = append(f[name], v)
	}
}

// report tells the median of each figure.
func (f figures) report(b *testing.B) {
	b.Helper()
	var spread []string
	for name, vs := range f {
		slices.Sort(vs)
		b.ReportMetric(median(vs), name)
		spread = append(spread, fmt.Sprintf("%s %.4g (%.4g to %.4g)", name, median(vs), vs[0], vs[len(vs)-1]))
	}
	b.ReportMetric(0, "ns/op") // of no meaning here
	slices.Sort(spread)
	b.Logf("%d runs: %s", *runs, strings.Join(spread, "; "))
}

// 10,000 connections with presence in 100 rooms; nothing happens.
func BenchmarkIdle(b *testing.B) {
	for _, route := range []string{"plain", "script", "phoenix"} {
		b.Run(route, func(b *testing.B) {
			measure(b, route, 0, func(s *stage) result {
				return idle(s, scaled(10000), 100, 0, lasting(10*time.Second), lasting(50*time.Second))
			})
		})
	}
}

// 50,000 idle connections in 1,000 rooms, over two nodes; over more where a process may not open so many files.
func BenchmarkIdleMany(b *testing.B) {
	const others = 1000 // files besides clients
	n := scaled(50_000)
	most := min(mayOpen(b, n/2+others)-others, n)
	nodes := max(2, (n+most-1)/most)
	b.Logf("%d nodes", nodes)
	measureOn(b, nodes, "plain", 0, func(s *stage) result {
		return idle(s, n, 1000, most, lasting(10*time.Second), lasting(50*time.Second))
	})
}

// What a channel costs that nothing happens in, on each node with a member and beside its connections: in rooms of two,
// one on each node, in channels of one user each, and in those of users by whom connections are identified. B/channel is how much more memory 20,000 connections take with
// their channels than 20,000 without. Audits are at their rarest after a quarter of an hour (-settle).
func BenchmarkIdleChannels(b *testing.B) {
	n := scaled(20_000)
	needFiles(b, n/2+1000)
	for _, of := range []struct {
		name, route string
		channels    int
	}{{"rooms", "plain", n / 2}, {"users", "user", n}, {"identified", "identified", n}} {
		b.Run(of.name, func(b *testing.B) {
			measure(b, of.route, 0, func(s *stage) result {
				none := newStage(s.t, "alone")
				without := idle(none, n, 1, n/2, lasting(30*time.Second), 0)
				none.close()
				r := idle(s, n, of.channels, n/2, *settle, lasting(20*time.Second))
				r["B/channel"] = (r["KiB/conn"] - without["KiB/conn"]) * 1024 // a connection has one, on its node
				return r
			})
		})
	}
}

// A room of 10,000 with presence: they join, half of them leave. A presence_state has 1.5 MB: more than a
// client's queue, of which it counts for half.
func BenchmarkRoomOf10000(b *testing.B) {
	needFiles(b, scaled(10_000)+500)
	measureOn(b, 2, "plain", 0, func(s *stage) result { return storm(s, scaled(10_000)) })
}

// 10,000 rooms of two at a message in ten seconds each.
func BenchmarkRooms10000(b *testing.B) {
	needFiles(b, scaled(20_000)+500)
	measure(b, "plain", 0, func(s *stage) result { return broadcasts(s, scaled(10_000), 2, .1, lasting(20*time.Second)) })
}

// mayOpen lets this process and those that it starts open n files, or as many as it may, and tells how many that is.
func mayOpen(b *testing.B, n int) int {
	b.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		b.Fatal(err)
	}
	if limit.Cur < uint64(n) && syscall.Setrlimit(syscall.RLIMIT_NOFILE,
		&syscall.Rlimit{Cur: uint64(n), Max: max(uint64(n), limit.Max)}) == nil {
		return n
	}
	return int(min(limit.Cur, math.MaxInt32))
}

// needFiles skips what cannot be measured with fewer than n open files.
func needFiles(b *testing.B, n int) {
	b.Helper()
	if may := mayOpen(b, n); may < n {
		b.Skipf("needs %d open files, may have %d: raise ulimit -n, or give a smaller -size", n, may)
	}
}

// One room of 1,000 at 50 messages a second, through handlers that do more or less.
func BenchmarkFanout(b *testing.B) {
	for _, route := range []string{"plain", "resume", "json", "state", "script", "phoenix"} {
		b.Run(route, func(b *testing.B) {
			measure(b, route, scaled(1000),
				func(s *stage) result { return broadcasts(s, 1, scaled(1000), 50, lasting(10*time.Second)) })
		})
	}
}

// The highest rate in a room of 1,000.
func BenchmarkFanoutHighest(b *testing.B) {
	for _, route := range []string{"plain", "script"} {
		b.Run(route, func(b *testing.B) {
			measure(b, route, scaled(1000),
				func(s *stage) result { return highest(s, 1, scaled(1000), 50, lasting(3*time.Second)) })
		})
	}
}

// 500 rooms of 10.
func BenchmarkRooms(b *testing.B) {
	for _, route := range []string{"plain", "script"} {
		for _, rate := range []float64{1, 10} {
			b.Run(fmt.Sprintf("%s-%g", route, rate), func(b *testing.B) {
				measure(b, route, 0, func(s *stage) result { return broadcasts(s, scaled(500), 10, rate, lasting(10*time.Second)) })
			})
		}
	}
}

// The highest rate in 500 rooms of 10.
func BenchmarkRoomsHighest(b *testing.B) {
	for _, route := range []string{"plain", "script"} {
		b.Run(route, func(b *testing.B) {
			measure(b, route, 0, func(s *stage) result { return highest(s, scaled(500), 10, 2, lasting(3*time.Second)) })
		})
	}
}

// All join one room with presence at once, and half of them leave at once.
func BenchmarkStorm(b *testing.B) {
	for _, of := range []struct {
		route string
		n     int
	}{{"plain", 1000}, {"plain", 2000}, {"script", 1000}} {
		b.Run(fmt.Sprintf("%s-%d", of.route, of.n), func(b *testing.B) {
			measure(b, of.route, 0, func(s *stage) result { return storm(s, scaled(of.n)) })
		})
	}
}

// A node with 500 users is killed.
func BenchmarkCrash(b *testing.B) {
	for _, route := range []string{"plain", "script"} {
		b.Run(route, func(b *testing.B) {
			measure(b, route, 0, func(s *stage) result { return crash(s, scaled(500)) })
		})
	}
}

// 5,000 clients connect to 100 rooms.
func BenchmarkConnect(b *testing.B) {
	for name, present := range map[string]bool{"plain": false, "present": true} {
		b.Run(name, func(b *testing.B) {
			measure(b, "plain", 0, func(s *stage) result { return connects(s, scaled(5000), 100, present) })
		})
	}
}

// Memory under slow consumers, floods and a huge room, for as long as -soak says; -plot names a file for a picture of
// it.
func BenchmarkSoak(b *testing.B) {
	s := newStage(b, "plain", "--message-rate", "100")
	defer s.close()
	r, samples := soak(s, *soakFor, *size)
	for name, v := range r {
		b.ReportMetric(v, name)
	}
	b.ReportMetric(0, "ns/op") // of no meaning here
	if r["MiB-end"] > 1.15*r["MiB-middle"] {
		b.Errorf("memory grows: %v", r)
	}
	if *plotTo != "" {
		if err := os.WriteFile(*plotTo, []byte(plot(samples)), 0o600); err != nil {
			b.Error(err)
		}
	}
}

// Every scenario works, small: what is measured is what is meant.
func TestScenarios(t *testing.T) {
	for name, run := range map[string]func(s *stage) result{
		"broadcasts": func(s *stage) result { return broadcasts(s, 3, 4, 10, time.Second) },
		"highest": func(s *stage) result {
			from := map[string]float64{"plain": 4000, "script": 200}
			return highest(s, 1, 4, from[s.route], 200*time.Millisecond)
		},
		"idle":     func(s *stage) result { return idle(s, 20, 2, 0, 0, 100*time.Millisecond) },
		"apart":    func(s *stage) result { return idle(s, 20, 2, 7, 0, 100*time.Millisecond) },
		"connects": func(s *stage) result { return connects(s, 20, 2, true) },
		"storm":    func(s *stage) result { return storm(s, 20) },
		"crash":    func(s *stage) result { return crash(s, 4) },
	} {
		routes := []string{"plain", "script"}
		if name == "broadcasts" {
			routes = []string{"plain", "resume", "json", "state", "script", "phoenix"}
		}
		for _, route := range routes {
			t.Run(name+" "+route, func(t *testing.T) {
				s := newStage(t, route, "--lease-ttl", "1500ms", "--heartbeat", "300ms")
				defer s.close()
				r := run(s)
				for figure, v := range r {
					if math.IsNaN(v) || math.IsInf(v, 0) {
						t.Errorf("%s is %v", figure, v)
					}
				}
				if r["lost"] != 0 || r["missing"] != 0 {
					t.Errorf("%v", r)
				}
				if name == "storm" && (r["join-frames"] < 20 || r["leave-frames"] < 10) {
					t.Errorf("%v", r)
				}
			})
		}
	}
	t.Run("comeBack", func(t *testing.T) {
		s := newStageOf(t, 3, "resume")
		defer s.close()
		if r := comeBack(s, 40, 4); r["reads"] < 1 || r["reads"] > 8 || r["p99-s"] <= 0 || r["refused"] != 0 {
			t.Errorf("%v", r)
		}
	})
	t.Run("soak", func(t *testing.T) {
		s := newStage(t, "plain", "--message-rate", "100", "--send-queue", "64KiB")
		defer s.close()
		r, samples := soak(s, 4*time.Second, .05)
		if len(samples) < 3 || r["MiB-end"] <= 0 || r["silent-sent-away"] == 0 || r["flooders-sent-away"] == 0 {
			t.Errorf("%d samples, %v", len(samples), r)
		}
		if svg := plot(samples); strings.Count(svg, "L") != len(samples)-1 {
			t.Errorf("the picture is %s", svg)
		}
	})
	if per, err := floor(10, 100*time.Millisecond); err != nil || per <= 0 {
		t.Errorf("floor: %v %v", per, err)
	}
}

// The figures come from the right frames: a lost, doubled or cut delivery shows.
func TestTrafficCounts(t *testing.T) {
	tr := &traffic{members: 2, channels: 1, published: 2}
	message := text(time.Now().Add(-time.Millisecond), messageSize)
	if len(message) != messageSize {
		t.Errorf("a message has %d bytes", len(message))
	}
	for _, payload := range [][]byte{message, message, message, []byte(`{"event":"presence_diff"}`), message[:20]} {
		tr.frame(0, payload)
	}
	if missing := tr.expected() - tr.delivered; missing != 1 {
		t.Errorf("%d missing, want 1", missing)
	}
	if p := tr.late.at(.5); p < time.Millisecond || p > time.Second {
		t.Errorf("the median is %v", p)
	}
}

func TestRoster(t *testing.T) {
	r := newRoster(2, 3)
	r.frame(0, []byte(`{"event":"presence_state","payload":{"user-000000":{"metas":[{}]},"user-000001":{"metas":[{}]}}}`))
	r.frame(0, []byte(`{"event":"presence_diff","payload":{"joins":{"user-000002":{}},"leaves":{"user-000001":{}}}}`))
	// known already; of nobody
	r.frame(0, []byte(`{"event":"presence_diff","payload":{"joins":{"user-000002":{}},"leaves":{"user-000009":{}}}}`))
	if r.count[0] != 2 || r.count[1] != 0 {
		t.Errorf("counts %v", r.count)
	}
	if r.all(2, func(int) bool { return true }) || !r.all(2, func(c int) bool { return c == 0 }) {
		t.Error("all is wrong")
	}
}

func TestEachFrame(t *testing.T) {
	var stream []byte
	var want []string
	for _, n := range []int{0, 5, 125, 126, 65535, 65536} {
		payload := strings.Repeat("x", n)
		switch {
		case n < 126:
			stream = append(stream, 0x81, byte(n))
		case n < 1<<16:
			stream = append(stream, 0x81, 126, byte(n>>8), byte(n))
		default:
			stream = append(stream, 0x81, 127, 0, 0, 0, 0, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
		}
		stream = append(stream, payload...)
		want = append(want, payload)
	}
	for _, step := range []int{7, 1000, len(stream)} { // however it is cut
		var got []string
		var part []byte
		for at := 0; at < len(stream); at += step {
			part = append(part, stream[at:min(at+step, len(stream))]...)
			part = append([]byte(nil), eachFrame(part, func(_ byte, p []byte) { got = append(got, string(p)) })...)
		}
		if !slices.Equal(got, want) {
			t.Errorf("cut into %d: %d frames", step, len(got))
		}
	}
}

func TestLatencies(t *testing.T) {
	var l latencies
	for ms := range 1000 {
		l.add(time.Duration(ms+1) * time.Millisecond)
	}
	for q, want := range map[float64]time.Duration{.5: 500 * time.Millisecond, .99: 990 * time.Millisecond,
		1: time.Second} {
		if got := l.at(q); got < want || float64(got) > bucketWidth*float64(want) {
			t.Errorf("at %v: %v, want about %v", q, got, want)
		}
	}
}

// SPEC 11: 5,000 handlers of one file wait for a back end that hangs, on one node; what its other connections feel of
// it.
func BenchmarkFetch(b *testing.B) {
	n := scaled(5000)
	needFiles(b, n+2000)
	measureOn(b, 1, "fetch", 0, func(s *stage) result { return fetching(s, n, lasting(3*time.Second)) },
		"--http-allow", "127.0.0.1")
}
