package app

import (
	"errors"
	"fmt"
	"strings"

	"rollcall/luavm"
	"rollcall/overload"
)

// fail logs and counts a failure; with Dev the client is told (SPEC 1.2).
func (c *handling) fail(kind RunKind, err error, reason Reason) {
	file, line := c.at.file, c.at.line
	if file == "" {
		file = c.route.file
	}
	if f, l := locate(err); f != "" {
		file, line = f, l
	}
	c.server.failed(&c.lines, Failure{Kind: kind, Route: c.route.Path, File: file, Line: line, Reason: reason,
		Message: err.Error(), source: c.in.app.sources[file]},
		"connection", c.id, "handler", c.route.Handler, "traceback", traceback(err))
	if !c.server.cfg.Dev || c.sess == nil {
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
	if s.cfg.Dev {
		if text := listing(f.source, f.Line); text != "" {
			attrs = append(attrs, "listing", text)
		}
	}
	log := s.lines.logger(source)
	if f.Reason == ReasonDenied {
		log.Info("permission refused", attrs...)
		return
	}
	log.Error("handler failed", attrs...)
}

// listing shows a line of a source between its neighbours; "" when there is no such line.
func listing(source string, line int) string {
	lines := strings.Split(source, "\n")
	if line < 1 || line > len(lines) || source == "" {
		return ""
	}
	var b strings.Builder
	for n := max(line-1, 1); n <= min(line+1, len(lines)); n++ {
		mark := " "
		if n == line {
			mark = ">"
		}
		text := strings.TrimRight(lines[n-1], " \t\r")
		if n > line && text == "" {
			break
		}
		if len(text) > maxListed {
			text = strings.ToValidUTF8(text[:maxListed], "") + "…"
		}
		fmt.Fprintf(&b, "%s %4d | %s\n", mark, n, text)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// maxListed is how much of a line a listing shows, in bytes.
const maxListed = 160

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

// location is a line of a file of the app.
type location struct {
	file string // "": not known
	line int    // 0: not known
}

// returnedAt is where the call that has just ended returned; otherwise when a library function gave its result.
func returnedAt(vm *luavm.VM, otherwise location) location {
	if file, line := vm.ReturnedAt(); file != "" {
		return location{file, line}
	}
	return otherwise
}

// locate tells where an error of Lua happened.
func locate(err error) (file string, line int) {
	var e *luavm.Error
	var ce *luavm.CompileError
	var d *denial
	var invalid *invalidReturn
	switch {
	case errors.As(err, &d):
		return d.file, d.line
	case errors.As(err, &invalid):
		return invalid.at.file, invalid.at.line
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
