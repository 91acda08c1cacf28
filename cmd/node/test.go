package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"regexp"
	"time"

	"github.com/alecthomas/kong"

	"rollcall/app"
	"rollcall/app/apptest"
	"rollcall/cluster"
	"rollcall/luavm"
	"rollcall/redisconn"
)

// testCmd runs the tests of an app (SPEC 11).
type testCmd struct {
	App   string `arg:"" help:"The app folder; its tests are test/*_test.lua."`
	Only  string `name:"run" env:"-" placeholder:"REGEXP" help:"Only cases whose FILE/NAME matches, such as 'chat_test.lua/says'."`
	Watch bool   `env:"-" help:"Run them again whenever the app folder changes."`
	JUnit string `name:"junit" env:"-" placeholder:"FILE" help:"Write a report as JUnit's XML, for CI."`

	match *regexp.Regexp
}

// errTold is the error of a command that has said all there is to say: tests that failed, an app with mistakes.
var errTold = errors.New("all is said")

// inside is what a node in a test has instead of sockets, and the app that was loaded for all of them.
type inside struct {
	apptest.NodeConfig
	app *app.App
}

// clock is that of the budgets of Lua; nil: the machine's.
func (c *Config) clock() func() time.Duration {
	if c.inside == nil {
		return nil
	}
	return c.inside.Clock
}

// fetcher is who makes the requests of handlers.
func (n *node) fetcher() app.Fetcher {
	if n.cfg.inside != nil {
		return app.FetcherFunc(n.cfg.inside.Fetch)
	}
	return n.egress
}

// Run runs them once, or with --watch until ctx ends.
func (c *testCmd) Run(ctx context.Context, k *kong.Kong, env app.Env) (err error) {
	if c.match, err = regexp.Compile(c.Only); err != nil {
		return usagef("--run: %v", err)
	}
	redisconn.RouteLibraryLog(slog.New(slog.DiscardHandler))
	if !c.Watch {
		return c.once(k.Stdout, env)
	}
	changed := make(chan struct{}, 1)
	w, err := app.Watch(app.WatchConfig{Dir: c.App, Log: slog.New(slog.NewTextHandler(k.Stderr, nil)), Changed: func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	}})
	if err != nil {
		return usagef("--watch: %v", err)
	}
	defer w.Close()
	for {
		if err := c.once(k.Stdout, env); err != nil && !errors.Is(err, errTold) {
			fmt.Fprintln(k.Stdout, err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
			fmt.Fprintln(k.Stdout)
		}
	}
}

// once loads the app and runs its tests; the error says that not all passed.
func (c *testCmd) once(out io.Writer, env app.Env) error {
	loaded, err := loadFolder(c.App, app.LoadOptions{HasKeys: true, Env: env})
	if err != nil {
		return err
	}
	cfg, err := testConfig(c.App)
	if err != nil {
		return err
	}
	report, failed := apptest.Run(apptest.Config{
		Dir: c.App, Match: c.match,
		Start: func(nc apptest.NodeConfig) (apptest.Node, error) { return startInside(cfg, loaded, nc) },
		Done:  func(r apptest.Result) { err = errors.Join(err, r.Write(out)) },
	})
	if len(report.Results) == 0 {
		return failed
	}
	if c.JUnit != "" {
		err = errors.Join(err, writeJUnit(c.JUnit, report))
	}
	_, printed := fmt.Fprintln(out, report.Summary())
	if err := errors.Join(err, printed, failed); err != nil || report.Failed() == 0 {
		return err
	}
	return errTold
}

// testConfig is what nodes of tests are told: the defaults, whatever the environment says.
func testConfig(dir string) (*Config, error) {
	var serve struct{ Config }
	parser, err := kong.New(&serve)
	if err != nil {
		return nil, fmt.Errorf("read the defaults: %w", err)
	}
	if _, err := parser.Parse([]string{"--app", dir, "--script-memory", "256MiB"}); err != nil {
		return nil, usagef("%v", err)
	}
	return &serve.Config, nil
}

// startInside starts a node of a test: the one that serve starts, but for its surroundings.
func startInside(defaults *Config, loaded *app.App, nc apptest.NodeConfig) (apptest.Node, error) {
	cfg := *defaults
	cfg.inside = &inside{nc, loaded}
	cfg.APIKey, cfg.JWTSecret = nc.APIKey, string(nc.Secret)
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	n, err := start(context.Background(), &cfg, cluster.NewProcess(), nc.Log)
	if err != nil {
		return nil, err
	}
	return nodeOfTest{n}, nil
}

// nodeOfTest is a node as apptest sees it.
type nodeOfTest struct{ n *node }

func (t nodeOfTest) TestVM(c luavm.Config) *luavm.VM { return t.n.app.TestVM(c) }
func (t nodeOfTest) Adopt(vm *luavm.VM)              { t.n.app.Adopt(vm) }
func (t nodeOfTest) Close()                          { t.n.close() }

func writeJUnit(name string, r apptest.Report) (err error) {
	f, err := os.Create(name)
	if err != nil {
		return usagef("--junit: %v", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return r.WriteJUnit(f)
}
