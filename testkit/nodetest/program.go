package nodetest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"rollcall/testkit/redistest"
)

// StartProgram starts a program that ends with the test. What it says on its standard error, and on its standard output
// unless that is read, is shown when the test fails.
func StartProgram(t testing.TB, name string, cmd *exec.Cmd) {
	t.Helper()
	log := &Log{}
	cmd.Stderr = log
	if cmd.Stdout == nil {
		cmd.Stdout = log
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // ended already is right too
		_ = cmd.Wait()         // by the signal
		if t.Failed() {
			t.Logf("log of %s:\n%s", name, log.Text())
		}
	})
}

// StartHAProxy starts HAProxy with a file like deploy/haproxy.cfg, in front of these nodes in place of node1, node2 and
// so on. It gives its address; HAProxy may not have found the nodes yet. Without the program the test is skipped.
func StartHAProxy(t testing.TB, config string, nodes ...*Node) (addr string) {
	t.Helper()
	bin := redistest.Program(t, "haproxy")
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	addr = fmt.Sprint("127.0.0.1:", redistest.FreePort(t))
	change := func(old, new string) {
		t.Helper()
		expr := regexp.MustCompile(old)
		if !expr.Match(text) {
			t.Fatalf("%s has no %s", config, old)
		}
		text = expr.ReplaceAll(text, []byte(new))
	}
	change(`(?m)^(\s+bind) :6745$`, "${1} "+addr)
	change(`check port 6746 `, "check ") // without --health-listen
	for i, n := range nodes {
		change(fmt.Sprintf(`(?m)^(\s+server node%d) node%[1]d:6745$`, i+1), "${1} "+n.Addr())
	}
	text = regexp.MustCompile(`(?m)^\s+server node\d+ node\d+:6745$`).ReplaceAll(text, nil)
	file := filepath.Join(t.TempDir(), "haproxy.cfg")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	StartProgram(t, "HAProxy", exec.Command(bin, "-db", "-f", file))
	return addr
}
