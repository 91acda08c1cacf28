package app

import (
	"errors"
	"io"
	"math/bits"
	"net/http"
	"os"
	"time"

	lua "github.com/yuin/gopher-lua"

	"rollcall/auth"
	"rollcall/ijson"
	"rollcall/luavm"
	"rollcall/overload"
)

// httpRun is one run of an HTTP handler or script.
type httpRun struct {
	pool    *pool
	app     *App
	route   string
	file    string
	pattern pattern
	index   int     // of the function, for handlers
	script  *script // for scripts
}

// refused counts and logs a request that does not reach its handler, and gives the answer.
func (s *Server) refused(r *http.Request, route string, status int, why string) *Refusal {
	s.failed(&overload.Limiter{}, Failure{Kind: RunHTTP, Route: route, Reason: ReasonDenied, Message: why},
		"address", s.cfg.RemoteAddr(r))
	return &Refusal{Status: status, Detail: why}
}

// checkKey looks for the API key that a route wants, and gives the request without it; nil: 401 or 403 has been
// answered.
func (s *Server) checkKey(w http.ResponseWriter, r *http.Request, route string, o Options) *http.Request {
	if o.APIKey == "" {
		return r
	}
	if _, err := s.cfg.APIKeys.Authorize(r, o.APIKey); err != nil {
		if err.Status == http.StatusUnauthorized {
			w.Header().Set("WWW-Authenticate", `Bearer realm="rollcall"`)
		}
		s.refused(r, route, err.Status, err.Text).Write(w)
		return nil
	}
	return s.cfg.APIKeys.WithoutKey(r)
}

func (s *Server) runHTTP(w http.ResponseWriter, r *http.Request, o Options, h httpRun) {
	start := time.Now()
	if o.CORS != nil && !s.allowPage(w, r, h.route, o.CORS) {
		return
	}
	if r = s.checkKey(w, r, h.route, o); r == nil {
		return
	}
	id, _, ok := s.identify(w, r, h.route, o.Auth)
	if !ok {
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, s.cfg.Body))
	if err != nil {
		var big *http.MaxBytesError
		switch {
		case errors.As(err, &big):
			writeProblem(w, http.StatusRequestEntityTooLarge, "the body is too large")
		case errors.Is(err, os.ErrDeadlineExceeded):
			writeProblem(w, http.StatusRequestTimeout, "the body did not come in time")
		default:
			writeProblem(w, http.StatusBadRequest, "the body could not be read")
		}
		return
	}
	used := useAll
	if h.script != nil {
		used = h.app.requestUsed(h.script)
	}
	req := request{info: newRequestInfo(auth.WithoutToken(r)), used: used, pattern: h.pattern, method: r.Method,
		user: id, addr: s.cfg.RemoteAddr(r),
		body: string(body), json: ijson.IsMediaType(r.Header.Get("Content-Type"))}
	t := s.newTurn(&requester{ctx: r.Context()})
	defer t.end()
	var lines overload.Limiter
	a, err := s.call(h, req, t, &lines, o.permissions(id))
	s.ran(RunHTTP, h.route, start)
	if err != nil {
		s.failedHTTP(w, h, &lines, err)
		return
	}
	a.write(w)
}

// call runs the handler in a worker.
func (s *Server) call(h httpRun, req request, t *turn, lines *overload.Limiter, allow *auth.Permissions) (a answer,
	err error) {
	if h.script != nil && h.script.err != nil {
		return answer{}, h.script.err
	}
	c := call{server: s, app: h.app, route: h.route, user: req.user, allow: allow, turn: t, calls: &overload.Limiter{},
		lines: lines}
	took, err := s.onWorker(h.pool, s.callers.of(req.addr), c, func(wk *worker) (err error) {
		vm := wk.vm
		table := requestTable(vm, req)
		if _, err := vm.Call1(wk.setRequest, table); err != nil {
			return err
		}
		var v lua.LValue
		if h.script != nil {
			v = lua.LNil
			var results []lua.LValue
			if results, err = vm.Run(h.script.program); len(results) > 0 {
				v = results[0]
			}
		} else {
			v, err = vm.Call1(wk.fns[h.index], table)
		}
		if err != nil {
			return wk.call.deniedBy(err)
		}
		if a, err = readAnswer(v, s.cfg.Limits.Value); err != nil {
			return &invalidReturn{err, returnedAt(vm, location{file: h.file})}
		}
		return nil
	})
	s.callers.add(req.addr, s.now(), took)
	return a, err
}

// failedHTTP reports a failed handler and answers 500, or 401 and 403 for what the client may not.
func (s *Server) failedHTTP(w http.ResponseWriter, h httpRun, lines *overload.Limiter, err error) {
	f := Failure{Kind: RunHTTP, Route: h.route, File: h.file, Reason: reasonOf(err, ReasonAnswer), Message: err.Error()}
	if h.script != nil {
		f.Version = h.script.version
	}
	if file, line := locate(err); file != "" {
		f.File, f.Line = file, line
	}
	if f.source = h.app.sources[f.File]; h.script != nil && f.source == "" {
		f.source = h.script.source
	}
	var denied *auth.DeniedError
	if errors.As(err, &denied) {
		f.Reason = ReasonDenied
		s.failed(lines, f)
		status := http.StatusForbidden
		if denied.Anonymous {
			status = http.StatusUnauthorized
			w.Header().Set("WWW-Authenticate", "Bearer")
		}
		writeProblem(w, status, err.Error())
		return
	}
	s.failed(lines, f, "traceback", traceback(err))
	detail := "the handler failed"
	if s.cfg.Dev {
		detail = err.Error()
	}
	writeProblem(w, http.StatusInternalServerError, detail)
}

// request is what the `request` of scripts and HTTP handlers is made from (SPEC 1.3).
type request struct {
	info      requestInfo
	used      fieldSet // the fields that are made
	pattern   pattern
	method    string
	user      *auth.Identity
	addr      string
	body      string
	json      bool // the body claims to be JSON
	websocket bool
}

func requestTable(vm *luavm.VM, r request) *lua.LTable {
	l := vm.L()
	o := luavm.NewObject(3 + bits.OnesCount16(uint16(r.used)))
	o.Set("method", lua.LString(r.method))
	o.Set("is_websocket", lua.LBool(r.websocket))
	if !r.json {
		o.Set("body", lua.LString(r.body))
	}
	if r.used&usePath != 0 {
		o.Set("path", lua.LString(r.info.decodedPath()))
	}
	if r.used&useQuery != 0 {
		o.Set("query", r.info.query.table())
	}
	if r.used&useParams != 0 {
		o.Set("params", r.info.paramTable(l, r.pattern))
	}
	if r.used&useHeaders != 0 {
		o.Set("headers", r.info.headers.table())
	}
	if r.used&useUser != 0 {
		o.Set("user", userTable(vm, r.user.User))
	}
	if r.used&useAddr != 0 {
		o.Set("remote_addr", lua.LString(r.addr))
	}
	t := o.Table()
	if r.json {
		vm.SetLazy(t, "body", r.body, decodeBody)
	}
	return t
}

// decodeBody makes request.body of a body that claims to be JSON.
func decodeBody(vm *luavm.VM, text string) lua.LValue {
	if v, err := luavm.DecodeJSON(vm, text); err == nil {
		return v
	}
	return lua.LString(text)
}
