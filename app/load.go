package app

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	lua "github.com/yuin/gopher-lua"

	"rollcall/history"
	"rollcall/luavm"
)

// LoadOptions say what an app is loaded with.
type LoadOptions struct {
	Name    string       // of the app, for its keys in store; "": the folder's name
	HasKeys bool         // tokens can be checked, so routes may have auth = true
	Limits  luavm.Limits // of the files while they are loaded
	Env     Env          // what env(name) gives
}

// Load reads an app folder. All that is wrong with it is listed, each with its place; then there is no App.
func Load(dir string, o LoadOptions) (*App, []error) {
	l, err := loadFolder(dir, o)
	switch {
	case err != nil:
		return nil, []error{err}
	case len(l.problems) > 0:
		return nil, l.problems
	}
	return l.app, nil
}

// loadFolder reads an app folder as far as that is possible.
func loadFolder(dir string, o LoadOptions) (*loader, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if info, err := os.Stat(abs); err != nil || !info.IsDir() {
		return nil, fmt.Errorf("%w: %s", ErrMissing, dir)
	}
	a := &App{Name: o.Name, Dir: abs, load: o, files: map[string]*handlerFile{},
		static: static{filepath.Join(abs, "public")}}
	if a.Name == "" {
		a.Name = filepath.Base(abs)
	}
	a.sources = map[string]string{}
	l := &loader{app: a, fs: os.DirFS(abs)}
	l.modules()
	l.routes()
	l.hooks()
	l.handlers()
	l.scripts()
	return l, nil
}

// loader collects an app and what is wrong with it.
type loader struct {
	app *App
	fs  fs.FS
	// configGlobals are what the files of config/ see beside the language.
	configGlobals map[string]map[string]lua.LGFunction
	problems      []error
}

func (l *loader) problem(place, format string, args ...any) {
	l.problems = append(l.problems, Problem{place, fmt.Sprintf(format, args...)})
}

// compile reads and compiles one file; nil when that failed.
func (l *loader) compile(file string) *luavm.Program {
	source, err := fs.ReadFile(l.fs, file)
	if err != nil {
		l.problem(file, "%v", err)
		return nil
	}
	p, err := luavm.Compile(file, string(source))
	if err != nil {
		l.problems = append(l.problems, err)
		return nil
	}
	l.app.sources[file] = string(source)
	return p
}

// modules compiles all of handlers/ and lib/.
func (l *loader) modules() {
	l.app.modules, l.app.broken = map[string]*luavm.Program{}, map[string]struct{}{}
	for _, dir := range []string{"handlers", "lib"} {
		err := fs.WalkDir(l.fs, dir, func(file string, d fs.DirEntry, err error) error {
			switch {
			case err != nil && file == dir && errors.Is(err, fs.ErrNotExist):
				return fs.SkipAll
			case err != nil:
				return err
			case strings.HasPrefix(d.Name(), ".") && d.IsDir():
				return fs.SkipDir
			case d.IsDir() || strings.HasPrefix(d.Name(), ".") || !strings.HasSuffix(file, ".lua"):
				return nil
			}
			if p := l.compile(file); p != nil {
				l.app.modules[file] = p
				l.app.wholeRequest = l.app.wholeRequest || mentionsRequest(l.app.sources[file])
			} else {
				l.app.broken[file] = struct{}{}
			}
			return nil
		})
		if err != nil {
			l.problem(dir, "%v", err)
		}
	}
}

// findModule is require: "util", "lib.util" and "lib/util" are lib/util.lua; handlers/ is looked at first.
func (a *App) findModule(name string) (*luavm.Program, error) {
	path := strings.ReplaceAll(name, ".", "/") + ".lua"
	tried := []string{"handlers/" + path, "lib/" + path}
	if strings.HasPrefix(path, "handlers/") || strings.HasPrefix(path, "lib/") {
		tried = append(tried, path)
	}
	for _, file := range tried {
		if p := a.modules[file]; p != nil {
			return p, nil
		}
		if _, ok := a.broken[file]; ok {
			return nil, fmt.Errorf("module '%s': %s does not compile", name, file)
		}
	}
	return nil, fmt.Errorf("module '%s' not found (looked for %s)", name, strings.Join(tried, ", "))
}

// routesFile says which function serves which path.
const routesFile = "config/routes.lua"

// routes runs config/routes.lua. Without the file there are no routes.
func (l *loader) routes() {
	r := newRouter()
	l.app.trees = r.trees
	l.config(routesFile, r.functions())
	r.checkSockets()
	l.problems = append(l.problems, r.problems...)
	l.app.routes, l.app.jobs = r.routes, r.jobs
	rules := make([]history.Rule, len(r.history))
	for i, rule := range r.history {
		rules[i] = rule.Rule
	}
	l.app.history = history.NewRules(rules)
	for _, route := range r.routes {
		if route.Options.Auth && !l.app.load.HasKeys {
			l.problem(route.place, "%s %s has auth = true, but no key can check tokens: set --jwt-secret, --jwt-public-key or --jwks-url", route.Method, route.Path)
		}
	}
}

