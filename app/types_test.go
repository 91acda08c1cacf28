package app

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	lua "github.com/yuin/gopher-lua"

	"rollcall/app/scaffold"
	"rollcall/luavm"
)

// typesFile is what types/rollcall.lua says there is.
type typesFile struct {
	names   []string            // of functions, tables and values: "solidb.ws.send"
	classes map[string][]string // fields by class
}

func readTypes(t *testing.T) typesFile {
	t.Helper()
	text, err := fs.ReadFile(scaffold.Files(), "types/rollcall.lua")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := luavm.Compile("types/rollcall.lua", string(text)); err != nil {
		t.Fatal(err)
	}
	types := typesFile{classes: map[string][]string{}}
	class := ""
	name := regexp.MustCompile(`^(?:function ([\w.]+)\(|([\w.]+) = )`)
	field := regexp.MustCompile(`^---@(?:class|field) ([\w.]+)`)
	for line := range strings.Lines(string(text)) {
		if m := name.FindStringSubmatch(line); m != nil {
			types.names = append(types.names, m[1]+m[2])
		}
		switch m := field.FindStringSubmatch(line); {
		case m == nil:
		case strings.HasPrefix(line, "---@class"):
			class = m[1]
			types.classes[class] = nil
		default:
			types.classes[class] = append(types.classes[class], m[1])
		}
	}
	return types
}

// namesThere are the names that handlers see beside those of the language, which editors know.
func namesThere(t *testing.T) (names []string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "config"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, routesFile), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	l, err := loadFolder(dir, LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	names = []string{"request", "test"}
	for _, globals := range l.configGlobals {
		names = slices.AppendSeq(names, maps.Keys(globals))
	}
	language := luavm.NewLibrary(nil).Globals()
	for _, ours := range []string{"json", "JSON", "json_encode", "json_decode", "crypto", "os"} {
		delete(language, ours)
	}
	var list func(prefix string, members map[string]lua.LValue)
	list = func(prefix string, members map[string]lua.LValue) {
		for name, v := range members {
			if _, ok := language[name]; ok && prefix == "" {
				continue
			}
			names = append(names, prefix+name)
			if t, ok := v.(*lua.LTable); ok && name != "JSON" { // which is json
				inside, _ := luavm.Members(t)
				list(prefix+name+".", inside)
			}
		}
	}
	_, script := libraries()
	list("", script.Globals())
	return names
}

// SPEC 11: "types/rollcall.lua for LuaLS": each function, field, action and option is in it, and nothing that is not.
func TestTypesAreWhatHandlersSee(t *testing.T) {
	types := readTypes(t)
	same := func(what string, told, there []string) {
		t.Helper()
		told, there = slices.Sorted(slices.Values(told)), slices.Compact(slices.Sorted(slices.Values(there)))
		for _, name := range there {
			if !slices.Contains(told, name) {
				t.Errorf("types/rollcall.lua says nothing of %s %s", what, name)
			}
		}
		if len(slices.Compact(slices.Clone(told))) < len(told) {
			t.Errorf("types/rollcall.lua has some %s twice: %q", what, told)
		}
		for _, name := range told {
			if !slices.Contains(there, name) {
				t.Errorf("types/rollcall.lua has %s %s, which does not exist", what, name)
			}
		}
	}
	there := namesThere(t)
	if len(there) < 60 {
		t.Fatalf("only %q", there)
	}
	same("the name", types.names, there)
	same("the field of events", types.classes["rollcall.Event"], keysOf(eventFields))
	same("the field of requests", types.classes["rollcall.Request"], keysOf(requestFields))
	same("the field of users", types.classes["rollcall.User"], userFields)
	same("the action", types.classes["rollcall.Action"], actionNames())
	same("the option", types.classes["rollcall.RouteOptions"], optionNames)
	same("t", types.classes["rollcall.Test"], namesIn(t, "apptest/library.go", `object\("t", `))
	same("c", types.classes["rollcall.Client"],
		append(namesIn(t, "apptest/library_client.go", `object\("c", `), "status", "body"))
}

// namesIn lists the keys of a Go map in a file, from where a pattern matches to the end of the function.
func namesIn(t *testing.T, file, from string) (names []string) {
	t.Helper()
	source, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	at := regexp.MustCompile(from).FindStringIndex(string(source))
	if at == nil {
		t.Fatalf("%s has no %s", file, from)
	}
	body, _, _ := strings.Cut(string(source)[at[1]:], "\n\t})")
	for _, m := range regexp.MustCompile(`"(\w+)":`).FindAllStringSubmatch(body, -1) {
		names = append(names, m[1])
	}
	return names
}
