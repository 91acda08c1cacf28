package app

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gorilla/websocket"

	"rollcall/auth"
	"rollcall/outbox"
	"rollcall/wsconn"
)

// ServeHTTP answers everything but the node's own paths: scripts below /api/custom/, routes, then files of public/.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path, err := splitPath(r.URL.EscapedPath())
	if err != nil {
		writeProblem(w, http.StatusBadRequest, err.Error())
		return
	}
	if queryTooLong(r.URL.RawQuery) && queryTooLong(auth.StripToken(r.URL.RawQuery)) { // a token has a bound of its own
		writeProblem(w, http.StatusRequestURITooLong,
			fmt.Sprintf("a query may have %d bytes and %d pairs", maxQuery, maxQueryPairs))
		return
	}
	in := s.current.Load()
	if len(path) > 1 && path[0] == "api" && path[1] == "custom" {
		s.serveScripts(w, r, in, path)
		return
	}
	s.serveRoutes(w, r, in, path)
}

func (s *Server) serveRoutes(w http.ResponseWriter, r *http.Request, in *instance, path []string) {
	socket := findRoute(in.app, MethodWS, path)
	if socket != nil && wsconn.IsUpgrade(r) {
		if socket.channels != nil {
			s.servePhoenix(w, r, in, socket)
			return
		}
		s.upgrade(w, r, socket.Path, socket.Options, func(a accepted) outbox.Handler {
			return newEventConn(s, in, socket, a)
		})
		return
	}
	if s.preflight(w, r, in, path) {
		return
	}
	route := findRoute(in.app, handlerMethod(r.Method), path)
	if route != nil && route.Method == MethodSSE {
		s.stream(w, r, in, route)
		return
	}
	if route != nil {
		s.runHTTP(w, r, route.Options,
			httpRun{pool: in.pools[route.file], app: in.app, route: route.Path, file: route.file, pattern: route.pattern,
				index: route.index})
		return
	}
	if !wsconn.IsUpgrade(r) && (r.Method == http.MethodGet || r.Method == http.MethodHead) && in.app.static.serve(w, r) {
		return
	}
	s.answerNoMatch(w, r, socket != nil, func(method string) bool { return findRoute(in.app, method, path) != nil })
}

func (s *Server) serveScripts(w http.ResponseWriter, r *http.Request, in *instance, path []string) {
	table := s.scriptTable(in)
	socket := table.find(MethodWS, path)
	if socket != nil && wsconn.IsUpgrade(r) {
		s.upgrade(w, r, socket.name.URLPath(), Options{}, func(a accepted) outbox.Handler {
			return &scriptConn{server: s, in: in, script: socket, accepted: a,
				inbox: newInbox(inboxLimit{events: s.cfg.Events, eventBytes: s.cfg.EventBytes, messages: waitingMessages,
					bytes: waitingBytes})}
		})
		return
	}
	if sc := table.find(handlerMethod(r.Method), path); sc != nil {
		s.runHTTP(w, r, Options{}, httpRun{pool: in.scripts, app: in.app, route: sc.name.String(), file: sc.file,
			pattern: sc.pattern, script: sc})
		return
	}
	s.answerNoMatch(w, r, socket != nil, func(method string) bool { return table.find(method, path) != nil })
}

// answerNoMatch answers a request that no handler takes: 426 for a plain GET where there is a WebSocket, 405 where
// there are other methods, else 404.
func (s *Server) answerNoMatch(w http.ResponseWriter, r *http.Request, socket bool, has func(method string) bool) {
	if socket && r.Method == http.MethodGet && !wsconn.IsUpgrade(r) {
		w.Header().Set("Upgrade", "websocket")
		w.Header().Set("Connection", "Upgrade")
		writeProblem(w, http.StatusUpgradeRequired, "this path takes WebSocket connections")
		return
	}
	var allowed []string
	for _, method := range scriptMethods[1:] {
		if has(method) {
			allowed = append(allowed, method)
		}
	}
	if socket && !slices.Contains(allowed, http.MethodGet) {
		allowed = append(allowed, http.MethodGet)
	}
	if slices.Contains(allowed, handlerMethod(r.Method)) || len(allowed) == 0 {
		writeProblem(w, http.StatusNotFound, "there is nothing at "+r.URL.Path)
		return
	}
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	writeProblem(w, http.StatusMethodNotAllowed, "the method "+r.Method+" is not for "+r.URL.Path)
}

