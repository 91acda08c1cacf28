package app

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
)

// scriptMethods are the methods a script can have (SPEC 1.1); MethodWS is a connection script.
var scriptMethods = []string{MethodWS, "GET", "POST", "PUT", "PATCH", "DELETE"}

// Errors of a script's name.
var (
	ErrBadPath   = errors.New("bad script path")
	ErrBadMethod = errors.New("bad script method")
)

// ScriptName is where a script is served: /api/custom/{DB}/{Path}.
type ScriptName struct {
	DB     string // "_system"
	Path   string // "chat", "rooms/:id/users"; no slash at either end
	Method string // MethodWS, "GET", …
}

// ParseScriptName checks the parts of a name; the method is taken in any case. Errors wrap ErrBadPath or ErrBadMethod.
func ParseScriptName(db, path, method string) (ScriptName, error) {
	n := ScriptName{DB: db, Path: path, Method: strings.ToUpper(method)}
	if !slices.Contains(scriptMethods, n.Method) {
		return n, fmt.Errorf("%w: %q is none of %s", ErrBadMethod, method, strings.Join(scriptMethods, ", "))
	}
	if strings.HasPrefix(db, ":") {
		return n, fmt.Errorf("%w: %q, the first segment, cannot be a parameter", ErrBadPath, db)
	}
	if db == "" || path == "" || strings.HasPrefix(path, "/") || strings.HasSuffix(path, "/") ||
		strings.Contains(db, "/") {
		return n, fmt.Errorf("%w: it must be {db}/{path} without empty segments", ErrBadPath)
	}
	if len(db)+len(path) > 255 {
		return n, fmt.Errorf("%w: longer than 255 bytes", ErrBadPath)
	}
	if _, err := parsePattern(n.URLPath()); err != nil {
		return n, fmt.Errorf("%w: %v", ErrBadPath, err)
	}
	return n, nil
}

// URLPath is the pattern that clients ask for, "/api/custom/_system/rooms/:id".
func (n ScriptName) URLPath() string { return "/api/custom/" + n.DB + "/" + n.Path }

// String is for logs: "WS _system/chat".
func (n ScriptName) String() string { return n.Method + " " + n.DB + "/" + n.Path }

// chunk is the name that Lua errors show: the name that its file would have, "_system/rooms/[id].get".
func (n ScriptName) chunk() string {
	segments := strings.Split(n.Path, "/")
	for i, s := range segments {
		if strings.HasPrefix(s, ":") {
			segments[i] = "[" + s[1:] + "]"
		}
	}
	name := n.DB + "/" + strings.Join(segments, "/") + "." + strings.ToLower(n.Method)
	return strings.ReplaceAll(name, ":", "_") // a colon ends the name in "name:line: message"
}

// field is the script's name in the registry: the same for names that would match the same paths, so that
// "rooms/:a" replaces "rooms/:b". n is a checked name.
func (n ScriptName) field() string {
	p, err := parsePattern(n.URLPath())
	if err != nil {
		return n.String()
	}
	return n.Method + " " + strings.TrimPrefix(p.shape(), "/api/custom/")
}

// fileScript is a script of the app folder.
type fileScript struct {
	name ScriptName
	file string // "scripts/_system/chat.ws.lua"
}

// scanScripts finds scripts/{db}/{path}.{method}.lua below fsys, the app's root. No scripts folder: no scripts.
func scanScripts(fsys fs.FS) (found []fileScript, problems []error) {
	seen := map[string]string{}
	err := fs.WalkDir(fsys, "scripts", func(file string, d fs.DirEntry, err error) error {
		switch {
		case err != nil && file == "scripts" && errors.Is(err, fs.ErrNotExist):
			return fs.SkipAll
		case err != nil:
			return err
		case strings.HasPrefix(d.Name(), "."):
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		case d.IsDir() || !strings.HasSuffix(file, ".lua"):
			return nil
		}
		name, err := nameOfFile(file)
		if err != nil {
			problems = append(problems, Problem{file, err.Error()})
			return nil
		}
		if other, ok := seen[name.field()]; ok {
			problems = append(problems, Problem{file, "is served at the same paths as " + other})
			return nil
		}
		seen[name.field()] = file
		found = append(found, fileScript{name, file})
		return nil
	})
	if err != nil {
		problems = append(problems, Problem{"scripts", err.Error()})
	}
	return found, problems
}

// nameOfFile reads "scripts/_system/rooms/[id].get.lua".
func nameOfFile(file string) (ScriptName, error) {
	rest := strings.TrimSuffix(strings.TrimPrefix(file, "scripts/"), ".lua")
	dot := strings.LastIndexByte(rest, '.')
	db, path, ok := strings.Cut(rest, "/")
	if !ok {
		return ScriptName{}, errors.New("must lie in a folder: scripts/{db}/{path}.{method}.lua")
	}
	if strings.HasPrefix(db, "[") {
		return ScriptName{}, fmt.Errorf("the folder %s cannot be a parameter", db)
	}
	if dot < strings.LastIndexByte(rest, '/') {
		return ScriptName{}, errors.New("has no method in its name: {path}.{method}.lua, like chat.ws.lua or rooms.get.lua")
	}
	method := rest[dot+1:]
	path = path[:len(path)-len(method)-1]
	if method != strings.ToLower(method) {
		return ScriptName{}, fmt.Errorf("the method %q must be in lower case", method)
	}
	segments := strings.Split(path, "/")
	for i, s := range segments {
		if strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]") {
			segments[i] = ":" + s[1:len(s)-1]
		} else if strings.HasPrefix(s, ":") {
			return ScriptName{}, fmt.Errorf("write a parameter as [%s]", s[1:])
		}
	}
	return ParseScriptName(db, strings.Join(segments, "/"), method)
}
