package app

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	lua "github.com/yuin/gopher-lua"

	"rollcall/auth"
	"rollcall/luavm"
)

// setIn lists what a Go function sets in a table, by its source.
func setIn(t *testing.T, file, function string) (names []string) {
	t.Helper()
	source, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	_, body, ok := strings.Cut(string(source), "func "+function+"(")
	if !ok {
		t.Fatalf("%s has no %s", file, function)
	}
	body, _, _ = strings.Cut(body, "\n}\n")
	for _, m := range regexp.MustCompile(`(?:\.Set\(|SetLazy\(t, |RawSetString\()"(\w+)"`).FindAllStringSubmatch(body, -1) {
		if !slices.Contains(names, m[1]) {
			names = append(names, m[1])
		}
	}
	slices.Sort(names)
	return names
}

func known(names []string) map[string]fieldSet {
	fields := map[string]fieldSet{}
	for _, name := range names {
		fields[name] = 0
	}
	return fields
}

func keysOf(m map[string]fieldSet) (names []string) {
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// What check knows of events and requests is what they are made with.
func TestFieldsAreThoseThatAreMade(t *testing.T) {
	for _, tt := range []struct {
		functions [][2]string // file and name
		fields    map[string]fieldSet
	}{
		{[][2]string{{"handling.go", "(c *handling) eventTable"}, {"timers.go", "(t timer) addData"},
			{"join.go", "(j *join) describe"}, {"join.go", "(e event) addPayload"}}, eventFields},
		{[][2]string{{"http_call.go", "requestTable"}}, requestFields},
		{[][2]string{{"job_run.go", "(s *Server) runJob"}}, known(jobFields)},
	} {
		var made []string
		for _, f := range tt.functions {
			made = append(made, setIn(t, f[0], f[1])...)
		}
		slices.Sort(made)
		if made = slices.Compact(made); !slices.Equal(made, keysOf(tt.fields)) {
			t.Errorf("%s set %q, known are %q", tt.functions, made, keysOf(tt.fields))
		}
	}
	secret := []byte("a secret of this test, long enough")
	v, err := auth.New(t.Context(), auth.Config{Secrets: [][]byte{secret}})
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	token, err := auth.Mint(secret, auth.MintClaims{UserID: "ada", IssuedAt: time.Now(), TTL: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	id, err := v.Verify(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	vm := luavm.New(luavm.Config{})
	defer vm.Close()
	var made []string
	userTable(vm, id.User).(*lua.LTable).ForEach(func(k, _ lua.LValue) { made = append(made, k.String()) })
	slices.Sort(made)
	if known := slices.Sorted(slices.Values(userFields)); !slices.Equal(made, known) {
		t.Errorf("a user has %q, known are %q", made, known)
	}
}

// The options that are named to those who misspell one are those that are read.
func TestOptionNames(t *testing.T) {
	source, err := os.ReadFile("route.go")
	if err != nil {
		t.Fatal(err)
	}
	_, body, _ := strings.Cut(string(source), "func parseOptions(")
	body, _, _ = strings.Cut(body, "\n}\n")
	var read []string
	for _, m := range regexp.MustCompile(`\n\t\tcase "(\w+)":`).FindAllStringSubmatch(body, -1) {
		read = append(read, m[1])
	}
	if slices.Sort(read); !slices.Equal(read, slices.Sorted(slices.Values(optionNames))) {
		t.Errorf("read are %q, named %q", read, optionNames)
	}
	for _, name := range optionNames {
		o := luavm.NewObject(1)
		o.Set(name, lua.LNumber(-1))
		for _, method := range []string{MethodWS, "GET"} {
			if _, bad := parseOptions(method, o.Table()); len(bad) != 1 || strings.Contains(bad[0], "unknown option") {
				t.Errorf("%s: %q", name, bad)
			}
		}
	}
}
