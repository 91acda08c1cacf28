// Package docs_test runs the commands of the pages in docs/ as a reader would type them. It compares what they print
// with what the page shows.
//
// A page joins by an entry in pages_test.go. Then:
//
//   - Every block ```sh is run by bash, in the order of the page and as if in one shell. Variables, functions' results
//     kept in variables, files and the folder stay from block to block. It fails the test when a command in it fails,
//     in a pipe too.
//   - `rollcall` is the built program. localhost:6745 is the address of the page's first node, :6746 and :6747 of its
//     second and third one. With Page.Nodes = 0 nothing is started: the page starts its own node, in a block ```sh
//     background.
//   - ```sh background is a block that does not end (`rollcall --dev`). The next one is run when the node that it
//     starts is ready; all of them are ended, by SIGTERM, after the page.
//     A further one ends the node of the one before it first, as somebody with one terminal does.
//   - ```sh docker is a block that is run where a Docker daemon answers, with the images and the port of the test;
//
// localhost:8080
//
//	  is that port. Elsewhere it is skipped, unless ROLLCALL_TEST_REQUIRE is set.
//	- Variables such as $KEY come from Page.Env.
//	- With Page.Listings, a block of another language is a file, whose name its first line says in a comment
//	  (-- myapp/handlers/room.lua, # myapp/compose.yml, <!-- myapp/public/index.html -->). It is written,
//	  in the folder of the first block, when the page comes to it, in place of what was there.
//	- When the next block of the page is ```json or ```text, it is what the commands print. ```json compares documents,
//	  one after another, whatever their spacing; ```text compares lines. "…" stands for anything inside a string or a
//	  line, a member "…" for any further members of an object, an element "…" for any further elements of an array.
//	  Ids, times and versions (UUIDs, node ids, RFC 3339 times, numbers from 10^9) need only be of the same kind.
//	- curl is silent and fails on 4xx and 5xx, except where the page shows a problem document as the answer.
//	- ```json example and ```text example show something that is not compared.
package docs_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"rollcall/testkit/nodetest"
	"rollcall/testkit/redistest"
)

// Page is one page of docs/ with what its reader has.
type Page struct {
	File  string // "api.md"
	Nodes int    // how many nodes run already; several share a Redis
	// the app folder of the nodes and of blocks, from the root of the project; "": integration_test/testdata/app
	App   string
	Flags []string // of the nodes
	Env   []string // NAME=value, for the nodes and the blocks
	// Listings: blocks of other languages are files.
	Listings bool
	// Before is called when the nodes are ready: clients that the page speaks of come in here, and files are written into
	// the folder in which the first block runs.
	Before func(t *testing.T, addrs []string, dir string)
}

// root is where the project lies.
const root = "../.."

// blockTime bounds one block, dockerTime one for Docker, which may build an image.
const (
	blockTime  = 60 * time.Second
	dockerTime = 8 * time.Minute
)

// block is one fenced block of a page.
type block struct {
	line int
	lang string // the whole info string
	text string
}

var fence = regexp.MustCompile("^(?: {0,3})(```+)\\s*(.*?)\\s*$")

// blocksOf cuts a page into its fenced blocks.
func blocksOf(text string) (found []block, err error) {
	var now *block
	for i, line := range strings.Split(text, "\n") {
		m := fence.FindStringSubmatch(line)
		switch {
		case now == nil && m != nil:
			now = &block{line: i + 1, lang: m[2]}
		case now != nil && m != nil && m[2] == "":
			found, now = append(found, *now), nil
		case now != nil:
			now.text += line + "\n"
		}
	}
	if now != nil {
		return nil, fmt.Errorf("line %d: a block has no end", now.line)
	}
	return found, nil
}

