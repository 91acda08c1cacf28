//go:build unix

package wsconn

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

const crowdEnv = "WSCONN_TEST_CROWD"

// crowd is another process with many clients, so that memory and CPU of this one are the server's alone.
type crowd struct {
	b   *testing.B
	in  io.WriteCloser
	out *bufio.Reader
}

// newCrowd starts the process and has it open n connections, with an upgrade or without.
func newCrowd(b *testing.B, addr string, n int, upgrade bool) *crowd {
	b.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), crowdEnv+"=1")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		in.Close()
		_ = cmd.Wait()
	})
	c := &crowd{b: b, in: in, out: bufio.NewReader(out)}
	fmt.Fprintln(in, addr, n, upgrade)
	var got int
	if _, err := fmt.Fscanln(c.out, &got); err != nil || got != n {
		b.Fatalf("%d of %d clients: %v", got, n, err)
	}
	return c
}

// total returns the bytes that all clients have read.
func (c *crowd) total() (n int64) {
	c.b.Helper()
	fmt.Fprintln(c.in, "total")
	if _, err := fmt.Fscanln(c.out, &n); err != nil {
		c.b.Fatal(err)
	}
	return n
}

// await waits until the clients have read up to want bytes.
func (c *crowd) await(want int64) {
	c.b.Helper()
	for end := time.Now().Add(30 * time.Second); c.total() < want; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			c.b.Fatalf("the clients have read %d of %d bytes", c.total(), want)
		}
	}
}

// runCrowd is the child: it connects, then answers each line with the bytes read so far.
func runCrowd(in io.Reader, out io.Writer) {
	var addr string
	var n int
	var upgrade bool
	lines := bufio.NewReader(in)
	if _, err := fmt.Fscanln(lines, &addr, &n, &upgrade); err != nil {
		return
	}
	var total atomic.Int64
	ok := 0
	for range n {
		nc, err := net.Dial("tcp", addr)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			break
		}
		if upgrade {
			_, _ = io.WriteString(nc, upgradeRequest)
			resp, err := http.ReadResponse(bufio.NewReaderSize(nc, 16), nil)
			if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
				fmt.Fprintln(os.Stderr, resp, err)
				break
			}
		}
		ok++
		go func() {
			buf := make([]byte, 16<<10)
			for {
				n, err := nc.Read(buf)
				total.Add(int64(n))
				if err != nil {
					return
				}
			}
		}()
	}
	fmt.Fprintln(out, ok)
	for {
		if _, err := lines.ReadString('\n'); err != nil {
			return
		}
		fmt.Fprintln(out, total.Load())
	}
}

// ownCPU is the CPU time of this process, in seconds.
func ownCPU() float64 {
	var r syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return float64(r.Utime.Nano()+r.Stime.Nano()) / 1e9
}
