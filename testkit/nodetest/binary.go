package nodetest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

// folder holds the binary; Main removes it.
var folder = sync.OnceValues(func() (string, error) { return os.MkdirTemp("", "rollcall-node-") })

var build = sync.OnceValues(func() (string, error) {
	if path := os.Getenv("ROLLCALL_TEST_NODE"); path != "" {
		return path, nil
	}
	dir, err := folder()
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "rollcall")
	args := []string{"build", "-o", path}
	if raceEnabled {
		args = append(args, "-race")
	}
	out, err := exec.Command("go", append(args, "rollcall/cmd/node")...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build the node: %w\n%s", err, out)
	}
	return path, nil
})

// Binary is the node's path. It is built once per test run, with the race detector when the tests have it;
// ROLLCALL_TEST_NODE names another one.
func Binary(t testing.TB) string {
	t.Helper()
	path, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// Main is TestMain for packages that use Binary: it runs the tests, removes the binary, and fails on goroutines that
// are left.
func Main(m *testing.M) {
	code := m.Run()
	if dir, err := folder(); err == nil {
		_ = os.RemoveAll(dir)
	}
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, "goroutines are left:", err)
			code = 1
		}
	}
	os.Exit(code)
}
