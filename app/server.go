package app

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"rollcall/luavm"
	"rollcall/overload"
	"rollcall/sse"
	"rollcall/wsconn"
)

// Server serves an app over HTTP: everything but the node's own paths (/_api, /_client, /healthz, /readyz, /metrics).
type Server struct {
	// Static after NewServer.
	cfg    Config
	ctx    context.Context // ends with Close
	cancel context.CancelFunc

	websockets *wsconn.Server
	streams    *sse.Server

	current atomic.Pointer[instance]
	table   atomic.Pointer[scriptTable] // made anew when the app or the registered scripts have changed
	running sync.WaitGroup              // connection scripts, due timers and jobs
	scripts atomic.Int64                // of them
	runs    atomic.Int64                // turns and connection scripts that have ended
	expiry  *alarms                     // of tokens, by the wall clock
	alarms  *alarms                     // of timers and jobs, by the monotonic clock
	jobs    *jobs
	lines   *lines
	callers callers
	began   time.Time // an hour before it was made, so that zero values of now are of long ago
	watch   *Watcher  // nil without Dev
	closing sync.Once
}

// closeGrace is how long scripts may go on when the server closes, to do what they do last.
const closeGrace = time.Second

// instance is an App at work: with its VMs. Connections keep the one they began with.
type instance struct {
	app     *App
	pools   map[string]*pool // by handler file
	scripts *pool            // for HTTP scripts
}

// NewServer begins to serve cfg.App. With Dev it follows changes of the app's folder. The caller must Close it.
func NewServer(cfg Config) (*Server, error) {
	cfg, err := cfg.validate()
	if err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, websockets: wsconn.NewServer(cfg.WebSockets, cfg.Sockets),
		streams: sse.NewServer(cfg.Sockets)}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.current.Store(s.newInstance(cfg.App))
	cfg.Hub.SetHistory(cfg.App.History())
	s.began = time.Now().Add(-time.Hour)
	s.expiry, s.alarms = newAlarms(), newAlarms()
	s.jobs = newJobs(s)
	s.lines = &lines{log: cfg.Log, now: s.now}
	if cfg.Dev {
		s.warn(cfg.App)
		// Files of public/ are read anew anyway, and those of test/ are no part of the app.
		if s.watch, err = Watch(WatchConfig{Dir: cfg.App.Dir, Skip: []string{"public", "test"}, Quiet: cfg.Reload,
			Changed: s.reload, Log: cfg.Log}); err != nil {
			s.cancel()
			s.expiry.close()
			s.alarms.close()
			return nil, err
		}
	}
	s.jobs.use(s.current.Load())
	return s, nil
}

// StopJobs lets this node ask for no more periods of jobs, since it is about to go. What runs goes on.
func (s *Server) StopJobs() { s.jobs.stop() }

// Close waits for all connection scripts, jobs and the watcher. Connections have been closed before
// (outbox.Sockets.Close); scripts then have nothing to wait for, and those that go on are ended.
func (s *Server) Close() {
	s.closing.Do(func() {
		if s.watch != nil {
			s.watch.Close()
		}
		s.jobs.stop()
		s.expiry.close()
		s.alarms.close()
	})
	end := time.AfterFunc(closeGrace, s.cancel)
	defer end.Stop()
	s.running.Wait()
	s.cancel()
	s.lines.close()
}

// ran tells of a run that has ended.
func (s *Server) ran(kind RunKind, route string, start time.Time) {
	s.runs.Add(1)
	s.cfg.Observer.Ran(kind, route, time.Since(start))
}

// now is the time since began.
func (s *Server) now() time.Duration { return time.Since(s.began) }

// App is the one that new connections get.
func (s *Server) App() *App { return s.current.Load().app }

func (s *Server) newInstance(a *App) *instance {
	in := &instance{app: a, pools: map[string]*pool{}}
	soft := 2 * runtime.GOMAXPROCS(0)
	for path, f := range a.files {
		in.pools[path] = newPool(soft, s.cfg.MaxVMs, func() (*worker, error) { return s.newWorker(a, f) })
	}
	in.scripts = newPool(soft, s.cfg.MaxVMs, func() (*worker, error) { return s.newWorker(a, nil) })
	return in
}

// newWorker makes a VM that has run a handler file; nil: none, for HTTP scripts.
func (s *Server) newWorker(a *App, f *handlerFile) (*worker, error) {
	common, _ := libraries()
	w := &worker{vm: luavm.New(luavm.Config{Limits: s.cfg.Limits, Gate: s.cfg.Gate, Ceiling: s.cfg.Memory, Library: common,
		Require: a.findModule, Print: printLine, Over: over, Data: a,
		Clock: s.cfg.Clock})}
	results, err := w.vm.Run(requestSetter())
	if err != nil {
		w.vm.Close()
		return nil, err
	}
	w.setRequest = results[0]
	if f == nil {
		return w, nil
	}
	if err := loadHandlers(w.vm, f); err != nil {
		w.vm.Close()
		return nil, err
	}
	for _, name := range f.fns {
		w.fns = append(w.fns, handlerFunction(w.vm, name))
	}
	return w, nil
}

// TestVM makes a VM for a test of the app (app/apptest): it sees what HTTP handlers see, but is none of the server's,
// and its turn has no end. What c says of libraries and data does not count. The caller closes it.
func (s *Server) TestVM(c luavm.Config) *luavm.VM {
	c.Library, _ = libraries()
	c.Require = s.App().findModule
	vm := luavm.New(c)
	s.Adopt(vm)
	return vm
}

// Adopt lets what such a VM calls happen on this server's node.
func (s *Server) Adopt(vm *luavm.VM) {
	vm.Data = &call{server: s, app: s.App(), route: "test", calls: &overload.Limiter{}, lines: &overload.Limiter{}}
}

// printLine is print.
func printLine(vm *luavm.VM, text string) {
	if c, ok := vm.Data.(*call); ok {
		c.log().Info(text)
	}
}

// requestSetter gives a turn its global request. Being Lua, it is undone at the turn's end like all that a turn writes.
var requestSetter = sync.OnceValue(func() *luavm.Program {
	p, err := luavm.Compile("[request]", "return function(r) request = r end")
	if err != nil {
		panic(err)
	}
	return p
})
