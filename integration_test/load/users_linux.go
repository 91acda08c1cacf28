package load

import (
	"fmt"
	"time"
)

// watching has n users who each watch the next friends of them, and measures what is delivered when they change: rate
// of them a second, for d.
func watching(s *stage, n, friends int, rate float64, d time.Duration) result {
	s.t.Helper()
	before, err := memoryOf(s.pids()...)
	s.check(err)
	in := 0
	count := func(_ int, payload []byte) {
		if string(payload) == "in" {
			in++
		}
	}
	addrs := s.addrs()
	m := s.meter()
	s.check(s.crowd.JoinAll(n, func(i int) Target {
		return Target{Addr: addrs[i%len(addrs)], Path: fmt.Sprintf("/watcher?me=%d&of=%d&friends=%d", i, n, friends)}
	}, count))
	s.await("that all watch", time.Minute, func() bool { return in == n }, count)
	begin, _, _ := m.used()
	after, err := memoryOf(s.pids()...)
	s.check(err)
	r := stretch(s, traffic{members: friends, channels: n, rate: rate / float64(n),
		by: func(nth int) int { return nth % n }}, d, time.Second)
	watches := float64(n) * float64(friends)
	r["B/watch"], r["watch-cpu-s/M"] = float64(after-before)/watches, begin.Seconds()/watches*1e6
	return r
}
