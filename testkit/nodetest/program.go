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

// config is a program's configuration that users get, as a test changes it.
type config struct {
	t    testing.TB
	from string // file
	text string
}

func readConfig(t testing.TB, file string) *config {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return &config{t, file, string(text)}
}

// change replaces what matches a pattern, which must be there.
func (c *config) change(pattern, by string) {
	c.t.Helper()
	expr := regexp.MustCompile(pattern)
	if !expr.MatchString(c.text) {
		c.t.Fatalf("%s has no %s", c.from, pattern)
	}
	c.text = expr.ReplaceAllString(c.text, by)
}

// write writes it to a file in a folder.
func (c *config) write(dir string) (file string) {
	c.t.Helper()
	file = filepath.Join(dir, "config")
	if err := os.WriteFile(file, []byte(c.text), 0o600); err != nil {
		c.t.Fatal(err)
	}
	return file
}

// StartHAProxy starts HAProxy with a file like deploy/haproxy.cfg, in front of these nodes in place of node1, node2 and
// so on. It gives its address; HAProxy may not have found the nodes yet. Without the program the test is skipped.
func StartHAProxy(t testing.TB, file string, nodes ...*Node) (addr string) {
	t.Helper()
	bin := redistest.Program(t, "haproxy")
	c := readConfig(t, file)
	addr = fmt.Sprint("127.0.0.1:", redistest.FreePort(t))
	c.change(`(?m)^(\s+bind) :6745$`, "${1} "+addr)
	c.change(`check port 6746 `, "check ") // without --health-listen
	for i, n := range nodes {
		c.change(fmt.Sprintf(`(?m)^(\s+server node%d) node%[1]d:6745$`, i+1), "${1} "+n.Addr())
	}
	c.text = regexp.MustCompile(`(?m)^\s+server node\d+ node\d+:6745$`).ReplaceAllString(c.text, "")
	StartProgram(t, "HAProxy", exec.Command(bin, "-db", "-f", c.write(t.TempDir())))
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
// nodes in place of 10.0.0.1, 10.0.0.2 and so on. It returns when nginx listens, and gives its address. Without the
// program the test is skipped.
func StartNginx(t testing.TB, page string, nodes ...*Node) (addr string) {
	t.Helper()
	bin := redistest.Program(t, "nginx")
	c := readConfig(t, page)
	_, rest, _ := strings.Cut(c.text, "```nginx\n")
	block, _, ok := strings.Cut(rest, "```\n")
	if !ok {
		t.Fatalf("%s has no block for nginx", page)
	}
	addr, dir := fmt.Sprint("127.0.0.1:", redistest.FreePort(t)), t.TempDir()
	c.text = block
	c.change(`listen 443 ssl;`, "listen "+addr+";")
	c.change(`(?m)^\s+ssl_.*$`, "")
	c.change(`access_log \S+`, "access_log "+dir+"/access.log")
	for i, n := range nodes {
		c.change(fmt.Sprintf(`10\.0\.0\.%d:6745`, i+1), n.Addr())
	}
	c.text = fmt.Sprintf(nginxMain, dir, c.text)
	StartProgram(t, "nginx", exec.Command(bin, "-p", dir, "-e", "stderr", "-c", c.write(dir)))
	testkit.Within(t, "nginx to listen", Timeout, func() bool { return Status(addr, "/") != 0 })
	return addr
}
