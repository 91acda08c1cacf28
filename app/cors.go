package app

import (
	"net/http"
	"slices"
	"strings"
)

// What follows is the server's part of CORS (Fetch standard, 3.2, "HTTP CORS protocol") for HTTP routes with the option
// cors and for event streams. Credentials in its sense (cookies) are never allowed: users come with tokens, which
// a page sends itself.

// preflightAge is how long a browser may go by the answer to a preflight, in seconds.
const preflightAge = "600"

// preflight answers a browser that asks whether a page may make a request. false: it does not ask that, or of a route
// without the option. The handler does not run, and no token or key is looked at: a preflight never has one.
func (s *Server) preflight(w http.ResponseWriter, r *http.Request, in *instance, path []string) bool {
	method := r.Header.Get("Access-Control-Request-Method")
	if r.Method != http.MethodOptions || method == "" || r.Header.Get("Origin") == "" {
		return false
	}
	route := findRoute(in.app, handlerMethod(method), path)
	if route == nil {
		return false
	}
	allowed := route.Options.CORS
	if route.Method == MethodSSE {
		allowed = s.origins(route.Options)
	}
	if allowed == nil {
		return false
	}
	h := w.Header()
	h.Add("Vary", "Access-Control-Request-Method, Access-Control-Request-Headers")
	if !s.allowPage(w, r, route.Path, allowed) {
		return true
	}
	h.Set("Access-Control-Allow-Methods", method)
	if asked, ok := headerNames(r.Header.Values("Access-Control-Request-Headers")); ok {
		h.Set("Access-Control-Allow-Headers", strings.Join(asked, ", "))
	}
	h.Set("Access-Control-Max-Age", preflightAge)
	w.WriteHeader(http.StatusNoContent)
	return true
}

// headerNames reads lists of names; false: there are none, or some that are no names.
func headerNames(lists []string) (names []string, ok bool) {
	for _, list := range lists {
		for name := range strings.SplitSeq(list, ",") {
			if name = strings.TrimSpace(name); name != "" {
				names = append(names, name)
			}
		}
	}
	return names, len(names) > 0 && !slices.ContainsFunc(names, func(name string) bool { return !isToken(name) })
}

// allowPage lets a page of an allowed origin read the answer, whatever it will be. false: a page of another origin
// asks, and 403 has been answered. Who sends no Origin is no page of another one.
func (s *Server) allowPage(w http.ResponseWriter, r *http.Request, route string, allowed []string) bool {
	h := w.Header()
	h.Add("Vary", "Origin")
	origin := strings.Join(r.Header.Values("Origin"), ", ") // a request has one at most
	if !originAllowed(origin, r.Host, r.TLS != nil, allowed) {
		s.refused(r, route, http.StatusForbidden, "the origin "+origin+" is not allowed").Write(w)
		return false
	}
	switch {
	case slices.Contains(allowed, "*"):
		h.Set("Access-Control-Allow-Origin", "*")
	case origin != "":
		h.Set("Access-Control-Allow-Origin", origin)
	}
	return true
}
