package load

import (
	"testing"
	"time"
)

// 5,000 clients connect and identify, each as another user; x-present compares with as many who connect with presence,
// in 100 rooms.
func BenchmarkConnectIdentified(b *testing.B) {
	measure(b, "identified", 0, func(s *stage) result {
		n := scaled(5000)
		r, base := connects(s, n, n, false), newStage(s.t, "plain")
		defer base.close()
		r["x-present"] = r["cpu-s/1000"] / connects(base, n, 100, true)["cpu-s/1000"]
		return r
	})
}

// 10,000 users of whom each watches 200 others, so that 200 watch it; 100 change in a second. x-broadcast compares the
// CPU for a delivery with that of as many broadcasts a second, in rooms of 200.
func BenchmarkWatchers(b *testing.B) {
	const rate = 100
	n := scaled(10_000)
	needFiles(b, n+500)
	measure(b, "watcher", 0, func(s *stage) result {
		each, d := min(200, n/2), lasting(10*time.Second)
		base := newStage(s.t, "plain")
		plain := broadcasts(base, n/each, each, rate/float64(n/each), d)
		base.close()
		r := watching(s, n, each, rate, d)
		r["x-broadcast"] = r["cpu-s/M"] / plain["cpu-s/M"]
		return r
	})
}

// Who identified is there, and each change reaches every watcher.
func TestUsers(t *testing.T) {
	t.Run("identified", func(t *testing.T) {
		s := newStage(t, "identified")
		defer s.close()
		r := connects(s, 20, 20, false)
		if n := presentCount(s.nodes[0].Addr(), "@"+userName(7)); n != 1 || r["conns/s"] <= 0 {
			t.Errorf("%d of user 7, %v", n, r)
		}
	})
	t.Run("watching", func(t *testing.T) {
		s := newStage(t, "watcher")
		defer s.close()
		if r := watching(s, 20, 5, 20, time.Second); r["missing"] != 0 || r["lost"] != 0 || r["delivered/s"] < 50 {
			t.Errorf("%v", r)
		}
	})
}
