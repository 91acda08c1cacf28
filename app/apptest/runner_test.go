package apptest

import (
	"bytes"
	"encoding/xml"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"rollcall/luavm"
)

// noNode is a node that does nothing.
type noNode struct{ close func() }

func (noNode) TestVM(c luavm.Config) *luavm.VM { return luavm.New(c) }
func (noNode) Adopt(*luavm.VM)                 {}
func (n noNode) Close()                        { n.close() }

// appOf writes tests and gives a Config for them; closed is called when a node ends.
func appOf(t *testing.T, source string, closed func()) Config {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "test"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "test", "a_test.lua"), []byte(source), 0o644); err != nil {
		t.Fatal(err)
	}
	return Config{Dir: dir, Start: func(NodeConfig) (Node, error) { return noNode{closed}, nil }}
}

// testing gives no bubble to a program that is no test; a T of its own must do. An hour passes at once, failures and
// panics are told, and what a node leaves behind is told with its stack.
func TestBubble(t *testing.T) {
	cfg := Config{}.withDefaults()
	for range 2 { // a failure must not spoil what comes after it
		for name, tt := range map[string]struct {
			body    func() *Failure
			message string
			details string
		}{
			"right":  {func() *Failure { time.Sleep(time.Hour); synctest.Wait(); return nil }, "", ""},
			"fails":  {func() *Failure { return &Failure{Message: "no"} }, "no", ""},
			"panics": {func() *Failure { panic("oh") }, "panic: oh", "TestBubble"},
			"leaks": {func() *Failure {
				go leak(make(chan int))
				return nil
			}, "goroutines of the nodes stay behind: deadlock: ", "apptest.leak("},
		} {
			began := time.Now()
			f := cfg.bubble(tt.body)
			switch {
			case time.Since(began) > 20*time.Second:
				t.Errorf("%s: it took %v", name, time.Since(began))
			case f == nil && tt.message == "":
			case f == nil || tt.message == "" || !strings.HasPrefix(f.Message, tt.message) ||
				!strings.Contains(strings.Join(f.Details, "\n"), tt.details):
				t.Errorf("%s: %+v", name, f)
			}
		}
	}
}

func leak(c chan int) { <-c }

// A case has a bound in real time, after which the run is over and the case is named.
func TestStuck(t *testing.T) {
	var over atomic.Bool
	var ends atomic.Int32
	defer over.Store(true)
	cfg := appOf(t, `test("sticks", function() end) test("after it", function() end)`, func() {
		for ends.Add(1); ends.Load() > 1 && !over.Load(); { // the first is that of the names
		}
	})
	cfg.CaseTimeout, cfg.Workers = 200*time.Millisecond, 1
	r, err := Run(cfg)
	if !errors.Is(err, ErrStuck) || len(r.Results) != 1 || r.Results[0].Name != "sticks" ||
		r.Results[0].Failure.Message != "it did not end in 200ms of real time" {
		t.Errorf("%v %+v", err, r)
	}
}

// Results come in the order of the file, whoever is ready first.
func TestOrder(t *testing.T) {
	cfg := appOf(t, `for i = 1, 20 do test("case " .. i, function() if i % 3 == 0 then error("three") end end) end`,
		func() {})
	var names []string
	cfg.Workers, cfg.Done = 5, func(r Result) { names = append(names, r.Name) }
	r, err := Run(cfg)
	if err != nil || r.Failed() != 6 || len(names) != 20 || names[0] != "case 1" || names[19] != "case 20" {
		t.Errorf("%v %v %q", err, r, names)
	}
	if got := r.Summary(); !strings.HasPrefix(got, "FAIL: 6 of 20 tests in 1 file, ") {
		t.Error(got)
	}
}

// What XML cannot hold does not break the report.
func TestJUnitIsXML(t *testing.T) {
	nasty := "]]> <&\"' \x00\x1b[31m \xff é\n"
	report := Report{Took: time.Second, Results: []Result{
		{File: "test/a_test.lua", Name: nasty, Took: 1500 * time.Millisecond,
			Failure: &Failure{Message: nasty, Details: []string{nasty}}},
		{File: "test/b_test.lua", Name: "fine"},
	}}
	var out bytes.Buffer
	if err := report.WriteJUnit(&out); err != nil {
		t.Fatal(err)
	}
	var back junitSuites
	if err := xml.Unmarshal(out.Bytes(), &back); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	c := back.Suites[0].Cases[0]
	if back.Tests != 2 || back.Failures != 1 || len(back.Suites) != 2 || c.Time != "1.500" || c.Failure == nil ||
		!strings.HasPrefix(c.Name, "]]> <&\"' \uFFFD\uFFFD[31m \uFFFD é") {
		t.Errorf("%+v", back)
	}
}
