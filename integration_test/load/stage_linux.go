package load

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"rollcall/testkit/nodetest"
	"rollcall/testkit/redistest"
)

// apiKey is that of the measured nodes.
const apiKey = "key-of-the-load"

// stage is one run: fresh nodes on a fresh Redis, and the crowd.
type stage struct {
	t     testing.TB
	redis *redistest.Redis
	nodes []*nodetest.Node
	crowd *Crowd
	route string // of the handler under load: "plain", "script", …; "sse" is plain, to event streams

	children []int // pids of the processes that have a part of the crowd (apart_linux.go)
}

// newStage starts the servers of one run: two nodes and Redis.
func newStage(t testing.TB, route string, flags ...string) *stage {
	t.Helper()
	return newStageOf(t, 2, route, flags...)
}

func newStageOf(t testing.TB, nodes int, route string, flags ...string) *stage {
	t.Helper()
	s := &stage{t: t, redis: redistest.Standalone(t, "--save", "", "--appendonly", "no"), route: route}
	s.nodes = nodetest.StartAll(t, nodes, nodetest.Options{Redis: s.redis.URL(), App: "app",
		Flags: append([]string{"--api-key", apiKey, "--message-rate", "0", "--drain", "0s"}, flags...)})
	crowd, err := NewCrowd()
	s.check(err)
	s.crowd = crowd
	return s
}

// close ends the run. The servers have nothing to say after it.
func (s *stage) close() {
	s.crowd.Close()
	for _, n := range s.nodes {
		n.Kill()
	}
	s.redis.Stop()
}

func (s *stage) check(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *stage) addrs() (addrs []string) {
	for _, n := range s.nodes {
		addrs = append(addrs, n.Addr())
	}
	return addrs
}

// targets is where client i connects: the nodes in turn, channel i modulo channels.
func targets(addrs []string, route string, channels int, present bool) func(i int) Target {
	return func(i int) Target {
		addr, route := addrs[i%len(addrs)], route
		channel, user := fmt.Sprintf("c%d", i/len(addrs)%channels), userName(i)
		stream := route == "sse"
		if stream {
			route = "plain"
		}
		if present && route == "plain" {
			route = "present"
		}
		if route == "resume" {
			channel = keptPrefix + channel
		}
		switch route {
		case "script":
		case "phoenix":
			return Target{Addr: addr, Path: "/phoenix/websocket?vsn=2.0.0",
				First: fmt.Sprintf(`["1","1",%q,"phx_join",{"user":%q,"present":%v}]`, channel, user, present)}
		default:
			return Target{Addr: addr, Path: "/" + route + "/" + channel + "?user=" + user, Stream: stream}
		}
		path := "/api/custom/bench/room?channel=" + channel + "&user=" + user
		if present {
			path += "&present=1"
		}
		return Target{Addr: addr, Path: path}
	}
}

// keptPrefix begins the names of channels with a history.
const keptPrefix = "kept-"

// say sends a message from a member of a channel.
func (s *stage) say(member, channel int, text []byte) {
	if s.route == "phoenix" {
		text = fmt.Appendf(nil, `["1",null,"c%d","say",%s]`, channel, text)
	}
	s.check(s.crowd.Send(member, text))
}

// userName is one that can be found in a frame without decoding it.
func userName(i int) string { return fmt.Sprintf("user-%06d", i) }

// join connects n clients over the channels and waits until each has its first frame.
func (s *stage) join(n, channels int, present bool, each func(i int, payload []byte)) {
	s.t.Helper()
	s.check(s.crowd.JoinAll(n, targets(s.addrs(), s.route, channels, present), each))
}

func ignore(int, []byte) {}

// serve reads for some time, at least what is there.
func (s *stage) serve(d time.Duration, frame func(int, []byte)) {
	s.t.Helper()
	for end := time.Now().Add(d); ; {
		s.check(s.crowd.Serve(min(max(time.Until(end), 0), 100*time.Millisecond), frame))
		if !time.Now().Before(end) {
			return
		}
	}
}

// await reads until ok.
func (s *stage) await(what string, within time.Duration, ok func() bool, frame func(int, []byte)) {
	s.t.Helper()
	for end := time.Now().Add(within); !ok(); {
		if time.Now().After(end) {
			s.t.Fatalf("not within %v: %s (%d clients lost)", within, what, s.crowd.Lost)
		}
		s.check(s.crowd.Serve(10*time.Millisecond, frame))
	}
}

func (s *stage) pids() (pids []int) {
	for _, n := range s.nodes {
		if !n.Exited() {
			pids = append(pids, n.Pid())
		}
	}
	return pids
}

// live is the heap of all nodes that was reachable when garbage was last collected, in bytes.
func (s *stage) live() (sum float64) {
	s.t.Helper()
	for _, n := range s.nodes {
		sum += nodetest.Metric(s.t, n, "go_gc_heap_live_bytes")
	}
	return sum
}

// commands counts what Redis has been asked so far, but for these questions.
func (s *stage) commands() (n int64) {
	s.t.Helper()
	info, err := s.redis.Nodes()[0].Client().Info(context.Background(), "commandstats").Result()
	s.check(err)
	for line := range strings.Lines(info) {
		name, stats, ok := strings.Cut(strings.TrimSpace(line), ":calls=")
		if !ok || name == "cmdstat_info" {
			continue
		}
		calls, _, _ := strings.Cut(stats, ",")
		one, err := strconv.ParseInt(calls, 10, 64)
		s.check(err)
		n += one
	}
	return n
}

// meter is what had been used when a stretch began.
type meter struct {
	s                         *stage
	began                     time.Time
	nodes, redis, self, total time.Duration
}

func (s *stage) meter() *meter {
	s.t.Helper()
	m := &meter{s: s, began: time.Now()}
	m.nodes, m.redis, m.self, m.total = m.read()
	return m
}

func (m *meter) read() (nodes, redis, self, total time.Duration) {
	m.s.t.Helper()
	var err error
	nodes, err = cpuOf(m.s.pids()...)
	m.s.check(err)
	redis, err = cpuOf(m.s.redis.Nodes()[0].Pid())
	m.s.check(err)
	self, err = cpuOf(append([]int{os.Getpid()}, m.s.children...)...)
	m.s.check(err)
	total, err = cpuOfAll()
	m.s.check(err)
	return nodes, redis, self, total
}

// used is the CPU time since then: of the nodes, of Redis, and, as share of one core, of everything that is no part of
// the test.
func (m *meter) used() (nodes, redis time.Duration, others float64) {
	m.s.t.Helper()
	n, r, self, total := m.read()
	rest := (total - m.total) - (n - m.nodes) - (r - m.redis) - (self - m.self)
	return n - m.nodes, r - m.redis, rest.Seconds() / time.Since(m.began).Seconds()
}

// text is a message of size bytes with the time when it was due in it.
func text(due time.Time, size int) []byte {
	b := fmt.Appendf(nil, `{"text":"~T%019d`, due.UnixNano())
	for len(b) < size-2 {
		b = append(b, byte('a'+rand.N(26)))
	}
	return append(b, `"}`...)
}
