package api

import (
	"context"
	"log/slog"
	"net/http"

	"rollcall/app"
	"rollcall/auth"
)

// Scripts is the registry of scripts; *app.Scripts is one.
type Scripts interface {
	Put(ctx context.Context, db, path, method, code string) (app.Script, error)
	Get(ctx context.Context, db, path, method string) (app.Script, error)
	Delete(ctx context.Context, db, path, method string) error
	List(ctx context.Context) ([]app.Script, error)
}

// Config of the API.
type Config struct {
	Scripts Scripts
	Keys    auth.Keys
	Dev     bool         // without a key: open to loopback peers that carry no forwarding header and no foreign Origin
	Ready   func() error // why this node should get no new clients; nil when it should
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
	s.mux.HandleFunc("GET /healthz", s.healthz)
	s.mux.HandleFunc("GET /readyz", s.readyz)
	s.mux.Handle("GET /_api/custom", s.guard(s.listScripts))
	s.mux.Handle("GET /_api/custom/{db}/{path...}", s.guard(s.getScript))
	s.mux.Handle("POST /_api/custom/{db}/{path...}", s.guard(s.putScript))
	s.mux.Handle("DELETE /_api/custom/{db}/{path...}", s.guard(s.deleteScript))
	s.mux.Handle("/_api/", s.guard(func(w http.ResponseWriter, r *http.Request) {
		problem(w, http.StatusNotFound, "there is nothing at "+r.URL.Path)
	}))
	return s
}

// Serves tells whether a path belongs to the API.
func Serves(path string) bool {
	return path == "/healthz" || path == "/readyz" || path == "/_api" || len(path) > 5 && path[:6] == "/_api/"
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

func (s *Server) healthz(w http.ResponseWriter, _ *http.Request) { text(w, http.StatusOK, "ok") }

func (s *Server) readyz(w http.ResponseWriter, _ *http.Request) {
	if err := s.cfg.Ready(); err != nil {
		text(w, http.StatusServiceUnavailable, "not ready: "+err.Error())
		return
	}
	text(w, http.StatusOK, "ready")
}

func text(w http.ResponseWriter, status int, line string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(line + "\n"))
}
