package main

import (
	"os/exec"
	"strings"
	"testing"
)

// floors is the house of DESIGN 1: a package may import only what stands on a lower floor.
var floors = map[string]int{
	"rollcall/cmd/node": 7,
	"rollcall/api":      6,
	"rollcall/app":      5,
	"rollcall/hub":      4,
	"rollcall/presence": 3, "rollcall/cluster": 3,
	"rollcall/broker": 2, "rollcall/wsconn": 2,
	"rollcall/redisconn": 1, "rollcall/luavm": 1,
	"rollcall/auth": 0, "rollcall/metrics": 0, "rollcall/web": 0, "rollcall/rawsock": 0,
}

// floorOf gives a package's floor; a package below a room stands on its room's floor. integration_test stands outside:
// it may use all, and nothing may use it.
func floorOf(pkg string) (floor int, known bool) {
	for p := pkg; p != "rollcall"; p = p[:strings.LastIndexByte(p, '/')] {
		if f, ok := floors[p]; ok {
			return f, true
		}
	}
	return 0, false
}

// misplaced says what an import breaks, or "".
func misplaced(pkg, imported string) string {
	if strings.HasPrefix(pkg, "rollcall/integration_test") {
		return ""
	}
	from, ok := floorOf(pkg)
	if !ok {
		return pkg + " has no place in the house: give it a floor"
	}
	to, ok := floorOf(imported)
	switch {
	case !ok:
		return pkg + " imports " + imported + ", which has no floor"
	case strings.HasPrefix(imported, pkg+"/"):
		return "" // its own inner room
	case to >= from:
		return pkg + " must not import " + imported
	}
	return ""
}

// DESIGN 1: "A package may import only what stands below it; rooms on one floor do not see each other."
func TestHouse(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", "{{.ImportPath}}{{range .Imports}} {{.}}{{end}}", "rollcall/...").Output()
	if err != nil {
		t.Fatalf("list packages: %v", err)
	}
	seen := 0
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		for _, imported := range words[1:] {
			if strings.HasPrefix(imported, "rollcall/") {
				seen++
				if fault := misplaced(words[0], imported); fault != "" {
					t.Error(fault)
				}
			}
		}
	}
	if seen < 10 {
		t.Errorf("only %d imports between rooms found; is the list right?", seen)
	}
}

func TestMisplaced(t *testing.T) {
	tests := []struct {
		pkg, imported string
		bad           bool
	}{
		{"rollcall/hub", "rollcall/presence", false},
		{"rollcall/presence", "rollcall/hub", true},
		{"rollcall/presence", "rollcall/cluster", true},
		{"rollcall/luavm", "rollcall/wsconn", true},
		{"rollcall/broker", "rollcall/redisconn", false},
		{"rollcall/redisconn", "rollcall/broker", true},
		{"rollcall/auth", "rollcall/metrics", true},
		{"rollcall/wsconn", "rollcall/metrics", false},
		{"rollcall/util", "rollcall/broker", true},
		{"rollcall/hub", "rollcall/integration_test/redistest", true},
		{"rollcall/integration_test", "rollcall/api", false},
	}
	for _, tt := range tests {
		if got := misplaced(tt.pkg, tt.imported); (got != "") != tt.bad {
			t.Errorf("%s imports %s: %q", tt.pkg, tt.imported, got)
		}
	}
}
