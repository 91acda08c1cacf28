package api

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"rollcall/auth"
)

// guard lets a request through when it may use /_api (SPEC 2): with a configured key; with --dev and no key configured,
// from this machine and not by way of a proxy or of a foreign page.
func (s *Server) guard(next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case s.cfg.Keys.Configured():
			if !s.cfg.Keys.Allow(r.Header) {
				w.Header().Set("WWW-Authenticate", `Bearer realm="rollcall"`)
				problem(w, http.StatusUnauthorized, "give the API key as X-API-Key or as Authorization: Bearer")
				return
			}
		case !s.cfg.Dev:
			problem(w, http.StatusForbidden, "no API key is configured: start the node with --api-key")
			return
		case !auth.IsLoopback(r.RemoteAddr) || auth.IsForwarded(r.Header):
			problem(w, http.StatusForbidden, "without an API key the API is open to this machine only")
			return
		case foreign(r):
			problem(w, http.StatusForbidden, "without an API key the API is closed to pages of other origins")
			return
		}
		next(w, r)
	})
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

// problem answers with an RFC 9457 problem document. more holds members beyond the standard ones, by name and value in turn.
func problem(w http.ResponseWriter, status int, detail string, more ...any) {
	doc := map[string]any{"title": http.StatusText(status), "status": status, "detail": detail}
	for i := 0; i+1 < len(more); i += 2 {
		doc[more[i].(string)] = more[i+1]
	}
	reply(w, status, "application/problem+json", doc)
}

func reply(w http.ResponseWriter, status int, contentType string, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		status, body = http.StatusInternalServerError, []byte(`{"title":"Internal Server Error","status":500}`)
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n'))
}