// run runs the page and tells how many blocks of commands it had.
func (p Page) run(t *testing.T) (ran int) {
	for _, tool := range []string{"bash", "curl"} {
		need(t, tool)
	}
	text, err := os.ReadFile(filepath.Join(root, "docs", p.File))
	if err != nil {
		t.Fatal(err)
	}
	blocks, err := blocksOf(string(text))
	if err != nil {
		t.Fatalf("%s: %v", p.File, err)
	}
	s := p.shell(t)
	for i, b := range blocks {
		switch b.lang {
		case "sh":
			var want *block
			if i+1 < len(blocks) && (blocks[i+1].lang == "json" || blocks[i+1].lang == "text") {
				want = &blocks[i+1]
			}
			err = s.run(b, want)
		case "sh background":
			err = s.start(b)
		case "sh docker":
			if s.docker() {
				err = s.run(b, nil)
			}
		default:
			if err = s.list(p, b); err == nil {
				continue
			}
		}
		if err != nil {
			t.Fatalf("docs/%s:%d: %v", p.File, b.line, err) // the rest would only follow from it
		}
		ran++
	}
	return ran
}

// need skips a test without a tool; where all are required it fails.
func need(t testing.TB, tool string) {
	t.Helper()
	if _, err := exec.LookPath(tool); err == nil {
		return
	}
	if os.Getenv("ROLLCALL_TEST_REQUIRE") != "" {
		t.Fatalf("%s is not installed, and ROLLCALL_TEST_REQUIRE is set", tool)
	}
	t.Skipf("%s is not installed", tool)
}

// shell runs the blocks of one page.
type shell struct {
	t           *testing.T
	dir         string // where blocks run
	state       string // file with the variables and the folder of the last block
	env         []string
	addrs       *strings.Replacer // of the page to those of the nodes
	own         string            // where a node listens that the page starts
	dockerReady bool
	end         func() // ends the node that it has started; nil: none
}

func (p Page) shell(t *testing.T) *shell {
	t.Helper()
	app := p.App
	if app == "" {
		app = "integration_test/testdata/app"
	}
	app, err := filepath.Abs(filepath.Join(root, app))
	if err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	s := &shell{t: t, dir: filepath.Join(home, "work"), state: filepath.Join(home, "state"),
		own: fmt.Sprint("127.0.0.1:", redistest.FreePort(t))}
	bin := filepath.Join(home, "bin")
	for _, dir := range []string{s.dir, bin} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(nodetest.Binary(t), filepath.Join(bin, "rollcall")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(home, ".curlrc"), []byte("silent\nshow-error\nmax-time = 20\nnoproxy = \"*\"\n"),
		0o600); err != nil {
		t.Fatal(err)
	}
	s.env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "CURL_HOME="+home, "HOME="+home,
		"ROLLCALL_LISTEN="+s.own, "ROLLCALL_APP="+app)
	s.env = append(s.env, p.Env...)
	addrs := p.nodes(t, app)
	balancer := fmt.Sprint("127.0.0.1:", redistest.FreePort(t))
	pairs := []string{"localhost:8080", balancer, "ROLLCALL_PORT=8080", "ROLLCALL_PORT=" + balancer,
		"localhost:6745", s.own}
	for i, addr := range addrs {
		pairs = append(pairs, fmt.Sprint("localhost:", 6745+i), addr)
		if i == 0 {
			pairs = slices.Delete(pairs, 4, 6) // of the page's own node
		}
	}
	s.addrs = strings.NewReplacer(pairs...)
	if p.Before != nil {
		p.Before(t, addrs, s.dir)
	}
	return s
}

// nodes starts those that run already.
func (p Page) nodes(t *testing.T, app string) (addrs []string) {
	t.Helper()
	o := nodetest.Options{App: app, Flags: p.Flags, Env: p.Env}
	if p.Nodes > 1 {
		o.Redis = redistest.Standalone(t).URL()
	}
	for _, n := range nodetest.StartAll(t, p.Nodes, o) {
		addrs = append(addrs, n.Addr())
	}
	return addrs
}