// configFunction is called by a file of config/, at a place there.
type configFunction func(place string, args []lua.LValue)

// config runs a file of config/, which may be missing, with these functions.
func (l *loader) config(file string, functions map[string]configFunction) {
	globals := map[string]lua.LGFunction{"env": envFunction}
	for name, f := range functions {
		globals[name] = func(s *lua.LState) int {
			args := make([]lua.LValue, s.GetTop())
			for i := range args {
				args[i] = s.Get(i + 1)
			}
			f(strings.TrimSuffix(strings.TrimSpace(s.Where(1)), ":"), args)
			return 0
		}
	}
	if l.configGlobals == nil {
		l.configGlobals = map[string]map[string]lua.LGFunction{}
	}
	l.configGlobals[file] = globals
	if _, err := fs.Stat(l.fs, file); errors.Is(err, fs.ErrNotExist) {
		return
	}
	program := l.compile(file)
	if program == nil {
		return
	}
	vm := luavm.New(luavm.Config{Limits: l.app.load.Limits, Require: l.app.findModule, Data: l.app})
	defer vm.Close()
	for name, f := range globals {
		vm.SetGlobal(name, luavm.Func(f))
	}
	if _, err := vm.Run(program); err != nil {
		l.problems = append(l.problems, err)
	}
}

// endpoints are the functions that routes and jobs name.
func (a *App) endpoints() (all []*endpoint) {
	for _, r := range a.routes {
		if r.file != "" { // a socket may have no handler
			all = append(all, &r.endpoint)
		}
	}
	for _, j := range a.jobs {
		all = append(all, &j.endpoint)
	}
	return all
}

// handlers runs every handler file once and looks for the functions that routes and jobs name.
func (l *loader) handlers() {
	ran := map[string]*luavm.VM{}
	defer func() {
		for _, vm := range ran {
			if vm != nil {
				vm.Close()
			}
		}
	}()
	for _, e := range l.app.endpoints() {
		program := l.app.modules[e.file]
		if program == nil {
			if _, ok := l.app.broken[e.file]; !ok {
				l.problem(e.place, "%s: the file %s does not exist%s", e.what, e.file,
					orMeant(e.file, slices.Collect(maps.Keys(l.app.modules))))
			}
			continue
		}
		f := l.app.files[e.file]
		if f == nil {
			f = &handlerFile{path: e.file, source: l.app.sources[e.file], program: program}
			l.app.files[e.file] = f
			ran[e.file] = l.run(f)
		}
		vm := ran[e.file]
		if vm == nil {
			continue
		}
		fn := handlerFunction(vm, e.fn)
		if fn == nil {
			l.problem(e.place, "%s: %s has no function %q%s", e.what, e.file, e.fn, orMeant(e.fn, handlerNames(vm)))
			continue
		}
		e.index, e.proto = f.index(e.fn), fn.Proto
		e.used = useAll
		if fn.Proto.SourceName == f.path { // not one from a required file
			e.used = fieldsUsed(f.source, fn.Proto)
		}
	}
}

// run loads a handler file in a VM of its own; nil when it raised.
func (l *loader) run(f *handlerFile) *luavm.VM {
	common, _ := libraries()
	vm := luavm.New(luavm.Config{Limits: l.app.load.Limits, Library: common, Require: l.app.findModule,
		Data: l.app})
	if err := loadHandlers(vm, f); err != nil {
		l.problems = append(l.problems, err)
		vm.Close()
		return nil
	}
	return vm
}

// returnedTable is the global under which a VM keeps the table that its handler file returned, so that it is part of
// what all turns share.
const returnedTable = "(handlers)"

// loadHandlers runs a handler file in a new VM.
func loadHandlers(vm *luavm.VM, f *handlerFile) error {
	results, err := vm.Run(f.program)
	if err != nil {
		return err
	}
	if len(results) > 0 {
		if t, ok := results[0].(*lua.LTable); ok {
			vm.SetGlobal(returnedTable, t)
		}
	}
	return nil
}

// handlerFunction finds a function in the table that the file returned, else among the globals it defined; or nil.
func handlerFunction(vm *luavm.VM, name string) *lua.LFunction {
	if t, ok := vm.Global(returnedTable).(*lua.LTable); ok {
		if fn, ok := t.RawGetString(name).(*lua.LFunction); ok && !fn.IsG {
			return fn
		}
	}
	if fn, ok := vm.Global(name).(*lua.LFunction); ok && !fn.IsG {
		return fn
	}
	return nil
}

// scripts compiles scripts/.
func (l *loader) scripts() {
	found, problems := scanScripts(l.fs)
	l.problems = append(l.problems, problems...)
	for _, f := range found {
		source, err := fs.ReadFile(l.fs, f.file)
		if err != nil {
			l.problem(f.file, "%v", err)
			continue
		}
		s := compileScript(f.name, f.file, 0, string(source))
		if s.err != nil {
			l.problems = append(l.problems, s.err)
			continue
		}
		l.app.sources[f.file] = string(source)
		l.app.scripts = append(l.app.scripts, s)
	}
}
