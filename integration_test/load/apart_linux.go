package load

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// A process may not open files without end. So a crowd too large for this one is spread over children: this program
// once more, each with a part of it.

// apartEnv is set for a child.
const apartEnv = "ROLLCALL_LOAD_APART"

// part is what a child is told: its clients and where they connect.
type part struct {
	Addrs    []string
	Route    string
	Channels int
	Present  bool
	First, N int
}

// serveApart is a child: it reads its part, says "ready" when all of it is in, and when its input ends, how many it has
// lost.
func serveApart(in io.Reader, out io.Writer) error {
	lines := bufio.NewReader(in)
	line, err := lines.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("read what to do: %w", err)
	}
	var p part
	if err := json.Unmarshal(line, &p); err != nil {
		return fmt.Errorf("read what to do: %w", err)
	}
	crowd, err := NewCrowd()
	if err != nil {
		return err
	}
	defer crowd.Close()
	to := targets(p.Addrs, p.Route, p.Channels, p.Present)
	if err := crowd.JoinAll(p.N, func(i int) Target { return to(p.First + i) }, ignore); err != nil {
		return err
	}
	fmt.Fprintln(out, "ready")
	over := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, lines)
		close(over)
	}()
	for {
		if err := crowd.Serve(100*time.Millisecond, ignore); err != nil {
			return err
		}
		select {
		case <-over:
			_, err := fmt.Fprintln(out, crowd.Lost)
			return err
		default:
		}
	}
}

// joinApart connects n clients in children of at most most clients each and returns when all are in. lost ends the
// children and tells how many clients they had lost.
func (s *stage) joinApart(n, most, channels int, present bool) (lost func() int) {
	s.t.Helper()
	type child struct {
		cmd *exec.Cmd
		in  io.WriteCloser
		out *bufio.Reader
	}
	var children []child
	for first := 0; first < n; first += most {
		cmd := exec.Command(os.Args[0])
		cmd.Env, cmd.Stderr = append(os.Environ(), apartEnv+"=1"), os.Stderr
		in, err := cmd.StdinPipe()
		s.check(err)
		out, err := cmd.StdoutPipe()
		s.check(err)
		s.check(cmd.Start())
		s.t.Cleanup(func() {
			_ = cmd.Process.Kill() // unless it is over
			_ = cmd.Wait()
		})
		s.children = append(s.children, cmd.Process.Pid)
		children = append(children, child{cmd, in, bufio.NewReader(out)})
		s.check(json.NewEncoder(in).Encode(
			part{Addrs: s.addrs(), Route: s.route, Channels: channels, Present: present, First: first, N: min(most, n-first)}))
	}
	answer := func(c child) string {
		s.t.Helper()
		line, err := c.out.ReadString('\n')
		s.check(err)
		return strings.TrimSpace(line)
	}
	for _, c := range children {
		if got := answer(c); got != "ready" {
			s.t.Fatalf("a part of the crowd says %q", got)
		}
	}
	return func() (lost int) {
		s.t.Helper()
		for _, c := range children {
			_ = c.in.Close()
			n, err := strconv.Atoi(answer(c))
			s.check(err)
			lost += n
			s.check(c.cmd.Wait())
		}
		s.children = nil
		return lost
	}
}
