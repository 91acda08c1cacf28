package load

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"rollcall/testkit/nodetest"
)

// result is the figures of one run by name; the unit is the end of the name.
type result map[string]float64

// messageSize is the length of a message in bytes.
const messageSize = 128

// mark stands before the time in a message.
var mark = []byte("~T")

// traffic publishes in every channel at a rate and counts what arrives.
type traffic struct {
	members, channels int
	rate              float64           // messages a second in each channel
	by                func(nth int) int // who publishes the nth; nil: members of its channel in turn
	published         int
	delivered         int64
	late              latencies
	lag               time.Duration // how late the worst message was sent; much of it: this program is the bottleneck
}

// frame counts a delivery.
func (tr *traffic) frame(_ int, payload []byte) {
	at := bytes.Index(payload, mark)
	if at < 0 || len(payload) < at+21 {
		return
	}
	ns, err := strconv.ParseInt(string(payload[at+2:at+21]), 10, 64)
	if err != nil {
		return
	}
	tr.delivered++
	tr.late.add(time.Since(time.Unix(0, ns)))
}

// run publishes for d, and goes on reading until all has come or nothing comes any more. Ten members of a channel
// publish in turn, fewer where there are fewer.
func (tr *traffic) run(s *stage, d time.Duration) {
	s.t.Helper()
	gap := time.Duration(float64(time.Second) / (tr.rate * float64(tr.channels)))
	began := time.Now()
	for {
		now := time.Now()
		for due := began.Add(time.Duration(tr.published) * gap); !due.After(now) &&
			due.Sub(began) < d; due = began.Add(time.Duration(tr.published) * gap) {
			tr.lag = max(tr.lag, now.Sub(due))
			if from := tr.publisher(s); !s.crowd.Gone(from) { // what one who was sent away does not send is missing
				s.say(from, tr.published%tr.channels, text(due, messageSize))
			}
			tr.published++
		}
		if now.Sub(began) >= d {
			break
		}
		next := began.Add(time.Duration(tr.published) * gap)
		s.check(s.crowd.Serve(min(time.Until(next), 50*time.Millisecond), tr.frame))
	}
	for quiet := time.Now(); tr.delivered < tr.expected() && time.Since(quiet) < 2*time.Second; {
		before := tr.delivered
		s.check(s.crowd.Serve(20*time.Millisecond, tr.frame))
		if tr.delivered > before {
			quiet = time.Now()
		}
	}
}

func (tr *traffic) expected() int64 { return int64(tr.published) * int64(tr.members) }

// publisher is whose turn it is, a member of the channel (see targets) unless by says otherwise.
func (tr *traffic) publisher(s *stage) int {
	if tr.by != nil {
		return tr.by(tr.published)
	}
	nodes := len(s.nodes)
	channel, turn := tr.published%tr.channels, tr.published/tr.channels%min(10, tr.members)
	return (turn/nodes*tr.channels+channel)*nodes + turn%nodes
}

// broadcasts measures traffic at a rate for d, after a second that does not count.
func broadcasts(s *stage, channels, members int, rate float64, d time.Duration) result {
	s.t.Helper()
	s.join(channels*members, channels, false, ignore)
	return stretch(s, traffic{members: members, channels: channels, rate: rate}, d, time.Second)
}

func stretch(s *stage, of traffic, d, warm time.Duration) result {
	s.t.Helper()
	if warm > 0 {
		before := of
		before.run(s, warm)
	}
	tr := &of
	m := s.meter()
	tr.run(s, d)
	took := time.Since(m.began)
	nodes, redis, others := m.used()
	million := float64(tr.delivered) / 1e6
	return result{
		"cpu-s/M":       nodes.Seconds() / million,
		"redis-cpu-s/M": redis.Seconds() / million,
		"delivered/s":   float64(tr.delivered) / took.Seconds(),
		"missing":       float64(tr.expected() - tr.delivered),
		"p50-ms":        float64(tr.late.at(.5)) / 1e6,
		"p99-ms":        float64(tr.late.at(.99)) / 1e6,
		"lag-ms":        float64(tr.lag) / 1e6,
		"others-core":   others,
		"lost":          float64(s.crowd.Lost),
	}
}

// highest searches the highest rate that loses nothing and keeps p99 below 100 ms: it rises by 1.5 until that fails,
// then halves the step three times, or ends if a client was sent away. Figures are those of the best stretch.
func highest(s *stage, channels, members int, from float64, d time.Duration) result {
	s.t.Helper()
	s.join(channels*members, channels, false, ignore)
	at := func(rate float64) traffic { return traffic{members: members, channels: channels, rate: rate} }
	stretch(s, at(from), time.Second, time.Second)
	holds := func(r result) bool { return r["missing"] == 0 && r["p99-ms"] < 100 && r["lost"] == 0 }
	var best result
	rate, factor := from, 1.5
	for refined := 0; refined < 3; {
		r := stretch(s, at(rate), d, 0)
		if holds(r) {
			best = r
			rate *= factor
			continue
		}
		if best == nil {
			return r // not even the first
		}
		if r["lost"] > 0 {
			return best
		}
		rate, factor, refined = rate/factor*(1+(factor-1)/2), 1+(factor-1)/2, refined+1
		s.serve(500*time.Millisecond, ignore)
	}
	return best
}

