package app

import (
	"errors"
	"strings"
	"testing"
	"testing/fstest"
)

// SPEC 1.1: "a file scripts/{db}/{path}.ws.lua in the app folder ({path} may have folders; a folder or file named [id]
// is the dynamic segment :id)".
func TestScanScripts(t *testing.T) {
	tests := []struct {
		file, want string // want "": no script; "!text": a problem
	}{
		{"scripts/_system/chat.ws.lua", "WS _system/chat"},
		{"scripts/_system/rooms.get.lua", "GET _system/rooms"},
		{"scripts/db/a/b/c.post.lua", "POST db/a/b/c"},
		{"scripts/db/[id].put.lua", "PUT db/:id"},
		{"scripts/db/rooms/[room]/users.patch.lua", "PATCH db/rooms/:room/users"},
		{"scripts/db/rooms/[room]/[user].delete.lua", "DELETE db/rooms/:room/:user"},
		{"scripts/db/chat.v2.ws.lua", "WS db/chat.v2"},
		{"scripts/db/readme.md", ""},
		{"scripts/db/.hidden.ws.lua", ""},
		{"scripts/.git/x.ws.lua", ""},
		{"other/db/x.ws.lua", ""},
		{"scripts/chat.ws.lua", "!must lie in a folder"},
		{"scripts/db/chat.lua", "!has no method in its name"},
		{"scripts/db/v1.2/chat.lua", "!has no method in its name"},
		{"scripts/db/chat.head.lua", "!bad script method"},
		{"scripts/db/chat.WS.lua", "!must be in lower case"},
		{"scripts/[db]/chat.ws.lua", "!the folder [db] cannot be a parameter"},
		{"scripts/db/[].ws.lua", "!no parameter name"},
		{"scripts/db/[a]/[a].ws.lua", "!twice"},
		{"scripts/db/:a.ws.lua", "!write a parameter as [a]"},
		{"scripts/db/.ws.lua", ""},
	}
	for _, tt := range tests {
		t.Run(tt.file, func(t *testing.T) {
			found, problems := scanScripts(fstest.MapFS{tt.file: {}})
			switch {
			case strings.HasPrefix(tt.want, "!"):
				if len(problems) != 1 || !strings.Contains(problems[0].Error(), tt.want[1:]) ||
					!strings.HasPrefix(problems[0].Error(), tt.file) {
					t.Fatalf("problems %v, want one with %q", problems, tt.want[1:])
				}
			case tt.want == "":
				if found != nil || problems != nil {
					t.Fatalf("found %v, problems %v", found, problems)
				}
			default:
				if problems != nil || len(found) != 1 || found[0].name.String() != tt.want || found[0].file != tt.file {
					t.Fatalf("found %v, problems %v, want %s", found, problems, tt.want)
				}
			}
		})
	}
}

func TestScriptFilesThatMatchTheSamePaths(t *testing.T) {
	found, problems := scanScripts(
		fstest.MapFS{"scripts/db/[a].get.lua": {}, "scripts/db/[b].get.lua": {}, "scripts/db/[b].put.lua": {}})
	if len(found) != 2 || len(problems) != 1 ||
		problems[0].Error() != "scripts/db/[b].get.lua: is served at the same paths as scripts/db/[a].get.lua" {
		t.Fatalf("found %v, problems %v", found, problems)
	}
}

func TestParseScriptName(t *testing.T) {
	tests := []struct {
		db, path, method string
		want             error
	}{
		{"_system", "chat", "ws", nil},
		{"_system", "rooms/:id", "GET", nil},
		{"_system", "chat", "HEAD", ErrBadMethod},
		{"_system", "chat", "", ErrBadMethod},
		{"", "chat", "WS", ErrBadPath},
		{"db", "", "WS", ErrBadPath},
		{"db", "/a", "WS", ErrBadPath},
		{"db", "a/", "WS", ErrBadPath},
		{"db", "a//b", "WS", ErrBadPath},
		{"db", "../a", "WS", ErrBadPath},
		{"db", "a\x00", "WS", ErrBadPath},
		{"db", ":a/:a", "WS", ErrBadPath},
		{":db", "a", "WS", ErrBadPath},
		{"d/b", "a", "WS", ErrBadPath},
		{"db", strings.Repeat("a", 254), "WS", ErrBadPath},
	}
	for _, tt := range tests {
		if _, err := ParseScriptName(tt.db, tt.path, tt.method); !errors.Is(err, tt.want) {
			t.Errorf("%s/%s %s: %v, want %v", tt.db, tt.path, tt.method, err, tt.want)
		}
	}
}

func TestScriptField(t *testing.T) {
	a, _ := ParseScriptName("db", "rooms/:a", "get")
	b, _ := ParseScriptName("db", "rooms/:b", "GET")
	c, _ := ParseScriptName("db", "rooms/:b", "PUT")
	if a.field() != b.field() || a.field() == c.field() || a.field() != "GET db/rooms/:" {
		t.Fatalf("%q %q %q", a.field(), b.field(), c.field())
	}
}