// handlerMethod is the method whose handler answers: HEAD is a GET without its body.
func handlerMethod(method string) string {
	if method == http.MethodHead {
		return http.MethodGet
	}
	return method
}

func findRoute(a *App, method string, path []string) *Route {
	if t := a.trees[method]; t != nil {
		return t.find(path)
	}
	return nil
}

// accepted is what a connection's handler has of its upgrade.
type accepted struct {
	id      string       // of the connection
	ws      *outbox.Conn // of whatever kind
	req     requestInfo  // without the token
	addr    string       // of the client
	user    *auth.Identity
	userID  string        // of user, which a script forgets
	began   time.Duration // since the server did
	expires *alarm        // of the user's token; nil: none
	release func()        // nil: nothing to release
}

// done gives back what the upgrade took, when a connection of a route has ended.
func (s *Server) done(a *accepted, route string, info outbox.CloseInfo) {
	s.logEnd(a, route, info)
	s.expiry.drop(a.expires)
	a.giveBack()
}

// giveBack gives back what a connection took.
func (a *accepted) giveBack() {
	if a.release != nil {
		a.release()
	}
}

// origins are those whose pages may connect.
func (s *Server) origins(o Options) []string {
	if o.Origins != nil {
		return o.Origins
	}
	return s.cfg.AllowedOrigins
}

// admit decides about a request that wants to be a connection: origin, identity, then limits. clean is the request
// without its token; subprotocol is what a client is answered that offered its token among them. refused: what it
// has to be told because of a limit; ok is false also when it has been answered.
func (s *Server) admit(w http.ResponseWriter, r *http.Request, route string, o Options) (a accepted,
	clean *http.Request, subprotocol string, refused *Refusal, ok bool) {
	if s.cfg.Node != "" {
		w.Header().Set("X-Rollcall-Node", s.cfg.Node)
	}
	if origin := r.Header.Get("Origin"); !originAllowed(origin, r.Host, r.TLS != nil, s.origins(o)) {
		s.cfg.Observer.OriginRefused()
		writeProblem(w, http.StatusForbidden, "the origin "+origin+" is not allowed")
		return a, nil, "", nil, false
	}
	a.user, subprotocol, ok = s.identify(w, r, route, o.Auth)
	if !ok {
		return a, nil, "", nil, false
	}
	a.release, refused = s.cfg.Admit(r, a.user.ID)
	if refused != nil {
		return a, nil, "", refused, false
	}
	clean = auth.WithoutToken(r)
	a.id = s.cfg.Hub.NewID()
	a.req, a.addr, a.userID, a.began = newRequestInfo(clean), s.cfg.RemoteAddr(r), a.user.ID, s.now()
	return a, clean, subprotocol, nil, true
}

// upgrade makes a request a WebSocket.
func (s *Server) upgrade(w http.ResponseWriter, r *http.Request, route string, o Options,
	handler func(accepted) outbox.Handler) {
	a, clean, subprotocol, refused, ok := s.admit(w, r, route, o)
	if refused != nil {
		refused.Write(w)
	}
	if !ok {
		return
	}
	if own := o.subprotocol(clean); own != "" {
		subprotocol = own
	}
	s.accept(w, r, a, subprotocol, route, o, handler)
}

// accept does the handshake with a client that may come in.
func (s *Server) accept(w http.ResponseWriter, r *http.Request, a accepted, subprotocol, route string, o Options,
	handler func(accepted) outbox.Handler) {
	ws, err := s.websockets.Accept(w, r,
		wsconn.Options{ID: a.id, Subprotocol: subprotocol, MaxMessage: o.MaxMessage})
	if err != nil {
		s.notAccepted(a, route, err)
		return
	}
	a.ws = &ws.Conn
	s.logBegin(&a, route)
	s.expire(&a, a.user.Until)
	ws.Start(handler(a))
}

// notAccepted gives back what a connection took that came to none.
func (s *Server) notAccepted(a accepted, route string, err error) {
	a.giveBack()
	s.cfg.Log.Debug("the request became no connection", "route", route, "error", err)
}

// subprotocol chooses one of the app's subprotocols that the client offers; "": it offers none of them. A token that
// stands among them has been taken out of r.
func (o Options) subprotocol(r *http.Request) string {
	if o.Subprotocols == nil {
		return ""
	}
	offered := websocket.Subprotocols(r)
	for _, name := range o.Subprotocols {
		if slices.Contains(offered, name) {
			return name
		}
	}
	return ""
}