// idle measures memory for each connection with presence, and CPU and commands to Redis while nothing happens. most is
// how many clients one process may have; 0: this one has all.
func idle(s *stage, n, channels, most int, settle, d time.Duration) result {
	s.t.Helper()
	before, err := memoryOf(s.pids()...)
	s.check(err)
	lost := func() int { return s.crowd.Lost }
	if most == 0 {
		s.join(n, channels, true, ignore)
	} else {
		lost = s.joinApart(n, most, channels, true)
	}
	s.serve(settle, ignore)
	m := s.meter()
	commands := s.commands()
	s.serve(d, ignore)
	nodes, _, others := m.used()
	took := time.Since(m.began).Seconds()
	after, err := memoryOf(s.pids()...)
	s.check(err)
	return result{"KiB/conn": float64(after-before) / 1024 / float64(n), "live-KiB/conn": s.live() / 1024 / float64(n),
		"cpu-%":            100 * nodes.Seconds() / took,
		"redis-commands/s": float64(s.commands()-commands) / took, "others-core": others, "lost": float64(lost())}
}

// connects measures what connecting costs.
func connects(s *stage, n, channels int, present bool) result {
	s.t.Helper()
	m := s.meter()
	s.join(n, channels, present, ignore)
	took := time.Since(m.began)
	s.serve(time.Second, ignore) // presence frames of the last
	nodes, redis, others := m.used()
	thousands := float64(n) / 1000
	return result{"cpu-s/1000": nodes.Seconds() / thousands, "redis-cpu-s/1000": redis.Seconds() / thousands,
		"conns/s": float64(n) / took.Seconds(), "others-core": others}
}

// storm has n users join one channel at once; then those of the last node leave at once.
func storm(s *stage, n int) result {
	s.t.Helper()
	r := newRoster(n, n)
	m := s.meter()
	s.join(n, 1, true, r.frame)
	s.await("that all have seen all", time.Minute, func() bool { return r.all(n, func(int) bool { return true }) },
		r.frame)
	took := time.Since(m.began)
	s.serve(500*time.Millisecond, r.frame)
	nodes, _, others := m.used()
	out := result{"join-s": took.Seconds(), "join-cpu-s": nodes.Seconds(), "join-frames": float64(s.crowd.Frames),
		"join-MB": float64(s.crowd.Bytes) / 1e6}

	frames := s.crowd.Frames
	m = s.meter()
	stay := func(client int) bool { return client%len(s.nodes) != len(s.nodes)-1 }
	left := 0
	for i := range n {
		if !stay(i) {
			s.crowd.Leave(i)
			left++
		}
	}
	s.await("that the rest have seen them leave", time.Minute, func() bool { return r.all(n-left, stay) }, r.frame)
	took = time.Since(m.began)
	s.serve(500*time.Millisecond, r.frame)
	nodes, _, moreOthers := m.used()
	out["leave-s"], out["leave-cpu-s"], out["leave-frames"] = took.Seconds(), nodes.Seconds(), float64(
		s.crowd.Frames-frames)
	out["others-core"] = max(others, moreOthers)
	return out
}

// crash kills the last node with its n users (kill -9) and measures until the others have seen them all leave, and
// until the API's list is right.
func crash(s *stage, n int) result {
	s.t.Helper()
	total := n * len(s.nodes)
	r := newRoster(total, total)
	s.join(total, 1, true, r.frame)
	s.await("that all have seen all", time.Minute, func() bool { return r.all(total, func(int) bool { return true }) },
		r.frame)
	last := len(s.nodes) - 1
	stay := func(client int) bool { return client%len(s.nodes) != last }
	s.nodes[last].Kill()
	began := time.Now()
	var first, seen, listed time.Duration
	s.await("that the rest have seen them leave", time.Minute, func() bool {
		if first == 0 && !r.all(total, stay) {
			first = time.Since(began)
		}
		if seen == 0 && r.all(total-n, stay) {
			seen = time.Since(began)
		}
		if listed == 0 && presentCount(s.nodes[0].Addr(), "c0") == total-n {
			listed = time.Since(began)
		}
		return seen > 0 && listed > 0
	}, r.frame)
	return result{"first-leave-s": first.Seconds(), "all-leaves-s": seen.Seconds(), "list-right-s": listed.Seconds()}
}

// crashApart kills the last node (kill -9), which like the others had one of n users in each of many channels, and
// measures until the rest of the cluster has removed the first and the last of its users. most is as in idle.
func crashApart(s *stage, n, channels, most int) result {
	s.t.Helper()
	s.joinApart(n, most, channels, true)
	last := len(s.nodes) - 1
	rest := s.nodes[:last]
	before, err := cpuOf(rest[0].Pid())
	s.check(err)
	s.nodes[last].Kill()
	began := time.Now()
	var first, all time.Duration
	s.await("that its users are removed", time.Minute, func() bool {
		removed := 0.0
		for _, node := range rest {
			removed += nodetest.Metric(s.t, node, "rollcall_reaped_entries_total")
		}
		if first == 0 && removed > 0 {
			first = time.Since(began)
		}
		all = time.Since(began)
		return removed == float64(n/len(s.nodes))
	}, ignore)
	after, err := cpuOf(rest[0].Pid())
	s.check(err)
	return result{"first-removal-s": first.Seconds(), "all-removals-s": all.Seconds(), "cpu-s": (after - before).Seconds()}
}

// presentCount asks a node for the number of users in a channel.
func presentCount(addr, channel string) int {
	_, body, _ := nodetest.Request(context.Background(), http.MethodGet, addr,
		"/_api/channels/"+channel+"/presence/count", "", "X-API-Key: "+apiKey)
	var answer struct{ Count int }
	if json.Unmarshal([]byte(body), &answer) != nil {
		return -1
	}
	return answer.Count
}
