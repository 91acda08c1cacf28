package app

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	lua "github.com/yuin/gopher-lua"

	"rollcall/app/lint"
	"rollcall/luavm"
)

// ErrEmpty is the error of a folder in which nothing of an app is.
var ErrEmpty = errors.New("the folder holds no app")

// Mistake is one thing that is wrong with an app.
type Mistake struct {
	File    string    `json:"file"`           // "handlers/room.lua"; "": of the whole app
	Line    int       `json:"line,omitempty"` // 0 when unknown
	Rule    lint.Rule `json:"rule"`           // RuleLoad, or one of lint's
	Name    string    `json:"name,omitempty"` // that is wrong, for lint's
	Nearest string    `json:"nearest,omitempty"`
	Text    string    `json:"text"`
}

// RuleLoad is what keeps an app from being loaded.
const RuleLoad lint.Rule = "load"

func (m Mistake) Error() string {
	switch {
	case m.File == "":
		return m.Text
	case m.Line == 0:
		return m.File + ": " + m.Text
	}
	return fmt.Sprintf("%s:%d: %s", m.File, m.Line, m.Text)
}

// Check loads an app and says what else is wrong with it: what its Lua names and is not there. Without mistakes of
// RuleLoad there is an App. The error says that there is no such folder, or nothing in it.
func Check(dir string, o LoadOptions) (*App, []Mistake, error) {
	l, err := loadFolder(dir, o)
	if err != nil {
		return nil, nil, err
	}
	if l.isEmpty() {
		return nil, nil, fmt.Errorf("%w: %s", ErrEmpty, dir)
	}
	var mistakes []Mistake
	for _, p := range l.problems {
		mistakes = append(mistakes, mistakeOf(p))
	}
	l.tests()
	for _, f := range lint.Check(l.lintFiles()) {
		mistakes = append(mistakes, Mistake{f.File, f.Line, f.Rule, f.Name, f.Nearest, f.Text})
	}
	if len(l.problems) > 0 {
		return nil, mistakes, nil
	}
	return l.app, mistakes, nil
}

// warn logs what Check finds in the app that is served, beside what would have kept it from being loaded.
func (s *Server) warn(a *App) {
	_, mistakes, err := Check(a.Dir, a.load)
	if err != nil {
		return // an empty folder, or one that has gone
	}
	for _, m := range mistakes {
		if m.Rule != RuleLoad {
			s.logMistake(slog.LevelWarn, "the app has a mistake", m, a.sources[m.File])
		}
	}
}

func (s *Server) logMistake(level slog.Level, message string, m Mistake, source string) {
	attrs := []any{"file", m.File, "line", m.Line, "error", m.Error()}
	if text := listing(source, m.Line); text != "" {
		attrs = append(attrs, "listing", text)
	}
	s.cfg.Log.Log(s.ctx, level, message, attrs...)
}

// mistakeOf makes a Mistake of an error of loading.
func mistakeOf(err error) Mistake {
	m := Mistake{Rule: RuleLoad, Text: err.Error()}
	m.File, m.Line = locate(err)
	var p Problem
	if errors.As(err, &p) {
		m.File, m.Text = p.Place, p.Text
		if file, line, ok := strings.Cut(p.Place, ":"); ok {
			m.File = file
			m.Line, _ = strconv.Atoi(line)
		}
		return m
	}
	m.Text = strings.TrimPrefix(m.Text, fmt.Sprintf("%s:%d: ", m.File, m.Line))
	m.Text = strings.TrimPrefix(m.Text, m.File+": ")
	return m
}

// isEmpty tells that nothing of an app is in the folder.
func (l *loader) isEmpty() bool {
	for _, name := range []string{routesFile, hooksFile, "public"} {
		if _, err := fs.Stat(l.fs, name); err == nil {
			return false
		}
	}
	return len(l.app.modules)+len(l.app.broken)+len(l.app.scripts)+len(l.problems) == 0
}

