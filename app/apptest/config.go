package apptest

import (
	"context"
	"log/slog"
	"net"
	"regexp"
	"runtime"
	"time"

	"rollcall/egress"
	"rollcall/luavm"
)

// Config is what Run needs.
type Config struct {
	Dir         string                         // the app folder
	Start       func(NodeConfig) (Node, error) // starts a node, in the bubble of its case; required
	Match       *regexp.Regexp                 // of FILE/NAME, such as "test/chat_test.lua/says hello"; nil: all
	Workers     int                            // cases at a time; 0: GOMAXPROCS
	CaseTimeout time.Duration                  // real time that a case may take; 0: 30 s
	Done        func(Result)                   // called for each case, in the order of files and cases; nil: nobody
}

func (c Config) withDefaults() Config {
	if c.Workers == 0 {
		c.Workers = runtime.GOMAXPROCS(0)
	}
	if c.CaseTimeout == 0 {
		c.CaseTimeout = 30 * time.Second
	}
	if c.Done == nil {
		c.Done = func(Result) {}
	}
	return c
}

// NodeConfig is what a node of a case gets instead of sockets and flags.
type NodeConfig struct {
	Listener net.Listener                            // of its clients
	Redis    func(context.Context) (net.Conn, error) // dials the case's Redis
	Clock    func() time.Duration                    // for the budgets of Lua (luavm.Config.Clock)
	Secret   []byte                                  // that tokens are signed with
	APIKey   string
	Fetch    func(context.Context, *egress.Request) (*egress.Response, error) // for http.fetch (app.Fetcher)
	Log      *slog.Logger
}

// Node is a node at work.
type Node interface {
	// TestVM makes a VM that sees what HTTP handlers of the node see.
	TestVM(luavm.Config) *luavm.VM
	// Adopt lets what such a VM calls happen on this node.
	Adopt(*luavm.VM)
	// Close ends the node and all its goroutines.
	Close()
}
