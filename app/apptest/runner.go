package apptest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"rollcall/luavm"
)

// ErrNoTests is the error of an app that has no tests, or none that Config.Match takes.
var ErrNoTests = errors.New("there are no tests")

// ErrStuck is the error of a run that is over because a case did not end in time.
var ErrStuck = errors.New("a case did not end in time, and the rest was not run")

// job is one case that is to be run, or all that is wrong with its file.
type job struct {
	file   file
	name   string
	broken *Failure
	result chan Result // buffer 1
}

// Run runs the tests of an app. Its error says why there is no full report, not that a case failed.
func Run(cfg Config) (Report, error) {
	cfg, began := cfg.withDefaults(), time.Now()
	var report Report
	jobs, err := plan(cfg)
	if err != nil {
		return report, err
	}
	if len(jobs) == 0 {
		return report, fmt.Errorf("%w that --run takes", ErrNoTests)
	}
	stop := make(chan struct{})
	work := make(chan job)
	var workers sync.WaitGroup
	for range cfg.Workers {
		workers.Go(func() {
			for j := range work {
				j.result <- cfg.run(j)
			}
		})
	}
	workers.Go(func() {
		defer close(work)
		for _, j := range jobs {
			select {
			case work <- j:
			case <-stop:
				return
			}
		}
	})
	for _, j := range jobs {
		r := <-j.result
		report.Results = append(report.Results, r)
		cfg.Done(r)
		if r.stuck {
			err = ErrStuck
			break
		}
	}
	close(stop)
	if err == nil {
		workers.Wait()
	}
	report.Took = time.Since(began)
	return report, err
}

// plan reads the files and finds out which cases they have.
func plan(cfg Config) (jobs []job, err error) {
	paths, err := filepath.Glob(filepath.Join(cfg.Dir, "test", "*_test.lua"))
	if err != nil {
		return nil, fmt.Errorf("look for tests: %w", err)
	}
	if len(paths) == 0 {
		if _, err := os.Stat(cfg.Dir); errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("read the app: %w", err)
		}
		return nil, fmt.Errorf("%w: write a file %s", ErrNoTests, filepath.Join(cfg.Dir, "test", "app_test.lua"))
	}
	slices.Sort(paths)
	for _, path := range paths {
		f := file{name: "test/" + filepath.Base(path)}
		names, failure := cfg.names(path, &f)
		for _, name := range names {
			jobs = append(jobs, job{file: f, name: name, result: make(chan Result, 1)})
		}
		if failure != nil {
			jobs = append(jobs, job{file: f, broken: failure, result: make(chan Result, 1)})
		}
	}
	return slices.DeleteFunc(jobs,
		func(j job) bool { return cfg.Match != nil && !cfg.Match.MatchString(j.file.name+"/"+j.name) }), nil
}

// names compiles a file and lists its cases; a failure: what is wrong with it.
func (cfg Config) names(path string, f *file) (names []string, failure *Failure) {
	source, err := os.ReadFile(path)
	if err != nil {
		return nil, &Failure{Place: f.name, Message: err.Error()}
	}
	if f.program, err = luavm.Compile(f.name, string(source)); err != nil {
		failure = &Failure{Place: f.name, Message: err.Error()}
		var e *luavm.CompileError
		if errors.As(err, &e) && e.Line > 0 {
			failure.Place, failure.Message = fmt.Sprintf("%s:%d", e.File, e.Line), e.Message
		}
		return nil, failure
	}
	failure = cfg.bubble(func() *Failure {
		r, err := load(cfg.Start, *f)
		defer r.close()
		if err != nil {
			return r.failure(*f, err)
		}
		names = r.names
		return nil
	})
	switch {
	case failure != nil:
		return nil, failure
	case len(names) == 0:
		return nil, &Failure{Place: f.name, Message: "the file has no test(name, function(t) … end)"}
	}
	return names, nil
}

// run runs one case.
func (cfg Config) run(j job) Result {
	began := time.Now()
	out := Result{File: j.file.name, Name: j.name, Failure: j.broken}
	if j.broken == nil {
		out.Failure = cfg.bubble(func() *Failure {
			r, err := load(cfg.Start, j.file)
			defer r.close()
			if err == nil {
				err = r.run(j.name)
			}
			if err != nil {
				return r.failure(j.file, err)
			}
			return nil
		})
	}
	out.stuck = out.Failure == stuck
	if out.stuck {
		out.Failure = &Failure{Message: fmt.Sprintf("it did not end in %v of real time", cfg.CaseTimeout)}
	}
	out.Took = time.Since(began)
	return out
}

// stuck stands for what did not end in time.
var stuck = &Failure{Message: "it did not end in time"}

// bubble runs body in a bubble of its own, in virtual time, and gives what it gave. A body that panics, and goroutines
// that stay behind, are failures too. One that does not end is left behind.
func (cfg Config) bubble(body func() *Failure) *Failure {
	done := make(chan *Failure, 1)
	go func() {
		id, failure := "", (*Failure)(nil)
		defer func() {
			if p := recover(); p != nil { // from synctest: main has ended, and others wait for ever
				failure = &Failure{Message: fmt.Sprintf("goroutines of the nodes stay behind: %v", p), Details: goroutines(id)}
			}
			done <- failure
		}()
		// testing has no other way into a bubble. Of the T nothing is used; a body that panics or calls Goexit would end the
		// process, so it must not.
		synctest.Test(&testing.T{}, func(*testing.T) {
			defer func() {
				if p := recover(); p != nil {
					failure = &Failure{Message: fmt.Sprintf("panic: %v", p),
						Details: strings.Split(strings.TrimSpace(string(debug.Stack())), "\n")}
				}
			}()
			id = bubbleID()
			failure = body()
		})
	}()
	limit := time.NewTimer(cfg.CaseTimeout)
	defer limit.Stop()
	select {
	case f := <-done:
		return f
	case <-limit.C:
		return stuck
	}
}

// bubbleID is how the runtime names the bubble of this goroutine in its stacks.
func bubbleID() string {
	head := make([]byte, 128)
	head = head[:runtime.Stack(head, false)]
	_, rest, _ := strings.Cut(string(head), "synctest bubble ")
	number, _, _ := strings.Cut(rest, "]")
	return "synctest bubble " + number
}

// goroutines are the stacks of a bubble's goroutines.
func goroutines(bubble string) (all []string) {
	text := make([]byte, 1<<20)
	text = text[:runtime.Stack(text, true)]
	for stack := range strings.SplitSeq(string(text), "\n\n") {
		head, _, _ := strings.Cut(stack, "\n")
		if strings.Contains(head, bubble+"]") || strings.Contains(head, bubble+",") {
			all = append(all, strings.Split(stack, "\n")...)
		}
	}
	return all
}
