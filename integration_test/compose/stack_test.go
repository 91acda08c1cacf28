package compose_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A stack is one docker-compose project made from the project's own file.
type stack struct {
	// Static after construction.
	compose  []string // the command: docker compose, or docker-compose
	root     string   // folder of docker-compose.yml
	project  string
	image    string
	addr     string // host:port of the balancer
	subnet   string
	password string // of Redis
}

// nodes are the services that run cmd/node; the balancer knows them by these names.
var nodes = []string{"node1", "node2", "node3"}

// startStack builds and starts a stack and returns when every node is ready in the
// eyes of the balancer. The test's end removes it; a failed test first prints what
// the containers logged.
func startStack(t *testing.T) *stack {
	t.Helper()
	compose := requireDocker(t)
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("rollcalltest%08x", rand.Uint32())
	s := &stack{
		compose:  compose,
		root:     root,
		project:  name,
		image:    "rollcall:" + name,
		addr:     freeAddr(t),
		subnet:   fmt.Sprintf("172.30.%d.0/24", 68+rand.IntN(180)),
		password: fmt.Sprintf("secret%016x", rand.Uint64()),
	}
	t.Cleanup(func() { s.remove(t) })

	ctx, cancel := context.WithTimeout(context.Background(), 6*time.Minute)
	defer cancel()
	began := time.Now()
	if out, err := s.run(ctx, "up", "-d", "--build"); err != nil {
		t.Fatalf("bring the stack up: %v\n%s", err, out)
	}
	t.Logf("built and started in %v", time.Since(began).Round(time.Second))
	began = time.Now()
	s.awaitReady(ctx, t)
	t.Logf("ready %v later", time.Since(began).Round(100*time.Millisecond))
	return s
}

// requireDocker returns the compose command, or skips the test.
func requireDocker(t *testing.T) []string {
	t.Helper()
	missing := t.Skipf
	if os.Getenv("ROLLCALL_TEST_REQUIRE") != "" {
		missing = t.Fatalf
	}
	if _, err := exec.LookPath("docker"); err != nil {
		missing("needs docker: %v", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if out, err := exec.CommandContext(ctx, "docker", "version").CombinedOutput(); err != nil {
		missing("needs a docker daemon that answers (DOCKER_HOST=%q): %v\n%s", os.Getenv("DOCKER_HOST"), err, out)
	}
	for _, compose := range [][]string{{"docker", "compose"}, {"docker-compose"}} {
		if exec.CommandContext(ctx, compose[0], append(compose[1:], "version")...).Run() == nil {
			return compose
		}
	}
	missing("needs docker compose or docker-compose")
	return nil
}

// freeAddr returns a loopback address where nobody listens.
func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// run runs one compose command and returns all it printed.
func (s *stack) run(ctx context.Context, args ...string) (string, error) {
	return s.command(ctx, append(append(s.compose[:len(s.compose):len(s.compose)], "-p", s.project), args...))
}

// command runs argv in the folder of docker-compose.yml, with the stack's settings.
func (s *stack) command(ctx context.Context, argv []string) (string, error) {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir = s.root
	cmd.WaitDelay = 5 * time.Second
	cmd.Env = append(os.Environ(),
		"ROLLCALL_PORT="+s.addr,
		"ROLLCALL_IMAGE="+s.image,
		"ROLLCALL_SUBNET="+s.subnet,
		"ROLLCALL_REDIS_PASSWORD="+s.password,
		"ROLLCALL_APP=./examples/chat",
	)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if err != nil {
		err = fmt.Errorf("%s: %w", strings.Join(argv, " "), err)
	}
	return out.String(), err
}

// signal does one docker command (kill, start, restart) to the container of a service.
func (s *stack) signal(t *testing.T, service string, verb ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	argv := append(append([]string{"docker"}, verb...), s.container(t, service))
	if out, err := s.command(ctx, argv); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// container is the id of a service's container.
func (s *stack) container(t *testing.T, service string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	filter := []string{"docker", "ps", "-aq",
		"--filter", "label=com.docker.compose.project=" + s.project,
		"--filter", "label=com.docker.compose.service=" + service}
	id, err := s.command(ctx, filter)
	if err != nil || strings.TrimSpace(id) == "" {
		t.Fatalf("find the container of %s: %v %s", service, err, id)
	}
	return strings.TrimSpace(id)
}

// awaitReady returns when each node has answered through the balancer: one that is not
// ready yet answers 503, so the balancer counts all of them as up.
func (s *stack) awaitReady(ctx context.Context, t *testing.T) {
	t.Helper()
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	left := map[string]bool{}
	for _, n := range nodes {
		left[n] = true
	}
	last := "no answer yet"
	every := time.NewTicker(100 * time.Millisecond)
	defer every.Stop()
	for len(left) > 0 {
		select {
		case <-ctx.Done():
			t.Fatalf("not ready in time: %v; last: %s", left, last)
		case <-every.C:
		}
		r, err := client.Get("http://" + s.addr + "/")
		if err != nil {
			last = err.Error()
			continue
		}
		_ = r.Body.Close()
		last = r.Status
		if r.StatusCode == http.StatusOK {
			delete(left, r.Header.Get("X-Served-By"))
		}
	}
}

// status is what the balancer answers to a GET.
func (s *stack) status(t *testing.T, path string) int {
	t.Helper()
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	r, err := client.Get("http://" + s.addr + path)
	if err != nil {
		t.Fatal(err)
	}
	_ = r.Body.Close()
	return r.StatusCode
}

// remove takes the stack away, with its volume and image.
func (s *stack) remove(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	if t.Failed() {
		for _, args := range [][]string{{"ps"}, {"logs", "--no-color", "--tail", "300"}} {
			out, err := s.run(ctx, args...)
			t.Logf("%v: %v\n%s", args, err, out)
		}
	}
	if out, err := s.run(ctx, "down", "--volumes", "--remove-orphans"); err != nil {
		t.Errorf("take the stack down: %v\n%s", err, out)
	}
	if out, err := s.command(ctx, []string{"docker", "image", "rm", s.image}); err != nil {
		t.Logf("%v\n%s", err, out)
	}
}
