package nodetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"rollcall/testkit"
)

// Options of a node.
type Options struct {
	Redis string   // URL; "": the embedded one
	App   string   // folder
	Flags []string // more flags
	Env   []string // ROLLCALL_… beside the test's own environment
	Files int      // that it may have open; 0: as many as the test
}

// Node is one process of cmd/node.
type Node struct {
	t    testing.TB
	cmd  *exec.Cmd
	Log  *Log
	done chan struct{} // closed when the process has ended

	mu   sync.Mutex
	addr string
}

// Start starts a node and returns when it is ready. It is killed at the test's end, which fails if the node has
// panicked or raced.
func Start(t testing.TB, o Options) *Node {
	t.Helper()
	n := Launch(t, o)
	n.AwaitReady()
	return n
}

// StartAll starts n nodes alike.
func StartAll(t testing.TB, n int, o Options) []*Node {
	t.Helper()
	nodes := make([]*Node, n)
	for i := range nodes {
		nodes[i] = Launch(t, o)
	}
	for _, node := range nodes {
		node.AwaitReady()
	}
	return nodes
}

// Launch starts a node and does not wait.
func Launch(t testing.TB, o Options) *Node {
	t.Helper()
	args := []string{"serve", "--listen", "127.0.0.1:0", "--log-format", "json"}
	if o.Redis != "" {
		args = append(args, "--redis", o.Redis)
	}
	if o.App != "" {
		args = append(args, "--app", o.App)
	}
	program, args := Binary(t), append(args, o.Flags...)
	if o.Files > 0 {
		program, args = "sh", append([]string{"-c", fmt.Sprintf(`ulimit -n %d && exec "$0" "$@"`, o.Files), program}, args...)
	}
	n := &Node{t: t, cmd: exec.Command(program, args...), Log: &Log{}, done: make(chan struct{})}
	n.cmd.Stderr, n.cmd.SysProcAttr = n.Log, attributes()
	// the race detector would wait a second at the end
	n.cmd.Env = append(append(os.Environ(), "GORACE=atexit_sleep_ms=0"), o.Env...)
	if err := n.cmd.Start(); err != nil {
		t.Fatalf("start a node: %v", err)
	}
	go func() {
		_ = n.cmd.Wait() // ExitCode says it
		close(n.done)
	}()
	t.Cleanup(func() {
		n.Kill()
		faults := n.Log.Faults()
		for _, fault := range faults {
			t.Errorf("a node: %s", fault)
		}
		if t.Failed() {
			t.Logf("log of node %s:\n%s", n.known(), n.Log.Text())
		}
	})
	return n
}

func (n *Node) known() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.addr
}

// Addr is host:port, known when the node is up.
func (n *Node) Addr() string {
	n.t.Helper()
	if addr := n.known(); addr != "" {
		return addr
	}
	line := n.Log.Await(n.t, "that the node is up",
		func(l Line) bool { return l.Is("node is up") || l.Text("raw") != "" && n.Exited() })
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.addr = line.Text("address"); n.addr == "" {
		n.t.Fatalf("the node ended: %s", n.Log.Text())
	}
	return n.addr
}

// Pid is the process's id.
func (n *Node) Pid() int { return n.cmd.Process.Pid }

// AwaitReady waits until /readyz answers 200.
func (n *Node) AwaitReady() {
	n.t.Helper()
	testkit.Within(n.t, "readiness of "+n.Addr(), Timeout,
		func() bool { return Status(n.Addr(), "/readyz") == http.StatusOK })
}

// Kill ends the process with SIGKILL and waits.
func (n *Node) Kill() {
	_ = n.cmd.Process.Signal(syscall.SIGKILL) // ended already is right too
	<-n.done
}

// Terminate sends SIGTERM; see Exit.
func (n *Node) Terminate() { n.signal(syscall.SIGTERM) }

// Freeze stops the process (SIGSTOP): its connections stay open, and nothing runs any more when it returns.
func (n *Node) Freeze() {
	n.t.Helper()
	n.signal(syscall.SIGSTOP)
	testkit.Stopped(n.cmd.Process.Pid)
}

// Thaw lets it go on (SIGCONT).
func (n *Node) Thaw() { n.signal(syscall.SIGCONT) }

func (n *Node) signal(sig syscall.Signal) {
	n.t.Helper()
	if err := n.cmd.Process.Signal(sig); err != nil {
		n.t.Fatalf("%v to a node: %v", sig, err)
	}
}

// Starve lets the process get no more memory: the next time its heap grows it ends, as it says, out of memory. False
// where that can't be done.
func (n *Node) Starve() bool {
	n.Log.forgive("out of memory", "cannot allocate memory", "failed to create new OS thread")
	return starve(n.cmd.Process.Pid) == nil
}

// Exited tells whether the process has ended.
func (n *Node) Exited() bool {
	select {
	case <-n.done:
		return true
	default:
		return false
	}
}

// ExitCode waits for the process's end and gives its code; the test fails when it takes too long.
func (n *Node) ExitCode(within time.Duration) int {
	n.t.Helper()
	select {
	case <-n.done:
	case <-time.After(within):
		n.t.Fatalf("the node has not ended within %v", within)
	}
	return n.cmd.ProcessState.ExitCode()
}

// Command runs the binary with arguments to its end; code is its exit code.
func Command(t testing.TB, env []string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, Binary(t), args...)
	cmd.Env = append(os.Environ(), env...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("run node %s: %v", strings.Join(args, " "), err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

// Status is the status of a GET; 0 when there is no answer.
func Status(addr, path string) int {
	status, _, _ := Request(context.Background(), http.MethodGet, addr, path, "")
	return status
}

// client keeps no connections, so that none is left at a test's end.
var client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}

// Request makes a request; header is "Name: value" lines.
func Request(ctx context.Context, method, addr, path, body string, header ...string) (status int, answer string,
	head http.Header) {
	r, err := http.NewRequestWithContext(ctx, method, "http://"+addr+path, strings.NewReader(body))
	if err != nil {
		return 0, err.Error(), nil
	}
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		if name == "Host" {
			r.Host = value
		}
		r.Header.Add(name, value)
	}
	resp, err := client.Do(r)
	if err != nil {
		return 0, err.Error(), nil
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error(), nil
	}
	return resp.StatusCode, strings.TrimSpace(string(b)), resp.Header
}

// PeakMemory is the most resident memory the process has had, in bytes.
func (n *Node) PeakMemory(t testing.TB) int64 {
	t.Helper()
	status, err := os.ReadFile("/proc/" + strconv.Itoa(n.cmd.Process.Pid) + "/status")
	if err != nil {
		t.Skipf("peak memory is only known on Linux: %v", err)
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return kib << 10
		}
	}
	t.Fatal("no VmHWM")
	return 0
}
