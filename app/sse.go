package app

import (
	"net/http"

	"rollcall/sse"
)

// stream makes a request an event stream (SPEC 8): origin, identity and limits as for an upgrade, then the connect
// handler, and what it decides is the answer.
func (s *Server) stream(w http.ResponseWriter, r *http.Request, in *instance, route *Route) {
	if r.Method != http.MethodGet {
		w.Header().Set("Allow", http.MethodGet)
		writeProblem(w, http.StatusMethodNotAllowed, "the method "+r.Method+" is not for "+r.URL.Path)
		return
	}
	if !s.allowPage(w, r, route.Path, s.origins(route.Options)) {
		return
	}
	a, _, _, refused, ok := s.enter(w, r, route.Path, route.Options)
	switch {
	case refused != nil && sse.Wanted(r):
		sse.Later(w, refused.RetryAfter, refused.Status, refused.Detail)
		return
	case refused != nil:
		refused.Write(w)
		return
	case !ok:
		return
	}
	c := &eventConn{server: s, in: in, route: route, accepted: a}
	o := sse.Options{ID: s.cfg.Hub.NewID(), Refuse: func(w http.ResponseWriter, status int, reason string) {
		if reason == "" {
			reason = "the handler refused the connection"
		}
		writeProblem(w, status, reason)
	}}
	if route.Options.Resume {
		c.whereabouts = &whereabouts{}
		o.Heard = c.whereabouts.hear
	}
	conn, err := s.streams.Accept(w, r, o)
	if err != nil {
		s.notAccepted(a, route.Path, err)
		return
	}
	c.ws = &conn.Conn
	s.logBegin(&c.accepted, route.Path)
	s.expire(&c.accepted, a.user.Until)
	conn.Start(c)
}
