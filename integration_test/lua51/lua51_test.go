package lua51

import (
	"bytes"
	"context"
	_ "embed"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	lua "github.com/yuin/gopher-lua"

	"rollcall/luavm"
	"rollcall/testkit/redistest"
)

var (
	programs = flag.Int("programs", 4000, "how many random programs the differential test runs")
	seed     = flag.Uint64("seed", 1, "the seed of the first one")
)

//go:embed prelude.lua
var prelude string

// TestSameAsPUC: SPEC 1.3: "a program gives what PUC Lua 5.1 gives, or is
// refused when it is loaded".
func TestSameAsPUC(t *testing.T) {
	lua51 := redistest.Program(t, "lua5.1")
	const batch = 500
	different := 0
	for first := 0; first < *programs; first += batch {
		var sources []string
		for i := first; i < min(first+batch, *programs); i++ {
			sources = append(sources, Program(*seed+uint64(i)))
		}
		theirs, err := runPUC(t, lua51, sources)
		if err != nil {
			t.Fatal(err)
		}
		for i, source := range sources {
			if ours := runOurs(source); !same(ours, theirs[i]) {
				if different++; different <= 5 {
					t.Errorf("seed %d:\n%s", *seed+uint64(first+i), shrink(t, lua51, source))
				}
			}
		}
	}
	if different > 5 {
		t.Errorf("%d of %d programs differ", different, *programs)
	}
}

// TestKnownPrograms has what was once wrong, and what random programs seldom make.
func TestKnownPrograms(t *testing.T) {
	lua51 := redistest.Program(t, "lua5.1")
	text, err := os.ReadFile("testdata/programs.lua")
	if err != nil {
		t.Fatal(err)
	}
	var names, sources []string
	for part := range strings.SplitSeq(string(text), "--- ") {
		if name, source, ok := strings.Cut(part, "\n"); ok && name != "" {
			names, sources = append(names, name), append(sources, source)
		}
	}
	theirs, err := runPUC(t, lua51, sources)
	if err != nil {
		t.Fatal(err)
	}
	for i, source := range sources {
		t.Run(names[i], func(t *testing.T) {
			if ours := runOurs(source); !same(ours, theirs[i]) {
				t.Errorf("%s\n%s", numbered(source), firstDifference(ours, theirs[i]))
			}
		})
	}
}

// runPUC runs programs in one process of lua5.1, and returns what each said.
func runPUC(t *testing.T, lua51 string, sources []string) ([]string, error) {
	t.Helper()
	var all bytes.Buffer
	for _, s := range sources {
		fmt.Fprintf(&all, "%d\n%s", len(s), s)
	}
	file := filepath.Join(t.TempDir(), "programs")
	if err := os.WriteFile(file, all.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, lua51, "driver.lua", "prelude.lua", file)
	cmd.Env = append(os.Environ(), "TZ=UTC", "LC_ALL=C")
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("run lua5.1: %w", err)
	}
	results := make([]string, 0, len(sources))
	for len(out) > 0 {
		length, rest, _ := bytes.Cut(out, []byte("\n"))
		n, err := strconv.Atoi(string(length))
		if err != nil || n > len(rest) {
			return nil, fmt.Errorf("lua5.1 wrote %.200q", out)
		}
		results = append(results, string(rest[:n]))
		out = rest[n:]
	}
	if len(results) != len(sources) {
		return nil, fmt.Errorf("lua5.1 ran %d programs of %d", len(results), len(sources))
	}
	return results, nil
}

// runOurs runs a program as driver.lua does.
func runOurs(source string) string {
	vm := luavm.New(luavm.Config{Limits: luavm.Limits{Budget: time.Minute, Depth: 4000, Memory: 256 << 20}})
	defer vm.Close()
	if _, err := vm.Run(compiledPrelude()); err != nil {
		return err.Error()
	}
	chunk, err := luavm.Compile("t.lua", source)
	if err != nil {
		return "does not compile: " + err.Error()
	}
	if _, err := vm.Run(runner(), chunk.Function(vm)); err != nil {
		return "failed: " + err.Error()
	}
	text, err := vm.Call1(vm.Global("result"))
	if err != nil {
		return err.Error()
	}
	return string(text.(lua.LString))
}

