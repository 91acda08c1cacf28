package app

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"time"

	"rollcall/auth"
	"rollcall/hub"
	"rollcall/luavm"
	"rollcall/outbox"
	"rollcall/redisconn"
	"rollcall/wsconn"
)

// Config is what a Server is built from.
type Config struct {
	App     *App            // to serve first; required
	Hub     *hub.Hub        // required
	Sockets *outbox.Sockets // of all connections; required
	Redis   Redis           // for store; required
	Keys    redisconn.Keys
	Scripts *Scripts // registered scripts; nil: none
	Periods Periods  // which node runs a job; nil: jobs do not run

	WebSockets wsconn.Config

	Gate        *luavm.Gate    // nil: one of its own with a place for each core
	Limits      luavm.Limits   // of every run; zero fields: luavm's defaults
	Memory      *luavm.Ceiling // of all scripts together; nil: none
	TurnTimeout time.Duration  // of one event or HTTP call, waiting included; 0: 10 s
	Events      int            // that may wait for one connection script; 0: 1024
	EventBytes  int            // of them together; 0: 1 MiB
	MaxVMs      int            // for the handlers of one file; 0: 64
	Body        int64          // bytes of a request to an HTTP handler; 0: 1 MiB
	Reload      time.Duration  // quiet time after a change of the folder before it is loaded again, with Dev; 0: 100 ms

	Clock func() time.Duration // of the time budgets of Lua (luavm.Config.Clock); nil: the machine's

	Dev            bool          // verbose errors to clients, reload on change
	Node           string        // process id, the header X-Rollcall-Node of upgrades
	AllowedOrigins []string      // as ParseOrigins made them; routes may replace them
	Tokens         Tokens        // nil: tokens are not looked at, everybody is anonymous
	APIKeys        auth.KeyGuard // of routes with the option api_key

	// LogConnections says for what there is a line at info: LogEnds, LogBeginnings; else nothing.
	LogConnections string

	StoreQuota *StoreQuota // of store.*; nil: none
	Fetcher    Fetcher     // of http.fetch; nil: it raises

	// RemoteAddr is the client's address as handlers see it; nil: the socket's peer, without port.
	RemoteAddr func(*http.Request) string
	// Admit is asked before each upgrade, after origin and identity; user is the token's, "" without one. release is
	// called once: when the connection has ended, or when the handshake came to none. nil: all are admitted.
	Admit func(r *http.Request, user string) (release func(), refused *Refusal)

	Observer Observer     // nil: nobody
	Log      *slog.Logger // nil: slog.Default()
}

// Tokens says who users are (SPEC 4); *auth.Verifier is one. Errors are *auth.Error, with a text for the client.
type Tokens interface {
	// Identify says who makes a request; without a token it is anonymous.
	Identify(r *http.Request) (auth.Identity, error)
	// Renew checks the token that a live connection of a user sends.
	Renew(ctx context.Context, userID, token string) (auth.Identity, error)
}

// nobody is the Tokens of a Server that was given none.
type nobody struct{}

func (nobody) Identify(*http.Request) (auth.Identity, error) { return auth.Anonymous(), nil }
func (nobody) Renew(context.Context, string, string) (auth.Identity, error) {
	return auth.Identity{}, &auth.Error{Code: auth.CodeNoKeys}
}

// Observer is told what handlers do, for metrics. Its methods are called from many goroutines and must not block.
type Observer interface {
	// Ran is called after each turn of an event handler, each HTTP handler, each job and each connection script.
	Ran(kind RunKind, route string, took time.Duration)
	// Failed is called for each failure that is counted.
	Failed(f Failure)
	// TokenRefused is called for each token that was not good enough, in a request or a renewal.
	TokenRefused(code auth.Code)
	// OriginRefused is called for each upgrade whose origin is not allowed.
	OriginRefused()
}

// RunKind is what ran; it is a metric's label.
type RunKind string

// What can run.
const (
	RunConnect    RunKind = "connect"
	RunMessage    RunKind = "message"
	RunTimer      RunKind = "timer"
	RunDisconnect RunKind = "disconnect"
	RunHTTP       RunKind = "http"
	RunJob        RunKind = "job"
	RunScript     RunKind = "script"
)

// Failure is one failed run or action.
type Failure struct {
	Kind    RunKind
	Route   string // "/ws/chat", "WS _system/chat", the name of a job
	Version int64  // of a registered script
	File    string // "" when unknown
	Line    int    // 0 when unknown
	Reason  Reason
	Message string

	source string // the text of File, for who reads the log with Dev; "" when unknown
}

// Reason is why something failed; it is a metric's label. Failures of Lua have the name of their luavm.Kind.
type Reason string

// Reasons besides those of luavm.
const (
	ReasonActions  Reason = "actions"  // what a handler returned is not valid
	ReasonAction   Reason = "action"   // an action could not be carried out
	ReasonDenied   Reason = "denied"   // the client may not: its token, its key or its origin does not allow it
	ReasonAnswer   Reason = "answer"   // what an HTTP handler returned is not valid
	ReasonOverflow Reason = "overflow" // a script's queue ran over
	ReasonTimeout  Reason = "timeout"  // a turn took longer than Config.TurnTimeout
	ReasonCalls    Reason = "calls"    // a turn made too many calls to Redis
	ReasonGone     Reason = "gone"     // a turn went on for long after its client had gone, or while the node closed
	ReasonLoad     Reason = "load"     // a VM could not be started, a script does not compile here
)

// noObserver is the Observer of a Server that was given none.
type noObserver struct{}

func (noObserver) Ran(RunKind, string, time.Duration) {}
func (noObserver) Failed(Failure)                     {}
func (noObserver) TokenRefused(auth.Code)             {}
func (noObserver) OriginRefused()                     {}

// validate fills in defaults.
func (c Config) validate() (Config, error) {
	if c.App == nil || c.Hub == nil || c.Sockets == nil || c.Redis == nil {
		return c, errors.New("app: Config needs App, Hub, Sockets and Redis")
	}
	if c.Gate == nil {
		c.Gate = luavm.NewGate(runtime.GOMAXPROCS(0))
	}
	if c.Limits.Value == 0 {
		c.Limits.Value = 1 << 20
	}
	if c.TurnTimeout == 0 {
		c.TurnTimeout = 10 * time.Second
	}
	if c.Events == 0 {
		c.Events = 1024
	}
	if c.EventBytes == 0 {
		c.EventBytes = 1 << 20
	}
	if c.MaxVMs == 0 {
		c.MaxVMs = 64
	}
	if c.Body == 0 {
		c.Body = 1 << 20
	}
	if c.Tokens == nil {
		c.Tokens = nobody{}
	}
	if c.Fetcher == nil {
		c.Fetcher = nowhere{}
	}
	if c.RemoteAddr == nil {
		c.RemoteAddr = peerAddr
	}
	if c.Admit == nil {
		c.Admit = func(*http.Request, string) (func(), *Refusal) { return func() {}, nil }
	}
	if c.Observer == nil {
		c.Observer = noObserver{}
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	return c, nil
}

func peerAddr(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
