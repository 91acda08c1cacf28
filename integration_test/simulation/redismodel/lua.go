package redismodel

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
	lua "github.com/yuin/gopher-lua"

	"rollcall/luavm"
	"rollcall/redisconn"
)

// Source is one script of the product.
type Source struct {
	Name    string
	Script  *redisconn.Script // by which calls name it
	program *luavm.Program    // its text, with the edits
}

// Edit is a mistake in one script, to show that a test would notice. Old stands in the file once.
type Edit struct{ File, Old, New string }

// families are scripts, and what is put before them.
var families = []struct {
	before string
	files  []string
}{
	{"presence/scripts/message.lua", []string{"presence/scripts/join.lua", "presence/scripts/leave.lua",
		"presence/scripts/linger.lua", "presence/scripts/reap.lua"}},
	{"", []string{"presence/scripts/register.lua", "cluster/scripts/heartbeat.lua", "cluster/scripts/declare.lua",
		"cluster/scripts/end.lua", "history/scripts/publish.lua", "history/scripts/read.lua",
		"history/scripts/empty.lua", "hub/scripts/publish_once.lua"}},
}

// Load reads the scripts from the project's folder, and makes the edits in what runs.
func Load(project string, edits ...Edit) (all []Source, err error) {
	for _, f := range families {
		before, err := read(project, f.before, edits)
		if err != nil {
			return nil, err
		}
		for _, file := range f.files {
			text, err := read(project, file, edits)
			if err != nil {
				return nil, err
			}
			name := strings.TrimSuffix(filepath.Base(file), ".lua")
			program, err := luavm.Compile(name, before.edited+text.edited)
			if err != nil {
				return nil, fmt.Errorf("compile script: %w", err)
			}
			all = append(all, Source{name, redisconn.NewScript(before.text + text.text), program})
		}
	}
	return all, nil
}

type file struct{ text, edited string }

func read(project, name string, edits []Edit) (f file, err error) {
	if name == "" {
		return f, nil
	}
	text, err := os.ReadFile(filepath.Join(project, name))
	if err != nil {
		return f, fmt.Errorf("read script: %w", err)
	}
	f = file{string(text), string(text)}
	for _, e := range edits {
		if e.File != name {
			continue
		}
		if n := strings.Count(f.edited, e.Old); n != 1 {
			return f, fmt.Errorf("%s has %d times %q: say anew what the mistake is", name, n, e.Old)
		}
		f.edited = strings.Replace(f.edited, e.Old, e.New, 1)
	}
	return f, nil
}

// library is what Redis gives to scripts.
func library() *luavm.Library {
	return luavm.NewLibrary(map[string]lua.LValue{
		"redis": luavm.SharedTable(map[string]lua.LGFunction{"call": call}, nil),
	})
}

// call is redis.call.
func call(L *lua.LState) int {
	s, _ := luavm.Of(L).Data.(*Server)
	args := make([]string, L.GetTop())
	for i := range args {
		args[i] = L.CheckString(i + 1)
	}
	res, err := s.command(strings.ToLower(args[0]), args[1:])
	if err != nil && !errors.Is(err, redis.Nil) {
		L.RaiseError("%s: %s", strings.Join(args, " "), err.Error())
	}
	L.Push(toLua(res))
	return 1
}

// eval runs a script.
func (s *Server) eval(script *lua.LFunction, keys, args []string) (any, error) {
	s.vm.SetGlobal("KEYS", luavm.Strings(keys))
	s.vm.SetGlobal("ARGV", luavm.Strings(args))
	v, err := s.vm.Call1(script)
	if err != nil {
		return nil, fmt.Errorf("run script: %w", err)
	}
	return fromLua(v), nil
}

// toLua is how Redis gives an answer to a script.
func toLua(v any) lua.LValue {
	switch v := v.(type) {
	case string:
		return lua.LString(v)
	case int64:
		return lua.LNumber(v)
	case float64:
		return lua.LString(strconv.FormatFloat(v, 'f', -1, 64))
	case []any:
		t := luavm.NewArray()
		for _, item := range v {
			t.Append(toLua(item))
		}
		return t
	}
	return lua.LFalse
}

// fromLua is how Redis answers with what a script returns.
func fromLua(v lua.LValue) any {
	switch v := v.(type) {
	case lua.LString:
		return string(v)
	case lua.LNumber:
		return int64(v)
	case *lua.LTable:
		list := make([]any, v.Len())
		for i := range list {
			list[i] = fromLua(v.RawGetInt(i + 1))
		}
		return list
	}
	return nil
}
