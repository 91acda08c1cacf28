package load

import (
	"context"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"rollcall/testkit/nodetest"
)

// hanging is a back end that takes connections and never answers.
type hanging struct {
	net.Listener
	taken atomic.Int64
	conns []net.Conn // of the goroutine that accepts
}

func newHanging(s *stage) *hanging {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	s.check(err)
	h := &hanging{Listener: l}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			h.conns = append(h.conns, c) // or the collector would close it
			h.taken.Add(1)
		}
	}()
	return h
}

// echoes measures how long the first 2*each members wait for the echo of what they send, one after another; those of
// each half apart.
func echoes(s *stage, each int, rate float64, d time.Duration) (late [2]latencies) {
	s.t.Helper()
	var halves [2]traffic
	frame := func(i int, payload []byte) {
		if i < 2*each {
			halves[i/each].frame(i, payload)
		}
	}
	gap := time.Duration(float64(time.Second) / rate)
	began := time.Now()
	for i := 0; time.Since(began) < d; i++ {
		due := began.Add(time.Duration(i) * gap)
		for wait := time.Until(due); wait > 0; wait = time.Until(due) {
			s.check(s.crowd.Serve(wait, frame))
		}
		s.check(s.crowd.Send(i*7%(2*each), text(due, messageSize)))
	}
	s.serve(200*time.Millisecond, frame)
	return [2]latencies{halves[0].late, halves[1].late}
}

// fetching measures what n handlers of one file that wait for a back end cost, and how much longer than alone others
// wait for their echo: connections of the same file, and of another one (SPEC 11).
func fetching(s *stage, n int, d time.Duration) result {
	s.t.Helper()
	const each, rate = 20, 400.
	backEnd := newHanging(s)
	defer backEnd.Close()
	addr := s.nodes[0].Addr()
	routes := []string{"/echo", "/other"}
	s.check(s.crowd.JoinAll(2*each, func(i int) Target { return Target{Addr: addr, Path: routes[i/each]} }, ignore))
	s.check(s.crowd.JoinAll(n, func(int) Target { return Target{Addr: addr, Path: "/fetch"} }, ignore))
	echoes(s, each, rate, 2*time.Second) // to be warm
	alone := echoes(s, each, rate, d)
	before, err := memoryOf(s.pids()...)
	s.check(err)
	url := []byte("http://" + backEnd.Addr().String() + "/")
	for i := range n {
		s.check(s.crowd.Send(2*each+i, url))
	}
	for end := time.Now().Add(6 * time.Second); gauge(addr, "rollcall_lua_turns_parked") < n; {
		if time.Now().After(end) {
			s.t.Fatalf("only %d of %d handlers wait", gauge(addr, "rollcall_lua_turns_parked"), n)
		}
		s.serve(100*time.Millisecond, ignore)
	}
	s.serve(200*time.Millisecond, ignore)
	with := echoes(s, each, rate, d)
	after, err := memoryOf(s.pids()...)
	s.check(err)
	if waiting := gauge(addr, "rollcall_lua_turns_parked"); waiting != n {
		s.t.Errorf("only %d of %d handlers still wait", waiting, n)
	}
	r := result{"KiB/waiting": float64(after-before) / 1024 / float64(n), "in-flight": float64(backEnd.taken.Load()),
		"lost": float64(s.crowd.Lost)}
	for i, name := range []string{"same-file", "other-file"} {
		a, w := alone[i].at(.99), with[i].at(.99)
		r[name+"-alone-p99-ms"], r[name+"-p99-ms"], r[name+"-x"] = float64(a)/1e6, float64(w)/1e6, float64(w)/float64(a)
	}
	return r
}

// gauge reads a metric without labels; -1: it is not there.
func gauge(addr, name string) int {
	_, body, _ := nodetest.Request(context.Background(), http.MethodGet, addr, "/metrics", "")
	for line := range strings.Lines(body) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			if v, err := strconv.ParseFloat(strings.TrimSpace(value), 64); err == nil {
				return int(v)
			}
		}
	}
	return -1
}
