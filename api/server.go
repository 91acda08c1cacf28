package api

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"rollcall/app"
	"rollcall/auth"
	"rollcall/cluster"
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
}

// Sender reaches clients.
type Sender interface {
	BroadcastMany(ctx context.Context, ms []hub.Message) error
	Deliver(ctx context.Context, connID string, v hub.Value) (found bool, err error)
	Disconnect(ctx context.Context, connID string, code int, reason string) (found bool, err error)
}

// Lister tells of connections, channels and presence.
type Lister interface {
	Connections(ctx context.Context, channel string, p hub.Page) (hub.Listing[hub.ConnInfo], error)
	Connection(ctx context.Context, id string) (*hub.ConnInfo, error)
	Channels(ctx context.Context, p hub.Page) (hub.Listing[hub.ChannelInfo], error)
	Presence(ctx context.Context, channel string) ([]*presence.User, error)
}

// Config of the API.
type Config struct {
	Hub     Hub
	Scripts Scripts
	Nodes   func() []cluster.Node
	Once    Once // remembers idempotency keys
	Keys    func() auth.Keys
	Dev     bool         // without a key: open to loopback peers that carry no forwarding header and no foreign Origin
	Ready   func() error // why this node should get no new clients; nil when it should
	Metrics http.Handler // nil: none
	Version string
	Log     *slog.Logger
}

// Server answers what the API serves.
type Server struct {
	cfg Config
	mux *http.ServeMux
}

// New makes the server.
func New(cfg Config) *Server {
	s := &Server{cfg: cfg, mux: http.NewServeMux()}
	s.mux.HandleFunc("/_api/", func(w http.ResponseWriter, r *http.Request) {
		if _, err := s.authorize(r, ""); err != nil {
			writeProblem(w, err)
			return
		}
		writeProblem(w, huma.Error404NotFound("there is nothing at "+r.URL.Path))
	})
	s.operations()
	return s
}

// operations registers every row of SPEC 2.
func (s *Server) operations() {
	c := huma.DefaultConfig("Rollcall", s.cfg.Version)
	c.Info.Description = "What a back end can do with a Rollcall cluster. Any node answers for all."
	c.OpenAPIPath, c.DocsPath, c.SchemasPath = "", "", "" // served below, with a key
	c.CreateHooks = nil
	c.RejectUnknownQueryParameters = true
	c.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"bearer": {Type: "http", Scheme: "bearer"},
		"key":    {Type: "apiKey", In: "header", Name: "X-API-Key"},
	}
	c.Security = []map[string][]string{{"bearer": {}}, {"key": {}}}
	api := humago.New(s.mux, c)
	api.UseMiddleware(func(ctx huma.Context, next func(huma.Context)) { s.guard(api, ctx, next) })
	s.broadcasts(api)
	s.connections(api)
	s.channels(api)
	s.scripts(api)
	s.nodes(api)
	doc, err := json.Marshal(api.OpenAPI())
	if err != nil {
		panic("api: " + err.Error()) // the document is a constant of the program
	}
	s.mux.HandleFunc("GET /_api/openapi.json", func(w http.ResponseWriter, r *http.Request) {
		if _, err := s.authorize(r, auth.Read); err != nil {
			writeProblem(w, err)
			return
		}
		w.Header().Set("Content-Type", "application/vnd.oai.openapi+json;version=3.1")
		_, _ = w.Write(doc)
	})
}

// Serves tells whether a path belongs to the API.
func Serves(path string) bool { return path == "/_api" || len(path) > 5 && path[:6] == "/_api/" }

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	s.mux.ServeHTTP(w, r)
}
