package api

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"rollcall/app"
	"rollcall/auth"
	"rollcall/cluster"
	"rollcall/history"
	"rollcall/hub"
	"rollcall/presence"
)

// Scripts is the registry of scripts; *app.Scripts is one.
type Scripts interface {
	Put(ctx context.Context, db, path, method, code string) (app.Script, error)
	Get(ctx context.Context, db, path, method string) (app.Script, error)
	Delete(ctx context.Context, db, path, method string) error
	List(ctx context.Context) ([]app.Script, error)
}

// Hub is the connections of the cluster; *hub.Hub is one.
type Hub interface {
	Sender
	Lister
	Histories
	Totals(ctx context.Context) (hub.Totals, error)
}

// Sender reaches clients.
type Sender interface {
	BroadcastMany(ctx context.Context, ms []hub.Message) (hub.Receipt, error)
	BroadcastOnce(ctx context.Context, id string, ms []hub.Message) (hub.Receipt, error)
	SendConfirmed(ctx context.Context, connID string, v hub.Value) (found bool, err error)
	CloseConnConfirmed(ctx context.Context, connID string, code int, reason string) (found bool, err error)
}

// Histories has the messages that are kept.
type Histories interface {
	History(ctx context.Context, channel string, q history.Query) (hub.HistoryPage, error)
	EmptyHistory(ctx context.Context, channel string) error
}

// Lister tells of connections, channels and presence.
type Lister interface {
	Connections(ctx context.Context, channel string, p hub.Page) (hub.Listing[hub.ConnInfo], error)
	Connection(ctx context.Context, id string) (*hub.ConnInfo, error)
	Channels(ctx context.Context, p hub.Page) (hub.Listing[hub.ChannelInfo], error)
	Presence(ctx context.Context, channel, reader string) ([]*presence.User, error)
}

// Config of the API. All but Metrics and Observer is needed.
type Config struct {
	Hub        Hub
	Scripts    Scripts
	Hooks      Hooks
	Nodes      func() []cluster.Node
	Access     auth.KeyGuard
	RemoteAddr func(*http.Request) string // the caller's address for the audit log, as seen through trusted proxies
	Ready      func() error               // why this node should get no new clients; nil when it should
	Metrics    http.Handler               // nil: none
	Observer   Observer                   // nil: nobody
	Version    string
	Log        *slog.Logger
}

// Observer is told of requests, for metrics. It is called from many goroutines and must not block.
type Observer interface {
	// Answered is called after each request to an operation of the OpenAPI document, with the status of its answer.
	Answered(operation string, status int, took time.Duration)
}

// noObserver is the Observer of a Server that was given none.
type noObserver struct{}

func (noObserver) Answered(string, int, time.Duration) {}

// Server answers what the API serves.
type Server struct {
	cfg Config
	mux *http.ServeMux
	api huma.API
}

// catchAll is the pattern of what no operation serves.
const catchAll = "/"

// New makes the server.
func New(cfg Config) *Server {
	if cfg.Observer == nil {
		cfg.Observer = noObserver{}
	}
	s := &Server{cfg: cfg, mux: http.NewServeMux()}
	s.mux.HandleFunc(catchAll, s.nothing)
	s.operations()
	return s
}

// operations registers every row of SPEC 2.
func (s *Server) operations() {
	c := huma.DefaultConfig("Rollcall", s.cfg.Version)
	c.Info.Description = "What a back end can do with a Rollcall cluster. Any node answers for all."
	c.OpenAPIPath, c.DocsPath, c.SchemasPath = "", "", "" // served below, with a key
	c.CreateHooks = nil
	c.Transformers = []huma.Transformer{tidy}
	c.Formats = map[string]huma.Format{"application/json": exactNames, "json": exactNames}
	c.RejectUnknownQueryParameters = true
	c.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"bearer": {Type: "http", Scheme: "bearer"},
		"key":    {Type: "apiKey", In: "header", Name: "X-API-Key"},
	}
	c.Security = []map[string][]string{{"bearer": {}}, {"key": {}}}
	s.api = humago.New(s.mux, c)
	s.api.UseMiddleware(s.observe, s.guard)
	s.broadcasts()
	s.connections()
	s.channels()
	s.histories()
	s.scripts()
	s.nodes()
	s.hooks()
	s.document()
}

// Serves tells whether a path belongs to the API.
func Serves(path string) bool { return path == "/_api" || len(path) > 5 && path[:6] == "/_api/" }

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if !straight(r.URL) {
		s.nothing(w, r)
		return
	}
	s.mux.ServeHTTP(w, r)
}

// document serves the OpenAPI document, which is itself an operation. It is made when somebody asks for it first.
func (s *Server) document() {
	op := operation("get-openapi", http.MethodGet, "/_api/openapi.json", "This document", auth.Read, http.StatusOK)
	op.Responses = map[string]*huma.Response{"200": {Description: "OK",
		Content: map[string]*huma.MediaType{openAPIType: {Schema: &huma.Schema{Type: huma.TypeObject}}}}}
	text := sync.OnceValues(func() ([]byte, error) {
		polish(s.api.OpenAPI())
		return json.Marshal(s.api.OpenAPI())
	})
	huma.Register(s.api, op, func(context.Context, *struct{}) (*rawDocument, error) {
		body, err := text()
		return &rawDocument{ContentType: openAPIType, Body: body}, err
	})
}
