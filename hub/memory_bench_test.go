package hub

import (
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
	"sync/atomic"
	"testing"
	"time"

	"rollcall/testkit"
	"rollcall/testkit/redistest"
)

// What a channel with one tracked connection costs its node in memory, beside the connection: live bytes.
//
//	go test ./hub -run '^$' -bench ChannelMemory -benchtime 1x          HEAP=file writes a profile
func BenchmarkChannelMemory(b *testing.B) {
	const channels = 5000
	for b.Loop() {
		w := &world{t: b, redis: redistest.Standalone(b, "--save", ""), nodes: map[string]*node{}, names: map[string]string{},
			cfg: worldConfig{window: 50 * time.Millisecond, ttl: 6 * time.Second, timeout: 10 * time.Second, memory: 1 << 20}}
		n := w.node("n1")
		var got atomic.Int64
		sessions := make([]*Session, channels)
		for i := range sessions {
			sessions[i] = n.Enter(Member{ID: n.NewID(), Conn: sink{&got}})
		}
		before := liveBytes()
		for i, s := range sessions {
			channel := fmt.Sprintf("user-%06d", i)
			must(b, s.Join(b.Context(), channel))
			must(b, s.Track(b.Context(), channel, channel, nil))
		}
		testkit.Eventually(b, "all have their states", func() bool { return got.Load() >= channels })
		b.ReportMetric(float64(liveBytes()-before)/channels, "B/channel")
		if name := os.Getenv("HEAP"); name != "" {
			f, err := os.Create(name)
			must(b, err)
			must(b, pprof.Lookup("heap").WriteTo(f, 0))
			must(b, f.Close())
		}
		runtime.KeepAlive(sessions)
	}
}

// liveBytes is what objects and stacks take.
func liveBytes() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}