var (
	compiledPrelude = compiled("prelude.lua", prelude)
	runner          = compiled("run.lua", `local chunk = ... out("end", P(chunk, 11, "v", nil, 7.5))`)
)

func compiled(name, source string) func() *luavm.Program {
	return sync.OnceValue(func() *luavm.Program {
		p, err := luavm.Compile(name, source)
		if err != nil {
			panic(err)
		}
		return p
	})
}

var (
	digits    = regexp.MustCompile(`\d+`)
	minusZero = regexp.MustCompile(`-0($|[^\d.])`)
)

// same tells whether ours is what PUC Lua says. It knows of no place for errors
// that a library function of the machine raises; we do.
func same(ours, theirs string) bool {
	if strings.Contains(ours, "too many coroutines resume each other") {
		return true // a limit of ours
	}
	ours, theirs = normal(ours), normal(theirs)
	if ours == theirs || !strings.Contains(theirs, `"at ?"`) {
		return ours == theirs
	}
	for part := range strings.SplitSeq(theirs, `"at ?"`) {
		if !strings.HasPrefix(ours, part) {
			return false
		}
		if ours = ours[len(part):]; ours != "" {
			at := place.FindString(ours)
			if at == "" {
				return false
			}
			ours = ours[len(at):]
		}
	}
	return ours == ""
}

var place = regexp.MustCompile(`^"at (\?|t\.lua:\d+:)"`)

// normal takes away the differences that docs/handlers.md tells of.
func normal(s string) string {
	s = minusZero.ReplaceAllString(strings.ReplaceAll(s, "-nan", "nan"), "0$1")
	return digits.ReplaceAllStringFunc(s, func(digits string) string {
		if len(digits) < 15 || len(digits) > 16 { // what we print with all digits
			return digits
		}
		f, _ := strconv.ParseFloat(digits, 64)
		return fmt.Sprintf("%.14g", f)
	})
}

// shrink takes lines out of a program for as long as it still differs, and shows
// what is left.
func shrink(t *testing.T, lua51, source string) string {
	lines := strings.Split(source, "\n")
	difference := ""
	differs := func(lines []string) bool {
		text := strings.Join(lines, "\n")
		theirs, err := runPUC(t, lua51, []string{text})
		if err != nil || strings.Contains(theirs[0], "E:slow") || strings.Contains(theirs[0], "does not compile") {
			return false
		}
		ours := runOurs(text)
		if same(ours, theirs[0]) || difference != "" && strings.Contains(ours, "stack overflow") {
			return false
		}
		difference = firstDifference(ours, theirs[0])
		return true
	}
	differs(lines)
	for size := len(lines) / 2; size > 0; size /= 2 {
		for at := 0; at+size <= len(lines); {
			if fewer := slices.Concat(lines[:at], lines[at+size:]); differs(fewer) {
				lines = fewer
			} else {
				at += size
			}
		}
	}
	return numbered(strings.Join(lines, "\n")) + difference
}

func firstDifference(ours, theirs string) string {
	a, b := strings.Split(ours, "\n"), strings.Split(theirs, "\n")
	for i := range max(len(a), len(b)) {
		var x, y string
		if i < len(a) {
			x = a[i]
		}
		if i < len(b) {
			y = b[i]
		}
		if !same(x, y) {
			return fmt.Sprintf("line %d of the output:\n ours: %s\n PUC:  %s", i+1, x, y)
		}
	}
	return ""
}

func numbered(source string) string {
	var b strings.Builder
	for i, l := range strings.Split(source, "\n") {
		fmt.Fprintf(&b, "%3d %s\n", i+1, l)
	}
	return b.String()
}
