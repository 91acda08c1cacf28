package api

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"

	"rollcall/app"
	"rollcall/broker"
	"rollcall/luavm"
)

// maxBody bounds the body of a script that is posted: the code and what JSON adds to it.
const maxBody = 8 * app.MaxCode

// listScripts: GET /_api/custom gives {"scripts":[{db,path,method,code,version}]}.
func (s *Server) listScripts(w http.ResponseWriter, r *http.Request) {
	list, err := s.cfg.Scripts.List(r.Context())
	if err != nil {
		s.scriptProblem(w, r, err)
		return
	}
	if list == nil {
		list = []app.Script{}
	}
	reply(w, http.StatusOK, "application/json", map[string]any{"scripts": list})
}

// getScript: GET /_api/custom/{db}/{path}?method= gives one script.
func (s *Server) getScript(w http.ResponseWriter, r *http.Request) {
	got, err := s.cfg.Scripts.Get(r.Context(), r.PathValue("db"), r.PathValue("path"), methodOf(r))
	if err != nil {
		s.scriptProblem(w, r, err)
		return
	}
	reply(w, http.StatusOK, "application/json", got)
}

// putScript: POST /_api/custom/{db}/{path} with {"method","code"} as JSON, or with Lua source as the body and ?method=.
func (s *Server) putScript(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		var big *http.MaxBytesError
		if errors.As(err, &big) {
			problem(w, http.StatusRequestEntityTooLarge, "the body is too big")
			return
		}
		problem(w, http.StatusBadRequest, "the body could not be read")
		return
	}
	method, code := methodOf(r), string(body)
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err == nil && kind == "application/json" {
		var in struct{ Method, Code *string }
		if err := json.Unmarshal(body, &in); err != nil {
			problem(w, http.StatusBadRequest, "the body is no JSON object with method and code: "+err.Error())
			return
		}
		if in.Code == nil {
			problem(w, http.StatusUnprocessableEntity, "code is missing", "field", "code")
			return
		}
		code = *in.Code
		if in.Method != nil {
			method = *in.Method
		}
	}
	put, err := s.cfg.Scripts.Put(r.Context(), r.PathValue("db"), r.PathValue("path"), method, code)
	if err != nil {
		s.scriptProblem(w, r, err)
		return
	}
	s.cfg.Log.Info("script registered", "audit", true, "db", put.DB, "path", put.Path, "method", put.Method, "version", put.Version, "from", r.RemoteAddr)
	reply(w, http.StatusCreated, "application/json", put)
}

// deleteScript: DELETE /_api/custom/{db}/{path}?method=.
func (s *Server) deleteScript(w http.ResponseWriter, r *http.Request) {
	db, path, method := r.PathValue("db"), r.PathValue("path"), methodOf(r)
	if err := s.cfg.Scripts.Delete(r.Context(), db, path, method); err != nil {
		s.scriptProblem(w, r, err)
		return
	}
	s.cfg.Log.Info("script removed", "audit", true, "db", db, "path", path, "method", method, "from", r.RemoteAddr)
	w.WriteHeader(http.StatusNoContent)
}

func methodOf(r *http.Request) string {
	if m := r.URL.Query().Get("method"); m != "" {
		return m
	}
	return "WS"
}

// scriptProblem is the one table from the registry's errors to answers.
func (s *Server) scriptProblem(w http.ResponseWriter, r *http.Request, err error) {
	var compile *luavm.CompileError
	switch {
	case errors.As(err, &compile):
		problem(w, http.StatusUnprocessableEntity, "the code does not compile: "+compile.Message, "field", "code", "line", compile.Line, "message", compile.Message)
	case errors.Is(err, app.ErrBadPath), errors.Is(err, app.ErrBadMethod), errors.Is(err, app.ErrTooBig):
		problem(w, http.StatusUnprocessableEntity, err.Error())
	case errors.Is(err, app.ErrNotFound):
		problem(w, http.StatusNotFound, err.Error())
	case errors.Is(err, broker.ErrUnavailable):
		w.Header().Set("Retry-After", "1")
		problem(w, http.StatusServiceUnavailable, "Redis cannot be reached")
	default:
		s.cfg.Log.Error("script API failed", "path", r.URL.Path, "error", err)
		problem(w, http.StatusInternalServerError, "the node could not do it; its log says why")
	}
}
