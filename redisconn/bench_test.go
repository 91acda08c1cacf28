package redisconn_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/redisconn"
	"rollcall/testkit/redistest"
)

// BenchmarkDo measures the batcher: callers who wait each for their answer, by batchers. The last line is go-redis's
// own way, each caller with a connection from the pool.
func BenchmarkDo(b *testing.B) {
	server := redistest.Standalone(b)
	for _, batchers := range []int{1, 2, 4, 8} {
		for _, callers := range []int{1, 16, 256, 1000} {
			b.Run(fmt.Sprintf("batchers=%d/callers=%d", batchers, callers), func(b *testing.B) {
				c := open(b, redisconn.Config{URL: server.URL(), Batchers: batchers})
				inParallel(b, callers, func(i int) error {
					_, err := c.Do(b.Context(), "set", keys[i%len(keys)], "value")
					return err
				})
			})
		}
	}
	for _, callers := range []int{1, 1000} {
		b.Run(fmt.Sprintf("pool/callers=%d", callers), func(b *testing.B) {
			c := open(b, redisconn.Config{URL: server.URL()})
			inParallel(b, callers, func(i int) error {
				return c.GoRedis().Set(b.Context(), keys[i%len(keys)], "value", 0).Err()
			})
		})
	}
}

var keys = func() (names [256]string) {
	for i := range names {
		names[i] = fmt.Sprint("key", i)
	}
	return names
}()

// inParallel runs b.N calls by callers goroutines and reports calls and CPU of this process.
func inParallel(b *testing.B, callers int, call func(i int) error) {
	b.ReportAllocs()
	var next atomic.Int64
	var all sync.WaitGroup
	before := cpu(b)
	b.ResetTimer()
	for range callers {
		all.Go(func() {
			for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
				if err := call(int(i)); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "ops/s")
	b.ReportMetric(float64((cpu(b)-before).Nanoseconds())/float64(b.N), "cpu-ns/op")
}

// BenchmarkSubmit measures commands of one goroutine that does not wait for each.
func BenchmarkSubmit(b *testing.B) {
	server := redistest.Standalone(b)
	c := open(b, redisconn.Config{URL: server.URL()})
	var all sync.WaitGroup
	free := make(chan struct{}, 4096)
	before := cpu(b)
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		free <- struct{}{}
		all.Add(1)
		err := c.Submit(redis.NewCmd(b.Context(), "set", keys[i%len(keys)], "value"), func(err error) {
			if err != nil {
				b.Error(err)
			}
			<-free
			all.Done()
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	all.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "ops/s")
	b.ReportMetric(float64((cpu(b)-before).Nanoseconds())/float64(b.N), "cpu-ns/op")
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
