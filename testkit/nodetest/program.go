package nodetest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"rollcall/testkit"
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
	cmd.WaitDelay = Timeout // children of its own may hold its standard error
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

// nginxMain is what nginx needs around the servers of a page: nothing of it is shared with another nginx.
// One process does all, so that it can be killed.
const nginxMain = `daemon off;
master_process off;
pid %[1]s/pid;
error_log stderr;
events {}
http {
    client_body_temp_path %[1]s/body;
    proxy_temp_path %[1]s/proxy;
    fastcgi_temp_path %[1]s/fastcgi;
    uwsgi_temp_path %[1]s/uwsgi;
    scgi_temp_path %[1]s/scgi;
%[2]s
}
`

// StartNginx starts nginx with the first block of nginx's language in a Markdown page, without TLS, in front of these
// nodes in place of 10.0.0.1, 10.0.0.2 and so on. It gives its address, where it does listen. Without the program the
// test is skipped.
func StartNginx(t testing.TB, page string, nodes ...*Node) (addr string) {
	t.Helper()
	bin := redistest.Program(t, "nginx")
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "```nginx\n")
	config, _, ok := strings.Cut(rest, "```\n")
	if !ok {
		t.Fatalf("%s has no block for nginx", page)
	}
	addr, dir := fmt.Sprint("127.0.0.1:", redistest.FreePort(t)), t.TempDir()
	change := func(old, new string) {
		t.Helper()
		expr := regexp.MustCompile(old)
		if !expr.MatchString(config) {
			t.Fatalf("%s has no %s for nginx", page, old)
		}
		config = expr.ReplaceAllLiteralString(config, new)
	}
	change(`listen 443 ssl;`, "listen "+addr+";")
	change(`(?m)^\s+ssl_.*$`, "")
	change(`access_log \S+`, "access_log "+dir+"/access.log")
	for i, n := range nodes {
		change(fmt.Sprintf(`10\.0\.0\.%d:6745`, i+1), n.Addr())
	}
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, fmt.Appendf(nil, nginxMain, dir, config), 0o600); err != nil {
		t.Fatal(err)
	}
	StartProgram(t, "nginx", exec.Command(bin, "-p", dir, "-e", "stderr", "-c", file))
	testkit.Within(t, "nginx to listen", Timeout, func() bool { return Status(addr, "/") != 0 })
	return addr
}
