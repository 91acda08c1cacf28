package broker_test

import (
	"fmt"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"rollcall/testkit/redistest"
)

// counter is a receiver that counts.
type counter struct{ n atomic.Int64 }

func (c *counter) Receive(string) { c.n.Add(1) }

func (c *counter) Resubscribed() {}

// BenchmarkReceive measures reception of messages that another client publishes in pipelines.
func BenchmarkReceive(b *testing.B) {
	server := redistest.Standalone(b)
	for _, receivers := range []int{1, 2} {
		b.Run(fmt.Sprintf("connections=%d", receivers), func(b *testing.B) {
			broke := open(b, config{URL: server.URL(), Groups: receivers})
			c := new(counter)
			for i := range 100 {
				broke.subscribe(b, fmt.Sprint("topic", i), c)
			}
			payload := make([]byte, 150)
			before := cpu(b)
			b.ReportAllocs()
			b.ResetTimer()
			pipe := server.Client().Pipeline()
			for sent := 0; sent < b.N; {
				n := min(500, b.N-sent)
				for i := range n {
					pipe.Publish(b.Context(), fmt.Sprint("topic", i%100), payload)
				}
				if _, err := pipe.Exec(b.Context()); err != nil {
					b.Fatal(err)
				}
				sent += n
			}
			for c.n.Load() < int64(b.N) {
				time.Sleep(100 * time.Microsecond)
			}
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msgs/s")
			b.ReportMetric(float64((cpu(b)-before).Nanoseconds())/float64(b.N), "cpu-ns/msg") // publisher and reader
		})
	}
}

// cpu is the processor time of this process so far.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
