package load

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

// Every scenario works, small: what is measured is what is meant.
func TestScenarios(t *testing.T) {
	for name, run := range map[string]func(s *stage) result{
		"broadcasts": func(s *stage) result { return broadcasts(s, 3, 4, 10, time.Second) },
		"highest": func(s *stage) result {
			from := map[string]float64{"plain": 4000, "script": 200}
			return highest(s, 1, 4, from[s.route], 200*time.Millisecond)
		},
		"idle":              func(s *stage) result { return idle(s, 20, 2, 0, 0, 100*time.Millisecond) },
		"apart":             func(s *stage) result { return idle(s, 20, 2, 7, 0, 100*time.Millisecond) },
		"connects":          func(s *stage) result { return connects(s, 20, 2, true) },
		"storm":             func(s *stage) result { return storm(s, 20) },
		"crash":             func(s *stage) result { return crash(s, 4) },
		"crash of channels": func(s *stage) result { return crashApart(s, 20, 10, 7) },
	} {
		routes := []string{"plain", "script"}
		switch name {
		case "broadcasts":
			routes = []string{"plain", "resume", "json", "state", "script", "phoenix"}
		case "idle", "apart", "storm": // whose clients say nothing
			routes = append(routes, "sse")
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

func TestEachEvent(t *testing.T) {
	const stream = "retry: 1000\n\ndata: one\n\n:\n\ndata: two\nid: e30\n\n: 1012 bye\n\ndata: \n\n"
	for _, step := range []int{1, 7, len(stream)} { // however it is cut
		var got []string
		part := ""
		for at := 0; at < len(stream); at += step {
			part += stream[at:min(at+step, len(stream))]
			part = string(eachEvent([]byte(part), func(_ byte, p []byte) { got = append(got, string(p)) }))
		}
		if want := []string{"one", "two", ""}; !slices.Equal(got, want) || part != "" {
			t.Errorf("cut into %d: %q, %q is left", step, got, part)
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
