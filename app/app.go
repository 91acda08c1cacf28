package app

import (
	"errors"

	"rollcall/history"
	"rollcall/hooks"
	"rollcall/luavm"
)

// ErrMissing is the error of an app folder that is not there.
var ErrMissing = errors.New("the app folder does not exist")

// App is a loaded folder. It never changes; a changed folder is loaded as another App.
type App struct {
	Name string
	Dir  string

	routes  []*Route
	jobs    []*Job
	trees   map[string]*tree[Route]   // by method
	files   map[string]*handlerFile   // that routes name, by path
	modules map[string]*luavm.Program // of handlers/ and lib/, by path
	broken  map[string]struct{}       // of handlers/ and lib/ that do not compile
	scripts []*script                 // of scripts/
	sources map[string]string         // of all files that compiled, by path
	history *history.Rules            // nil: no channel has one
	hooks   []hooks.Hook

	// wholeRequest: some module may look at the global request of the script that requires it.
	wholeRequest bool

	static static      // public/
	load   LoadOptions // as given
}

// handlerFile is one file of handlers/ with the functions that routes name.
type handlerFile struct {
	path    string // "handlers/websocket.lua"
	source  string
	program *luavm.Program
	fns     []string
}

// requestUsed is what has to be made of a script's request.
func (a *App) requestUsed(s *script) fieldSet {
	if a.wholeRequest {
		return useAll
	}
	return s.used
}

// Routes lists the routes in the order of config/routes.lua.
func (a *App) Routes() []Route {
	out := make([]Route, len(a.routes))
	for i, r := range a.routes {
		out[i] = *r
	}
	return out
}

// Jobs lists the jobs in the order of config/routes.lua.
func (a *App) Jobs() []Job {
	out := make([]Job, len(a.jobs))
	for i, j := range a.jobs {
		out[i] = *j
	}
	return out
}

// ScriptFiles lists the scripts of the folder.
func (a *App) ScriptFiles() []ScriptName {
	out := make([]ScriptName, len(a.scripts))
	for i, s := range a.scripts {
		out[i] = s.name
	}
	return out
}

// index gives a function its index in the workers of the file.
func (f *handlerFile) index(fn string) int {
	for i, name := range f.fns {
		if name == fn {
			return i
		}
	}
	f.fns = append(f.fns, fn)
	return len(f.fns) - 1
}