// command is bash with a block to run between the state of the last one and that of the next.
func (s *shell) command(ctx context.Context, b block, fail bool) *exec.Cmd {
	flag := "no-fail"
	if fail {
		flag = "fail-with-body"
	}
	script := fmt.Sprintf(`set -eauo pipefail
if [ -f %[1]q ]; then . %[1]q; fi
curl() { command curl --%[2]s "$@"; }
docker() {
    if [ "$1" = compose ] && ! command docker compose version >/dev/null 2>&1; then shift; docker-compose "$@"; else command docker "$@"; fi
}
%[3]s
{ export -p; printf 'cd %%q\n' "$PWD"; } > %[1]q
`, s.state, flag, s.addrs.Replace(b.text))
	cmd := exec.CommandContext(ctx, "bash", "--norc", "-c", script)
	cmd.Dir, cmd.Env = s.dir, s.env
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // so that what it started ends with it
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	return cmd
}

// run runs a block and compares its output.
func (s *shell) run(b block, want *block) error {
	problem := want != nil && want.lang == "json" && isProblem(want.text)
	limit := blockTime
	if b.lang == "sh docker" {
		limit = dockerTime
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd := s.command(ctx, b, !problem)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%w\n%s\nprinted:\n%s%s", err, b.text, out.String(), errs.String())
	}
	if want == nil {
		return nil
	}
	compare := sameText
	if want.lang == "json" {
		compare = sameJSON
	}
	if err := compare(s.addrs.Replace(want.text), out.String()); err != nil {
		return fmt.Errorf("%w\n%s\nprinted:\n%s%s\nthe page shows:\n%s", err, b.text, out.String(), errs.String(), want.text)
	}
	return nil
}

// start runs a block that does not end, until the test's end, and waits for its node.
func (s *shell) start(b block) error {
	if s.end != nil {
		s.end()
	}
	cmd := s.command(context.Background(), b, true)
	log := &nodetest.Log{}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return err
	}
	done := make(chan struct{})
	go func() {
		_ = cmd.Wait() // it is ended by a signal
		close(done)
	}()
	s.end = sync.OnceFunc(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) // ended already is right too
		select {
		case <-done:
		case <-time.After(nodetest.Timeout):
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
			<-done
		}
	})
	s.t.Cleanup(s.end)
	for end := time.Now().Add(nodetest.Timeout); nodetest.Status(s.own,
		"/readyz") != 200; time.Sleep(20 * time.Millisecond) {
		select {
		case <-done:
			return fmt.Errorf("it ended:\n%s\n%s", b.text, log.Text())
		default:
		}
		if time.Now().After(end) {
			return fmt.Errorf("no node got ready at %s:\n%s\n%s", s.own, b.text, log.Text())
		}
	}
	return nil
}

// isProblem tells that a page shows a problem document.
func isProblem(text string) bool {
	var doc struct {
		Status int    `json:"status"`
		Title  string `json:"title"`
	}
	return json.NewDecoder(strings.NewReader(text)).Decode(&doc) == nil && doc.Status >= 400 && doc.Title != ""
}

// sameText compares lines.
func sameText(want, got string) error {
	w, g := lines(want), lines(got)
	for i := range max(len(w), len(g)) {
		switch {
		case i >= len(g):
			return fmt.Errorf("line %d is missing: %s", i+1, w[i])
		case i >= len(w):
			return fmt.Errorf("line %d is too many: %s", i+1, g[i])
		case strings.TrimSpace(w[i]) == "…" && i == len(w)-1:
			return nil
		case !matches(w[i], g[i]):
			return fmt.Errorf("line %d is %q", i+1, g[i])
		}
	}
	return nil
}

func lines(text string) []string {
	all := strings.Split(strings.TrimSpace(text), "\n")
	for i := range all {
		all[i] = strings.TrimRight(all[i], " \t\r")
	}
	return all
}

// sameJSON compares documents, one after another.
func sameJSON(want, got string) error {
	w, err := documents(want)
	if err != nil {
		return fmt.Errorf("the page's JSON: %w", err)
	}
	g, err := documents(got)
	if err != nil {
		return fmt.Errorf("the printed JSON: %w", err)
	}
	if len(w) != len(g) {
		return fmt.Errorf("%d documents", len(g))
	}
	for i := range w {
		if err := sameValue("", w[i], g[i]); err != nil {
			return err
		}
	}
	return nil
}

func documents(text string) (all []any, err error) {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	for {
		var v any
		if err := d.Decode(&v); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
}
