package api

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"rollcall/app"
	"rollcall/auth"
	"rollcall/broker"
	"rollcall/hub"
	"rollcall/luavm"
)

// authorize decides whether a request may use /_api (SPEC 2): with a configured key that has the scope; with --dev and no
// key configured, from this machine and not by way of a proxy or of a foreign page.
func (s *Server) authorize(r *http.Request, scope auth.Scope) (auth.Caller, huma.StatusError) {
	keys := s.cfg.Keys()
	switch {
	case keys.Configured():
		caller, ok := keys.Find(r.Header)
		switch {
		case !ok:
			return caller, huma.Error401Unauthorized("give the API key as X-API-Key or as Authorization: Bearer")
		case !caller.May(scope):
			return caller, huma.Error403Forbidden("this API key lacks the scope " + string(scope))
		}
		return caller, nil
	case !s.cfg.Dev:
		return auth.Caller{}, huma.Error403Forbidden("no API key is configured: start the node with --api-key")
	case !auth.IsLoopback(r.RemoteAddr) || auth.IsForwarded(r.Header):
		return auth.Caller{}, huma.Error403Forbidden("without an API key the API is open to this machine only")
	case foreign(r):
		return auth.Caller{}, huma.Error403Forbidden("without an API key the API is closed to pages of other origins")
	}
	return auth.Everyone(), nil
}

// foreign tells that a request was made by a page of another origin. A host name that only resolves to this machine is
// foreign too (DNS rebinding).
func foreign(r *http.Request) bool {
	host := r.Host
	if h, _, ok := strings.Cut(host, ":"); ok && !strings.HasPrefix(host, "[") {
		host = h
	}
	if host != "localhost" && !strings.HasSuffix(host, ".localhost") && !auth.IsLoopback(host) {
		return true
	}
	if site := r.Header.Get("Sec-Fetch-Site"); site == "cross-site" || site == "same-site" {
		return true
	}
	origin := r.Header.Get("Origin")
	if origin == "" {
		return false
	}
	u, err := url.Parse(origin)
	return err != nil || u.Host != r.Host
}

// callerKey is where an operation finds who calls it.
type callerKey struct{}

// caller is who calls, and from where, for the audit log.
type caller struct {
	auth.Caller
	from string
}

// guard stands before every operation; its scope is in the operation's metadata.
func (s *Server) guard(api huma.API, ctx huma.Context, next func(huma.Context)) {
	r, _ := humago.Unwrap(ctx)
	scope, _ := ctx.Operation().Metadata["scope"].(auth.Scope)
	who, err := s.authorize(r, scope)
	if err != nil {
		if err.GetStatus() == http.StatusUnauthorized {
			ctx.SetHeader("WWW-Authenticate", `Bearer realm="rollcall"`)
		}
		_ = huma.WriteErr(api, ctx, err.GetStatus(), err.Error()) // the client has gone
		return
	}
	ctx.SetHeader("Cache-Control", "no-store")
	ctx.SetHeader("X-Content-Type-Options", "nosniff")
	next(huma.WithValue(ctx, callerKey{}, caller{who, r.RemoteAddr}))
}

// operation describes one row of SPEC 2.
func operation(id, method, path, summary string, scope auth.Scope, status int) huma.Operation {
	return huma.Operation{OperationID: id, Method: method, Path: path, Summary: summary, DefaultStatus: status,
		Metadata: map[string]any{"scope": scope}, MaxBodyBytes: maxBody, Tags: []string{tagOf(path)},
		Description: "Needs a key with the scope " + string(scope) + ".",
		Errors:      []int{http.StatusUnauthorized, http.StatusForbidden, http.StatusUnprocessableEntity, http.StatusServiceUnavailable}}
}

func tagOf(path string) string {
	name, _, _ := strings.Cut(strings.TrimPrefix(path, "/_api/"), "/")
	return name
}

// fail is the one table from errors to answers.
func (s *Server) fail(err error) error {
	var compile *luavm.CompileError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &compile):
		return &compileProblem{huma.ErrorModel{Title: http.StatusText(http.StatusUnprocessableEntity), Status: http.StatusUnprocessableEntity,
			Detail: "the code does not compile: line " + itoa(compile.Line) + ": " + compile.Message,
			Errors: []*huma.ErrorDetail{{Location: "body.code", Message: compile.Message}}}, compile.Line, compile.Message}
	case errors.Is(err, hub.ErrBadChannel):
		return huma.Error422UnprocessableEntity(err.Error(), &huma.ErrorDetail{Location: "path.channel", Message: err.Error()})
	case errors.Is(err, hub.ErrBadID):
		return huma.Error404NotFound("there is no such connection", &huma.ErrorDetail{Location: "path.id", Message: err.Error()})
	case errors.Is(err, app.ErrBadMethod):
		return huma.Error422UnprocessableEntity(err.Error(), &huma.ErrorDetail{Location: "query.method", Message: err.Error()})
	case errors.Is(err, app.ErrBadPath), errors.Is(err, app.ErrTooBig):
		return huma.Error422UnprocessableEntity(err.Error(), &huma.ErrorDetail{Location: "path.path", Message: err.Error()})
	case errors.Is(err, app.ErrNotFound):
		return huma.Error404NotFound(err.Error())
	case errors.Is(err, hub.ErrSilent):
		return huma.ErrorWithHeaders(huma.Error503ServiceUnavailable(err.Error()), retryAfter)
	case errors.Is(err, broker.ErrUnavailable):
		return huma.ErrorWithHeaders(huma.Error503ServiceUnavailable("Redis cannot be reached"), retryAfter)
	}
	s.cfg.Log.Error("API call failed", "error", err)
	return huma.Error500InternalServerError("the node could not do it; its log says why")
}

// compileProblem is a problem document with the line of the fault.
type compileProblem struct {
	huma.ErrorModel
	Line    int    `json:"line" doc:"Line of the code that does not compile."`
	Message string `json:"message" doc:"What the compiler says of it."`
}

var retryAfter = http.Header{"Retry-After": {"1"}}

// writeProblem answers outside of an operation.
func writeProblem(w http.ResponseWriter, err huma.StatusError) {
	if err.GetStatus() == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="rollcall"`)
	}
	body, jerr := json.Marshal(err)
	if jerr != nil {
		body = []byte(`{}`)
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(err.GetStatus())
	_, _ = w.Write(append(body, '\n')) // the client has gone
}
