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
	"strconv"
	"strings"
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

// stamped is the size of the frames whose age a crowd measures, in bytes: a header of four, then the time it was
// made, in ns, of stampLen digits.
const (
	stamped  = 150
	stampLen = 19
)

// stampedText returns the payload of such a frame.
func stampedText() string {
	return fmt.Sprint(time.Now().UnixNano()) + strings.Repeat("x", stamped-4-stampLen)
}

// late returns the 99th percentile of the age at which the clients read frames since the last call.
func (c *crowd) late() time.Duration {
	c.b.Helper()
	var steps time.Duration
	fmt.Fprintln(c.in, "late")
	if _, err := fmt.Fscanln(c.out, &steps); err != nil {
		c.b.Fatal(err)
	}
	return steps * ageStep
}

// ages counts frames by their age.
type ages [4000]atomic.Int64

const ageStep = 250 * time.Microsecond

func (a *ages) add(d time.Duration) { a[min(max(int(d/ageStep), 0), len(a)-1)].Add(1) }

// takeLate returns the 99th percentile, in steps, and starts anew.
func (a *ages) takeLate() int {
	var sum, seen int64
	var n [len(ages{})]int64
	for i := range a {
		n[i] = a[i].Swap(0)
		sum += n[i]
	}
	for i := range n {
		seen += n[i]
		if seen*100 >= sum*99 {
			return i + 1
		}
	}
	return len(n)
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
	var age ages
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
			buf := make([]byte, 100*stamped)
			have := 0 // of a frame, at the front of buf
			for {
				n, err := nc.Read(buf[have:])
				if err != nil {
					return
				}
				total.Add(int64(n))
				now := time.Now().UnixNano()
				b := buf[:have+n]
				for ; len(b) >= stamped; b = b[stamped:] {
					made, _ := strconv.ParseInt(string(b[4:4+stampLen]), 10, 64)
					age.add(time.Duration(now - made))
				}
				have = copy(buf, b)
			}
		}()
	}
	fmt.Fprintln(out, ok)
	for {
		switch line, err := lines.ReadString('\n'); {
		case err != nil:
			return
		case line == "late\n":
			fmt.Fprintln(out, age.takeLate())
		default:
			fmt.Fprintln(out, total.Load())
		}
	}
}

// ownCPU is the CPU time of this process, in seconds.
func ownCPU() float64 {
	var r syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return float64(r.Utime.Nano()+r.Stime.Nano()) / 1e9
}
