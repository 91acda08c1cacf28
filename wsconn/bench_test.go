//go:build unix

package wsconn

import (
	"fmt"
	"net"
	"os"
	"runtime"
	"runtime/debug"
	"testing"
	"time"
)

// BenchmarkIdle reports the server's memory for one of 5,000 connections on which nothing happens. The clients
// are another process. It counts this process's resident pages, and what the kernel holds for sockets is not
// among them.
func BenchmarkIdle(b *testing.B) {
	const n = 5000
	for b.Loop() {
		h := newHost(b, setup{})
		h.conns = make(chan *probe, n)
		h.setup = func(p *probe) { *p = probe{c: p.c, opened: p.opened, closed: p.closed} }
		debug.FreeOSMemory()
		before := rss(b)
		newCrowd(b, h.http.Listener.Addr().String(), n, true)
		for range n {
			<-(<-h.conns).opened
		}
		runtime.GC()
		debug.FreeOSMemory()
		b.ReportMetric((rss(b)-before)/n, "B/conn")
	}
}

func rss(b *testing.B) float64 {
	s, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		b.Skip(err)
	}
	var size, resident float64
	if _, err := fmt.Sscan(string(s), &size, &resident); err != nil {
		b.Fatal(err)
	}
	return resident * float64(os.Getpagesize())
}

const (
	fanConns = 1000
)

// BenchmarkFanOut compares the CPU of one delivery: a loop of plain net.Conn.Write over 1000 connections, and
// Send of one frame to 1000 connections; both at 50 messages a second. Then without pause: frames coalesce.
func BenchmarkFanOut(b *testing.B) {
	b.Run("plain", func(b *testing.B) {
		conns, crowd := plainConns(b)
		paced(b, crowd, 50, func() {
			frame := []byte(TextString(stampedText()).Wire())
			for _, c := range conns {
				if _, err := c.Write(frame); err != nil {
					b.Fatal(err)
				}
			}
		})
	})
	for _, rate := range []int{50, 200, 500, 1000, 2000, 0} {
		b.Run(fmt.Sprintf("send-%d", rate), func(b *testing.B) {
			conns, crowd := sockets(b)
			paced(b, crowd, rate, func() {
				f := TextString(stampedText())
				for _, c := range conns {
					if err := c.Send(f); err != nil {
						b.Fatal(err)
					}
				}
			})
		})
	}
}

// paced calls fn rate times a second, or without pause but not faster than the clients read, and reports the
// CPU time of a delivery and their rate.
func paced(b *testing.B, crowd *crowd, rate int, fn func()) {
	fn()
	var sum int64
	for now := crowd.total(); now == 0 || now > sum; now = crowd.total() {
		sum = now
		time.Sleep(100 * time.Millisecond)
	}
	per := sum
	crowd.late()
	start, cpu := time.Now(), ownCPU()
	k := 0
	for b.Loop() {
		fn()
		k++
		if rate > 0 {
			time.Sleep(time.Until(start.Add(time.Duration(k) * time.Second / time.Duration(rate))))
		} else if k%100 == 0 {
			crowd.await(sum + int64(k-200)*per)
		}
	}
	crowd.await(sum + int64(k)*per)
	deliveries := float64(k * fanConns)
	b.ReportMetric((ownCPU()-cpu)/deliveries*1e6, "cpu-µs/delivery")
	b.ReportMetric(deliveries/time.Since(start).Seconds(), "deliveries/s")
	b.ReportMetric(float64(crowd.late())/1e6, "p99-ms")
	b.ReportMetric(0, "ns/op")
}

func plainConns(b *testing.B) ([]net.Conn, *crowd) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { ln.Close() })
	got := make(chan net.Conn, fanConns)
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			got <- c
		}
	}()
	crowd := newCrowd(b, ln.Addr().String(), fanConns, false)
	var conns []net.Conn
	for range fanConns {
		conns = append(conns, <-got)
	}
	b.Cleanup(func() {
		for _, c := range conns {
			c.Close()
		}
	})
	return conns, crowd
}

func sockets(b *testing.B) ([]*Conn, *crowd) {
	h := newHost(b, setup{})
	crowd := newCrowd(b, h.http.Listener.Addr().String(), fanConns, true)
	var conns []*Conn
	for range fanConns {
		conns = append(conns, (<-h.conns).c)
	}
	return conns, crowd
}
