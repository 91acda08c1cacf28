package lint

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	lua "github.com/yuin/gopher-lua"

	"rollcall/luavm"
)

// The host of the stories: a library, and handlers that are given an event and return actions.
var (
	ws = luavm.SharedTableFields(map[string]lua.LGFunction{"send": nothing, "recv": nothing, "recv_any": nothing},
		map[string]lua.LValue{"channel": luavm.SharedTable(map[string]lua.LGFunction{"subscribe": nothing}, nil)},
		map[string]func(*luavm.VM) lua.LValue{"id": func(*luavm.VM) lua.LValue { return lua.LNil }})
	anything = luavm.SharedTableWith(nil, nil, func(*luavm.VM, string) lua.LValue { return lua.LNil })
	library  = luavm.NewLibrary(map[string]lua.LValue{"ws": ws, "env": anything, "ws_join": luavm.Func(nothing)})
	less     = luavm.NewLibrary(map[string]lua.LValue{"env": anything, "ws_join": luavm.Func(nothing),
		"ws": luavm.SharedTable(map[string]lua.LGFunction{"send": nothing, "recv": nothing}, nil)})
	user  = &Table{Name: "user", Fields: map[string]*Table{"id": nil, "username": nil}}
	event = &Table{Name: "event", Fields: map[string]*Table{"type": nil, "message": nil, "state": nil, "query": nil,
		"user": user}}
	actions = &Table{Name: "action", Fields: map[string]*Table{"send": nil, "join": nil, "track": nil, "close": nil}}
)

func nothing(*lua.LState) int { return 0 }

// storyFiles makes the files of a story. Those of which the first line says "-- script NAME" are scripts, with a global
// request; all others are modules, in which the host calls the global function "handler".
func storyFiles(t *testing.T, text string) (files []File) {
	t.Helper()
	for _, part := range strings.Split(text, "-- file ")[1:] {
		name, source, _ := strings.Cut(part, "\n")
		f := File{Name: name, Source: "\n" + source, Library: library, Module: !strings.HasPrefix(name, "script"),
			Globals: map[string]*Table{"request": nil}}
		p, err := luavm.Compile(name, f.Source)
		if err != nil {
			t.Fatal(err)
		}
		if f.Module {
			vm := luavm.New(luavm.Config{Library: library, Require: func(string) (*luavm.Program, error) {
				return luavm.Compile("", "return {}")
			}})
			results, err := vm.Run(p)
			if err != nil {
				t.Fatal(err)
			}
			fn, ok := vm.Global("handler").(*lua.LFunction)
			if len(results) > 0 {
				if t, isTable := results[0].(*lua.LTable); isTable {
					fn, ok = t.RawGetString("handler").(*lua.LFunction)
				}
			}
			if ok {
				f.Handlers = []Handler{{Line: fn.Proto.LineDefined, LastLine: fn.Proto.LastLineDefined, Argument: event,
					Returns: actions, Library: less}}
			}
			vm.Close()
		}
		files = append(files, f)
	}
	return files
}

// A story is some files and, as comments on their lines, what is found there: "--> text".
func TestStories(t *testing.T) {
	stories, err := filepath.Glob("testdata/*.lua")
	if err != nil || len(stories) < 4 {
		t.Fatal(stories, err)
	}
	for _, path := range stories {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".lua"), func(t *testing.T) {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			files := storyFiles(t, string(text))
			var want, got []string
			for _, f := range files {
				for i, line := range strings.Split(f.Source, "\n") {
					_, told, _ := strings.Cut(line, "--> ")
					for _, finding := range strings.Split(told, " & ") {
						if finding != "" {
							want = append(want, fmt.Sprintf("%s:%d: %s", f.Name, i+1, finding))
						}
					}
				}
			}
			for _, f := range Check(files) {
				got = append(got, fmt.Sprintf("%s:%d: %s", f.File, f.Line, f.Text))
			}
			if w, g := strings.Join(want, "\n"), strings.Join(got, "\n"); w != g {
				t.Errorf("%s has\n%s\nfound is\n%s", path, w, g)
			}
		})
	}
}

func TestNearest(t *testing.T) {
	names := []string{"send", "send_presence", "join", "broadcast_room", "broadcast"}
	for name, want := range map[string]string{"sned": "send", "Send": "send", "snd": "send",
		"brodcast_rom": "broadcast_room", "jion": "join", "xyz": "", "s": "", "send": "",
		"boadcast": "broadcast", "sendPresence": "send_presence"} {
		if got := Nearest(name, names); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}