// tests reads the files of test/, which only rollcall test runs.
func (l *loader) tests() {
	files, err := fs.Glob(l.fs, "test/*_test.lua")
	if err != nil {
		l.problem("test", "%v", err)
	}
	for _, file := range files {
		if l.compile(file) == nil {
			l.problems = l.problems[:len(l.problems)-1] // the tests say so when they are run
		}
	}
}

// tablesOf are the tables of the host, as lint wants them.
type tablesOf struct {
	event, request, job                   *lint.Table
	actions, channel, connect, jobActions *lint.Table // returns
}

func hostTables() tablesOf {
	user := fieldsOf("user", userFields)
	withUser := func(name string, fields map[string]fieldSet) *lint.Table {
		t := fieldsOf(name, slices.Collect(maps.Keys(fields)))
		t.Fields["user"] = user
		return t
	}
	return tablesOf{event: withUser("event", eventFields), request: withUser("request", requestFields),
		job: fieldsOf("event", jobFields), actions: fieldsOf("action", eventReturn.names()),
		channel: fieldsOf("action", channelReturn.names()), connect: fieldsOf("action", connectReturn.names()),
		jobActions: fieldsOf("action", jobActions)}
}

// userFields are those of the user of an event or a request (SPEC 4).
var userFields = []string{"authenticated", "id", "username", "roles", "claims"}

func fieldsOf(name string, fields []string) *lint.Table {
	t := &lint.Table{Name: name, Fields: map[string]*lint.Table{}}
	for _, f := range fields {
		t.Fields[f] = nil
	}
	return t
}

// lintFiles are the files of the app that compile, each with what it can see.
func (l *loader) lintFiles() []lint.File {
	tables := hostTables()
	common, script := libraries()
	handlers := map[string][]lint.Handler{}
	for _, route := range l.app.routes {
		h := lint.Handler{Argument: tables.request}
		switch route.Method {
		case MethodWS, MethodSSE:
			h = lint.Handler{Argument: tables.event, Returns: tables.actions}
		case MethodSocket:
			h = lint.Handler{Argument: tables.event, Returns: tables.connect}
		case MethodChannel:
			h = lint.Handler{Argument: tables.event, Returns: tables.channel}
		}
		addHandler(handlers, route.proto, h)
	}
	for _, j := range l.app.jobs {
		addHandler(handlers, j.proto, lint.Handler{Argument: tables.job, Returns: tables.jobActions})
	}
	var files []lint.File
	for _, name := range slices.Sorted(maps.Keys(l.app.sources)) {
		f := lint.File{Name: name, Source: l.app.sources[name], Library: script,
			Globals: map[string]*lint.Table{"request": tables.request}}
		switch strings.SplitN(name, "/", 2)[0] {
		case "handlers", "lib":
			f.Module, f.Handlers = true, handlers[name]
		case "config":
			f.Library, f.Globals = luavm.NewLibrary(nil), map[string]*lint.Table{}
			for function := range l.configGlobals[name] {
				f.Globals[function] = nil
			}
		case "test":
			f.Library, f.Globals = common, map[string]*lint.Table{"test": nil}
		case "scripts":
			if path.Ext(strings.TrimSuffix(name, ".lua")) != ".ws" {
				f.Library = common
			}
		}
		files = append(files, f)
	}
	return files
}

// addHandler adds a function that a route or a job names, to those of its file. One that is given arguments of several
// kinds is given the one or the other.
func addHandler(handlers map[string][]lint.Handler, p *lua.FunctionProto, h lint.Handler) {
	if p == nil {
		return
	}
	h.Line, h.LastLine = p.LineDefined, p.LastLineDefined
	h.Library, _ = libraries()
	list := handlers[p.SourceName]
	for i := range list {
		if o := &list[i]; o.Line == h.Line && o.LastLine == h.LastLine {
			if o.Argument != h.Argument {
				o.Argument, o.Returns = nil, nil
			}
			return
		}
	}
	handlers[p.SourceName] = append(list, h)
}
