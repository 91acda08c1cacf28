package load

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// missedEach is how many messages a client misses in its channel.
const missedEach = 10

// comeBack kills a node with n clients over channels with a history, and measures how long each is back on another node
// until it has what it missed. One client of each channel, on the second node, publishes.
func comeBack(s *stage, n, channels int) result {
	s.t.Helper()
	at := map[string]string{} // where channels stand
	var got, refused int
	hear := func(_ int, payload []byte) {
		var m struct {
			Event, Channel, Position string
			Recovered                *bool
		}
		switch {
		case json.Unmarshal(payload, &m) != nil:
		case m.Event == "message":
			at[m.Channel] = m.Position
			got++
		case m.Recovered != nil && !*m.Recovered:
			refused++
		}
	}
	others := s.addrs()[1:]
	s.check(s.crowd.JoinAll(channels, targets(others[:1], s.route, channels, false), hear))
	s.check(s.crowd.JoinAll(n, targets(s.addrs()[:1], s.route, channels, false), hear))
	publish := func(hearers int) {
		got = 0
		for i := range channels {
			s.check(s.crowd.Send(i, text(time.Now(), messageSize)))
		}
		s.await("that all have a message", time.Minute, func() bool { return got == hearers }, hear)
	}
	publish(n + channels)
	seen := map[string]string{}
	for channel, position := range at {
		seen[channel] = position
	}
	s.nodes[0].Kill()
	for i := range n {
		s.crowd.Leave(channels + i)
	}
	for range missedEach {
		publish(channels)
	}
	reads := s.reads()

	var late latencies
	target := func(i int) Target {
		to := targets(others, s.route, channels, false)(i)
		_, channel, _ := strings.Cut(to.Path[1:], "/")
		channel, _, _ = strings.Cut(channel, "?")
		where := base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "{%q:%q}", channel, seen[channel]))
		to.Path += "&resume=" + where
		return to
	}
	missing := map[int]int{} // messages that a client still misses
	began := map[int]time.Time{}
	caughtUp := func(i int, payload []byte) {
		hear(i, payload)
		if strings.HasPrefix(string(payload), `{"event":"message"`) && missing[i] > 0 {
			if missing[i]--; missing[i] == 0 {
				late.add(time.Since(began[i]))
				delete(missing, i)
			}
		}
	}
	m := s.meter()
	const step = 128 // connect at a time; a client's time begins before its connection's does
	for done := 0; done < n; done += step {
		now := time.Now()
		for i := range min(step, n-done) {
			began[s.crowd.Len()+i], missing[s.crowd.Len()+i] = now, missedEach
		}
		s.check(s.crowd.JoinAll(min(step, n-done), target, caughtUp))
	}
	s.await("that all have caught up", time.Minute, func() bool { return len(missing) == 0 }, caughtUp)
	took := time.Since(m.began)
	nodes, redis, _ := m.used()
	return result{"p50-s": late.at(.5).Seconds(), "p99-s": late.at(.99).Seconds(), "all-s": took.Seconds(),
		"reads": float64(s.reads() - reads), "refused": float64(refused), "cpu-s": nodes.Seconds(),
		"redis-cpu-s": redis.Seconds(), "lost": float64(s.crowd.Lost)}
}

// reads counts how often nodes have read a history.
func (s *stage) reads() (n int) {
	for _, node := range s.nodes {
		if !node.Exited() {
			n += gauge(node.Addr(), "rollcall_history_reads_total")
		}
	}
	return n
}
