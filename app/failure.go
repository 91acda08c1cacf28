package app

import (
	"errors"

	"rollcall/luavm"
	"rollcall/overload"
)

// fail logs and counts a failure; with Dev the client is told (SPEC 1.2).
func (c *eventConn) fail(kind RunKind, err error, reason Reason) {
	file, line := c.route.file, c.line
	if f, l := place(err); f != "" {
		file, line = f, l
	}
	c.server.failed(&c.lines, Failure{Kind: kind, Route: c.route.Path, File: file, Line: line, Reason: reason,
		Message: err.Error()},
		"connection", c.ws.ID(), "handler", c.route.Handler, "traceback", traceback(err))
	if !c.server.cfg.Dev {
		return
	}
	c.tell(struct {
		Event   string `json:"event"`
		Message string `json:"message"`
		Route   string `json:"route"`
		Line    int    `json:"line"`
	}{"error", err.Error(), c.route.Path, line})
}

// failed counts a failure and logs it as a line of a source. A refused permission is none of the app's errors.
func (s *Server) failed(source *overload.Limiter, f Failure, attrs ...any) {
	s.cfg.Observer.Failed(f)
	attrs = append([]any{"kind", string(f.Kind), "route", f.Route, "reason", string(f.Reason), "file", f.File, "line",
		f.Line, "error", f.Message}, attrs...)
	if f.Version != 0 {
		attrs = append(attrs, "version", f.Version)
	}
	log := s.lines.logger(source)
	if f.Reason == ReasonDenied {
		log.Info("permission refused", attrs...)
		return
	}
	log.Error("handler failed", attrs...)
}

// catch is deferred around what is done with a VM: a panic in it becomes the run's error, and the VM is Broken.
func catch(vm *luavm.VM, err *error) {
	if p := recover(); p != nil {
		*err = vm.Crashed(p)
	}
}

// ends tells whether an error ends the connection: all but what the script itself could have caught (SPEC 1.4).
func ends(err error) bool {
	var e *luavm.Error
	var over *overError
	return errors.As(err, &e) && e.Kind != luavm.Raised || errors.As(err, &over)
}

// place is where an error of Lua happened.
func place(err error) (file string, line int) {
	var e *luavm.Error
	var ce *luavm.CompileError
	var d *denial
	switch {
	case errors.As(err, &d):
		return d.file, d.line
	case errors.As(err, &e):
		return e.File, e.Line
	case errors.As(err, &ce):
		return ce.File, ce.Line
	}
	return "", 0
}

func traceback(err error) string {
	var e *luavm.Error
	if errors.As(err, &e) {
		return e.Traceback
	}
	return ""
}

// reasonOf labels an error.
func reasonOf(err error, other Reason) Reason {
	var e *luavm.Error
	var over *overError
	switch {
	case errors.As(err, &over):
		return over.reason
	case errors.As(err, &e):
		return Reason(e.Kind.String())
	}
	return other
}
