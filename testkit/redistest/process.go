package redistest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"rollcall/testkit"

	"github.com/redis/go-redis/v9"
)

// startWithin bounds the wait for a server's first answer, and every other wait of this package.
const startWithin = 20 * time.Second

// Process is one redis-server process. Its port and folder stay the same through restarts.
type Process struct {
	t    testing.TB
	bin  string
	dir  string
	port int
	args []string
	kind string // "redis" or "sentinel"

	mu     sync.Mutex
	cmd    *exec.Cmd
	exited chan struct{} // closed when cmd has ended
	client *redis.Client
}

// Program returns the path of an installed program, such as redis-server. Without it the test is skipped, or fails with
// ROLLCALL_TEST_REQUIRE.
func Program(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		Missing(t, name+" is not installed")
	}
	return path
}

// Missing skips a test that lacks something on this machine; with ROLLCALL_TEST_REQUIRE it fails.
func Missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("ROLLCALL_TEST_REQUIRE") != "" {
		t.Fatalf("%s, and ROLLCALL_TEST_REQUIRE is set", what)
	}
	t.Skip(what)
}

// FreePort returns a port of 127.0.0.1 that is free now.
func FreePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("find a free port: %v", err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// newProcess starts a server on a free port. args are added to its command line; a
// function, as ports must be chosen anew when another process was faster.
func newProcess(t testing.TB, kind string, args func(p *Process) []string) *Process {
	t.Helper()
	bin := Program(t, "redis-server")
	var err error
	for range 5 {
		p := &Process{t: t, bin: bin, dir: t.TempDir(), kind: kind, port: FreePort(t)}
		t.Cleanup(p.end)
		p.args = args(p)
		if err = p.start(); err == nil {
			return p
		}
	}
	t.Fatalf("start redis-server: %v", err)
	return nil
}

// Addr is host:port.
func (p *Process) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(p.port)) }

// Port is the port it listens on.
func (p *Process) Port() int { return p.port }

// Pid is the id of the process that runs now.
func (p *Process) Pid() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cmd.Process.Pid
}

// Client returns a client of this very process, without retries; closed with the test.
func (p *Process) Client() *redis.Client {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.client == nil {
		p.client = redis.NewClient(&redis.Options{
			Addr: p.Addr(), Protocol: 2, DisableIdentity: true, MaxRetries: -1, DialerRetries: 1,
			DialTimeout: time.Second, ReadTimeout: 3 * time.Second, ContextTimeoutEnabled: true, PipelinePoolSize: -1,
		})
	}
	return p.client
}

func (p *Process) start() error {
	p.mu.Lock()
	if p.running() {
		p.mu.Unlock()
		return nil
	}
	logFile := filepath.Join(p.dir, "log")
	_ = os.Remove(logFile)
	cmd := exec.Command(p.bin, p.args...)
	cmd.Dir = p.dir
	cmd.SysProcAttr = attributes()
	if err := cmd.Start(); err != nil {
		p.mu.Unlock()
		return err
	}
	exited := make(chan struct{})
	p.cmd, p.exited = cmd, exited
	go func() {
		_ = cmd.Wait() // it ends by a signal
		close(exited)
	}()
	p.mu.Unlock()
	return p.await(exited, logFile)
}

// await waits for the server's first answer.
func (p *Process) await(exited <-chan struct{}, logFile string) error {
	ctx, cancel := context.WithTimeout(context.Background(), startWithin)
	defer cancel()
	for {
		err := p.Client().Ping(ctx).Err()
		var answer redis.Error // that it wants a password, too
		if err == nil || errors.As(err, &answer) && !redis.IsLoadingError(err) {
			return nil
		}
		select {
		case <-exited:
			log, _ := os.ReadFile(logFile)
			return fmt.Errorf("redis-server ended: %s", lastLines(string(log), 5))
		case <-ctx.Done():
			return fmt.Errorf("no answer: %w", err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// running is called with mu held.
func (p *Process) running() bool {
	if p.cmd == nil {
		return false
	}
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

// Running reports whether the process lives (a paused one does).
func (p *Process) Running() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.running()
}

// Restart kills the process if it lives and starts it again on the same port. Without
// persistence its data is gone.
func (p *Process) Restart() {
	p.t.Helper()
	p.Kill()
	if err := p.start(); err != nil {
		p.t.Fatalf("restart redis-server: %v", err)
	}
}

// RestartEmpty is Restart without data, also where it persists.
func (p *Process) RestartEmpty() {
	p.t.Helper()
	p.Kill()
	for _, name := range []string{"appendonlydir", "dump.rdb"} {
		if err := os.RemoveAll(filepath.Join(p.dir, name)); err != nil {
			p.t.Fatalf("empty redis-server: %v", err)
		}
	}
	p.Restart()
}

// Stop ends the process with SIGTERM, as an operator would, and waits for its end.
func (p *Process) Stop() { p.signal(syscall.SIGTERM, true) }

// Kill ends the process with SIGKILL and waits for its end.
func (p *Process) Kill() { p.signal(syscall.SIGKILL, true) }

// Pause freezes the process (SIGSTOP): its connections stay open and give no answer once it returns.
func (p *Process) Pause() { p.signal(syscall.SIGSTOP, false) }

// Resume thaws a paused process.
func (p *Process) Resume() { p.signal(syscall.SIGCONT, false) }

func (p *Process) signal(sig syscall.Signal, wait bool) {
	p.mu.Lock()
	if !p.running() {
		p.mu.Unlock()
		return
	}
	process, exited := p.cmd.Process, p.exited
	p.mu.Unlock()
	if err := process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Errorf("%v to redis-server: %v", sig, err)
	}
	if sig == syscall.SIGSTOP {
		testkit.Stopped(process.Pid)
	}
	if !wait {
		return
	}
	select {
	case <-exited:
	case <-time.After(startWithin):
		_ = process.Kill()
		<-exited
	}
}

func (p *Process) end() {
	p.mu.Lock()
	client := p.client
	p.mu.Unlock()
	if client != nil {
		_ = client.Close()
	}
	p.Kill()
}
