package main

import (
	"bytes"
	"context"
	"encoding/xml"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

var updateGolden = flag.Bool("update", false, "write to testdata what is printed of apps with mistakes and failing tests")

// rollcall runs a command line as main does.
func rollcall(args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = run(context.Background(), args, &out, &errs)
	return code, out.String(), errs.String()
}

// masks stand for what is different in each run, and for lists that grow.
var masks = []struct {
	pattern *regexp.Regexp
	text    string
}{
	{regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`), "UUID"},
	{regexp.MustCompile(`, [0-9.]+ s\n`), ", TIME\n"},
	{regexp.MustCompile(`\(known: [^)]*\)`), "(known: …)"},
}

func masked(text string) string {
	for _, m := range masks {
		text = m.pattern.ReplaceAllString(text, m.text)
	}
	return text
}

// SPEC 11, `rollcall test`: all of t and c, cases that would see what others left, a killed node, time that only
// advance lets pass.
func TestTestsThatPass(t *testing.T) {
	t.Setenv("ROLLCALL_APP_OF_TEST", "hello")
	code, stdout, stderr := rollcall("test", "testdata/passing")
	if code != 0 || stderr != "" || !regexp.MustCompile(`^ok: \d\d tests in 6 files, [0-9.]+ s\n$`).MatchString(stdout) {
		t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
	}
}

// SPEC 11: "a failure shows the frames that came; exit 1". What it shows, word for word: go test ./cmd/node -run
// TestTestsThatFail -update.
func TestTestsThatFail(t *testing.T) {
	code, stdout, stderr := rollcall("test", "testdata/failing")
	if code != 1 || stderr != "" {
		t.Errorf("exit code %d, %s", code, stderr)
	}
	golden(t, "testdata/failing/output.txt", masked(stdout))
}

// SPEC 11: "--run REGEXP", of file and name.
func TestRunFlag(t *testing.T) {
	for _, tt := range []struct {
		pattern, summary, stderr string
		code                     int
	}{
		{"expect_test.lua/this one", "ok: 1 test in 1 file, TIME\n", "", 0},
		{"loop$|passes$", "FAIL: 1 of 2 tests in 1 file, TIME\n", "", 1},
		{"/nothing", "", "rollcall: there are no tests that --run takes\n", 1},
		{"(", "", "rollcall: --run: error parsing regexp: missing closing ): `(`\n", 2},
	} {
		code, stdout, stderr := rollcall("test", "testdata/failing", "--run", tt.pattern)
		if code != tt.code || !strings.HasSuffix(masked(stdout), tt.summary) || stderr != tt.stderr || tt.summary == "" &&
			stdout != "" {
			t.Errorf("--run %s: exit code %d\n%s%s", tt.pattern, code, stdout, stderr)
		}
	}
}

// SPEC 11: "--junit FILE". It is XML with what was printed in it.
func TestJUnitFlag(t *testing.T) {
	file := filepath.Join(t.TempDir(), "report.xml")
	if code, stdout, stderr := rollcall("test", "testdata/failing", "--run", "syntax|differs|passes", "--junit",
		file); code != 1 {
		t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var report struct {
		Tests    int `xml:"tests,attr"`
		Failures int `xml:"failures,attr"`
		Suites   []struct {
			Name  string `xml:"name,attr"`
			Cases []struct {
				Name    string `xml:"name,attr"`
				Failure *struct {
					Message string `xml:"message,attr"`
					Text    string `xml:",chardata"`
				} `xml:"failure"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal(text, &report); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if report.Tests != 3 || report.Failures != 2 || len(report.Suites) != 2 {
		t.Fatalf("%+v\n%s", report, text)
	}
	differs, passes := report.Suites[0].Cases[0], report.Suites[0].Cases[1]
	if differs.Failure == nil || !strings.Contains(differs.Failure.Text, `text: expected "hullo", got "hello"`) ||
		differs.Failure.Message != "test/expect_test.lua:9: c.expect: the next frame does not fit" || passes.Failure != nil {
		t.Errorf("%+v", report.Suites)
	}
	if code, _, stderr := rollcall("test", "testdata/failing", "--run", "passes", "--junit",
		filepath.Join(file, "below")); code != 2 || !strings.HasPrefix(stderr, "rollcall: --junit: ") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}

// What is no app, has no tests, or is an app with errors.
func TestTestCommandSaysNo(t *testing.T) {
	empty, broken := t.TempDir(), t.TempDir()
	writeFile(t, filepath.Join(broken, "config/routes.lua"), `router_get("/a", "none#none")`)
	writeFile(t, filepath.Join(broken, "test/a_test.lua"), `test("a", function() end)`)
	for dir, want := range map[string]string{
		filepath.Join(empty, "nowhere"): "2 rollcall: the app folder does not exist: ",
		empty:                           "1 rollcall: there are no tests: write a file " + empty + "/test/app_test.lua\n",
		broken: "1 rollcall: " + broken +
			" has 1 error:\nconfig/routes.lua:1: GET /a: the file handlers/none.lua does not exist\n",
	} {
		if code, stdout, stderr := rollcall("test", dir); !strings.HasPrefix(fmt.Sprint(code, " ", stderr), want) ||
			stdout != "" {
			t.Errorf("%s: %d %s%s, want %s", dir, code, stderr, stdout, want)
		}
	}
}

func writeFile(t testing.TB, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// lineWriter tells of each line that is written.
type lineWriter struct {
	mu    sync.Mutex
	rest  string
	lines chan string
}

func (w *lineWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rest += string(p)
	for {
		line, rest, ok := strings.Cut(w.rest, "\n")
		if !ok {
			return len(p), nil
		}
		w.rest = rest
		w.lines <- line
	}
}

// SPEC 11: "--watch": they run again when a file of the app or of its tests has changed, until it is told to end.
func TestWatchFlag(t *testing.T) {
	dir := t.TempDir()
	handler, tests := filepath.Join(dir, "handlers/h.lua"), filepath.Join(dir, "test/h_test.lua")
	writeFile(t, filepath.Join(dir, "config/routes.lua"), `router_get("/h", "h#h")`)
	writeFile(t, handler, `function h() return "one" end`)
	writeFile(t, tests, `test("h", function(t) t.equal(t.request("GET", "/h").body, "one") end)`)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out, ended := &lineWriter{lines: make(chan string, 100)}, make(chan int, 1)
	go func() { ended <- run(ctx, []string{"test", dir, "--watch"}, out, out) }()
	await := func(beginning string) {
		t.Helper()
		for limit := time.After(time.Minute); ; {
			select {
			case line := <-out.lines:
				if strings.HasPrefix(line, beginning) {
					return
				}
			case <-limit:
				t.Fatalf("no line begins with %q", beginning)
			}
		}
	}
	await("ok: 1 test")
	writeFile(t, handler, `function h() return "two" end`)
	await("FAIL: 1 of 1 test")
	writeFile(t, tests, `test("h", function(t) t.equal(t.request("GET", "/h").body, "two") end)`)
	await("ok: 1 test")
	writeFile(t, handler, `function h( return "two" end`)
	await("handlers/h.lua:1: ")
	cancel()
	if code := <-ended; code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// SPEC 11: "Each example has a test/ folder".
func TestTestsOfExamples(t *testing.T) {
	apps, err := filepath.Glob("../../examples/*/README.md")
	if err != nil || len(apps) < 6 {
		t.Fatal(apps, err)
	}
	for _, readme := range apps {
		dir := filepath.Dir(readme)
		t.Run(filepath.Base(dir), func(t *testing.T) {
			if code, stdout, stderr := rollcall("test", dir); code != 0 {
				t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
			}
		})
	}
}

// SPEC 11: "A thousand cases in ten seconds": of three clients each, on two cores.
func BenchmarkTests(b *testing.B) {
	dir := b.TempDir()
	if err := os.CopyFS(dir, os.DirFS("../../examples/rooms")); err != nil {
		b.Fatal(err)
	}
	writeFile(b, filepath.Join(dir, "test/many_test.lua"), `
for i = 1, 1000 do
  test("case " .. i, function(t)
    local c = {}
    for n = 1, 3 do
      c[n] = t.connect("/ws/room/green?user=u" .. n)
      c[n].expect({ event = "presence_state" })
    end
    c[1].expect({ event = "presence_diff", payload = { joins = { u2 = {}, u3 = {} } } })
    c[2].send({ say = "hello" })
    for n = 1, 3 do
      c[n].await({ event = "said", text = "hello" })
    end
    c[3].close()
    c[1].await({ event = "presence_diff", payload = { leaves = { u3 = {} } } })
  end)
end`)
	for b.Loop() {
		if code, stdout, stderr := rollcall("test", dir, "--run", "many_test"); code != 0 {
			b.Fatalf("exit code %d\n%s%s", code, stdout, stderr)
		}
	}
}
