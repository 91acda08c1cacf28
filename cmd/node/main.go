// Command node is one node of Rollcall: it takes WebSockets, runs the app's handlers, and knows who is present in the
// whole cluster. See README.md.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/alecthomas/kong"

	"rollcall/app"
	"rollcall/cluster"
	"rollcall/overload"
)

// program is what the binary and its commands are called.
const program = "rollcall"

// version is set when a release is built.
var version = ""

func versionText() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

type cli struct {
	Serve   serveCmd   `cmd:"" default:"withargs" help:"Run a node (the default command)."`
	New     newCmd     `cmd:"" help:"Make a small app to begin with: a handler, a script, a page, a test."`
	Check   checkCmd   `cmd:"" help:"Load an app and report every error in it, and every name in it that is not there."`
	Test    testCmd    `cmd:"" help:"Run the tests of an app, test/*_test.lua, in virtual time."`
	Hooks   hooksCmd   `cmd:"" help:"Show the hooks of a running cluster, or tell the sink of one everything anew."`
	Health  healthCmd  `cmd:"" help:"Ask a node on this machine whether it is ready; for container health checks."`
	Token   tokenCmd   `cmd:"" help:"Mint a token for development and print it."`
	Version versionCmd `cmd:"" help:"Print the version."`
}

type versionCmd struct{}

func (versionCmd) Run(k *kong.Kong) error {
	_, err := fmt.Fprintln(k.Stdout, program, versionText())
	return err
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is main with its surroundings as arguments; it gives the exit code: 1 what went wrong at work, 2 bad
// configuration.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	exited := -1
	var c cli
	parser, err := kong.New(&c, kong.Name(program),
		kong.Description("Rollcall: presence and real-time messages over WebSockets."),
		kong.DefaultEnvars("ROLLCALL"), kong.Writers(stdout, stderr), kong.Exit(func(code int) { exited = code }),
		kong.BindTo(ctx, (*context.Context)(nil)), kong.Bind(app.EnvOf(os.Environ())))
	if err != nil {
		fmt.Fprintln(stderr, program+":", err)
		return 1
	}
	k, err := parser.Parse(args)
	if exited >= 0 {
		return exited // --help
	}
	if err != nil {
		fmt.Fprintln(stderr, program+":", err)
		return 2
	}
	if err = k.Run(); err != nil && !errors.Is(err, errTold) {
		fmt.Fprintln(stderr, program+":", err)
	}
	return exitCode(err)
}

type serveCmd struct{ Config }

func (s *serveCmd) Run(ctx context.Context, k *kong.Kong, env app.Env) error {
	s.env = env
	if err := s.validate(); err != nil {
		return err
	}
	process := cluster.NewProcess()
	log := newLog(&s.Config, process, k.Stderr)
	overload.LimitMemory(log)
	overload.TuneGC()
	return serve(ctx, &s.Config, process, log)
}
