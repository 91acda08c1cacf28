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
	for _, route := range []string{"plain", "script", "phoenix", "sse"} {
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

// collected is how long one waits until Go has collected the garbage of an idle process twice: it does so every two
// minutes, and what a sync.Pool holds goes with the second.
const collected = 260 * time.Second

// What a channel costs that nothing happens in, on each node with a member and beside its connections: in rooms of two,
// one on each node, in channels of one user each, and in those of users by whom connections are identified.
// live-B/channel is how much more memory is reachable with 20,000 connections and their channels than with 20,000
// without, and B/channel how much more is resident: with garbage and holes.
// Audits are at their rarest after a quarter of an hour (-settle).
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
				without := idle(none, n, 1, n/2, min(*settle, collected), 0)
				none.close()
				r := idle(s, n, of.channels, n/2, *settle, lasting(20*time.Second))
				for _, of := range []string{"", "live-"} { // a connection has one channel, on its node
					r[of+"B/channel"] = (r[of+"KiB/conn"] - without[of+"KiB/conn"]) * 1024
				}
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

// A node with 10,000 users in as many channels is killed.
func BenchmarkCrashChannels(b *testing.B) {
	n := scaled(20_000)
	needFiles(b, n/2+1000)
	measure(b, "plain", 0, func(s *stage) result { return crashApart(s, n, n/2, n/2) })
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

// SPEC 11: 5,000 handlers of one file wait for a back end that hangs, on one node; what its other connections feel of
// it.
func BenchmarkFetch(b *testing.B) {
	n := scaled(5000)
	needFiles(b, n+2000)
	measureOn(b, 1, "fetch", 0, func(s *stage) result { return fetching(s, n, lasting(3*time.Second)) },
		"--http-allow", "127.0.0.1")
}
