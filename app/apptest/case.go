package apptest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	lua "github.com/yuin/gopher-lua"

	"rollcall/luavm"
)

// testBudget is what a test file may compute between two calls that wait: by the slow clock, so four times that.
const testBudget = 500 * time.Millisecond

// file is a file of tests.
type file struct {
	name    string // "test/chat_test.lua"
	program *luavm.Program
}

// caseRun is one run of a file in a world: for its names, or for one case of it.
type caseRun struct {
	world  *world
	vm     *luavm.VM
	home   *member // on which functions called by the test happen
	cases  map[string]*lua.LFunction
	names  []string
	loaded bool
	failed *mismatch // the last one that was raised

	fetches
}

// mismatch is why an expectation does not hold.
type mismatch struct {
	text    string  // of the error
	client  *client // whose expectation; nil: nobody's
	details []string
}

// load runs the file in a new world.
func load(start func(NodeConfig) (Node, error), f file) (*caseRun, error) {
	w, err := newWorld(start)
	if err != nil {
		return &caseRun{world: w}, err
	}
	r := &caseRun{world: w, home: w.members[0], cases: map[string]*lua.LFunction{},
		fetches: fetches{idle: make(chan struct{}, 1)}}
	w.fetch = r.answerFetch
	r.vm = r.home.node.TestVM(luavm.Config{
		Limits: luavm.Limits{Budget: testBudget, Memory: 64 << 20}, Clock: clock,
		Print: func(_ *luavm.VM, text string) { w.journal.add("print   %s", text) },
	})
	r.vm.SetGlobal("test", luavm.Func(r.register))
	_, err = r.vm.Run(f.program)
	r.loaded = true
	return r, err
}

// register is test(name, function).
func (r *caseRun) register(l *lua.LState) int {
	name, ok := l.Get(1).(lua.LString)
	fn, isFunction := l.Get(2).(*lua.LFunction)
	switch {
	case r.loaded:
		l.RaiseError("test: a case cannot have cases")
	case !ok || !isFunction || name == "" || strings.ContainsAny(string(name), "\r\n"):
		l.RaiseError("test: it wants a name of one line and a function")
	case r.cases[string(name)] != nil:
		l.RaiseError("test: there is a case %q already", string(name))
	}
	r.cases[string(name)] = fn
	r.names = append(r.names, string(name))
	return 0
}

// run runs one case.
func (r *caseRun) run(name string) error {
	fn := r.cases[name]
	if fn == nil {
		return fmt.Errorf("the file has no case %q when it is loaded again", name)
	}
	if _, err := r.vm.Call1(fn, r.library()); err != nil {
		return err
	}
	return r.unanswered()
}

// close ends the world.
func (r *caseRun) close() {
	if r.world != nil {
		r.world.close()
	}
	if r.vm != nil {
		r.vm.Close()
	}
}

// failure describes an error of load or run, as the world is now.
func (r *caseRun) failure(f file, err error) *Failure {
	var e *luavm.Error
	if !errors.As(err, &e) {
		return &Failure{Message: err.Error()}
	}
	out := &Failure{Message: e.Message, Calls: callers(f, e)}
	if e.File != "" {
		out.Place = fmt.Sprintf("%s:%d", e.File, e.Line)
		out.Message = strings.TrimPrefix(e.Message, out.Place+": ")
	}
	clients := r.world.clients
	if m := r.failed; m != nil && out.Message == m.text {
		out.Details = m.details
		if m.client != nil {
			clients = []*client{m.client}
		}
	}
	for _, c := range clients {
		out.Clients = append(out.Clients, Trace{c.title(), c.lines()})
	}
	out.Log = r.world.journal.end()
	return out
}

// callers are the lines of the test file that led to an error elsewhere, in a function that several cases use.
func callers(f file, e *luavm.Error) (all []string) {
	innermost := fmt.Sprintf("%s:%d", e.File, e.Line)
	for line := range strings.Lines(e.Traceback) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) == 3 && parts[0] == f.name {
			if at := parts[0] + ":" + parts[1]; at != innermost && !slices.Contains(all, at) {
				all = append(all, at)
			}
		}
	}
	return all
}
