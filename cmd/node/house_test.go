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
	"rollcall/hub":      4, "rollcall/hooks": 4,
	"rollcall/presence": 3, "rollcall/cluster": 3, "rollcall/history": 3,
	"rollcall/broker": 2, "rollcall/wsconn": 2, "rollcall/sse": 2,
	"rollcall/redisconn": 1, "rollcall/luavm": 1, "rollcall/auth": 1, "rollcall/egress": 1,
	"rollcall/outbox": 1,
	"rollcall/ijson":  0, "rollcall/naming": 0, "rollcall/metrics": 0, "rollcall/overload": 0, "rollcall/rawsock": 0,
	"rollcall/clients/js": 0,
}

// Outside of the house: what its rooms may not import. Their tests may import testkit.
const (
	testFolder = "rollcall/testkit"
	e2e        = "rollcall/integration_test"
)

// floorOf gives a package's floor; a package below a room stands on its room's floor.
func floorOf(pkg string) (floor int, known bool) {
	for p := pkg; p != "rollcall"; p = p[:strings.LastIndexByte(p, '/')] {
		if f, ok := floors[p]; ok {
			return f, true
		}
	}
	return 0, false
}

func within(pkg, room string) bool { return pkg == room || strings.HasPrefix(pkg, room+"/") }

// misplaced says what an import breaks, or "". inTest: a file of tests has it.
func misplaced(pkg, imported string, inTest bool) string {
	if within(pkg, e2e) { // may use all
		return ""
	}
	if within(pkg, testFolder) {
		if within(imported, testFolder) {
			return ""
		}
		return pkg + " must not import " + imported + ": testkit knows the house from outside alone"
	}
	from, ok := floorOf(pkg)
	if !ok {
		return pkg + " has no place in the house: give it a floor"
	}
	if inTest && within(imported, testFolder) {
		return ""
	}
	to, ok := floorOf(imported)
	switch {
	case !ok:
		return pkg + " imports " + imported + ", which has no floor"
	case within(imported, pkg):
		return "" // its own inner room; for a test the room itself
	case to > from, to == from && !inTest:
		return pkg + " must not import " + imported
	}
	return ""
}

// imports are pairs of a package of ours and another that it imports; field is go list's for them.
func imports(t *testing.T, field string) (all [][2]string) {
	t.Helper()
	out, err := exec.Command("go", "list", "-f", "{{.ImportPath}}{{range ."+field+"}} {{.}}{{end}}",
		"rollcall/...").Output()
	if err != nil {
		t.Fatalf("list packages: %v", err)
	}
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		for _, imported := range words[1:] {
			if within(imported, "rollcall") {
				all = append(all, [2]string{words[0], imported})
			}
		}
	}
	return all
}

// DESIGN 1: "A package imports only packages on lower floors; packages on one floor do not see each other"; its tests
// "may also import testkit and rooms on their own floor".
func TestHouse(t *testing.T) {
	for field, least := range map[string]int{"Imports": 20, "TestImports": 10, "XTestImports": 10} {
		all := imports(t, field)
		for _, i := range all {
			if fault := misplaced(i[0], i[1], field != "Imports"); fault != "" {
				t.Errorf("%s: %s", field, fault)
			}
		}
		if len(all) < least {
			t.Errorf("%s: only %d between rooms; is the list right?", field, len(all))
		}
	}
}

func TestMisplaced(t *testing.T) {
	tests := []struct {
		pkg, imported  string
		bad, badInTest bool
	}{
		{"rollcall/hub", "rollcall/presence", false, false},
		{"rollcall/presence", "rollcall/hub", true, true},
		{"rollcall/presence", "rollcall/cluster", true, false},
		{"rollcall/luavm", "rollcall/wsconn", true, true},
		{"rollcall/broker", "rollcall/redisconn", false, false},
		{"rollcall/redisconn", "rollcall/broker", true, true},
		{"rollcall/auth", "rollcall/ijson", false, false},
		{"rollcall/ijson", "rollcall/naming", true, false},
		{"rollcall/wsconn", "rollcall/metrics", false, false},
		{"rollcall/wsconn", "rollcall/wsconn", false, false},
		{"rollcall/sse", "rollcall/outbox", false, false},
		{"rollcall/sse", "rollcall/wsconn", true, false},
		{"rollcall/util", "rollcall/broker", true, true},
		{"rollcall/hub", "rollcall/util", true, true},
		{"rollcall/hub", "rollcall/testkit/redistest", true, false},
		{"rollcall/cmd/node", "rollcall/integration_test/chaos", true, true},
		{"rollcall/testkit/stories", "rollcall/testkit/nodetest", false, false},
		{"rollcall/testkit/redistest", "rollcall/auth", true, true},
		{"rollcall/testkit/redistest", "rollcall/integration_test", true, true},
		{"rollcall/integration_test", "rollcall/api", false, false},
		{"rollcall/integration_test/load", "rollcall/testkit/nodetest", false, false},
	}
	for _, tt := range tests {
		for _, inTest := range []bool{false, true} {
			want := tt.bad && !inTest || tt.badInTest && inTest
			if got := misplaced(tt.pkg, tt.imported, inTest); (got != "") != want {
				t.Errorf("%s imports %s, in a test %v: %q", tt.pkg, tt.imported, inTest, got)
			}
		}
	}
}
