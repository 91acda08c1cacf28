package api

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"rollcall/auth"
)

// authorize decides whether a request may use /_api; nil: it may.
func (s *Server) authorize(r *http.Request, scope auth.Scope) (auth.Caller, *problem) {
	who, err := s.cfg.Access.Authorize(r, scope)
	if err != nil {
		return who, &problem{err.Status, err.Text, nil}
	}
	return who, nil
}

// callerKey is where an operation finds who calls it.
type callerKey struct{}

// caller is who calls, and from where, for the audit log.
type caller struct {
	auth.Caller
	from string
}

// observe tells of every operation.
func (s *Server) observe(ctx huma.Context, next func(huma.Context)) {
	began := time.Now()
	next(ctx)
	s.cfg.Observer.Answered(ctx.Operation().OperationID, ctx.Status(), time.Since(began))
}

// guard stands before every operation: who may call it (the scope is in the operation's metadata), a query that can be
// read, a body that is there and not too large.
func (s *Server) guard(ctx huma.Context, next func(huma.Context)) {
	r, w := humago.Unwrap(ctx)
	op := ctx.Operation()
	scope, _ := op.Metadata[metaScope].(auth.Scope)
	who, p := s.authorize(r, scope)
	if p != nil {
		s.answer(ctx, p)
		return
	}
	if _, err := url.ParseQuery(r.URL.RawQuery); err != nil {
		s.answer(ctx, &problem{http.StatusBadRequest, "the query cannot be read", at("query", err.Error())})
		return
	}
	if op.RequestBody != nil {
		limit, _ := op.Metadata[metaBody].(int64)
		if p := s.takeBody(w, r, limit, op.SkipValidateBody); p != nil {
			s.answer(ctx, p)
			return
		}
	}
	next(huma.WithValue(ctx, callerKey{}, caller{who, s.cfg.RemoteAddr(r)}))
}

// nothing answers what no operation does: 404, or 405 when another method would be right.
func (s *Server) nothing(w http.ResponseWriter, r *http.Request) {
	ctx := humago.NewContext(&huma.Operation{}, r, w)
	if _, p := s.authorize(r, ""); p != nil {
		s.answer(ctx, p)
		return
	}
	var allowed []string
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch,
		http.MethodDelete} {
		if method != r.Method && straight(r.URL) && s.has(method, r.URL) {
			allowed = append(allowed, method)
		}
	}
	if len(allowed) > 0 {
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		s.answer(ctx, &problem{http.StatusMethodNotAllowed, "here is only " + strings.Join(allowed, ", "), nil})
		return
	}
	s.answer(ctx, &problem{http.StatusNotFound, "there is nothing at " + r.URL.Path, nil})
}

// has tells whether there is an operation.
func (s *Server) has(method string, u *url.URL) bool {
	_, pattern := s.mux.Handler(&http.Request{Method: method, URL: u})
	return pattern != catchAll
}

// straight tells that a path has no empty segment but the last, and no dots: http.ServeMux would redirect others.
func straight(u *url.URL) bool {
	segments := strings.Split(strings.TrimPrefix(u.EscapedPath(), "/"), "/")
	for i, segment := range segments {
		if segment == "" && i < len(segments)-1 || segment == "." || segment == ".." {
			return false
		}
	}
	return true
}
